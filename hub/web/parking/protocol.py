"""uvicorn's WebSocket protocol with the extension that parks a socket."""

import asyncio
from contextlib import suppress
from typing import Any, cast
from weakref import WeakKeyDictionary

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.http11 import Request
from websockets.protocol import Protocol

from hub.web.line import Line, Occupant
from hub.web.parking.lot import Lot
from hub.web.parking.socket import ParkedSocket

_lots: WeakKeyDictionary[ServerState, Lot] = WeakKeyDictionary()


class _Gone:
    """Stands where the transport was: what is done to it is not for its new owner."""

    def is_closing(self) -> bool:
        return True

    def close(self) -> None:
        """Leave it to whom it belongs."""


class SocketProtocol(WebSocketsSansIOProtocol):
    """Serves the handshake, and the whole conversation where the application does not park it.

    A client must not send anything before the handshake's answer (RFC 6455 section 4.1). What one sends
    nevertheless waits for whoever reads then.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        state: ServerState = kwargs["server_state"]
        if state not in _lots:
            _lots[state] = Lot(state.connections, state.tasks, self.config.ws_max_size)
        self._lot = _lots[state]
        self._early = b""

    def begin(self, request: Request) -> None:
        """Take up a handshake whose request was parsed already; only frames are left to parse."""
        self.conn.parser = Protocol.parse(self.conn)
        next(self.conn.parser)
        self.handle_connect(request)

    def handle_connect(self, event: Request) -> None:
        """Begin the application's task, with the extension in its scope."""
        super().handle_connect(event)
        if not self.close_sent:
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions["hub.park"] = {"park": self._park}

    def data_received(self, data: bytes) -> None:
        """Take what has come, unless it has come too early."""
        if self.handshake_initiated and not self.handshake_complete:
            self._early += data
            self.transport.pause_reading()
        else:
            super().data_received(data)

    def handle_parser_exception(self) -> None:
        """Fail the socket; before its handshake is answered there is no close frame to send."""
        if self.conn.close_sent is None:
            self.transport.close()
        else:
            super().handle_parser_exception()

    async def send(self, message: Any) -> None:
        """Send one event. Raises ClientDisconnected where the socket has failed, which uvicorn calls misuse.

        A refusal that is complete counts as an answer, which uvicorn forgets to note.
        """
        try:
            await super().send(message)
        except RuntimeError as error:
            if self.transport.is_closing():
                raise ClientDisconnected from error
            raise
        if message["type"] == "websocket.http.response.body" and not message.get("more_body"):
            self.handshake_complete = True
        elif message["type"] == "websocket.accept" and self._early:
            self.loop.call_soon(self._take_early)

    def _take_early(self) -> None:
        early, self._early = self._early, b""
        if early:
            self.transport.resume_reading()
            self.data_received(early)

    def _park(self, occupant: Occupant) -> Line:
        """Hand the transport over to a ParkedSocket, and forget everything else."""
        self.stop_keepalive()
        socket, early = ParkedSocket(self._lot, occupant), self._early
        with suppress(KeyError):
            self.connections.remove(self)
        if self.disconnected:
            socket.lose()
        else:
            socket.take_over(self.transport, early)
        # Each of these is part of a circle, which only the garbage collector would find.
        self.conn.parser.close()
        self.scope["extensions"] = {}
        self._early = b""
        self.transport = cast("asyncio.Transport", _Gone())
        self.handshake_complete = True
        return socket
