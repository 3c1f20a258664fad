"""Following the events of one account: what the socket and the event stream have in common."""

import asyncio
from collections.abc import Callable, Collection
from itertools import islice
from types import TracebackType
from typing import Self

import structlog

from hub.errors import StoreUnavailable
from hub.realtime.sweep import Sweeper
from hub.realtime.watch import Message
from hub.tokens.claims import Claims
from hub.tokens.events import PAGE, AccountEvents, Event, channel
from hub.tokens.service import Sessions

log = structlog.stdlib.get_logger("hub.events")

_SUBSCRIBE_WAIT = 1.0  # seconds; without a broker the sweep brings what is missed
_STORE_WAIT = 1.0
_BATCH = 500


class Followers(Sweeper):
    """Everybody in this process who follows an account, each for the session of an access token.

    They learn of events by the broker, of their own session's end by the revocations as well, and of whatever
    was lost by a sweep.
    """

    def __init__(
        self,
        events: AccountEvents,
        sessions: Sessions,
        *,
        interval: float = 10.0,
        without_broker: float = 1.0,
    ) -> None:
        super().__init__(events.broker, interval=interval, without_broker=without_broker)
        self.events = events
        self.sessions = sessions
        self._by_sid: dict[str, set[Follower]] = {}
        self._unsure: dict[Follower, None] = {}
        self._asking: asyncio.Task[None] | None = None
        sessions.on_ended(self._end)

    def add(self, follower: "Follower") -> None:
        """Tell *follower* from now on."""
        self._by_sid.setdefault(follower.sid, set()).add(follower)

    def remove(self, follower: "Follower") -> None:
        """Forget *follower*."""
        self._unsure.pop(follower, None)
        others = self._by_sid[follower.sid]
        others.discard(follower)
        if not others:
            del self._by_sid[follower.sid]

    def ask(self, follower: "Follower") -> None:
        """Tell *follower* soon how far its account's events go: the broker may have lost some.

        When the broker comes back all ask in one instant, and are answered in batches.
        """
        self._unsure[follower] = None
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask_all(), name="followers-asking")

    async def once(self) -> None:
        """Sweep once. Raises StoreUnavailable."""
        followers = [follower for group in self._by_sid.values() for follower in group]
        for begin in range(0, len(followers), _BATCH):
            await self._tell(followers[begin : begin + _BATCH])

    async def _ask_all(self) -> None:
        try:
            while batch := list(islice(self._unsure, _BATCH)):
                try:
                    await self._tell(batch)
                except StoreUnavailable:
                    await asyncio.sleep(_STORE_WAIT)
                    continue
                for follower in batch:
                    self._unsure.pop(follower, None)
        except Exception:  # the sweep will tell them
            log.exception("defect")
            self._unsure.clear()
        finally:
            self._asking = None

    async def _tell(self, followers: Collection["Follower"]) -> None:
        newest = await self.events.newest(list({follower.user_id for follower in followers}))
        for follower in followers:
            if follower.user_id in newest:
                follower.offer(Message(newest[follower.user_id], b""))
            else:
                follower.end()  # the account is gone, and its events with it

    def _end(self, sid: str) -> None:
        for follower in self._by_sid.get(sid, ()):
            follower.end()


class Follower:
    """Yields each event of an account after *seq*, or after the newest one, until its own session ends.

    Subscribe, wait for the confirmation, read, then wait: `seq` is the last event handed out. An asynchronous
    context manager; entering raises StoreUnavailable. A coroutine waits in `next()`. Who has none is called:
    *woken*, whenever `poll()` may have something, or the following be `over`.
    """

    __slots__ = (
        "_behind",
        "_confirmed",
        "_ended",
        "_followers",
        "_from_now",
        "_read",
        "_waiter",
        "_woken",
        "channel",
        "seq",
        "sid",
        "user_id",
    )

    def __init__(
        self,
        followers: Followers,
        claims: Claims,
        seq: int | None = None,
        woken: Callable[[], None] | None = None,
    ) -> None:
        self.user_id = claims.user_id
        self.sid = claims.sid
        self.seq = seq or 0
        self.channel = channel(claims.user_id)
        self._from_now = seq is None
        self._followers = followers
        self._woken = woken
        self._waiter: asyncio.Future[None] | None = None
        self._confirmed: asyncio.Future[None] | None = None  # while the subscription is waited for
        self._read: list[Event] = []  # the next one last
        self._behind = False
        self._ended = False

    async def __aenter__(self) -> Self:
        events, broker = self._followers.events, self._followers.events.broker
        self._followers.add(self)
        try:
            self._confirmed = asyncio.get_running_loop().create_future()
            broker.attach(self)
            if broker.healthy:
                await asyncio.wait([self._confirmed], timeout=_SUBSCRIBE_WAIT)
            self._confirmed = None
            newest = (await events.newest([self.user_id])).get(self.user_id)
            self.seq = newest or 0 if self._from_now else min(self.seq, newest or 0)
            self._behind |= self.seq < (newest or 0)
            # The session may have ended between the check of its token and this registration.
            if newest is None or await self._followers.sessions.has_ended(self.sid):
                self.end()
        except BaseException:
            self.close()
            raise
        if self._behind:
            self._wake()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Follow no longer."""
        self._followers.events.broker.detach(self)
        self._followers.remove(self)

    def offer(self, message: Message) -> None:
        """Learn how far the account's events go."""
        if message.seq > (self._read[0].seq if self._read else self.seq):
            self._behind = True
            self._wake()

    def read_again(self) -> None:
        """Have looked how far they go."""
        if self._confirmed is None:
            self._followers.ask(self)
        elif not self._confirmed.done():
            self._confirmed.set_result(None)

    def end(self) -> None:
        """Learn that the session has ended: what was told by then is still read."""
        self._ended = self._behind = True
        self._wake()

    @property
    def over(self) -> bool:
        """Whether all was handed out and nothing more can come."""
        return self._ended and not self._behind and not self._read

    async def next(self) -> Event | None:
        """Return the next event, however long that takes; None once the session has ended."""
        while (event := await self.poll()) is None and not self.over:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return event

    async def poll(self) -> Event | None:
        """Return the next event, None where there is none now; the database being away only delays."""
        while self._behind and not self._read:
            await self._catch_up()
        if not self._read:
            return None
        event = self._read.pop()
        self.seq = event.seq
        if event.type == "session.revoked" and event.payload["session_id"] == self.sid:
            self._ended = True
            self._behind = False
            self._read.clear()
        return event

    async def _catch_up(self) -> None:
        """Read what follows; the database being away only delays, or ends what has ended anyway."""
        ending, self._behind = self._ended, False  # what is told from here on is read next time
        try:
            page = await self._followers.events.after(self.user_id, self.seq)
        except StoreUnavailable:
            if not ending:
                self._behind = True
                await asyncio.sleep(_STORE_WAIT)
                return
            page = []
        self._read = page[::-1]
        self._behind |= len(page) == PAGE

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        if self._woken is not None:
            self._woken()
