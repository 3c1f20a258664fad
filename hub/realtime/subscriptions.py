"""What one link is subscribed to on behalf of a broker."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Protocol

from hub.realtime.link import Link
from hub.realtime.wire import LinkDown

_BATCH = 1000


class Listener(Protocol):
    """The broker, as its subscriptions see it. Names are without the prefix of the wire."""

    def wanted(self, link: Link) -> Iterable[str]:
        """Return what is to be subscribed to on this link."""

    def wants(self, name: str, link: Link) -> bool:
        """Tell whether *name* is one of them."""

    def confirmed(self, name: str) -> None:
        """Learn that from now on messages to *name* arrive."""

    def heard(self, name: str, payload: bytes) -> None:
        """Take a message."""

    def misplaced(self) -> None:
        """Learn that Redis has refused, or ended, subscriptions here: another node may serve their names."""


class Subscriptions:
    """Joins and leaves channels on *link*, all changes of a cycle of the loop at once.

    *sharded* ones are those of a cluster: they reach the nodes of one slot only, and each takes a command.
    """

    link: Link

    def __init__(self, prefix: str, listener: Listener, *, sharded: bool) -> None:
        self._prefix = prefix
        self._cut = len(prefix.encode())
        self._listener = listener
        self._sharded = sharded
        # What SUBSCRIBE was sent for on the present connection, and whether it was confirmed.
        self._joined: dict[str, bool] = {}
        self._changed: dict[str, None] = {}

    def confirmed(self, name: str) -> bool:
        """Tell whether messages to *name* arrive."""
        return self._joined.get(name, False)

    def open(self) -> None:
        """Join, on a new connection, all that is wanted."""
        self._changed.clear()
        self._joined = dict.fromkeys(self._listener.wanted(self.link), False)
        self._tell_redis(list(self._joined), [])

    def close(self) -> None:
        """Forget what the lost connection had joined."""
        self._joined = {}

    def change(self, name: str) -> None:
        """Note that *name* may have to be joined or left."""
        if self.link.wire is None:
            return
        if not self._changed:
            asyncio.get_running_loop().call_soon(self._flush)
        self._changed[name] = None

    def review(self) -> None:
        """Note every difference between what is wanted and what is joined."""
        for name in {*self._listener.wanted(self.link)} ^ self._joined.keys():
            self.change(name)

    def push(self, item: list[Any]) -> None:
        """Take what Redis has pushed."""
        kind, name = item[0], item[1][self._cut :].decode()
        if kind in (b"message", b"smessage"):
            self._listener.heard(name, item[2])
        elif kind in (b"subscribe", b"ssubscribe") and name in self._joined:
            # It may answer an earlier SUBSCRIBE, with an UNSUBSCRIBE and another one on the way: that one's
            # confirmation follows, and the watchers read again once more.
            self._joined[name] = True
            self._listener.confirmed(name)
        elif kind == b"sunsubscribe" and self._joined.pop(name, None) is not None:
            self._listener.misplaced()  # not of our doing: the slot has moved to another node

    def _flush(self) -> None:
        changed, self._changed = self._changed, {}
        wanted = {name for name in changed if self._listener.wants(name, self.link)}
        join = [name for name in changed if name in wanted and name not in self._joined]
        leave = [name for name in changed if name not in wanted and name in self._joined]
        for name in join:
            self._joined[name] = False
        for name in leave:
            del self._joined[name]
        self._tell_redis(join, leave)

    def _tell_redis(self, join: list[str], leave: list[str]) -> None:
        wire = self.link.wire
        if wire is None or not (join or leave):
            return
        with suppress(LinkDown):  # then all is subscribed to anew by the next connection
            if self._sharded:
                joins = [("SSUBSCRIBE", self._prefix + name) for name in join]
                leaves = [("SUNSUBSCRIBE", self._prefix + name) for name in leave]
                wire.fenced(joins + leaves, self._refused)
                return
            for start in range(0, len(join), _BATCH):
                wire.subscribe(*(self._prefix + name for name in join[start : start + _BATCH]))
            for start in range(0, len(leave), _BATCH):
                wire.unsubscribe(*(self._prefix + name for name in leave[start : start + _BATCH]))

    def _refused(self, _: str) -> None:
        # Which one it was is not said, so all that are not confirmed yet are to be asked for again.
        self._joined = {name: True for name, confirmed in self._joined.items() if confirmed}
        self._listener.misplaced()
