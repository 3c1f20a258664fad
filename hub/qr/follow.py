"""Following one attempt in a coroutine, as event stream and long poll do; and the sweep behind all of it."""

import asyncio
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

from prometheus_client import Histogram

from hub.errors import HubError
from hub.qr.attempt import Snapshot, channel
from hub.qr.attempts import Attempts
from hub.qr.following import Following
from hub.qr.rereading import BATCH
from hub.realtime.sweep import Sweeper

DELIVERY_SECONDS = Histogram(
    "hub_qr_publish_to_frame_seconds",
    "Time from a snapshot's publication to its frame or event, by the database's clock (milliseconds)",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1, 5, 15),
)

_COMMIT_TIME = timedelta(seconds=15)
_CHANNEL = channel("")
_ASKED = 900  # attempts in one statement of a sweep; from a thousand on MariaDB makes a table of them


def delivered(snapshot: Snapshot, now: datetime) -> None:
    """Note that a client has got *snapshot*, for the time since its publication."""
    if snapshot.told_at is not None:
        DELIVERY_SECONDS.observe(max(0.0, (now - snapshot.told_at).total_seconds()))


class Follower:
    """Yields each newer snapshot of one attempt after *seq* to a coroutine.

    It holds one, the newest. An asynchronous context manager; entering raises AttemptNotFound and
    StoreUnavailable.
    """

    def __init__(self, attempts: Attempts, session_id: str, seq: int = 0) -> None:
        self._attempts = attempts
        self._following = Following(attempts, session_id)
        self._error: HubError | None = None
        self._woken: asyncio.Future[None] | None = None
        self._current: Snapshot
        self._seq = seq

    async def __aenter__(self) -> Self:
        self._current = await self._following.open()
        self._seq = min(self._seq, self._current.seq)
        self._following.start(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._following.close()
        del self._following  # it has us as its listener: a cycle would wait for a garbage collection

    @property
    def finished(self) -> bool:
        """Whether nothing can follow what the caller knows already."""
        return self._current.final and self._current.seq <= self._seq

    async def next(self) -> Snapshot:
        """Return the next snapshot that is newer than the last one returned, however long that takes.

        Raises AttemptNotFound where the attempt is gone.
        """
        while self._current.seq <= self._seq:
            if self._error is not None:
                raise self._error
            self._woken = asyncio.get_running_loop().create_future()
            try:
                await self._woken
            finally:
                self._woken = None
        self._seq = self._current.seq
        return self._current

    def delivered(self) -> None:
        """Note that the client has got the snapshot returned last."""
        delivered(self._current, self._attempts.store.now())

    # --- What the following calls.

    def news(self, snapshot: Snapshot) -> None:
        self._current = snapshot
        self._wake()

    def gone(self, error: HubError) -> None:
        self._error = error
        self._wake()

    def _wake(self) -> None:
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)


class Sweep(Sweeper):
    """Tells again what has moved without anybody here hearing of it: the broker may have lost it.

    It looks back over the time of a sweep, and over what a slow transaction may take from its move to its
    commit.
    """

    def __init__(self, attempts: Attempts, *, interval: float = 10.0, without_broker: float = 1.0) -> None:
        super().__init__(attempts.broker, interval=interval, without_broker=without_broker)
        self._attempts = attempts
        self._swept = datetime(2000, 1, 1, tzinfo=UTC)

    async def once(self) -> None:
        """Sweep once. Raises StoreUnavailable."""
        attempts, began = self._attempts, self._attempts.store.now()
        since = self._swept - _COMMIT_TIME
        names = self._broker.watched()
        keys = [name[len(_CHANNEL) :] for name in names if name.startswith(_CHANNEL)]
        for begin in range(0, len(keys), _ASKED):
            moved = await attempts.changed(keys[begin : begin + _ASKED], since)
            unheard = [key for key, seq in moved.items() if seq > attempts.attention.known(channel(key))]
            for first in range(0, len(unheard), BATCH):
                for attempt in await attempts.by_keys(unheard[first : first + BATCH]):
                    await attempts.tell(attempt)
        self._swept = began
