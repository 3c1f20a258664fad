"""Who waits for a channel, and what is told there.

A watcher keeps no more than the newest message, never a queue: the ones between are of no use to anybody, and
ten thousand queues would cost more memory than the sockets they serve.
"""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from prometheus_client import Gauge

WATCHES = Gauge("hub_broker_watches", "Watchers registered with the broker.", multiprocess_mode="livesum")


class Message(NamedTuple):
    """One public snapshot: its sequence number (0 or more) and its JSON, which the broker never reads."""

    seq: int
    body: bytes


class Watcher(Protocol):
    """What a broker delivers to, without a task of its own.

    Both methods are called on the event loop, must not block and must not raise; they may detach the watcher.
    """

    @property
    def channel(self) -> str: ...

    def offer(self, message: Message) -> None:
        """Take *message*, if it is newer than the last one taken."""

    def read_again(self) -> None:
        """Learn that a subscription begins only now: messages sent before are lost."""


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
