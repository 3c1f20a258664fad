"""Following the events of one account: what the socket and the event stream have in common."""

import asyncio
from collections import deque
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from hub.errors import StoreUnavailable
from hub.realtime.sweep import Sweeper
from hub.realtime.watch import Message, Watch
from hub.tokens.claims import Claims
from hub.tokens.events import PAGE, AccountEvents, Event, channel
from hub.tokens.service import Sessions

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
        sessions.on_ended(self._end)

    def add(self, follower: "Follower") -> None:
        """Tell *follower* from now on."""
        self._by_sid.setdefault(follower.sid, set()).add(follower)

    def remove(self, follower: "Follower") -> None:
        """Forget *follower*."""
        others = self._by_sid[follower.sid]
        others.discard(follower)
        if not others:
            del self._by_sid[follower.sid]

    async def once(self) -> None:
        """Sweep once. Raises StoreUnavailable."""
        followers = [follower for group in self._by_sid.values() for follower in group]
        accounts = list({follower.user_id for follower in followers})
        for begin in range(0, len(accounts), _BATCH):
            batch = accounts[begin : begin + _BATCH]
            newest = await self.events.newest(batch)
            for follower in followers:
                if follower.user_id in newest:
                    follower.offer(newest[follower.user_id])
                elif follower.user_id in batch:
                    follower.end()  # the account is gone, and its events with it

    def _end(self, sid: str) -> None:
        for follower in self._by_sid.get(sid, ()):
            follower.end()


class Follower:
    """Yields each event of an account after *seq*, or after the newest one, until its own session ends.

    Subscribe, wait for the confirmation, read, then wait: `seq` is the last event handed out. An asynchronous
    context manager; entering raises StoreUnavailable.
    """

    def __init__(self, followers: Followers, claims: Claims, seq: int | None = None) -> None:
        self.user_id = claims.user_id
        self.sid = claims.sid
        self.seq = seq or 0
        self._from_now = seq is None
        self._followers = followers
        self._events = followers.events
        self._stack = ExitStack()
        self._watch: Watch
        self._read: deque[Event] = deque()
        self._behind = False
        self._ended = False

    async def __aenter__(self) -> Self:
        try:
            self._followers.add(self)
            self._stack.callback(self._followers.remove, self)
            self._watch = self._stack.enter_context(self._events.broker.watch(channel(self.user_id)))
            if self._events.broker.healthy:
                await self._watch.next(_SUBSCRIBE_WAIT)
            newest = (await self._events.newest([self.user_id])).get(self.user_id)
            self.seq = newest or 0 if self._from_now else min(self.seq, newest or 0)
            self._behind = self.seq < (newest or 0)
            # The session may have ended between the check of its token and this registration.
            if newest is None or await self._followers.sessions.has_ended(self.sid):
                self.end()
        except BaseException:
            self._stack.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def offer(self, newest: int) -> None:
        """Say how far the account's events go."""
        self._watch.offer(Message(newest, b""))

    def end(self) -> None:
        """Say that the session has ended: what was told by then is still read."""
        self._ended = self._behind = True
        self._watch.read_again()

    async def next(self) -> Event | None:
        """Return the next event, however long that takes; None once the session has ended."""
        while not self._read:
            if self._behind:
                await self._catch_up()
            elif self._ended:
                return None
            else:
                signal = await self._watch.next(None)
                self._behind = not isinstance(signal, Message) or signal.seq > self.seq
        event = self._read.popleft()
        self.seq = event.seq
        if event.type == "session.revoked" and event.payload["session_id"] == self.sid:
            self._ended = True
            self._behind = False
            self._read.clear()
        return event

    async def _catch_up(self) -> None:
        """Read what follows; the database being away only delays, or ends what has ended anyway."""
        ending = self._ended
        try:
            page = await self._events.after(self.user_id, self.seq)
        except StoreUnavailable:
            if not ending:
                await asyncio.sleep(_STORE_WAIT)
                return
            page = []
        self._read.extend(page)
        self._behind = len(page) == PAGE or self._ended is not ending
