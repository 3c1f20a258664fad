"""The outermost layer of a request: id, security headers, log line, metrics, and the last net for defects.

Pure ASGI, so that WebSockets pass through it as well.
"""

import re
import secrets
import time
from collections.abc import Mapping, MutableMapping
from contextvars import ContextVar
from typing import Any

import structlog
from prometheus_client import Counter, Histogram
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub.errors import InternalError, NotFound
from hub.web.answers import refusal
from hub.web.language import language
from hub.web.parsing import client_address

log = structlog.stdlib.get_logger("hub.web")

SECONDS = Histogram(
    "hub_http_request_seconds",
    "Time from a request's first byte to the end of its answer, by route",
    ["route", "method"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 3, 10),
)
ANSWERS = Counter("hub_http_answers_total", "Answers by route and status", ["route", "method", "status"])

_NOTED: ContextVar[dict[str, str]] = ContextVar("noted")

_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "WS"})
_STREAMS = ("/events", "/status/")  # answers that are meant to last say nothing about speed

CONTENT_SECURITY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: https:; font-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def note(headers: Mapping[str, str]) -> None:
    """Let *headers* go with the answer to this request, whichever it will be; those noted first win."""
    noted = _NOTED.get({})
    for name, value in headers.items():
        noted.setdefault(name, value)


class RequestContext:
    """Wraps the application; see the module's docstring. *hsts* adds Strict-Transport-Security."""

    def __init__(self, app: ASGIApp, *, hsts: bool) -> None:
        self._app = app
        self._headers = [
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
            (b"cross-origin-opener-policy", b"same-origin"),
            (b"content-security-policy", CONTENT_SECURITY.encode()),
        ]
        if hsts:
            self._headers.append((b"strict-transport-security", b"max-age=31536000; includeSubDomains"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or socket."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        asked = Headers(scope=scope).get("x-request-id", "")
        request_id = asked if _REQUEST_ID.fullmatch(asked) else secrets.token_hex(8)
        structlog.contextvars.bind_contextvars(request_id=request_id)
        began = time.perf_counter()
        status, gone = 0, False
        noted: dict[str, str] = {}
        _NOTED.set(noted)

        async def sender(message: Message) -> None:
            nonlocal status, gone
            answered = status
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                answered = message["status"]
                own = list(message.get("headers", ()))
                given = {name for name, _ in own}
                others = [(name.encode(), value.encode()) for name, value in noted.items()]
                ours = (header for header in (*others, *self._headers) if header[0] not in given)
                message["headers"] = [*own, (b"x-request-id", request_id.encode()), *ours]
            elif message["type"] == "websocket.accept":
                answered = 101
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id.encode())]
            try:
                await send(message)
            except OSError:
                gone = True
                raise
            status = answered

        # Not a part of `sender`: one that names itself is left to the garbage collector, with all it holds.
        async def outermost(message: Message) -> None:
            if message["type"] == "websocket.close" and status == 0:
                # Nobody has accepted: this is how the router says that there is no such socket.
                await refusal(NotFound(), language(HTTPConnection(scope)))(scope, receive, sender)
            else:
                await sender(message)

        try:
            await self._app(scope, receive, outermost)
        except Exception as error:
            if gone and isinstance(error, OSError):
                raise  # the client left before its answer, which is no defect, and the server's own to know
            log.error("defect", exc_info=error)
            if status == 0 and scope["type"] == "http":
                connection = HTTPConnection(scope)
                await refusal(InternalError(), language(connection))(scope, receive, sender)
            elif scope["type"] == "websocket":
                raise  # the server closes the socket with 1011
        finally:
            _record(scope, status, time.perf_counter() - began)
            structlog.contextvars.clear_contextvars()


def _record(scope: MutableMapping[str, Any], status: int, seconds: float) -> None:
    route = getattr(scope.get("route"), "path", "none")
    method = scope.get("method", "WS")
    if method not in _METHODS:
        method = "other"  # anyone could fill the labels with methods of their own
    ANSWERS.labels(route, method, str(status)).inc()
    if scope["type"] == "http" and not any(part in route for part in _STREAMS):
        SECONDS.labels(route, method).observe(seconds)
    refused = {"reason": scope["hub.reason"]} if "hub.reason" in scope else {}
    # The route and not the path: a path can carry a session_id.
    log.info(
        "request",
        route=route,
        method=method,
        status=status,
        milliseconds=round(seconds * 1000, 2),
        client=client_address(HTTPConnection(scope)),
        **refused,
    )
