"""Server-sent events: what all event streams of the hub have in common."""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import anyio
import structlog
from sse_starlette import EventSourceResponse, ServerSentEvent
from sse_starlette.sse import SendTimeoutError
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from hub.errors import HubError

log = structlog.stdlib.get_logger("hub.web")

_HEARTBEAT = 15  # seconds between comments
_SEND_TIME = 10.0  # seconds a reader may stall us
_FAREWELL_TIME = 2.0  # seconds a stream has to end by itself when the process shuts down
_RETURN = 500, 5000  # milliseconds within which its client is then asked to come back


def event_stream(events: AsyncGenerator[ServerSentEvent]) -> EventSourceResponse:
    """Answer with *events* until they end, raise a HubError, the client goes, or the process shuts down."""
    leaving = anyio.Event()
    return _EventStream(
        _unbroken(events, leaving),
        ping=_HEARTBEAT,
        send_timeout=_SEND_TIME,
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
        shutdown_event=leaving,
        shutdown_grace_period=_FAREWELL_TIME,
    )


class _EventStream(EventSourceResponse):
    """The library's answer, for which a reader that takes nothing is no defect of ours."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events; the stream of a reader that stalls ends, and is told so if it ever reads on."""
        try:
            await super().__call__(scope, receive, send)
        except SendTimeoutError:
            log.info("event_stream_stalled")
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _unbroken(
    events: AsyncGenerator[ServerSentEvent], leaving: anyio.Event
) -> AsyncIterator[ServerSentEvent]:
    try:
        async with aclosing(events):  # else a client that goes while it is sent to leaves them open
            while (event := await _next(events, leaving)) is not None:
                yield event
    except HubError as error:  # the answer has begun; the client comes back, and is then told why
        log.info("event_stream_ended", reason=error.reason)
    if leaving.is_set():
        yield ServerSentEvent(retry=random.randint(*_RETURN))  # noqa: S311 - jitter


async def _next(events: AsyncGenerator[ServerSentEvent], leaving: anyio.Event) -> ServerSentEvent | None:
    """Return the next event, None where there is none or the process shuts down."""
    following = asyncio.ensure_future(anext(events, None))
    shutdown = asyncio.ensure_future(leaving.wait())
    try:
        await asyncio.wait({following, shutdown}, return_when=asyncio.FIRST_COMPLETED)
        return following.result() if following.done() else None
    finally:
        following.cancel()
        shutdown.cancel()
        await asyncio.wait({following, shutdown})


def last_event_id(request: Request) -> int | None:
    """Return the seq that a returning client names in Last-Event-ID, None where there is none."""
    last = request.headers.get("last-event-id", "")
    return int(last) if last.isdecimal() and last.isascii() and len(last) < 19 else None
