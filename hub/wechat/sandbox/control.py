"""What a test turns: faults and clock; and what it reads: the calls the sandbox got."""

from collections import deque
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hub.wechat.sandbox.clock import Clock
from hub.wechat.sandbox.faults import Fault, Faults


class ClockMove(BaseModel):
    """How far to move the clock: *advance* seconds from where it stands, back if negative."""

    model_config = ConfigDict(extra="forbid")

    advance: float = Field(ge=-(10**9), le=10**9)


class ControlRoutes:
    """`/faults`, `/clock` and `/requests`: GET reads, POST adds, DELETE puts back to the beginning."""

    def __init__(self, faults: Faults, clock: Clock, requests: deque[dict[str, Any]]) -> None:
        self._faults = faults
        self._clock = clock
        self._requests = requests

    def routes(self) -> list[Route]:
        """Return the three endpoints."""
        return [
            Route("/faults", self.faults, methods=["GET", "POST", "DELETE"]),
            Route("/clock", self.clock, methods=["GET", "POST", "DELETE"]),
            Route("/requests", self.requests, methods=["GET", "DELETE"]),
        ]

    async def faults(self, request: Request) -> Response:
        """Answer the faults that are on, as a JSON array, the next to act first."""
        if request.method == "POST":
            try:
                self._faults.add(Fault.model_validate_json(await request.body()))
            except ValidationError as error:
                return _refused(error)
        elif request.method == "DELETE":
            self._faults.clear()
        return JSONResponse(self._faults.listed())

    async def clock(self, request: Request) -> Response:
        """Answer `{now, offset}`: the sandbox's time, and how many seconds it is ahead of the machine's."""
        if request.method == "POST":
            try:
                self._clock.offset += ClockMove.model_validate_json(await request.body()).advance
            except ValidationError as error:
                return _refused(error)
        elif request.method == "DELETE":
            self._clock.offset = 0.0
        now = self._clock.now().isoformat(timespec="milliseconds")
        return JSONResponse({"now": now, "offset": self._clock.offset})

    async def requests(self, request: Request) -> Response:
        """Answer the latest calls as a JSON array of `{at, method, path, query}`, newest first."""
        if request.method == "DELETE":
            self._requests.clear()
        return JSONResponse(list(self._requests))


def _refused(error: ValidationError) -> Response:
    return JSONResponse(error.errors(include_url=False, include_input=False, include_context=False), 422)
