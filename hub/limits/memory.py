"""Limits of one process."""

import time
from typing import NamedTuple

from hub.limits.rules import Limit, Limiter, Verdict, counter, judge

_PRUNE = 1000


class _Window(NamedTuple):
    used: int
    ends: float


class MemoryLimiter(Limiter):
    """Counts in this process, in at most *room* windows.

    When more are alive, the oldest ones are forgotten: a flood of addresses costs a little strictness, not
    the process.
    """

    def __init__(self, *, room: int = 100_000) -> None:
        self._room = room
        self._windows: dict[str, _Window] = {}
        self._prune_at = min(_PRUNE, room)

    async def start(self) -> None:
        """Do nothing: the counters are at hand."""

    async def stop(self) -> None:
        """Do nothing: the counters are at hand."""

    async def hit(self, limit: Limit, key: str, *, cost: int = 1) -> Verdict:
        name, now = counter(limit, key), time.monotonic()
        window = self._windows.get(name)
        if window is None or window.ends <= now:
            window = _Window(0, now + limit.window)
        verdict = judge(limit, window.used, window.ends - now, cost)
        if verdict.allowed and cost and window.used + cost >= 0:
            if window.used == 0:
                self._make_room(now)
            self._windows[name] = window._replace(used=window.used + cost)
        return verdict

    def _make_room(self, now: float) -> None:
        if len(self._windows) < self._prune_at:
            return
        alive = [(name, window) for name, window in self._windows.items() if window.ends > now]
        self._windows = dict(alive[max(0, len(alive) - self._room * 9 // 10) :])
        self._prune_at = min(self._room, 2 * len(self._windows) + _PRUNE)
