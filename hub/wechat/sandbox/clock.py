"""The sandbox's own clock, which tests move."""

import time
from datetime import UTC, datetime


class Clock:
    """Wall-clock time plus an offset in seconds."""

    def __init__(self) -> None:
        self.offset = 0.0

    def time(self) -> float:
        """Return the seconds since the epoch, as the sandbox sees it."""
        return time.time() + self.offset

    def now(self) -> datetime:
        """Return the same as an aware UTC datetime."""
        return datetime.fromtimestamp(self.time(), UTC)
