"""The load process of the waiting sockets: `python -m tests.bench.crowd URL`.

The same browsers for the hub and for its peers: each waits on a socket of its own, and every event goes to
one of them.
"""

import asyncio
import contextlib
import itertools
import random
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import Any

import picows

from tests.bench.client import Failed, Http, clock
from tests.bench.events import EVENTS, Event, Publisher, frame
from tests.bench.figures import summary
from tests.bench.orders import obey
from tests.people import AT, challenge

_AT_ONCE = 32  # handshakes and requests in flight
_WAIT = 10.0  # seconds for a socket's first frame
_SETTLE = 3.0  # seconds for the last frames of a run
_OFFERED = "permessage-deflate; client_max_window_bits"  # by all browsers
_VERIFIER = "bench-verifier-" * 4


class Seat(picows.WSListener):
    """One waiting socket: it has at most one event on its way."""

    def __init__(self, crowd: "Crowd", number: int, *, engine: bool, greeted: bool) -> None:
        self.number = number
        self.sent = 0.0
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._crowd = crowd
        self._engine = engine
        self._greeted = greeted
        self.ended = False
        self.transport: picows.WSTransport

    def on_ws_connected(self, transport: picows.WSTransport) -> None:
        self.transport = transport
        if not self._greeted:
            self.opened.set_result(None)

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        now = clock()
        if frame.msg_type == picows.WSMsgType.TEXT:
            if self._engine and not self._event(frame.get_payload_as_bytes()):
                return
            if self.sent:
                taken, self.sent = now - self.sent, 0.0
                self._crowd.arrived(self, taken)
            elif not self.opened.done():
                self.opened.set_result(None)
        elif frame.msg_type == picows.WSMsgType.CLOSE:
            self.ended = frame.get_close_code() == picows.WSCloseCode.OK
            transport.send_close(frame.get_close_code())
            transport.disconnect()

    def on_ws_disconnected(self, transport: picows.WSTransport) -> None:
        self._crowd.left += not self.ended
        if not self.opened.done():
            self.opened.set_exception(Failed("socket lost"))

    def _event(self, text: bytes) -> bool:
        """Take one packet of Engine.IO; true for an event of Socket.IO's."""
        if text.startswith(b"0"):
            self.transport.send(picows.WSMsgType.TEXT, b"40")
        elif text == b"2":
            self.transport.send(picows.WSMsgType.TEXT, b"3")
        return text.startswith(b"42")


class Crowd:
    """The waiting browsers of one server; each public coroutine method is an order."""

    def __init__(self, url: str) -> None:
        self.left = 0
        self._url = url
        self._http = Http(url)
        self._seats: list[Seat] = []
        self._names: list[str] = []
        self._events: list[Event] = []
        self._way = ("", False, True)
        self._next: Callable[[], None] = lambda: None
        self._taken: list[float] = []
        self._numbers = itertools.count()  # the hub drops what is no newer than the event before
        self._awaited = 0  # events on their way
        self._quiet = asyncio.Event()
        self._publisher: Publisher | None = None

    async def begin(self, *, count: int) -> list[list[str]]:
        """Begin *count* attempts at the hub; return the `session_id` and `qr_code` of each."""
        begun: list[list[str]] = []
        asked = {"door": "app", "code_challenge": challenge(_VERIFIER)}

        async def one(_: int) -> None:
            attempt = await self._http.data(f"{AT}/qr-code", asked)
            begun.append([attempt["session_id"], attempt["qr_code"]])

        await _each(one, range(count))
        return begun

    async def open(
        self, *, names: list[str], path: str, dialect: str, greeted: bool = True, redis: int | None = None
    ) -> dict[str, Any]:
        """Open a socket for each of *names* at *path*, which has a place for it, and await its first frame.

        Where a server sends none (*greeted* false), the handshake is all. *redis* is the port to publish at.
        """
        self._way = self._url.replace("http", "ws", 1) + path, dialect == "socket.io", greeted
        if redis is not None and self._publisher is None:
            self._publisher = await Publisher.connect(redis)

        async def one(number: int) -> None:
            self._seats[number] = await self._seat(number)

        first = len(self._names)
        self._names += names
        self._seats += [None] * len(names)  # type: ignore[list-item] # each is filled below
        if redis is not None:
            self._events += [EVENTS[dialect](name) for name in names]
        begun = clock()
        await _each(one, range(first, len(self._names)))
        return {"seconds": clock() - begun}

    async def close(self) -> dict[str, int]:
        """Leave, and tell how many sockets had been lost before."""
        lost, self.left = self.left, 0
        for seat in self._seats:
            self._leave(seat)
        self._seats, self._names, self._events = [], [], []
        return {"lost": lost}

    async def flood(self, *, seconds: float, in_flight: int, first: int = 0) -> dict[str, Any]:
        """Publish events as fast as they arrive, so many on their way, to the sockets from *first* on."""
        due: list[Seat] = []
        turns = self._turns(first)
        loop = asyncio.get_running_loop()
        publisher, events = self._to_redis(), self._events

        def send() -> None:
            now = clock()
            for seat in due:
                seat.sent = now
            commands = [events[seat.number].command(next(self._numbers)) for seat in due]
            due.clear()
            publisher.transport.write(b"".join(commands))

        def more() -> None:
            if not due:
                loop.call_soon(send)
            due.append(seat := next(turns))
            self._mark(seat)

        async with self._counting(more):
            begun = clock()
            for _ in range(min(in_flight, len(self._seats) - first)):
                more()
            await asyncio.sleep(seconds)
            done, taken = len(self._taken), clock() - begun
        return {"done": done, "seconds": taken, "rate": done / taken, **self._lost()}

    async def pace(self, *, rate: float, seconds: float, first: int = 0, path: str = "") -> dict[str, Any]:
        """Publish events at random moments, *rate* a second on average, whatever becomes of them.

        With *path* they are posted to the server there, else published to Redis.
        """
        draw = random.Random(22)  # noqa: S311 - the same arrivals in every run
        turns = self._turns(first)
        publisher = None if path else self._to_redis()
        posts: set[asyncio.Task[None]] = set()
        sent, at, begun = 0, 0.0, clock()
        async with self._counting(lambda: None):
            while (at := at + draw.expovariate(rate)) < seconds:
                if (wait := begun + at - clock()) > 0:
                    await asyncio.sleep(wait)
                self._mark(seat := next(turns))
                if publisher is not None:
                    publisher.transport.write(self._events[seat.number].command(next(self._numbers)))
                else:
                    posts.add(task := asyncio.create_task(self._post(path, seat)))
                    task.add_done_callback(posts.discard)
                sent += 1
            taken = clock() - begun
        lost = self._lost()
        return {"done": len(self._taken), "rate": sent / taken, **_milliseconds(self._taken), **lost}

    async def post(self, *, path: str, seconds: float, first: int = 0) -> dict[str, Any]:
        """Post events to *path* as fast as they are answered."""
        until = clock() + seconds
        turns = self._turns(first)

        async def lane(_: int) -> None:
            while clock() < until:
                self._mark(seat := next(turns))
                await self._post(path, seat)

        async with self._counting(lambda: None):
            begun = clock()
            await asyncio.gather(*map(lane, range(_AT_ONCE)))
            taken = clock() - begun
        return {"done": len(self._taken), "seconds": taken, **self._lost()}

    async def scan(self, *, codes: list[str], tokens: list[str]) -> None:
        """Scan so many attempts in the hub, each with the token of somebody else."""

        async def one(number: int) -> None:
            await self._http.data(f"{AT}/scan", {"qr_code": codes[number]}, token=tokens[number])

        await _each(one, range(len(codes)))

    async def confirm(self, *, tokens: list[str]) -> dict[str, Any]:
        """Confirm the attempts of the first sockets, one for each token, as fast as the hub can."""

        async def one(number: int) -> None:
            answer = {"session_id": self._names[number], "action": "confirm"}
            self._mark(self._seats[number])
            await self._http.data(f"{AT}/confirm", answer, token=tokens[number])

        async with self._counting(lambda: None):
            begun = clock()
            await _each(one, range(len(tokens)))
            taken = clock() - begun
        return {"done": len(self._taken), "seconds": taken, **_milliseconds(self._taken), **self._lost()}

    async def churn(self, *, rate: float, events: float, seconds: float) -> dict[str, Any]:
        """Have *rate* sockets a second left and opened again in turns, with *events* a second published.

        Every other one leaves without a word.
        """

        async def turn_over() -> int:
            begun, done = clock(), 0
            for number in itertools.cycle(range(len(self._seats))):
                if (wait := begun + done / rate - clock()) > 0:
                    await asyncio.sleep(wait)
                if clock() - begun > seconds:
                    break
                self._leave(self._seats[number], with_a_word=bool(number % 2))
                self._seats[number] = await self._seat(number)
                done += 1
            return done

        told, turned = await asyncio.gather(self.pace(rate=events, seconds=seconds), turn_over())
        return {**told, "turned": turned, "left": self.left}

    def arrived(self, seat: Seat, taken: float) -> None:
        """Note that the event of *seat* has come after so many seconds."""
        self._taken.append(taken)
        self._awaited -= 1
        self._next()
        if not self._awaited:
            self._quiet.set()

    def _leave(self, seat: Seat, *, with_a_word: bool = False) -> None:
        if seat.sent:
            seat.sent = 0.0
            self._awaited -= 1
        seat.ended = True
        if with_a_word:
            seat.transport.send_close(picows.WSCloseCode.OK)
        seat.transport.disconnect(graceful=False)

    def _mark(self, seat: Seat) -> None:
        seat.sent = clock()
        self._awaited += 1
        self._quiet.clear()

    def _turns(self, first: int) -> Iterator[Seat]:
        """Yield the sockets from *first* on in turns, without those that await an event. Raises Failed."""
        place = first
        while True:
            for _ in self._seats:
                seat = self._seats[place]
                place = place + 1 if place + 1 < len(self._seats) else first
                if not seat.sent:
                    break
            else:
                raise Failed("no event arrives")
            yield seat

    def _to_redis(self) -> Publisher:
        assert self._publisher is not None
        return self._publisher

    @contextlib.asynccontextmanager
    async def _counting(self, more: Callable[[], None]) -> AsyncIterator[None]:
        """Call *more* after each event that arrives; at the end let the last ones come."""
        self._taken, self._next = [], more
        try:
            yield
        finally:
            self._next = lambda: None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SETTLE if self._awaited else 0):
                await self._quiet.wait()

    def _lost(self) -> dict[str, int]:
        lost = [seat for seat in self._seats if seat.sent]
        for seat in lost:
            seat.sent = 0.0
        self._awaited = 0
        return {"lost": len(lost)}

    async def _post(self, path: str, seat: Seat) -> None:
        name = self._names[seat.number]
        reply = await self._http.post_bytes(path.format(name), frame(name).encode(), "application/json")
        if reply.status >= 300:
            raise Failed(f"publish: {reply.status}")

    async def _seat(self, number: int) -> Seat:
        url, engine, greeted = self._way
        try:
            _, seat = await picows.ws_connect(
                lambda: Seat(self, number, engine=engine, greeted=greeted),
                url.format(self._names[number]),
                websocket_handshake_timeout=_WAIT,
                extra_headers={"Origin": self._url, "Sec-WebSocket-Extensions": _OFFERED},
            )
            assert isinstance(seat, Seat)
            async with asyncio.timeout(_WAIT):
                await seat.opened
        except (picows.WSError, OSError, TimeoutError) as error:
            raise Failed(f"no socket: {type(error).__name__}") from error
        return seat


def _milliseconds(seconds: list[float]) -> dict[str, float]:
    return summary(1000 * value for value in seconds)


async def _each(one: Callable[[int], Awaitable[None]], numbers: Iterable[int]) -> None:
    left = iter(numbers)

    async def lane() -> None:
        for number in left:
            await one(number)

    await asyncio.gather(*(lane() for _ in range(_AT_ONCE)))


if __name__ == "__main__":
    obey(Crowd(sys.argv[1]))
