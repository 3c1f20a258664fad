"""The waiting browsers of the load process: a socket each, which has at most one event on its way."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import NamedTuple

import picows

from tests.bench.client import Failed, clock
from tests.bench.figures import summary

_WAIT = 10.0  # seconds for a handshake, and for a socket's first frame
_SETTLE = 3.0  # seconds for the last frames of a run
_OFFERED = "permessage-deflate; client_max_window_bits"  # by all browsers


class Way(NamedTuple):
    """How to a server's sockets: *url* has a place for the name."""

    url: str
    engine: bool
    """Whether it talks Socket.IO."""
    greeted: bool
    """Whether it sends a first frame."""
    origin: str


class Seat(picows.WSListener):
    """One waiting socket. *sent* is when the event that it awaits was published, 0 where it awaits none."""

    def __init__(self, seats: "Seats", number: int, way: Way) -> None:
        self.number = number
        self.sent = 0.0
        self.ended = False
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.transport: picows.WSTransport
        self._seats = seats
        self._way = way

    def on_ws_connected(self, transport: picows.WSTransport) -> None:
        self.transport = transport
        if not self._way.greeted:
            self.opened.set_result(None)

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        now = clock()
        if frame.msg_type == picows.WSMsgType.TEXT:
            if self._way.engine and not self._event(frame.get_payload_as_bytes()):
                return
            if self.sent:
                taken, self.sent = now - self.sent, 0.0
                self._seats.arrived(taken)
            elif not self.opened.done():
                self.opened.set_result(None)
        elif frame.msg_type == picows.WSMsgType.CLOSE:
            self.ended = frame.get_close_code() == picows.WSCloseCode.OK
            transport.send_close(frame.get_close_code())
            transport.disconnect()

    def on_ws_disconnected(self, transport: picows.WSTransport) -> None:
        self._seats.gone += not self.ended
        if not self.opened.done():
            self.opened.set_exception(Failed("socket lost"))

    def _event(self, text: bytes) -> bool:
        """Take one packet of Engine.IO; true for an event of Socket.IO's."""
        if text.startswith(b"0"):
            self.transport.send(picows.WSMsgType.TEXT, b"40")
        elif text == b"2":
            self.transport.send(picows.WSMsgType.TEXT, b"3")
        return text.startswith(b"42")


class Seats:
    """All sockets of one server, by number, and the times their events took."""

    def __init__(self) -> None:
        self.all: list[Seat] = []
        self.taken: list[float] = []
        """Seconds from publication to frame, of the present run."""
        self.gone = 0
        """Sockets that ended otherwise than by our leave or the server's good-bye (1000)."""
        self._awaited = 0
        self._quiet = asyncio.Event()
        self._next: Callable[[], None] = _nothing

    async def take(self, number: int, name: str, way: Way) -> None:
        """Open the socket of this *number*, and wait for its first frame. Raises Failed."""
        try:
            _, seat = await picows.ws_connect(
                lambda: Seat(self, number, way),
                way.url.format(name),
                websocket_handshake_timeout=_WAIT,
                extra_headers={"Origin": way.origin, "Sec-WebSocket-Extensions": _OFFERED},
            )
            assert isinstance(seat, Seat)
            async with asyncio.timeout(_WAIT):
                await seat.opened
        except (picows.WSError, OSError, TimeoutError) as error:
            raise Failed(f"no socket: {type(error).__name__}") from error
        self.all[number] = seat

    def leave(self, seat: Seat, *, with_a_word: bool = False) -> None:
        """Close one socket."""
        if seat.sent:
            seat.sent = 0.0
            self._awaited -= 1
        seat.ended = True
        if with_a_word:
            seat.transport.send_close(picows.WSCloseCode.OK)
        seat.transport.disconnect(graceful=False)

    def turns(self, first: int) -> Iterator[Seat]:
        """Yield the sockets from *first* on in turns, without those that await an event. Raises Failed."""
        place = first
        while True:
            for _ in self.all:
                seat = self.all[place]
                place = place + 1 if place + 1 < len(self.all) else first
                if not seat.sent:
                    break
            else:
                raise Failed("no event arrives")
            yield seat

    def mark(self, seat: Seat) -> None:
        """Note that an event for *seat* leaves now."""
        seat.sent = clock()
        self._awaited += 1
        self._quiet.clear()

    def arrived(self, taken: float) -> None:
        """Note that an event has come after so many seconds."""
        self.taken.append(taken)
        self._awaited -= 1
        self._next()
        if not self._awaited:
            self._quiet.set()

    @contextlib.asynccontextmanager
    async def counting(self, more: Callable[[], None] | None = None) -> AsyncIterator[None]:
        """Begin a run, in which *more* is called after each event; at the end let the last ones come."""
        self.taken, self._next = [], more or _nothing
        try:
            yield
        finally:
            self._next = _nothing
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SETTLE if self._awaited else 0):
                await self._quiet.wait()

    def told(self) -> dict[str, float]:
        """Return the run's `done`, `p50`, `p99` and `max` in ms, and `lost`: the events that never came."""
        lost = [seat for seat in self.all if seat.sent]
        for seat in lost:
            seat.sent = 0.0
        self._awaited = 0
        times = summary(1000 * taken for taken in self.taken)
        return {"done": len(self.taken), **times, "lost": len(lost)}


def _nothing() -> None:
    pass
