"""Faults that tests switch on."""

import asyncio
from typing import Any, Final, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response
from starlette.types import Receive, Send

from hub.wechat.sandbox.replies import error_reply, media_type, wire

FAULTY: Final = ("/sns/", "/cgi-bin/", "/wxa/", "/connect/l/")


class Fault(BaseModel):
    """One switched-on fault: at *path*, or at the *call* of that name (`stable_token`, `qrcode/create`; every
    call where neither is given), for *count* calls (until cleared).

    The call itself is carried out, so a code is spent even where its answer is lost. `busy` is errcode -1,
    `too_fast` 45011, `errcode` the one given; `slow` waits *seconds*; `broken_json` cuts the body in half;
    `wrong_charset` labels it ISO-8859-1, `gbk` encodes it in GBK; `drop` cuts the connection within the body;
    `server_error` is a page with status 500, `redirect` one with 302.
    """

    model_config = ConfigDict(extra="forbid")

    fault: Literal[
        "busy",
        "too_fast",
        "errcode",
        "slow",
        "broken_json",
        "wrong_charset",
        "gbk",
        "drop",
        "server_error",
        "redirect",
    ]
    path: str | None = Field(default=None, pattern=r"^/")
    call: str | None = Field(default=None, pattern=r"^[a-z0-9_]+(/[a-z0-9_]+)*$")
    count: int | None = Field(default=None, ge=1)
    errcode: int = -1
    seconds: float = Field(default=10.0, ge=0, le=300)

    def concerns(self, path: str) -> bool:
        """Return whether a call at *path* is spoiled."""
        return self.path in (None, path) and (self.call is None or path.endswith(f"/{self.call}"))


class Answer(NamedTuple):
    """An answer as the sandbox would have sent it."""

    status: int
    media_type: str
    body: bytes


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
            if fault.concerns(path):
                if fault.count is not None:
                    fault.count -= 1
                    if fault.count == 0:
                        self._on.remove(fault)
                return fault
        return None


async def wait(receive: Receive, seconds: float) -> None:
    """Wait; a caller that has given up ends it, so that a slow answer never holds up a shutdown."""
    try:
        async with asyncio.timeout(seconds):
            while (await receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return


async def drop(answer: Answer, send: Send) -> None:
    """Begin *answer* and break off: a server closes the connection where a body stays incomplete."""
    headers = [
        (b"content-type", answer.media_type.encode()),
        (b"content-length", str(len(answer.body)).encode()),
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    half = answer.body[: len(answer.body) // 2]
    await send({"type": "http.response.body", "body": half, "more_body": True})


def spoiled(fault: Fault, path: str, answer: Answer) -> Response:
    """Return what *fault* makes of *answer*."""
    status, kind, body = answer
    match fault.fault:
        case "busy":
            return wire(error_reply(-1), path)
        case "too_fast":
            return wire(error_reply(45011), path)
        case "errcode":
            return wire(error_reply(fault.errcode), path)
        case "server_error":
            return Response("<html><h1>500 Internal Server Error</h1></html>", 500, media_type="text/html")
        case "redirect":
            return Response(status_code=302, headers={"location": "https://weixin.qq.com/"})
        case "broken_json":
            body = body[: len(body) // 2]
        case "wrong_charset":
            kind = f"{media_type(path).partition(';')[0]}; charset=ISO-8859-1"
        case "gbk":
            body = body.decode("utf-8", "replace").encode("gbk", "replace")
        case _:
            pass
    return Response(body, status, headers={"content-type": kind})
