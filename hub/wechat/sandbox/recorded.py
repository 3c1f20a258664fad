"""One ASGI layer around the sandbox: it writes down each call, and spoils its answer where a fault is on."""

import json
from collections import deque
from typing import Any, Final
from urllib.parse import parse_qsl

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub.wechat.sandbox.clock import Clock
from hub.wechat.sandbox.faults import FAULTY, Answer, Faults, drop, spoiled, wait

_LISTED: Final = ("/sns/", "/connect/", "/cgi-bin/", "/wxa/")
_BODY_LISTED: Final = 64 * 1024


class Recorded:
    """Writes calls into *requests*, without the apps' secrets."""

    def __init__(self, app: ASGIApp, faults: Faults, requests: deque[dict[str, Any]], clock: Clock) -> None:
        self._app = app
        self._faults = faults
        self._requests = requests
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        path = scope["path"].removeprefix(scope.get("root_path", "")) if scope["type"] == "http" else ""
        if not path.startswith(_LISTED):
            await self._app(scope, receive, send)
            return
        entry = {
            "at": self._clock.now().isoformat(timespec="milliseconds"),
            "method": scope["method"],
            "path": path,
            "query": _masked(
                dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
            ),
            "body": None,
        }
        self._requests.appendleft(entry)
        heard = _listening(receive, entry)
        fault = self._faults.take(path) if path.startswith(FAULTY) else None
        if fault is None:
            await self._app(scope, heard, send)
            return
        answer = await self._answer(scope, heard)
        if fault.fault == "slow":
            await wait(receive, fault.seconds)
        if fault.fault == "drop":
            await drop(answer, send)
            return
        await spoiled(fault, path, answer)(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        status, kind, body = 200, "", bytearray()

        async def collect(message: Message) -> None:
            nonlocal status, kind
            if message["type"] == "http.response.start":
                status = message["status"]
                kind = dict(message["headers"]).get(b"content-type", b"").decode()
            body.extend(message.get("body", b""))

        await self._app(scope, receive, collect)
        return Answer(status, kind, bytes(body))


def _listening(receive: Receive, entry: dict[str, Any]) -> Receive:
    body = bytearray()

    async def heard() -> Message:
        message = await receive()
        if message["type"] == "http.request" and len(body) < _BODY_LISTED:
            body.extend(message.get("body", b""))
            if body and not message.get("more_body"):
                entry["body"] = _shown(bytes(body))
        return message

    return heard


def _shown(body: bytes) -> object:
    try:
        read = json.loads(body)
    except (ValueError, RecursionError):
        return body.decode("utf-8", "replace")
    return _masked(read) if isinstance(read, dict) else read


def _masked(members: dict[str, Any]) -> dict[str, Any]:
    return {name: "***" if name == "secret" else value for name, value in members.items()}
