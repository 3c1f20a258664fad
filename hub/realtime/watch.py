"""What waits for a channel: one slot for each watcher, never a queue.

A watcher that is slow, or busy sending, finds only the newest snapshot when it comes back: the ones between
are of no use to anybody, and ten thousand queues would cost more memory than the sockets they serve.
"""

import asyncio
from collections.abc import Iterator
from enum import Enum
from typing import Final, NamedTuple, Protocol

from prometheus_client import Gauge

WATCHES = Gauge("hub_broker_watches", "Watchers registered with the broker.", multiprocess_mode="livesum")


class Message(NamedTuple):
    """One public snapshot: its sequence number (0 or more) and its JSON, which the broker never reads."""

    seq: int
    body: bytes


class ReadAgain(Enum):
    """The type of READ_AGAIN: what was sent up to now may be lost, so read the truth from its source."""

    READ_AGAIN = "read again"


READ_AGAIN: Final = ReadAgain.READ_AGAIN


class Watcher(Protocol):
    """What a broker delivers to: a Watch, or a socket that takes its frames without a task.

    Both methods are called on the event loop, must not block and must not raise; they may detach the watcher.
    """

    @property
    def channel(self) -> str: ...

    def offer(self, message: Message) -> None:
        """Take *message*, if it is newer than the last one taken."""

    def read_again(self) -> None:
        """Learn that a subscription begins only now: messages sent before are lost."""


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


class Watches:
    """The watchers of this process, by channel."""

    __slots__ = ("_by_channel",)

    def __init__(self) -> None:
        # Tuples, replaced and never changed: a watcher may leave while it is being offered to.
        self._by_channel: dict[str, tuple[Watcher, ...]] = {}

    def __contains__(self, channel: object) -> bool:
        return channel in self._by_channel

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_channel)

    def add(self, watcher: Watcher) -> bool:
        """Register *watcher*; True when it is the first of its channel."""
        others = self._by_channel.get(watcher.channel, ())
        self._by_channel[watcher.channel] = (*others, watcher)
        WATCHES.inc()
        return not others

    def remove(self, watcher: Watcher) -> bool:
        """Forget *watcher*; True when it was the last of its channel. One that is not there is no error."""
        before = self._by_channel.get(watcher.channel, ())
        others = tuple(other for other in before if other is not watcher)
        WATCHES.dec(len(before) - len(others))
        if others:
            self._by_channel[watcher.channel] = others
            return False
        return self._by_channel.pop(watcher.channel, None) is not None

    def offer(self, channel: str, message: Message) -> None:
        """Offer *message* to every watcher of *channel*."""
        for watcher in self._by_channel.get(channel, ()):
            watcher.offer(message)

    def read_again(self, channel: str) -> None:
        """Tell every watcher of *channel* to read again."""
        for watcher in self._by_channel.get(channel, ()):
            watcher.read_again()
