"""Worker tasks that each own one connection for its life, and the units of work that wait for one of them.

No caller ever holds a connection: a task that is cancelled inside a transaction would not give it back. A
unit that has begun runs to its end whatever becomes of its caller; one that waits too long is withdrawn and
never runs.
"""

import asyncio
import random
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from time import monotonic, perf_counter
from typing import Any, TypeVar

import structlog
from prometheus_client import Counter, Gauge, Histogram

from hub.store.connector import Connector, Opener, unavailable
from hub.store.failures import Contended, LinkLost, Refused
from hub.store.links import Link

log = structlog.stdlib.get_logger("hub.store")

UNIT_SECONDS = Histogram(
    "hub_store_unit_seconds",
    "Time a unit of work held a connection",
    ["lane"],
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
WAITING = Gauge("hub_store_waiting", "Units of work that wait for a connection", multiprocess_mode="livesum")
RETRIES = Counter("hub_store_retries_total", "Units that were run again", ["cause"])

_RETRIES = 5

T = TypeVar("T")
Run = Callable[[Link], Awaitable[T]]


class _Unit:
    """A function of one connection, and the future its caller waits on."""

    __slots__ = ("future", "repeatable", "run", "since", "timer")

    def __init__(self, run: Run[Any], repeatable: bool, future: asyncio.Future[Any], since: float) -> None:
        self.run = run
        self.repeatable = repeatable
        self.future = future
        self.since = since
        self.timer: asyncio.TimerHandle | None = None


class _Worker:
    """Owns one connection; its inbox takes a unit, or None for a look at what waits, or at *dismissed*."""

    __slots__ = ("connector", "dismissed", "inbox")

    def __init__(self, opener: Opener) -> None:
        self.connector = Connector(opener)
        self.dismissed = False  # to let go of the connection
        self.inbox: asyncio.Future[_Unit | None]


class Lane:
    """Up to *size* connections made by *connect* when they are needed, and the queue before them.

    A worker takes a unit only when it has its connection, so where the database lets in fewer than *size* the
    others do all the work. A unit waits at most *wait* seconds for a connection and may hold it *limit*
    seconds.
    """

    def __init__(
        self, name: str, connect: Callable[[], Awaitable[Link]], *, size: int, wait: float, limit: float
    ) -> None:
        self._opener = Opener(name, connect)
        self._size = size
        self._wait = wait
        self._limit = limit
        self._waiting: OrderedDict[_Unit, None] = OrderedDict()
        self._idle: list[_Worker] = []  # the last one in is the first one out: the rest may go idle and close
        self._tasks: list[asyncio.Task[None]] = []
        self._open = False
        self._seconds = UNIT_SECONDS.labels(name)

    def start(self) -> None:
        """Start the workers; each connects when it gets its first unit."""
        self._open = True
        self._tasks = [asyncio.create_task(self._live(_Worker(self._opener))) for _ in range(self._size)]

    async def stop(self) -> None:
        """Take no more, fail what waits, let what has begun end, and close the connections."""
        self._open = False
        for unit in list(self._waiting):
            self._give_up(unit)
        self._dismiss(self._idle)
        if self._tasks:
            _, stuck = await asyncio.wait(self._tasks, timeout=self._limit + 1)
            for task in stuck:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._tasks = []
        await self._opener.drain(self._limit)

    def recycle(self, idle: float) -> None:
        """Let go of the connections that nobody has used for *idle* seconds."""
        before = monotonic() - idle
        self._dismiss([worker for worker in self._idle if worker.connector.idle_since(before)])

    async def submit(self, run: Run[T], *, repeatable: bool) -> T:
        """Have *run* done on one of the connections and return what it returns.

        *repeatable*: it may be run again when the connection is lost in the middle. Raises StoreUnavailable.
        """
        if not self._open:
            raise unavailable("stopped", "the store is not running")
        loop = asyncio.get_running_loop()
        unit = _Unit(run, repeatable, loop.create_future(), loop.time())
        for worker in reversed(self._idle):
            if worker.connector.at_hand():
                self._hand(worker, unit)
                break
        else:
            self._waiting[unit] = None
            WAITING.inc()
            unit.timer = loop.call_later(self._wait, self._give_up, unit)
            if other := self._connected() or (self._idle[-1] if self._idle else None):
                self._hand(other, None)
        try:
            result: T = await unit.future
        except asyncio.CancelledError:
            self._withdraw(unit)
            if unit.future.done() and not unit.future.cancelled():
                unit.future.exception()  # seen, though nobody wants it any more
            raise
        return result

    def _connected(self) -> _Worker | None:
        return next((worker for worker in reversed(self._idle) if worker.connector.connected), None)

    def _hand(self, worker: _Worker, unit: _Unit | None) -> None:
        self._idle.remove(worker)
        if not worker.inbox.done():  # it is cancelled with everything else where the process ends at once
            worker.inbox.set_result(unit)

    def _withdraw(self, unit: _Unit) -> bool:
        if unit not in self._waiting:
            return False
        del self._waiting[unit]
        self._taken(unit)
        return True

    def _give_up(self, unit: _Unit) -> None:
        if not self._withdraw(unit):
            return
        if not self._open:
            error = unavailable("stopped", "the store is stopping")
        elif self._opener.failure:
            error = unavailable("unreachable", f"no connection: {self._opener.failure}")
        else:
            error = unavailable("wait", f"no connection within {self._wait:g} s")
        unit.future.set_exception(error)

    def _taken(self, unit: _Unit) -> None:
        WAITING.dec()
        if unit.timer:
            unit.timer.cancel()

    def _dismiss(self, workers: list[_Worker]) -> None:
        for worker in list(workers):
            worker.dismissed = True
            self._hand(worker, None)

    async def _live(self, worker: _Worker) -> None:
        loop, connector = asyncio.get_running_loop(), worker.connector
        try:
            while self._open or self._waiting:
                unit: _Unit | None = None
                if not self._waiting:
                    worker.inbox = loop.create_future()
                    self._idle.append(worker)
                    unit = await worker.inbox
                elif connector.at_hand() or await connector.ready(self._wait):
                    if self._waiting:
                        unit, _ = self._waiting.popitem(last=False)
                        self._taken(unit)
                elif other := self._connected():
                    self._hand(other, None)
                if unit is not None:
                    if not unit.future.done():
                        await self._serve(connector, unit)
                elif worker.dismissed:
                    worker.dismissed = False
                    await connector.close()
        finally:
            await connector.close()

    async def _serve(self, connector: Connector, unit: _Unit) -> None:
        """Run one unit and tell its caller."""
        future = unit.future
        try:
            result = await self._complete(connector, unit)
        except BaseException as error:
            if isinstance(error, Exception):
                outcome: Exception = error
            else:
                # Only stop() cancels a worker; the work may also have awaited something that was cancelled.
                connector.drop()
                outcome = unavailable("stopped", "the work was cancelled")
            if not future.done():
                future.set_exception(outcome)
            else:
                log.info("unit_failed_unheard", error=repr(outcome))
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
        else:
            if not future.done():
                future.set_result(result)

    async def _complete(self, connector: Connector, unit: _Unit) -> Any:
        """Run one unit, again where that is safe; every failure of the database ends as StoreUnavailable."""
        link = await connector.link(unit.since + self._wait)
        if unit.future.done():
            return None
        loop = asyncio.get_running_loop()
        now = loop.time()
        until, patience = now + self._limit, now + self._wait
        lost = contended = 0
        while True:
            begun = perf_counter()
            try:
                async with asyncio.timeout_at(until) as limit:
                    return await unit.run(link)
            except LinkLost as error:
                connector.drop()
                lost += 1
                if lost > 1 or not unit.repeatable:
                    raise unavailable("lost", str(error)) from error
                RETRIES.labels("lost").inc()
                link = await connector.link(loop.time() + self._wait)
            except Contended as error:
                contended += 1
                if contended > _RETRIES or loop.time() >= patience:  # a lock that long is not just let go
                    raise unavailable("contended", str(error)) from error
                RETRIES.labels("contended").inc()
                await asyncio.sleep(random.uniform(0.5, 1) * 0.01 * 2**contended)  # noqa: S311 - spreads rivals only
            except Refused as error:
                connector.drop()
                raise unavailable("refused", str(error)) from error
            except TimeoutError as error:
                if not limit.expired():
                    raise
                connector.drop()
                raise unavailable("limit", f"not done within {self._limit:g} s") from error
            finally:
                self._seconds.observe(perf_counter() - begun)
                connector.used()
