"""A watcher for tests: one slot, and a coroutine that waits for what comes into it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Final

from hub.realtime.broker import Broker
from hub.realtime.watch import Message


class ReadAgain(Enum):
    """The type of READ_AGAIN: what was sent up to now may be lost, so read the truth from its source."""

    READ_AGAIN = "read again"


READ_AGAIN: Final = ReadAgain.READ_AGAIN


class Watch:
    """A watcher for one coroutine, which waits in `next()`.

    What the coroutine itself reads from the source it may `offer()` too: the newest wins, however it came.
    """

    __slots__ = ("_again", "_held", "_seq", "_waiter", "channel")

    def __init__(self, channel: str) -> None:
        self.channel = channel
        self._seq = -1
        self._held: Message | None = None
        self._again = False
        self._waiter: asyncio.Future[None] | None = None

    def offer(self, message: Message) -> None:
        """Hold *message* in place of an older one; drop it when one as new was held or taken before."""
        if message.seq > self._seq:
            self._seq = message.seq
            self._held = message
            self._wake()

    def read_again(self) -> None:
        """Let `next()` answer READ_AGAIN, before anything that is held."""
        self._again = True
        self._wake()

    async def next(self, timeout: float | None) -> Message | ReadAgain | None:
        """Return READ_AGAIN, else the newest message that was not taken yet, else wait for either.

        *timeout* is in seconds, None means for ever; when it has passed, the answer is None. A cancelled wait
        takes nothing. Raises RuntimeError when two coroutines wait in the same watch.
        """
        if self._again or self._held is not None:
            return self._take()
        if self._waiter is not None:
            raise RuntimeError("a watch serves one coroutine")
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        timer = None if timeout is None else loop.call_later(timeout, self._wake)
        try:
            await self._waiter
        finally:
            self._waiter = None
            if timer is not None:
                timer.cancel()
        return self._take()

    def _take(self) -> Message | ReadAgain | None:
        if self._again:
            self._again = False
            return READ_AGAIN
        held, self._held = self._held, None
        return held

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


@contextmanager
def watch_of(broker: Broker, channel: str) -> Iterator[Watch]:
    """Have a Watch of *channel* attached for the length of a `with` block."""
    watch = Watch(channel)
    broker.attach(watch)
    try:
        yield watch
    finally:
        broker.detach(watch)
