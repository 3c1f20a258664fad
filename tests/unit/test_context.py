"""The outermost layer of a request."""

import gc
import weakref

from starlette.responses import PlainTextResponse
from starlette.types import Message

from hub.web.context import RequestContext


class Marker:
    """Something that a weak reference may be made to."""


async def test_a_request_leaves_nothing_to_the_garbage_collector() -> None:
    """What it needed goes with its last reference: collections hold up everybody else."""
    sent: list[str] = []

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message["type"])

    marker = Marker()
    left = weakref.ref(marker)
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "headers": [],
        "query_string": b"",
        "marker": marker,
    }
    gc.disable()
    try:
        await RequestContext(PlainTextResponse("hello"), hsts=False)(scope, receive, send)
        del scope, marker
        assert left() is None
    finally:
        gc.enable()
    assert sent == ["http.response.start", "http.response.body"]
