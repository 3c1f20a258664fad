"""What all who follow attempts share: one clock for what time alone brings, one hand for what must be read.

A timer and a reading for each of ten thousand sockets would come in one instant after an outage, and keep out
whoever confirms meanwhile.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from itertools import islice
from typing import Any

import structlog

from hub.errors import AttemptNotFound, HubError, InternalError, StoreUnavailable
from hub.qr.attempt import Attempt, Snapshot
from hub.qr.following import Following
from hub.qr.rereading import BATCH
from hub.qr.states import rotation_due
from hub.realtime.wheel import Wheel
from hub.store.database import Store

log = structlog.stdlib.get_logger("hub.qr")

_LANES = 8  # expiries under way at once
_STORE_WAIT = 1.0  # seconds until the next try, while the database is away


class Attention:
    """Reads attempts for their followings, and tries the rotation and the expiry at the right second.

    *read* returns the attempts of a list of keys, *tick* does what time demands of one and returns it, and
    *rotate* replaces the codes of many. What the database's absence prevents is done when it is back. There
    are tasks only while there is work.
    """

    def __init__(
        self,
        store: Store,
        read: Callable[[list[str]], Awaitable[list[Attempt]]],
        tick: Callable[[Attempt], Awaitable[Attempt]],
        rotate: Callable[[list[Attempt]], Awaitable[list[Attempt]]],
    ) -> None:
        self._store = store
        self._read = read
        self._tick = tick
        self._rotate = rotate
        self._wheel: Wheel[Following] = Wheel(self._fall_due, store.clock)
        self._by_channel: dict[str, tuple[Following, ...]] = {}
        self._unread: dict[Following, None] = {}
        self._due: dict[Following, None] = {}
        self._reading: asyncio.Task[None] | None = None
        self._ticking: asyncio.Task[None] | None = None

    def known(self, channel: str) -> int:
        """Return the newest seq that all who follow an attempt know, 0 where nobody does."""
        return min((following.seq for following in self._by_channel.get(channel, ())), default=0)

    def expect(self, following: Following, snapshot: Snapshot) -> None:
        """Attend to *following* when time next moves its attempt, which now is in the state of *snapshot*."""
        others = self._by_channel.get(following.channel, ())
        if following not in others:
            self._by_channel[following.channel] = (*others, following)
        if snapshot.final:
            self._wheel.remove(following, following.slot)
            following.slot = 0
        else:
            following.slot = self._wheel.put(following, snapshot.due_in(self._store.now()), following.slot)

    def read(self, following: Following) -> None:
        """Read its attempt, and let it learn."""
        self._unread[following] = None
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_all(), name="attention-reading")

    def forget(self, following: Following) -> None:
        """Attend to it no longer."""
        others = tuple(
            other for other in self._by_channel.get(following.channel, ()) if other is not following
        )
        if others:
            self._by_channel[following.channel] = others
        else:
            self._by_channel.pop(following.channel, None)
        self._wheel.remove(following, following.slot)
        self._unread.pop(following, None)
        self._due.pop(following, None)

    def _fall_due(self, following: Following) -> None:
        self._due[following] = None
        if self._ticking is None:
            self._ticking = asyncio.create_task(self._tick_all(), name="attention-ticking")

    async def _read_all(self) -> None:
        try:
            while batch := _take(self._unread):
                found = await self._attempts_of(batch)
                for key, group in batch.items():
                    if key in found:
                        _teach(group, found[key])
        finally:
            self._reading = None

    async def _tick_all(self) -> None:
        try:
            while batch := _take(self._due):
                found = await self._attempts_of(batch)
                now = self._store.now()
                turning = [attempt for attempt in found.values() if rotation_due(attempt, now)]
                if turning:
                    await self._rotate_all(turning, batch)
                for attempt in turning:
                    del found[attempt.key]
                await _several(self._tick_one(attempt, batch[key]) for key, attempt in found.items())
        finally:
            self._ticking = None

    async def _rotate_all(self, attempts: list[Attempt], batch: dict[str, list[Following]]) -> None:
        try:
            rotated = {attempt.key: attempt for attempt in await self._rotate(attempts)}
        except StoreUnavailable:
            for attempt in attempts:
                self._later(batch[attempt.key])
            return
        except Exception:
            log.exception("defect")
            for attempt in attempts:
                _end(batch[attempt.key], InternalError("its code cannot be replaced"))
            return
        for attempt in attempts:
            if attempt.key in rotated:
                _teach(batch[attempt.key], rotated[attempt.key])
            else:
                _end(batch[attempt.key], AttemptNotFound("the attempt is gone"))

    async def _tick_one(self, attempt: Attempt, group: list[Following]) -> None:
        try:
            _teach(group, await self._tick(attempt))
        except StoreUnavailable:
            self._later(group)
        except HubError as error:
            _end(group, error)
        except Exception:
            log.exception("defect")
            _end(group, InternalError("time does not move it"))

    async def _attempts_of(self, batch: dict[str, list[Following]]) -> dict[str, Attempt]:
        """Read a batch."""
        try:
            found = {attempt.key: attempt for attempt in await self._read(list(batch))}
        except StoreUnavailable:
            for group in batch.values():
                self._later(group)
            await asyncio.sleep(_STORE_WAIT)
            return {}
        except Exception:
            log.exception("defect")
            for group in batch.values():
                _end(group, InternalError("it cannot be read"))
            return {}
        for key, group in batch.items():
            if key not in found:
                _end(group, AttemptNotFound("the attempt is gone"))
        return found

    def _later(self, group: list[Following]) -> None:
        for following in group:
            if not following.closed:
                following.slot = self._wheel.put(following, _STORE_WAIT, following.slot)


def _take(asked: dict[Following, None]) -> dict[str, list[Following]]:
    """Take a batch of those who ask, by key."""
    batch: dict[str, list[Following]] = {}
    for following in list(islice(asked, BATCH)):
        del asked[following]
        batch.setdefault(following.key, []).append(following)
    return batch


def _teach(group: list[Following], attempt: Attempt) -> None:
    for following in group:
        following.learn(attempt)


def _end(group: list[Following], error: HubError) -> None:
    for following in group:
        if not following.closed:
            following.listener.gone(error)


async def _several(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Do all *works*, a few at once."""
    left = iter(works)

    async def lane() -> None:
        for work in left:
            await work

    await asyncio.gather(*(lane() for _ in range(_LANES)))
