"""The load process of the waiting sockets: `python -m tests.bench.crowd URL`.

The same browsers for the hub and for its peers: each waits on a socket of its own, and every event goes to
one of them.
"""

import asyncio
import itertools
import random
import sys
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from tests.bench.client import Failed, Http, clock
from tests.bench.events import EVENTS, Event, Publisher, frame
from tests.bench.orders import obey
from tests.bench.seats import Seat, Seats, Way
from tests.people import AT, challenge

_AT_ONCE = 32  # handshakes and requests in flight
_VERIFIER = "bench-verifier-" * 4


class Crowd:
    """The waiting browsers of one server; each public coroutine method is an order."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._http = Http(url)
        self._seats = Seats()
        self._names: list[str] = []
        self._events: list[Event] = []
        self._numbers = itertools.count()  # the hub drops what is no newer than the event before
        self._way: Way
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
        self, *, names: list[str], path: str, dialect: str, greeted: bool, redis: int | None
    ) -> None:
        """Open a socket for each of *names* at *path*, which has a place for it, and await its first frame.

        Where a server sends none (*greeted* false), the handshake is all. *redis* is the port to publish at.
        """
        url = self._url.replace("http", "ws", 1) + path
        self._way = Way(url, dialect == "socket.io", greeted, self._url)
        if redis is not None:
            self._publisher = self._publisher or await Publisher.connect(redis)
            self._events += [EVENTS[dialect](name) for name in names]
        first = len(self._names)
        self._names += names
        self._seats.all += [None] * len(names)  # type: ignore[list-item] # each is filled at once

        async def one(number: int) -> None:
            await self._seats.take(number, self._names[number], self._way)

        await _each(one, range(first, len(self._names)))

    async def close(self) -> dict[str, int]:
        """Leave, and tell how many sockets had been lost before."""
        gone, self._seats.gone = self._seats.gone, 0
        for seat in self._seats.all:
            self._seats.leave(seat)
        self._seats.all, self._names, self._events = [], [], []
        return {"lost": gone}

    async def flood(self, *, seconds: float, in_flight: int, first: int = 0) -> dict[str, Any]:
        """Publish events as fast as they arrive, so many on their way, to the sockets from *first* on."""
        due: list[Seat] = []
        seats, turns = self._seats, self._seats.turns(first)
        loop = asyncio.get_running_loop()

        def send() -> None:
            now = clock()
            for seat in due:
                seat.sent = now
            commands = [self._events[seat.number].command(next(self._numbers)) for seat in due]
            due.clear()
            self._publish(b"".join(commands))

        def more() -> None:
            if not due:
                loop.call_soon(send)
            due.append(seat := next(turns))
            seats.mark(seat)

        async with seats.counting(more):
            begun = clock()
            for _ in range(min(in_flight, len(seats.all) - first)):
                more()
            await asyncio.sleep(seconds)
            rate = len(seats.taken) / (clock() - begun)
        return {**seats.told(), "rate": rate}

    async def pace(self, *, rate: float, seconds: float, first: int = 0, path: str = "") -> dict[str, Any]:
        """Publish events at random moments, *rate* a second on average, whatever becomes of them.

        With *path* they are posted to the server there, else published to Redis.
        """
        draw = random.Random(22)  # noqa: S311 - the same arrivals in every run
        turns = self._seats.turns(first)
        posts: set[asyncio.Task[None]] = set()
        sent, at, begun = 0, 0.0, clock()
        async with self._seats.counting():
            while (at := at + draw.expovariate(rate)) < seconds:
                if (wait := begun + at - clock()) > 0:
                    await asyncio.sleep(wait)
                self._seats.mark(seat := next(turns))
                if path:
                    posts.add(task := asyncio.create_task(self._post(path, seat)))
                    task.add_done_callback(posts.discard)
                else:
                    self._publish(self._events[seat.number].command(next(self._numbers)))
                sent += 1
            taken = clock() - begun
        return {**self._seats.told(), "rate": sent / taken}

    async def post(self, *, path: str, seconds: float, first: int = 0) -> dict[str, Any]:
        """Post events to *path* as fast as they are answered."""
        until = clock() + seconds
        turns = self._seats.turns(first)

        async def lane(_: int) -> None:
            while clock() < until:
                self._seats.mark(seat := next(turns))
                await self._post(path, seat)

        async with self._seats.counting():
            await asyncio.gather(*map(lane, range(_AT_ONCE)))
        return self._seats.told()

    async def scan(self, *, codes: list[str], tokens: list[str]) -> None:
        """Scan so many attempts in the hub, each with the token of somebody else."""

        async def one(number: int) -> None:
            await self._http.data(f"{AT}/scan", {"qr_code": codes[number]}, token=tokens[number])

        await _each(one, range(len(codes)))

    async def confirm(self, *, tokens: list[str]) -> dict[str, Any]:
        """Confirm the attempts of the first sockets, one for each token, as fast as the hub can."""

        async def one(number: int) -> None:
            answer = {"session_id": self._names[number], "action": "confirm"}
            self._seats.mark(self._seats.all[number])
            await self._http.data(f"{AT}/confirm", answer, token=tokens[number])

        async with self._seats.counting():
            await _each(one, range(len(tokens)))
        return self._seats.told()

    async def churn(self, *, rate: float, events: float, seconds: float) -> dict[str, Any]:
        """Have *rate* sockets a second left and opened again in turns, with *events* a second published.

        Every other one leaves without a word.
        """
        turned = refused = 0

        async def turn_over() -> None:
            nonlocal turned, refused
            begun = clock()
            for number in itertools.cycle(range(len(self._names))):
                if (wait := begun + turned / rate - clock()) > 0:
                    await asyncio.sleep(wait)
                if clock() - begun > seconds:
                    break
                self._seats.leave(self._seats.all[number], with_a_word=bool(number % 2))
                try:
                    await self._seats.take(number, self._names[number], self._way)
                except Failed:
                    refused += 1
                turned += 1

        told, _ = await asyncio.gather(self.pace(rate=events, seconds=seconds), turn_over())
        return {**told, "turned": turned, "refused": refused, "gone": self._seats.gone}

    def _publish(self, commands: bytes) -> None:
        assert self._publisher is not None
        self._publisher.transport.write(commands)

    async def _post(self, path: str, seat: Seat) -> None:
        name = self._names[seat.number]
        reply = await self._http.post_bytes(path.format(name), frame(name).encode(), "application/json")
        if reply.status >= 300:
            raise Failed(f"publish: {reply.status}")


async def _each(one: Callable[[int], Awaitable[None]], numbers: Iterable[int]) -> None:
    left = iter(numbers)

    async def lane() -> None:
        for number in left:
            await one(number)

    await asyncio.gather(*(lane() for _ in range(_AT_ONCE)))


if __name__ == "__main__":
    obey(Crowd(sys.argv[1]))
