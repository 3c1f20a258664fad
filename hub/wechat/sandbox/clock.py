"""The sandbox's own clock, which tests move."""

import time
from collections.abc import Callable
from datetime import UTC, datetime


class Clock:
    """Wall-clock time plus an offset in seconds."""

    def __init__(self) -> None:
        self.offset = 0.0
        self._watchers: list[Callable[[], None]] = []

    def move(self, offset: float) -> None:
        """Stand *offset* seconds ahead of the machine's clock, and tell who waits for a time."""
        self.offset = offset
        for told in self._watchers:
            told()

    def on_move(self, told: Callable[[], None]) -> None:
        """Call *told* after each move."""
        self._watchers.append(told)

    def time(self) -> float:
        """Return the seconds since the epoch, as the sandbox sees it."""
        return time.time() + self.offset

    def now(self) -> datetime:
        """Return the same as an aware UTC datetime."""
        return datetime.fromtimestamp(self.time(), UTC)
