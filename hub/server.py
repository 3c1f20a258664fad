"""Serving: uvicorn with the hub's socket settings and its own order of shutdown."""

import asyncio
import contextlib
import gc
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator
from types import FrameType
from typing import Any

import uvicorn
from httptools import HttpParserUpgrade
from sse_starlette.sse import AppStatus
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState
from websockets.datastructures import Headers
from websockets.exceptions import InvalidHeaderValue
from websockets.http11 import Request

from hub.web.parking.lot import PING_INTERVAL
from hub.web.parking.protocol import SocketProtocol

HEAD_LIMIT = 64 * 1024  # bytes of a request line with its headers
PIECE = 4 * 1024  # bytes that are parsed at once: what else has come waits until they are answered
HEAD_TIME = 15.0  # seconds a client may take for them
REFUSED_TIME = 1.0  # seconds the rest of a refused one is read, and thrown away
SILENT_TIME = 30.0  # seconds a peer may leave what was sent to it unacknowledged
UNSPOKEN_TIME = 3  # seconds for which the kernel keeps a connection to itself that nothing has come on
DRAIN_TIME = 5.0  # seconds over which the sockets are told to go
IDLE_TIME = 1.0  # seconds that a connection without a request is kept meanwhile, at least
SHUTDOWN_TIME = 10  # seconds that requests in flight get after that
# Nearly all garbage goes by its reference count; collecting every 700 allocations took a tenth of the time.
COLLECTION = (10_000, 20, 50)

_HEAD_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
)


class Flow(FlowControl):
    """uvicorn's flow control, which reads nothing more while a connection *holds* what it has not parsed."""

    holds = False

    def resume_reading(self) -> None:
        """Read on, unless there is enough to do."""
        if not self.holds:
            super().resume_reading()


class State(ServerState):
    """What the connections of a server share."""

    leaving = False


class HttpProtocol(HttpToolsProtocol):
    """uvicorn's protocol with limits on a request's head, and on what a client may send ahead.

    uvicorn would wait for a head without end, and keep it; and of all that comes it makes requests, thousands
    in one reading, and reads on after each answer.

    While the server leaves, each answer is the last of its connection, and says so: a connection that is
    simply closed may be the one that a request has just been sent on.
    """

    server_state: State
    flow: Flow

    _unfed = memoryview(b"")
    _fed = b""  # the piece at hand
    _head = 0  # bytes of an unfinished head, but for the piece in which it began
    _begun = False  # in the piece at hand
    _late: asyncio.TimerHandle | None = None  # there is one while a head is awaited
    _refused = False
    _unwanted: asyncio.TimerHandle | None = None  # there is one while a body comes that was answered already

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Await the first request."""
        super().connection_made(transport)
        self.flow = Flow(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Await nothing more."""
        self._have_head()
        self._have_body()
        self._unfed = memoryview(b"")
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Await the rest of a request's head."""
        super().on_message_begin()
        self._have_head()
        self._await_head()
        self._begun = True

    def on_headers_complete(self) -> None:
        """Serve the request."""
        self._have_head()
        super().on_headers_complete()
        if self.server_state.leaving and self.cycle is not None:
            self.cycle.default_headers = [*self.cycle.default_headers, (b"connection", b"close")]

    def on_message_complete(self) -> None:
        """Serve the request with all of its body."""
        super().on_message_complete()
        self._have_body()

    def on_response_complete(self) -> None:
        """Go on with what has come meanwhile; the rest of a body must come soon, for nobody waits for it."""
        super().on_response_complete()
        if self.cycle.response_complete and self.cycle.more_body and not self.transport.is_closing():
            self._unwanted = self.loop.call_later(REFUSED_TIME, self.transport.close)
        if self._unfed and not self.pipeline:
            self.loop.call_soon(self._feed)

    def data_received(self, data: bytes) -> None:
        """Take what has come; a head that is too large already is refused (RFC 6585 section 5)."""
        self._unfed = memoryview(bytes(self._unfed) + data if self._unfed else data)
        self._feed()

    def _feed(self) -> None:
        """Parse piece by piece, while there is no request that waits for the answer to another one."""
        while self._unfed and not (self._refused or self.pipeline or self.transport.is_closing()):
            self._fed, self._unfed = bytes(self._unfed[:PIECE]), self._unfed[PIECE:]
            self._begun = False
            super().data_received(self._fed)
            if self.parser is None:  # the sockets' protocol has it all
                return
            if self._late is not None and not self._begun:
                self._head += len(self._fed)
                if self._head > HEAD_LIMIT and not self.transport.is_closing():
                    self._refuse()
        if self._refused or self.transport.is_closing():
            self._unfed = memoryview(b"")
        held, self.flow.holds = self.flow.holds, bool(self._unfed)
        if self.flow.holds:
            self.flow.pause_reading()
        elif held and not self.pipeline:
            self.flow.resume_reading()

    def handle_websocket_upgrade(self) -> None:
        """Make way for the sockets' protocol, and be no circle that only the garbage collector would find.

        What came behind the head is handed over as well.
        """
        upgrade = sys.exception()
        rest = self._fed[upgrade.args[0] :] if isinstance(upgrade, HttpParserUpgrade) else b""
        rest, self._fed, self._unfed = rest + bytes(self._unfed), b"", memoryview(b"")
        request = self._handshake()
        if request is None:
            self.send_400_response("Invalid HTTP request received.")
            return
        self.connections.discard(self)
        protocol = SocketProtocol(
            config=self.config, server_state=self.server_state, app_state=self.app_state
        )
        protocol.connection_made(self.transport)
        protocol.begin(request)
        self.transport.set_protocol(protocol)
        self.parser = None  # type: ignore[assignment]  # as uvicorn leaves it at the connection's end
        self.flow.holds = False
        self.flow.resume_reading()
        if rest:
            protocol.data_received(rest)

    def _handshake(self) -> Request | None:
        """Return the request as the sockets' protocol reads it, None where a handshake cannot be like that.

        uvicorn would write each request out again, and have it parsed a second time.
        """
        headers = Headers()
        try:
            for name, value in self.headers:
                headers[name.decode("ascii")] = value.decode("latin-1")
            request = Request(self.url.decode("ascii"), headers, self.scope["method"])
        except (UnicodeDecodeError, InvalidHeaderValue):
            return None
        body = "transfer-encoding" in headers or {*headers.get_all("content-length")} - {"0"}
        return None if body else request

    def _await_head(self) -> None:
        self._head = 0
        self._late = self.loop.call_later(HEAD_TIME, self.transport.close)

    def _have_head(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _have_body(self) -> None:
        if self._unwanted is not None:
            self._unwanted.cancel()
            self._unwanted = None

    def _refuse(self) -> None:
        # Closing with something unread would reset the connection, and the answer would be lost with it.
        self._refused = True
        self.transport.write(_HEAD_TOO_LARGE)
        self.transport.write_eof()
        self._have_head()
        self._late = self.loop.call_later(REFUSED_TIME, self.transport.close)


class Server(uvicorn.Server):
    """Drains before it shuts down.

    uvicorn closes every socket in one instant at SIGTERM, before the lifespan ends. Here the listener is
    closed first, then *drain* sends the sockets away spread over a few seconds, and only then uvicorn's own
    shutdown begins. A second signal skips the rest.

    A worker is given the *supervisor*'s socket: it says there that it serves, and drains when that is closed,
    or at a signal; a second one is then no haste, for init systems send theirs to all processes.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        drain: Callable[[float], Awaitable[None]],
        supervisor: socket.socket | None = None,
    ) -> None:
        super().__init__(config)
        self.server_state: State = State()
        self._drain = drain
        self._supervisor = supervisor
        self._draining: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve, and keep what start-up has made out of every garbage collection from now on.

        A full collection stops everything, with ten thousand sockets for more than half a second.
        """
        await super().startup(sockets)
        for server in self.servers:
            _leave_to_the_kernel(server)
        gc.collect()
        gc.freeze()
        gc.set_threshold(*COLLECTION)
        if self._supervisor is not None:
            asyncio.get_running_loop().add_reader(self._supervisor, self._dismiss, self._supervisor)
            with contextlib.suppress(OSError):  # it has gone meanwhile, which the reader sees as well
                self._supervisor.send(b"\0")

    def _dismiss(self, supervisor: socket.socket) -> None:
        asyncio.get_running_loop().remove_reader(supervisor)
        self.handle_exit(signal.SIGTERM, None)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle SIGINT and SIGTERM on the loop while serving."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain; at the second signal stop at once."""
        if self._draining is None:
            self._draining = asyncio.get_running_loop().create_task(self._leave())
        elif self._supervisor is None:
            self.force_exit = self.should_exit = True

    async def _leave(self) -> None:
        try:
            for server in getattr(self, "servers", []):  # there are none before start-up has ended
                server.close()
            self.server_state.leaving = True
            idle = asyncio.sleep(IDLE_TIME if self.server_state.connections else 0)
            await asyncio.gather(self._drain(DRAIN_TIME), idle)
        finally:
            AppStatus.should_exit = True  # ends the event streams
            self.should_exit = True


def _leave_to_the_kernel(server: asyncio.Server) -> None:
    """Have the kernel keep connections until their first bytes are there, and reset those that take nothing.

    The loop accepts one connection a turn: a flood of such as say nothing, or leave at once, would queue up
    before the others until the kernel drops theirs too. And a reader that stalls would keep its buffers until
    it goes by itself: pings do not free it. Accepted connections inherit what their listener has.
    """
    if sys.platform != "linux":
        return
    for listener in server.sockets:
        with socket.socket(fileno=os.dup(listener.fileno())) as same:
            same.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(SILENT_TIME * 1000))
            same.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, UNSPOKEN_TIME)


def config(app: Any, *, host: str, port: int, proxies: list[str]) -> uvicorn.Config:
    """Return the server's configuration; *proxies* are those whose X-Forwarded-For is believed."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="uvloop",
        http=HttpProtocol,
        ws=SocketProtocol,
        ws_max_size=4096,
        ws_per_message_deflate=False,
        ws_ping_interval=PING_INTERVAL,
        ws_ping_timeout=PING_INTERVAL,
        backlog=4096,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=proxies or None,
        timeout_graceful_shutdown=SHUTDOWN_TIME,
        lifespan="on",
    )


def listen(host: str, port: int) -> socket.socket:
    """Return a socket bound to this address, for several processes to accept from."""
    return config(None, host=host, port=port, proxies=[]).bind_socket()
