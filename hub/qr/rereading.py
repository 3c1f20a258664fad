"""Reading attempts again for many watchers at once."""

import asyncio
from collections.abc import Awaitable, Callable

from hub.errors import AttemptNotFound
from hub.qr.attempt import Attempt

BATCH = 100  # attempts; decoding five hundred rows at once holds the loop for five milliseconds


class Rereading:
    """Collects the keys that are asked for, and reads them in batches, one after the other.

    When the broker comes back every watcher reads again in the same instant: thousands of single reads would
    take seconds, and hold up whoever confirms meanwhile. *read* returns those attempts that there are.
    """

    def __init__(self, read: Callable[[list[str]], Awaitable[list[Attempt]]]) -> None:
        self._read = read
        self._turn = asyncio.Lock()
        self._keys: dict[str, None] = {}
        self._open: asyncio.Task[dict[str, Attempt]] | None = None
        """The batch of `_keys`, while it takes further ones."""

    async def read(self, key: str) -> Attempt:
        """Return the attempt as it is now or later. Raises AttemptNotFound, or what the reading raises."""
        if self._open is None or len(self._keys) >= BATCH:
            self._keys = {}
            self._open = asyncio.create_task(self._read_batch(self._keys), name="rereading")
            self._open.add_done_callback(_seen)
        self._keys[key] = None
        found = await asyncio.shield(self._open)  # who leaves does not take it from the others
        if key not in found:
            raise AttemptNotFound("the attempt is gone")
        return found[key]

    async def _read_batch(self, keys: dict[str, None]) -> dict[str, Attempt]:
        async with self._turn:
            if self._keys is keys:
                self._open = None
            return {attempt.key: attempt for attempt in await self._read(list(keys))}


def _seen(batch: "asyncio.Task[dict[str, Attempt]]") -> None:
    """Take note of a failure, which is none of the event loop's business when all who asked have left."""
    if not batch.cancelled():
        batch.exception()
