"""The WeChat client against a bare socket that answers whatever a test tells it to."""

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.wechat.client import App, WeChatClient
from hub.wechat.errors import Unreachable, WeChatError
from hub.wechat.replies import CodeReply
from hub.wechat.transport import Transport
from tests.servers.waiting import until

APP = App("wx0123456789abcdef", "0123456789abcdef0123456789abcdef")
GOOD = b'{"access_token":"a","refresh_token":"r","expires_in":7200,"openid":"o1","scope":"snsapi_base"}'
Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


def http(body: bytes, *, status: bytes = b"200 OK", headers: bytes = b"") -> bytes:
    """Return *body* as a whole HTTP answer."""
    return b"HTTP/1.1 %s\r\ncontent-length: %d\r\n%s\r\n%s" % (status, len(body), headers, body)


def sending(raw: bytes) -> Answer:
    """Answer *raw*."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        await writer.drain()

    return answer


async def silence(_: asyncio.StreamWriter) -> None:
    """Answer nothing, and keep the connection."""
    await asyncio.Event().wait()


class Held:
    """An answer that is held back until `release`, and then written at once."""

    def __init__(self) -> None:
        self._raw: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._writer: asyncio.StreamWriter | None = None

    async def __call__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        await self._raw

    def release(self, raw: bytes) -> None:
        """Write *raw*, in this step of the loop."""
        assert self._writer
        self._writer.write(raw)
        self._raw.set_result(raw)


class Line:
    """A server that answers each request by `answer`, and a client of it.

    `heard` lists the request heads, `hears` can be acquired once for each.
    """

    def __init__(self, *, keep_alive: bool = False) -> None:
        self.answer: Answer = sending(b"")
        self.heard: list[bytes] = []
        self.hears = asyncio.Semaphore(0)
        self.keep_alive = keep_alive
        self._serving: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def open(self, *, call_limit: float = 8.0, connections: int = 100) -> AsyncIterator[WeChatClient]:
        """Serve on a free port; the connections are cut when the block ends."""
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        transport = Transport(address, call_limit=call_limit, connections=connections)
        await transport.start()
        try:
            yield WeChatClient(transport, address)
        finally:
            await transport.stop()
            server.close()
            for task in self._serving:
                task.cancel()
            await asyncio.gather(*self._serving, return_exceptions=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                self.heard.append(await reader.readuntil(b"\r\n\r\n"))
                self.hears.release()
                await self.answer(writer)
                if not self.keep_alive:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@pytest.fixture(scope="module")
def exchange() -> Iterator[Callable[[bytes], CodeReply | WeChatError]]:
    """Return a function that exchanges a code against a given raw answer, and returns what came of it."""
    with asyncio.Runner() as runner:
        line = Line()
        opened = line.open()
        client = runner.run(opened.__aenter__())

        def given_answer(raw: bytes) -> CodeReply | WeChatError:
            async def call() -> CodeReply | WeChatError:
                line.answer = sending(raw)
                try:
                    return await client.exchange(APP, "code")
                except WeChatError as error:
                    return error

            return runner.run(call())

        yield given_answer
        runner.run(opened.__aexit__(None, None, None))


def test_the_request_is_wechats(exchange: Callable[[bytes], CodeReply | WeChatError]) -> None:
    """A good answer to the documented request becomes tokens and openid."""
    assert exchange(http(GOOD)) == CodeReply("o1", None, "snsapi_base", False, "a", "r", 7200)


@given(st.binary(max_size=400))
@settings(deadline=None)
def test_any_body_ends_in_a_reply_or_an_error_of_ours(
    exchange: Callable[[bytes], CodeReply | WeChatError], body: bytes
) -> None:
    """Whatever bytes come as the body, only a WeChatError can be raised."""
    assert isinstance(exchange(http(body)), CodeReply | WeChatError)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
MEMBERS = ("errcode", "errmsg", "openid", "unionid", "access_token", "refresh_token", "expires_in", "scope")


@given(st.dictionaries(st.sampled_from(MEMBERS), JSON))
@settings(deadline=None)
def test_any_members_end_in_a_reply_or_an_error_of_ours(
    exchange: Callable[[bytes], CodeReply | WeChatError], reply: dict[str, object]
) -> None:
    """Members of any type raise only a WeChatError, and an errcode other than 0 is never a success."""
    outcome = exchange(http(json.dumps(reply).encode()))
    assert isinstance(outcome, CodeReply | WeChatError)
    if reply.get("errcode", 0) not in (0, "0", "-0"):
        assert isinstance(outcome, WeChatError)


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_any_bytes_in_place_of_http_are_unreachable(
    exchange: Callable[[bytes], CodeReply | WeChatError], raw: bytes
) -> None:
    """Bytes that are no HTTP at all raise Unreachable and nothing else."""
    assert isinstance(exchange(raw), Unreachable)


@pytest.mark.parametrize("status", [b"500 Oops", b"502 Bad", b"404 No", b"204 None", b"100 Go"])
def test_a_status_other_than_200_is_unreachable(
    exchange: Callable[[bytes], CodeReply | WeChatError], status: bytes
) -> None:
    """WeChat answers 200 even to errors, so another status comes from something in between."""
    assert isinstance(exchange(http(GOOD, status=status)), Unreachable)


def test_a_compressed_body_that_nobody_asked_for_is_unreachable(
    exchange: Callable[[bytes], CodeReply | WeChatError],
) -> None:
    """Compression is not asked for and never undone, so no small answer can grow large."""
    outcome = exchange(http(b"\x1f\x8b\x08\x00", headers=b"content-encoding: gzip\r\n"))
    assert isinstance(outcome, Unreachable)


def test_a_reply_up_to_64_kib_is_read(exchange: Callable[[bytes], CodeReply | WeChatError]) -> None:
    """A reply of exactly the limit is read, one byte more is refused."""
    full = GOOD.ljust(64 * 1024)
    assert isinstance(exchange(http(full)), CodeReply)
    assert isinstance(exchange(http(full + b" ")), Unreachable)


async def test_an_endless_reply_is_cut() -> None:
    """A body that never ends is given up at the size limit, not at the time limit."""
    line = Line()

    async def pour(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 4096)
            await writer.drain()

    line.answer = pour
    async with line.open() as client:
        with pytest.raises(Unreachable, match="too large"):
            await client.exchange(APP, "code")


async def test_a_redirect_is_not_followed() -> None:
    """A redirect is refused: the secret goes to the fixed host only."""
    line = Line()
    line.answer = sending(http(b"", status=b"302 Found", headers=b"location: /sns/other\r\n"))
    async with line.open() as client:
        with pytest.raises(Unreachable, match="status 302"):
            await client.exchange(APP, "code")
    assert len(line.heard) == 1


async def test_a_silent_server_costs_the_time_limit() -> None:
    """A server that takes the request and says nothing is given up."""
    line = Line()
    line.answer = silence
    async with line.open(call_limit=0.2) as client:
        with pytest.raises(Unreachable, match="Timeout"):
            await client.exchange(APP, "code")


async def test_a_trickling_server_costs_the_time_limit() -> None:
    """Bytes that keep coming do not prolong the call: its limit is for the whole."""
    line = Line()

    async def trickle(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.02)

    line.answer = trickle
    async with line.open(call_limit=0.3) as client:
        with pytest.raises(Unreachable, match="Timeout"):
            await client.exchange(APP, "code")


async def test_calls_given_up_leave_the_pool_whole() -> None:
    """More time-outs and cancelled callers than the pool has connections, and calls go through again."""
    line = Line()
    line.answer = silence
    async with line.open(call_limit=0.3, connections=10) as client:
        calls = [asyncio.create_task(client.exchange(APP, f"code{number}")) for number in range(30)]
        await asyncio.sleep(0)
        for call in calls[::2]:
            call.cancel()
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        line.answer = sending(http(GOOD))

        async def goes_through() -> bool:
            try:
                return (await client.exchange(APP, "code")).openid == "o1"
            except Unreachable:  # on a busy machine a call can be too slow for its limit
                return False

        await until(goes_through)
    assert {type(outcome) for outcome in outcomes} == {Unreachable, asyncio.CancelledError}


@pytest.mark.parametrize("status", [b"200 OK", b"500 Oops"])
async def test_a_caller_cancelled_at_any_moment_keeps_nobody_waiting(status: bytes) -> None:
    """The one connection is handed on, wherever within the answer the caller who had it is cancelled."""
    line = Line()
    for steps in range(40):
        line.hears = asyncio.Semaphore(0)
        async with line.open(connections=1) as client:
            line.answer = held = Held()
            leaving = asyncio.create_task(client.exchange(APP, "first"))
            await line.hears.acquire()
            line.answer = sending(http(GOOD))
            waiting = asyncio.create_task(client.exchange(APP, "second"))
            await asyncio.sleep(0)
            held.release(http(GOOD, status=status))
            for _ in range(steps):
                await asyncio.sleep(0)
            leaving.cancel()
            await asyncio.gather(leaving, return_exceptions=True)
            assert (await waiting).openid == "o1", steps


async def test_a_handshake_given_up_leaves_no_connection_open() -> None:
    """A server that never ends the TLS handshake is hung up on."""
    hung_up = asyncio.Event()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(4096):
            continue
        hung_up.set()
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    transport = Transport(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", call_limit=0.6)
    await transport.start()
    with pytest.raises(Unreachable):
        await WeChatClient(transport, "http://127.0.0.1").exchange(APP, "code")
    async with asyncio.timeout(20):
        await hung_up.wait()
    await transport.stop()
    server.close()


async def test_a_closed_port_is_unreachable() -> None:
    """Nobody listening is told apart from a refusal."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    transport = Transport(f"http://127.0.0.1:{port}")
    await transport.start()
    with pytest.raises(Unreachable, match="ConnectError"):
        await WeChatClient(transport, "http://127.0.0.1").exchange(APP, "code")
    await transport.stop()


async def test_a_kept_connection_that_dies_is_not_tried_again() -> None:
    """A second exchange on a kept connection that breaks fails, though its request could be sent anew."""
    line = Line(keep_alive=True)
    line.answer = sending(http(GOOD))
    async with line.open() as client:
        await client.exchange(APP, "first")

        async def hang_up(writer: asyncio.StreamWriter) -> None:
            writer.close()
            raise ConnectionResetError

        line.answer = hang_up
        with pytest.raises(Unreachable):
            await client.exchange(APP, "second")
    assert [re.findall(rb"&code=(\w+)", head) for head in line.heard] == [[b"first"], [b"second"]]


async def test_somebody_elses_profile_is_refused() -> None:
    """A profile whose openid is not the one asked for signs nobody in."""
    line = Line()
    line.answer = sending(http(b'{"openid":"o2","nickname":"Mallory"}'))
    async with line.open() as client:
        with pytest.raises(Unreachable, match="somebody else"):
            await client.userinfo("token", "o1")


async def test_the_environments_proxy_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy named in the environment never sees the app secret."""
    line = Line()
    line.answer = sending(http(GOOD))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    async with line.open() as client:
        assert (await client.exchange(APP, "code")).openid == "o1"
