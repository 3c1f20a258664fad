"""Connections as HTTP uses them: uvicorn's protocol, with bounds on what clients may send, and how slowly."""

import asyncio
import sys

from httptools import HttpParserUpgrade
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState
from websockets.datastructures import Headers
from websockets.exceptions import InvalidHeaderValue
from websockets.http11 import Request

from hub.web.parking.protocol import SocketProtocol

HEAD_LIMIT = 64 * 1024  # bytes of a request line with its headers
PIECE = 4 * 1024  # bytes that are parsed at once: what else has come waits until they are answered
HEAD_TIME = 15.0  # seconds a client may take for them
REFUSED_TIME = 1.0  # seconds the rest of a refused one is read, and thrown away

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
