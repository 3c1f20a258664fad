"""A parked socket: what is left of a connection while it waits."""

import asyncio

import structlog
from websockets.frames import CloseCode, Frame, Opcode

from hub.web.line import CLOSED_SLOW, SEND_TIME, Occupant
from hub.web.parking import frames
from hub.web.parking.frames import Incoming, Violation
from hub.web.parking.lot import CLOSE_TIME, Lot

log = structlog.stdlib.get_logger("hub.web")

_UNSENT = 8 * 1024  # bytes that may wait for a reader before it counts as stalled

_AT_ONCE = 4  # frames taken before others have their turn

# What a socket is in the middle of.
_BUSY = 1  # a message is being answered
_STALLED = 2  # the peer takes nothing
_PINGED = 4  # a ping was not answered yet
_CLOSING = 8  # a close frame was sent
_DEAF = 16  # nothing that comes is of any interest
_LOST = 32  # the connection is no more
_RESTING = 64  # others have their turn


class ParkedSocket(asyncio.Protocol):
    """The protocol of a parked connection, and the line of its occupant.

    It reads only while it is neither busy nor stalled nor resting, so what a peer can make it hold is what
    one reading brings and the few frames of _UNSENT.
    """

    __slots__ = ("_incoming", "_limit", "_lot", "_occupant", "_state", "_transport")

    def __init__(self, lot: Lot, occupant: Occupant) -> None:
        self._lot = lot
        self._occupant = occupant
        self._incoming: Incoming | None = None
        self._limit = 0
        self._state = 0
        self._transport: asyncio.Transport

    def take_over(self, transport: asyncio.Transport, early: bytes) -> None:
        """Be the protocol of *transport* from now on; *early* is what it has received already."""
        self._transport = transport
        transport.set_protocol(self)
        transport.set_write_buffer_limits(_UNSENT)
        self._lot.add(self)
        if early:
            transport.resume_reading()
            self.data_received(early)

    def lose(self) -> None:
        """End soon: there is nothing to take over any more."""
        self._state |= _LOST
        asyncio.get_running_loop().call_soon(self._end)

    @property
    def ready(self) -> bool:
        return not self._state & (_STALLED | _CLOSING | _LOST)

    def send(self, payload: bytes) -> None:
        if not self._state & (_CLOSING | _LOST):
            self._lot.telling = True
            self._transport.write(frames.text(payload))

    def close(self, code: int, reason: str) -> None:
        if not self._state & (_CLOSING | _LOST):
            self._state |= _CLOSING
            self._transport.write(frames.close(code, reason))
            self._wait(CLOSE_TIME)
            self._gate()

    def shutdown(self) -> None:
        """Go at once: the server's time to drain is over."""
        self.close(CloseCode.SERVICE_RESTART, "")
        if not self._state & _LOST:
            self._transport.close()

    def ping(self) -> bool:
        """Ping the peer, which must have answered the last one; False where no more are to come."""
        if self._state & (_CLOSING | _LOST):
            return False
        if not self._state & (_BUSY | _STALLED | _RESTING):  # else its answer could not have been read
            if self._state & _PINGED:
                self._fail(CloseCode.INTERNAL_ERROR, "keepalive ping timeout")
                return False
            self._state |= _PINGED
            self._transport.write(frames.PING)
        return True

    def overdue(self) -> None:
        """Go on without the peer, which has had its time."""
        self._limit = 0
        if self._state & _LOST:
            return
        if self._state & _CLOSING:
            log.info("socket_closed_unheard")
            self._transport.abort()
        else:
            self.close(CLOSED_SLOW, "too slow")

    # --- What the transport calls.

    def data_received(self, data: bytes) -> None:
        if self._state & _DEAF:
            return
        if self._incoming is None:
            if frames.is_pong(data):
                self._state &= ~_PINGED
                return
            self._incoming = Incoming(self._lot.max_size)
        self._incoming.feed(data)
        self._advance()

    def pause_writing(self) -> None:
        self._state |= _STALLED
        if not self._state & _CLOSING:
            self._wait(SEND_TIME)
        self._gate()

    def resume_writing(self) -> None:
        self._state &= ~_STALLED
        if not self._state & (_CLOSING | _LOST):
            self._wait(0)
            self._occupant.resumed()
        if not self._state & _LOST:
            self._gate()
            self._advance()

    def connection_lost(self, exc: Exception | None) -> None:
        self._state |= _LOST
        self._wait(0)
        self._lot.connections.discard(self)
        self._incoming = None
        del self._transport
        if not self._state & _BUSY:
            self._end()

    # --- What comes, one frame after the other.

    def _advance(self) -> None:
        """Take frames until a message has to be answered first, none is whole, or these were enough."""
        incoming, taken = self._incoming, 0
        try:
            while incoming is not None and not self._state & (_BUSY | _STALLED | _DEAF | _LOST | _RESTING):
                if taken == _AT_ONCE:
                    self._rest()
                    return
                taken += 1
                frame = incoming.next()
                if frame is None:
                    if incoming.empty:
                        self._incoming = None
                    return
                self._obey(frame)
        except Violation as violation:
            self._fail(*violation.args)

    def _rest(self) -> None:
        self._state |= _RESTING
        self._gate()
        asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        self._state &= ~_RESTING
        if not self._state & _LOST:
            self._gate()
            self._advance()

    def _obey(self, frame: Frame) -> None:
        if frame.opcode is Opcode.PING:
            self._transport.write(frames.answer(frame))
        elif frame.opcode is Opcode.PONG:
            if not frame.data:
                self._state &= ~_PINGED
        elif frame.opcode is Opcode.CLOSE:
            if not self._state & _CLOSING:
                self._transport.write(frames.answer(frame))
            self._hang_up()
            self._transport.close()
        elif not self._state & _CLOSING:
            self._state |= _BUSY
            self._gate()
            self._lot.run(self._answer(bytes(frame.data).decode() if frame.opcode is Opcode.TEXT else None))

    async def _answer(self, text: str | None) -> None:
        try:
            await self._occupant.take(text)
        finally:
            self._state &= ~_BUSY
            if self._state & _LOST:
                self._end()
            else:
                self._gate()
                self._advance()

    def _end(self) -> None:
        """Let go of the occupant, which has us: in a cycle both would wait for a garbage collection."""
        occupant = self._occupant
        del self._occupant
        occupant.ended()

    def _fail(self, code: int, reason: str) -> None:
        """Fail the connection (RFC 6455 section 7.1.7); both sides' last words still arrive."""
        self.close(code, reason)
        self._hang_up()
        if not self._transport.is_closing():
            self._transport.write_eof()

    def _hang_up(self) -> None:
        """Listen no more, and have the connection end in time."""
        self._state |= _CLOSING | _DEAF
        self._incoming = None
        self._wait(CLOSE_TIME)
        self._gate()

    def _gate(self) -> None:
        if self._transport.is_closing():
            return
        if self._state & _DEAF or not self._state & (_BUSY | _STALLED | _RESTING):
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def _wait(self, seconds: float) -> None:
        """Set the time limit anew; 0 for none."""
        if self._limit:
            self._lot.unlimit(self, self._limit)
        self._limit = self._lot.limit(self, seconds) if seconds else 0
