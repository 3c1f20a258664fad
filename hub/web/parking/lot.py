"""What the parked sockets of one server share: the rounds that ping them, and their time limits."""

import asyncio
import random
from collections.abc import Coroutine
from typing import Any, Protocol

from hub.realtime.wheel import Wheel

PING_INTERVAL = 20.0  # seconds, ± 10 %
_ROUNDS = 40  # of pings in an interval
# Sockets opened one after the other lie beside each other in memory: pinged together they cost a third less.
_NEIGHBOURS = 250
# A whole round of pings and their answers would keep news waiting for milliseconds, now and then. Where there
# is none it is sent at once, for each waking costs more than a ping.
_AT_ONCE = 10  # pings
_PAUSE = 0.01  # seconds
CLOSE_TIME = 10.0  # seconds the other side may take to answer a close frame


class Parked(Protocol):
    """What is called in a round, and at a time limit."""

    def ping(self) -> bool: ...
    def overdue(self) -> None: ...


class Lot:
    """Pings each socket at an interval until it declines, and calls it when a time limit has passed.

    Sockets are pinged in rounds, which they fill in the order of their opening, each at a time of its own:
    after a restart all are opened at one instant. *connections* and *tasks* are the server's own: it sees
    them end before it shuts down. *max_size* is for a message, in bytes. Who sends anything sets *telling*.
    """

    def __init__(self, connections: set[Any], tasks: set[asyncio.Task[None]], max_size: int) -> None:
        self.connections = connections
        self.max_size = max_size
        self.telling = False
        self._tasks = tasks
        self._added = 0
        self._rounds: list[dict[Parked, None]] = [{} for _ in range(_ROUNDS)]  # for their order
        self._pings: Wheel[int] = Wheel(self._ping)
        self._limits: Wheel[Parked] = Wheel(lambda parked: parked.overdue())

    def add(self, parked: Parked) -> None:
        """Begin to ping *parked*."""
        self.connections.add(parked)
        number = self._added // _NEIGHBOURS % _ROUNDS
        self._added += 1
        if not self._rounds[number]:
            self._pings.put(number, PING_INTERVAL * random.uniform(0.1, 1.1))  # noqa: S311 - jitter
        self._rounds[number][parked] = None

    def limit(self, parked: Parked, seconds: float) -> int:
        """Call it `overdue()` in *seconds*, and return what `unlimit` takes."""
        return self._limits.put(parked, seconds)

    def unlimit(self, parked: Parked, slot: int) -> None:
        """Forget a time limit."""
        self._limits.remove(parked, slot)

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Do *work* in a task."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _ping(self, number: int) -> None:
        at_once = _AT_ONCE if self.telling else len(self._rounds[number])
        self.telling = False
        self._ping_some(number, at_once, list(self._rounds[number]), set())

    def _ping_some(self, number: int, at_once: int, left: list[Parked], declined: set[Parked]) -> None:
        declined.update(parked for parked in left[-at_once:] if not parked.ping())
        del left[-at_once:]
        if left:
            loop = asyncio.get_running_loop()
            loop.call_later(_PAUSE, self._ping_some, number, at_once, left, declined)
            return
        for parked in declined:
            del self._rounds[number][parked]
        if self._rounds[number]:
            self._pings.put(number, PING_INTERVAL * random.uniform(0.9, 1.1))  # noqa: S311 - jitter
