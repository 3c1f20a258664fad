"""Server-sent events: what all event streams of the hub have in common."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import structlog
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.requests import Request

from hub.errors import HubError

log = structlog.stdlib.get_logger("hub.web")

_HEARTBEAT = 15  # seconds between comments
_SEND_TIME = 10.0  # seconds a reader may stall us


def event_stream(events: AsyncGenerator[ServerSentEvent]) -> EventSourceResponse:
    """Answer with *events* until they end, raise a HubError, the client goes, or the process shuts down."""
    return EventSourceResponse(
        _unbroken(events),
        ping=_HEARTBEAT,
        send_timeout=_SEND_TIME,
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )


async def _unbroken(events: AsyncGenerator[ServerSentEvent]) -> AsyncIterator[ServerSentEvent]:
    try:
        async with aclosing(events):  # else a client that goes while it is sent to leaves them open
            async for event in events:
                yield event
    except HubError as error:  # the answer has begun; the client comes back, and is then told why
        log.info("event_stream_ended", reason=error.reason)


def last_event_id(request: Request) -> int | None:
    """Return the seq that a returning client names in Last-Event-ID, None where there is none."""
    last = request.headers.get("last-event-id", "")
    return int(last) if last.isdecimal() and last.isascii() and len(last) < 19 else None
