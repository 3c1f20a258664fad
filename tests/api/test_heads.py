"""The head of a request: how large it may be, and how long it may take."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from hub import server
from hub.web import connections
from tests.servers.hub import HubProcess
from tests.servers.waiting import until

GET = b"GET /healthz HTTP/1.1\r\nHost: hub\r\n"


async def answers(port: int, sent: bytes) -> bytes:
    """Send bytes on a new connection, and return all that comes until the server closes it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(sent)
        async with asyncio.timeout(20):
            return await reader.read()
    finally:
        writer.close()


@pytest.mark.parametrize(
    "fields",
    [
        b"X: " + b"a" * 400_000,
        b"".join(b"X-%d: a\r\n" % number for number in range(40_000)),
    ],
    ids=["one field", "many fields"],
)
async def test_a_large_head_is_refused(hub_on_sqlite: HubProcess, fields: bytes) -> None:
    """431 while it is still coming, and the connection ends: nobody fills the memory with headers."""
    answer = await answers(hub_on_sqlite.port, GET + fields)
    assert answer.startswith(b"HTTP/1.1 431 ")


async def test_a_large_request_line_is_refused(hub_on_sqlite: HubProcess) -> None:
    """It is part of the head."""
    answer = await answers(hub_on_sqlite.port, b"GET /" + b"a" * 400_000)
    assert answer.startswith(b"HTTP/1.1 431 ")


async def test_heads_of_a_usual_size_are_read(hub_on_sqlite: HubProcess) -> None:
    """One after the other on one connection; the limit is for each, not for all of them."""
    request = GET + b"X: " + b"a" * 30_000 + b"\r\n"
    sent = (request + b"\r\n") * 5 + request + b"Connection: close\r\n\r\n"
    answer = await answers(hub_on_sqlite.port, sent)
    assert answer.count(b"HTTP/1.1 200 OK") == 6


@asynccontextmanager
async def serving(app: ASGIApp | None = None) -> AsyncIterator[int]:
    """Serve *app*, or a page, by the hub's own server settings, and yield the port."""
    settings = server.config(app or PlainTextResponse("served"), host="127.0.0.1", port=0, proxies=[])
    settings.lifespan = "off"
    running = uvicorn.Server(settings)
    running.server_state = connections.State()
    task = asyncio.create_task(running.serve())

    async def started() -> bool:
        return running.started

    await until(started)
    try:
        yield running.servers[0].sockets[0].getsockname()[1]
    finally:
        running.should_exit = True
        await task


@pytest.mark.parametrize(
    "sent", [b"", b"GET", GET, GET + b"\r\n" + GET], ids=["nothing", "word", "line", "second"]
)
async def test_a_head_that_does_not_end_is_given_up(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    """A connection that never asks for anything does not stay; what was asked before is answered."""
    monkeypatch.setattr(connections, "HEAD_TIME", 0.2)
    async with serving() as port:
        answer = await answers(port, sent)
    assert answer.count(b"served") == sent.count(b"\r\n\r\n")


@pytest.mark.parametrize("size", [1, 50, 5000])
async def test_requests_sent_ahead_are_answered_in_order(size: int) -> None:
    """However many come at once, and wherever the pieces that are parsed of them end."""
    echoed = Starlette(routes=[Route("/", _echo, methods=["POST"])])
    bodies = [b"%d:" % number + b"x" * (number * 37 % size) for number in range(300)]
    async with serving(echoed) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for body in bodies:
            writer.write(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        async with asyncio.timeout(60):
            for body in bodies:
                head = await reader.readuntil(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 200 ")
                assert await reader.readexactly(len(body)) == body
        writer.close()


async def _echo(request: Request) -> Response:
    return Response(await request.body())


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 9000", b"Transfer-Encoding: chunked"], ids=["sized", "chunked"]
)
async def test_the_rest_of_a_refused_body_is_not_awaited(
    monkeypatch: pytest.MonkeyPatch, framing: bytes
) -> None:
    """Who is answered before the body has ended, and sends on, does not stay."""
    monkeypatch.setattr(connections, "REFUSED_TIME", 0.2)
    async with serving() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST / HTTP/1.1\r\n" + framing + b"\r\n\r\n")
        reading = asyncio.create_task(reader.read())

        async def ended() -> bool:
            writer.write(b"1\r\na\r\n")
            return reading.done()

        await until(ended)
        with contextlib.suppress(ConnectionResetError):
            assert (await reading).endswith(b"served")
        writer.close()


async def test_a_body_that_ends_after_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection serves the next request, however much later it comes."""
    monkeypatch.setattr(connections, "REFUSED_TIME", 0.2)
    async with serving() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.timeout(20):
            for _ in range(2):
                writer.write(b"POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nbo")
                await reader.readuntil(b"served")
                writer.write(b"dy")
                await asyncio.sleep(0.4)  # twice the limit
        writer.close()


async def test_a_head_in_time_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is for the head alone: it ends no answer and no connection that is kept alive."""
    monkeypatch.setattr(connections, "HEAD_TIME", 0.2)
    async with serving() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(3):
            writer.write(GET + b"\r\n")
            async with asyncio.timeout(20):
                await reader.readuntil(b"served")
            await asyncio.sleep(0.15)
        writer.close()
