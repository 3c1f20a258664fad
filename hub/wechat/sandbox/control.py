"""What a test turns: faults, quotas and clock; and what it reads: the calls the sandbox got."""

from collections import deque
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hub.wechat.sandbox.clock import Clock
from hub.wechat.sandbox.faults import Fault, Faults
from hub.wechat.sandbox.quotas import Quotas


class ClockMove(BaseModel):
    """How far to move the clock: *advance* seconds from where it stands, back if negative."""

    model_config = ConfigDict(extra="forbid")

    advance: float = Field(ge=-(10**9), le=10**9)


class QuotaChange(BaseModel):
    """The new *limit* of all windows of a *call*."""

    model_config = ConfigDict(extra="forbid")

    call: str
    limit: int = Field(ge=0)


class ControlRoutes:
    """`/faults`, `/quotas`, `/clock`, `/requests`: GET reads, POST adds, DELETE starts anew."""

    def __init__(self, faults: Faults, quotas: Quotas, clock: Clock, requests: deque[dict[str, Any]]) -> None:
        self._faults = faults
        self._quotas = quotas
        self._clock = clock
        self._requests = requests

    def routes(self) -> list[Route]:
        """Return the endpoints."""
        return [
            Route("/faults", self.faults, methods=["GET", "POST", "DELETE"]),
            Route("/quotas", self.quotas, methods=["GET", "POST", "DELETE"]),
            Route("/clock", self.clock, methods=["GET", "POST", "DELETE"]),
            Route("/requests", self.requests, methods=["GET", "DELETE"]),
        ]

    async def faults(self, request: Request) -> Response:
        """Answer the faults that are on, as a JSON array, the next to act first."""
        if request.method == "POST":
            try:
                self._faults.add(Fault.model_validate_json(await request.body()))
            except ValidationError as error:
                return refused(error)
        elif request.method == "DELETE":
            self._faults.clear()
        return JSONResponse(self._faults.listed())

    async def quotas(self, request: Request) -> Response:
        """Answer the counters that have moved, as a JSON array of `{call, key, seconds, limit, used}`."""
        if request.method == "POST":
            try:
                change = QuotaChange.model_validate_json(await request.body())
            except ValidationError as error:
                return refused(error)
            try:
                self._quotas.set(change.call, change.limit)
            except KeyError:
                return JSONResponse([{"loc": ["call"], "msg": "has no quota"}], 422)
        elif request.method == "DELETE":
            self._quotas.reset()
        return JSONResponse(self._quotas.listed())

    async def clock(self, request: Request) -> Response:
        """Answer `{now, offset}`: the sandbox's time, and how many seconds it is ahead of the machine's."""
        if request.method == "POST":
            try:
                move = ClockMove.model_validate_json(await request.body())
            except ValidationError as error:
                return refused(error)
            self._clock.move(self._clock.offset + move.advance)
        elif request.method == "DELETE":
            self._clock.move(0.0)
        now = self._clock.now().isoformat(timespec="milliseconds")
        return JSONResponse({"now": now, "offset": self._clock.offset})

    async def requests(self, request: Request) -> Response:
        """Answer the latest calls as a JSON array of `{at, method, path, query, body}`, newest first."""
        if request.method == "DELETE":
            self._requests.clear()
        return JSONResponse(list(self._requests))


def refused(error: ValidationError) -> Response:
    """Answer 422 with what is wrong with each member."""
    return JSONResponse(error.errors(include_url=False, include_input=False, include_context=False), 422)
