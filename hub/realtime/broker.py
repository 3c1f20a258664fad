"""The broker's port, and what it promises."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Protocol

from prometheus_client import Counter

from hub.realtime.watch import Message, Watcher

PUBLISHED = Counter("hub_broker_published_total", "Snapshots published.")


class Broker(Protocol):
    """Tells the watchers of a channel its newest snapshot, in this process and in all others.

    The promise is *at most once, newest wins*. A message may be lost (the link was down, Redis was restarted,
    the watcher was slow and a newer one took the slot), none comes twice, and none comes after a newer one.
    Nothing is therefore true because the broker said so: it says when to look, and what there was to see.

    So that a loss is never more than a delay, each confirmation of a subscription, the first one and every
    one after a reconnect, reaches the channel's watchers as `read_again()`: from now on messages arrive, what
    was sent before is lost. Who subscribes, waits for this, and then reads the truth, misses nothing. While
    `healthy` is false no message can be counted on, and who waits reads the truth at an interval.

    A snapshot is kept beside the channel until its time to live ends. Nothing here raises because the server
    is away: that is logged once an outage, counted, and bounded in time.
    """

    @property
    @abstractmethod
    def healthy(self) -> bool:
        """True while messages arrive: the subscriptions are confirmed and the link answers."""

    @abstractmethod
    async def start(self) -> None:
        """Open the link. Returns when the first try has succeeded or failed; further ones go on behind."""

    @abstractmethod
    async def stop(self) -> None:
        """Close the link. Watchers stay registered and hear nothing more."""

    @abstractmethod
    async def publish(self, channel: str, message: Message, *, ttl: float) -> None:
        """Offer *message* to the local watchers at once, keep it as snapshot, and tell the other processes.

        The snapshot is kept for *ttl* seconds unless a newer one is there; the same one again renews both its
        age and its time to live. Only a strictly newer one is told to the others.
        """

    @abstractmethod
    async def snapshot(self, channel: str) -> tuple[Message, float] | None:
        """Return the kept snapshot and the seconds since it was last written; None when none is to be had."""

    @abstractmethod
    def attach(self, watcher: Watcher) -> None:
        """Register *watcher* for its channel until it is detached."""

    @abstractmethod
    def detach(self, watcher: Watcher) -> None:
        """Forget *watcher*; the last one of a channel ends the subscription. Twice is no error."""

    @abstractmethod
    def watched(self) -> list[str]:
        """Return the channels that have watchers in this process."""

    @abstractmethod
    async def broadcast(self, topic: str, body: bytes) -> None:
        """Give *body* to the listeners of *topic*: here at once, in the other processes at most once."""

    @abstractmethod
    def on_broadcast(self, topic: str, listener: Callable[[bytes], None]) -> None:
        """Call *listener* with every body broadcast to *topic* from now on."""

    @abstractmethod
    def on_reconnect(self, listener: Callable[[], None]) -> None:
        """Call *listener* each time the link comes back after an outage, when broadcasts arrive again."""
