"""Faults switched on by tests, and the list of calls the sandbox got: one ASGI layer around it."""

import asyncio
from collections import deque
from typing import Any, Final, Literal
from urllib.parse import parse_qsl

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub.wechat.sandbox.clock import Clock
from hub.wechat.sandbox.replies import error_reply, wire

_LISTED: Final = ("/sns/", "/connect/")
_FAULTY: Final = "/sns/"


class Fault(BaseModel):
    """One switched-on fault: at *path* (every API path where None), for *count* calls (until cleared).

    The call itself is carried out, so a code is spent even where its answer is lost. `busy` is errcode -1,
    `too_fast` 45011, `errcode` the one given; `slow` waits *seconds*; `broken_json` cuts the body in half;
    `wrong_charset` labels it ISO-8859-1, `gbk` encodes it in GBK; `drop` cuts the connection within the body.
    """

    model_config = ConfigDict(extra="forbid")

    fault: Literal[
        "busy", "too_fast", "errcode", "slow", "broken_json", "wrong_charset", "gbk", "drop", "server_error"
    ]
    path: str | None = Field(default=None, pattern=r"^/")
    count: int | None = Field(default=None, ge=1)
    errcode: int = -1
    seconds: float = Field(default=10.0, ge=0, le=300)


class Faults:
    """The faults that are on, the oldest first."""

    def __init__(self) -> None:
        self._on: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Switch *fault* on."""
        self._on.append(fault)

    def clear(self) -> None:
        """Switch all faults off."""
        self._on.clear()

    def listed(self) -> list[dict[str, Any]]:
        """Return what is on, with the calls left."""
        return [fault.model_dump() for fault in self._on]

    def take(self, path: str) -> Fault | None:
        """Return the first fault for *path*, and count this call against it."""
        for fault in self._on:
            if fault.path in (None, path):
                if fault.count is not None:
                    fault.count -= 1
                    if fault.count == 0:
                        self._on.remove(fault)
                return fault
        return None


class Wire:
    """Writes down each call, and spoils its answer where a fault is on."""

    def __init__(self, app: ASGIApp, faults: Faults, requests: deque[dict[str, Any]], clock: Clock) -> None:
        self._app = app
        self._faults = faults
        self._requests = requests
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].removeprefix(scope.get("root_path", "")) if scope["type"] == "http" else ""
        if not path.startswith(_LISTED):
            await self._app(scope, receive, send)
            return
        self._requests.appendleft(
            {
                "at": self._clock.now().isoformat(timespec="milliseconds"),
                "method": scope["method"],
                "path": path,
                "query": _masked(scope["query_string"]),
            }
        )
        fault = self._faults.take(path) if path.startswith(_FAULTY) else None
        if fault is None:
            await self._app(scope, receive, send)
            return
        body = await self._answer(scope, receive)
        if fault.fault == "slow":
            await _wait(receive, fault.seconds)
        elif fault.fault == "drop":
            await _drop(body, send)
            return
        await _spoiled(fault, body)(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> bytes:
        body = bytearray()

        async def collect(message: Message) -> None:
            body.extend(message.get("body", b""))

        await self._app(scope, receive, collect)
        return bytes(body)


def _masked(query_string: bytes) -> dict[str, str]:
    query = dict(parse_qsl(query_string.decode("latin-1"), keep_blank_values=True))
    return {name: "***" if name == "secret" else value for name, value in query.items()}


async def _wait(receive: Receive, seconds: float) -> None:
    # A caller that has given up ends the wait, so that a slow answer never holds up a shutdown.
    try:
        async with asyncio.timeout(seconds):
            while (await receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return


async def _drop(body: bytes, send: Send) -> None:
    # The server closes the connection of an application that returns before its body is complete.
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})


def _spoiled(fault: Fault, body: bytes) -> Response:
    plain = {"content-type": "text/plain"}
    match fault.fault:
        case "busy":
            return wire(error_reply(-1))
        case "too_fast":
            return wire(error_reply(45011))
        case "errcode":
            return wire(error_reply(fault.errcode))
        case "server_error":
            return Response("<html><h1>500 Internal Server Error</h1></html>", 500, media_type="text/html")
        case "broken_json":
            return Response(body[: len(body) // 2], headers=plain)
        case "wrong_charset":
            return Response(body, headers={"content-type": "text/plain; charset=ISO-8859-1"})
        case "gbk":
            return Response(body.decode().encode("gbk", "replace"), headers=plain)
        case _:
            return Response(body, headers=plain)
