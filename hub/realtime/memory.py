"""The broker of one process: everything is at hand, nothing is ever lost."""

import time
from collections.abc import Callable
from typing import NamedTuple

from hub.realtime.broker import PUBLISHED, Broker
from hub.realtime.topics import Topics
from hub.realtime.watch import Message, Watcher, Watches

_SPARE = 1000


class _Kept(NamedTuple):
    message: Message
    written: float
    expires: float


class MemoryBroker(Broker):
    """Serves the watchers of this process only; with more than one worker they would not hear each other.

    The snapshots take room for those that are alive and at most as many dead ones again.
    """

    def __init__(self) -> None:
        self._watches = Watches()
        self._topics = Topics()
        self._kept: dict[str, _Kept] = {}
        self._prune_at = _SPARE

    @property
    def healthy(self) -> bool:
        return True

    async def start(self) -> None:
        """Do nothing: there is no link."""

    async def stop(self) -> None:
        """Do nothing: there is no link."""

    async def publish(self, channel: str, message: Message, *, ttl: float) -> None:
        self._watches.offer(channel, message)
        PUBLISHED.inc()
        now = time.monotonic()
        held = self._kept.get(channel)
        if held is None or held.expires <= now or message.seq >= held.message.seq:
            self._kept[channel] = _Kept(message, now, now + ttl)
        if len(self._kept) >= self._prune_at:
            self._kept = {name: kept for name, kept in self._kept.items() if kept.expires > now}
            self._prune_at = 2 * len(self._kept) + _SPARE

    async def snapshot(self, channel: str) -> tuple[Message, float] | None:
        held = self._kept.get(channel)
        now = time.monotonic()
        if held is None or held.expires <= now:
            return None
        return held.message, now - held.written

    def attach(self, watcher: Watcher) -> None:
        self._watches.add(watcher)
        watcher.read_again()

    def detach(self, watcher: Watcher) -> None:
        self._watches.remove(watcher)

    def watched(self) -> list[str]:
        return list(self._watches)

    async def broadcast(self, topic: str, body: bytes) -> None:
        self._topics.tell(topic, body)

    def on_broadcast(self, topic: str, listener: Callable[[bytes], None]) -> None:
        self._topics.add(topic, listener)

    def on_reconnect(self, listener: Callable[[], None]) -> None:
        """Do nothing: the link cannot go away, so it never comes back."""
