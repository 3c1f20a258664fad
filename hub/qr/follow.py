"""Following one attempt: what the socket, the event stream and the long poll have in common."""

import asyncio
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from prometheus_client import Histogram

from hub.errors import StoreUnavailable
from hub.qr.attempt import Attempt, Snapshot, channel
from hub.qr.attempts import Attempts
from hub.qr.identifiers import hashed
from hub.qr.rereading import BATCH
from hub.realtime.sweep import Sweeper
from hub.realtime.watch import Message, Watch

DELIVERY_SECONDS = Histogram(
    "hub_qr_publish_to_frame_seconds",
    "Time from a snapshot's publication to its frame or event, by the database's clock (milliseconds)",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1, 5, 15),
)

_SUBSCRIBE_WAIT = 0.3  # seconds; a later confirmation only means that SQL is read once more
_STORE_WAIT = 1.0


class Follower:
    """Yields each newer snapshot of one attempt: subscribe, wait for the confirmation, read, then stream.

    It also tries the rotation and the expiry at the right second. `seq` is the last snapshot handed out. An
    asynchronous context manager; entering raises AttemptNotFound.
    """

    def __init__(self, attempts: Attempts, session_id: str, seq: int = 0) -> None:
        self._attempts = attempts
        self._stack = ExitStack()
        self._watch: Watch
        self._again = False
        self.session_id = session_id
        self.seq = seq
        self.current: Snapshot

    async def __aenter__(self) -> Self:
        await self._subscribe()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    async def switch(self, session_id: str) -> None:
        """Follow another attempt from now on, from its first snapshot."""
        self._stack.close()
        self.session_id = session_id
        self.seq = 0
        await self._subscribe()

    @property
    def finished(self) -> bool:
        """Whether nothing can follow what the caller knows already."""
        return self.current.final and self.current.seq <= self.seq

    async def next(self) -> Snapshot:
        """Return the next snapshot that is newer than the last one returned, however long that takes."""
        while self.current.seq <= self.seq:
            await self._advance()
        self.seq = self.current.seq
        return self.current

    def delivered(self) -> None:
        """Note that the client has got the snapshot handed out last, for the time since its publication."""
        if self.current.told_at is not None:
            late = (self._attempts.store.now() - self.current.told_at).total_seconds()
            DELIVERY_SECONDS.observe(max(0.0, late))

    async def _subscribe(self) -> None:
        self._watch = self._stack.enter_context(self._attempts.broker.watch(channel(hashed(self.session_id))))
        try:
            if self._attempts.broker.healthy:
                await self._watch.next(_SUBSCRIBE_WAIT)
            self._take(await self._attempts.by_session(self.session_id))
        except BaseException:
            self._stack.close()
            raise

    async def _advance(self) -> None:
        """Wait for one signal and act upon it; the database being away only delays."""
        try:
            if self._again:
                attempt = await self._attempts.rereading.read(hashed(self.session_id))
                self._again = False
                self._take(attempt)
                return
            due = None if self.current.final else self.current.due_in(self._attempts.store.now()) + 0.005
            signal = await self._watch.next(due)
            if isinstance(signal, Message):
                self._hear(signal)
            elif signal is None:
                self._take(await self._attempts.tick(await self._attempts.by_session(self.session_id)))
            else:
                self._again = True
        except StoreUnavailable:
            await asyncio.sleep(_STORE_WAIT)

    def _hear(self, message: Message) -> None:
        if message.seq <= self.current.seq:
            return
        try:
            self.current = Snapshot.from_message(message)
        except ValueError:  # a process of another version has told it; SQL is the same for both
            self._again = True

    def _take(self, attempt: Attempt) -> None:
        self.current = Snapshot.from_message(attempt.message())


class Sweep(Sweeper):
    """Re-reads the unfinished attempts with local watchers, and tells them again."""

    def __init__(self, attempts: Attempts, *, interval: float = 10.0, without_broker: float = 1.0) -> None:
        super().__init__(attempts.broker, interval=interval, without_broker=without_broker)
        self._attempts = attempts

    async def once(self) -> None:
        """Sweep once. Raises StoreUnavailable."""
        mine = [name for name in self._broker.watched() if name.startswith("attempt:")]
        keys = [name.partition(":")[2] for name in mine]
        for begin in range(0, len(keys), BATCH):
            for attempt in await self._attempts.by_keys(keys[begin : begin + BATCH]):
                await self._attempts.tell(attempt)
