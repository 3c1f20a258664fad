"""Reading the metrics: one reading for all who watch, and a short memory for those who come later."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from itertools import pairwise
from typing import Final, Literal

import structlog
from prometheus_client import Metric

from hub.admin import rules
from hub.admin.figures import Figures, Point
from hub.admin.rules import End, Increase, Reading
from hub.web.answers import moment

log = structlog.stdlib.get_logger("hub.admin")

SLOT: Final = 15  # seconds
SLOTS: Final = 60
PACE: Final = 2.0  # seconds between two readings while somebody watches
_EARLY: Final = 0.5  # seconds before a slot's end at which it is read while nobody does

_NOTHING: Final[Reading] = {}

Tell = Callable[[Figures], None]


class Dashboard:
    """Remembers the last reading of each slot, SLOTS of them, and tells whoever watches of each new one.

    While nobody watches there is one reading a slot, of counters that are in memory, and no SQL. *collect*
    reads all metrics, *measure* first sets those that lie in SQL, *now* is the database's time.
    """

    def __init__(
        self,
        collect: Callable[[], Iterable[Metric]],
        measure: Callable[[], Awaitable[None]],
        now: Callable[[], datetime],
    ) -> None:
        self._collect = collect
        self._measure = measure
        self._now = now
        self._at = datetime.fromtimestamp(0, UTC)
        self._seq = 0
        self._ends: deque[End] = deque(maxlen=SLOTS + 1)  # the first one is what the others grew from
        self._watching: set[Tell] = set()
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Take what the counters begin with, and go on reading."""
        self._at = self._now()
        self._ends.append(End(_slot(self._at) - 1, await self._read()))
        self._task = asyncio.create_task(self._run(), name="dashboard")

    async def stop(self) -> None:
        """End the readings."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def watch(self, tell: Tell) -> None:
        """Call *tell*, which must not raise, with a delta for each reading; the first one follows at once."""
        self._watching.add(tell)
        self._woken.set()

    def leave(self, tell: Tell) -> None:
        """Call *tell* no more."""
        self._watching.discard(tell)

    def snapshot(self) -> Figures:
        """Return all that is known."""
        return self._figures("snapshot", 0)

    async def take(self) -> None:
        """Read once, and tell."""
        before = self._ends[-1].slot
        if self._watching:
            await self._measure()
        reading = await self._read()
        self._at = self._now()
        slot = max(_slot(self._at), before)  # clocks may step back
        if slot == before and len(self._ends) > 1:
            self._ends.pop()
        self._ends.append(End(slot, reading))
        if self._watching:
            delta = self._figures("delta", before - 1)
            for tell in list(self._watching):
                tell(delta)

    async def _read(self) -> Reading:
        # Several processes' metrics are many files: not on the loop.
        return await asyncio.to_thread(lambda: rules.read(self._collect()))

    async def _run(self) -> None:
        while True:
            try:
                await self.take()
            except Exception:  # a defect must not be the end of the readings
                log.exception("metrics_unread")
            await self._rest()

    async def _rest(self) -> None:
        if self._watching:
            await asyncio.sleep(PACE)
            return
        self._woken.clear()
        left = SLOT - self._now().timestamp() % SLOT - _EARLY
        try:
            async with asyncio.timeout(left if left > 0 else left + SLOT):
                await self._woken.wait()
        except TimeoutError:
            return

    def _figures(self, kind: Literal["snapshot", "delta"], after: int) -> Figures:
        newest = self._ends[-1].reading
        grown = Increase(self._ends[0].reading, newest)
        answers = rules.answers(grown, newest)
        last = self._ends[-1].slot
        self._seq = max(self._seq + 1, int(self._now().timestamp() * 1000))
        points = {
            newer.slot: _point(newer.slot, older.reading, newer.reading)
            for older, newer in pairwise(self._ends)
            if newer.slot > after
        }
        return {
            "type": kind,
            "seq": self._seq,
            "at": moment(self._at),
            "slot": SLOT,
            "points": [
                points.get(slot) or _point(slot) for slot in range(max(after, last - SLOTS) + 1, last + 1)
            ],
            "sockets": round(newest.get((rules.SOCKETS,), 0)),
            "results": grown.results(),
            "p50": rules.quantile(answers, 0.5),
            "p99": rules.quantile(answers, 0.99),
            "bars": rules.bars(grown, newest),
        }


def _slot(at: datetime) -> int:
    return int(at.timestamp()) // SLOT


def _point(slot: int, older: Reading = _NOTHING, newer: Reading = _NOTHING) -> Point:
    return {
        "at": moment(datetime.fromtimestamp(slot * SLOT, UTC)),
        **Increase(older, newer).results(),
        "sockets": round(newer.get((rules.SOCKETS,), 0)),
    }
