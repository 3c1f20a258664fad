"""How many streams one address and one attempt may hold open at once, counted in this process."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import Gauge

from hub.errors import TooManySockets
from hub.limits.networks import counted

PLACES = Gauge(
    "hub_stream_places",
    "Places that sockets, event streams and long polls hold at their address and their attempt or session",
    multiprocess_mode="livesum",
)

PER_ADDRESS = 100
PER_ATTEMPT = 4


class OpenStreams:
    """Counts the open sockets, event streams and long polls; switched off it lets everything through."""

    def __init__(self, *, enabled: bool) -> None:
        self._enabled = enabled
        self._open: Counter[str] = Counter()

    def check(self, address: str, attempt: str) -> None:
        """Raise TooManySockets if no further stream may be opened."""
        self.check_one(counted(address), PER_ADDRESS)
        self.check_one(attempt, PER_ATTEMPT)

    @contextmanager
    def hold(self, address: str, attempt: str) -> Iterator[None]:
        """Count one stream of each for the length of a `with` block. Raises TooManySockets."""
        self.take(address, attempt)
        try:
            yield
        finally:
            self.give_back(address, attempt)

    @contextmanager
    def hold_one(self, key: str, most: int) -> Iterator[None]:
        """Count one stream of *key* for the length of a `with` block. Raises TooManySockets."""
        self.take_one(key, most)
        try:
            yield
        finally:
            self.give_back_one(key)

    def take(self, address: str, attempt: str) -> None:
        """Count one stream of each until it is given back. Raises TooManySockets."""
        self.check(address, attempt)
        self.take_one(counted(address), PER_ADDRESS)
        self.take_one(attempt, PER_ATTEMPT)

    def give_back(self, address: str, attempt: str) -> None:
        """Count one stream of each less."""
        self.give_back_one(counted(address))
        self.give_back_one(attempt)

    def take_one(self, key: str, most: int) -> None:
        """Count one stream of *key* until it is given back. Raises TooManySockets."""
        self.check_one(key, most)
        self._open[key] += 1
        PLACES.inc()

    def give_back_one(self, key: str) -> None:
        """Count one stream of *key* less."""
        PLACES.dec()
        self._open[key] -= 1
        if not self._open[key]:
            del self._open[key]

    def check_one(self, key: str, most: int) -> None:
        """Raise TooManySockets if *key* may open no further stream."""
        if self._enabled and self._open[key] >= most:
            raise TooManySockets(f"{self._open[key]} open", retry_after=5)
