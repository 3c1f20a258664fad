"""How many streams one address and one attempt may hold open at once, counted in this process."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from hub.errors import TooManySockets

PER_ADDRESS = 100
PER_ATTEMPT = 4


class OpenStreams:
    """Counts the open sockets and event streams; switched off it lets everything through."""

    def __init__(self, *, enabled: bool) -> None:
        self._enabled = enabled
        self._open: Counter[str] = Counter()

    def check(self, address: str, attempt: str) -> None:
        """Raise TooManySockets if no further stream may be opened."""
        if self._enabled:
            for key, most in ((address, PER_ADDRESS), (attempt, PER_ATTEMPT)):
                if self._open[key] >= most:
                    raise TooManySockets(f"{self._open[key]} open", retry_after=5)

    @contextmanager
    def hold(self, address: str, attempt: str) -> Iterator[None]:
        """Count one stream for the length of a `with` block. Raises TooManySockets."""
        self.check(address, attempt)
        self._open.update((address, attempt))
        try:
            yield
        finally:
            for key in (address, attempt):
                self._open[key] -= 1
                if not self._open[key]:
                    del self._open[key]
