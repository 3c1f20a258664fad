"""Following an account on both engines and both brokers: nothing is missed, nothing comes twice."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import pytest

from hub.errors import StoreUnavailable
from hub.realtime.broker import Broker
from hub.realtime.memory import MemoryBroker
from hub.realtime.redis import RedisBroker
from hub.realtime.watch import Message
from hub.store.database import Connection, Row, Store
from hub.tokens.claims import Claims
from hub.tokens.events import PAGE, AccountEvents, Event
from hub.tokens.follow import Follower, Followers
from hub.tokens.service import Sessions, TokenPair
from tests.servers.redis import RedisServer
from tests.servers.waiting import until
from tests.signing_in import execute, make_sessions, make_user, sign_in

LIMIT = 10.0


class Parts(NamedTuple):
    """The services of one process, and somebody who is signed in."""

    store: Store
    events: AccountEvents
    sessions: Sessions
    followers: Followers
    user: Row
    pair: TokenPair
    claims: Claims

    async def happen(self, count: int = 1, *, told: bool = True) -> None:
        """Append events in a transaction each, announced or not."""

        async def work(tx: Connection) -> None:
            await self.events.append(tx, self.user["id"], "login.failed", {}, self.store.now())

        for _ in range(count):
            await self.store.write(work)
            if told:
                await self.events.announce(self.user["id"])


@pytest.fixture
async def parts(store: Store, broker: Broker) -> AsyncIterator[Parts]:
    """Started services over each pair of back ends; sweeps are made by hand."""
    async with started(store, broker) as parts:
        yield parts


@asynccontextmanager
async def started(store: Store, broker: Broker) -> AsyncIterator[Parts]:
    """Start the services over *broker*."""
    sessions = make_sessions(store, broker)
    await sessions.start()
    events = AccountEvents(store, broker)
    user = await make_user(store)
    pair = await sign_in(store, sessions, user)
    claims = await sessions.verify(pair.access_token)
    yield Parts(store, events, sessions, Followers(events, sessions), user, pair, claims)
    await sessions.stop()


async def take(follower: Follower, count: int) -> list[int]:
    """Return the seqs of the next events."""
    async with asyncio.timeout(LIMIT):
        found = [await follower.next() for _ in range(count)]
    return [event.seq for event in found if event]


async def silent(follower: Follower) -> bool:
    """Tell whether there is nothing to tell, without waiting for it to come."""
    waiting = asyncio.create_task(follower.next())
    for _ in range(5):
        await follower._followers.events.newest([follower.user_id])  # time for a reading that has begun
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    return waiting.cancelled()


async def test_only_new_events_are_told(parts: Parts) -> None:
    """Who names no seq starts from now."""
    await parts.happen(3)
    async with Follower(parts.followers, parts.claims) as follower:
        assert follower.seq == 4  # the first one was the sign-in
        await parts.happen(2)
        assert await take(follower, 2) == [5, 6]
        assert await silent(follower)


async def test_missed_events_come_first(parts: Parts) -> None:
    """Who names a seq gets what follows it, however much, and then what happens."""
    await parts.happen(PAGE + 20, told=False)
    async with Follower(parts.followers, parts.claims, 10) as follower:
        assert await take(follower, PAGE + 11) == list(range(11, PAGE + 22))
        await parts.happen()
        assert await take(follower, 1) == [PAGE + 22]


async def test_many_at_once_leave_no_gap(parts: Parts) -> None:
    """Whatever the announcements do, the events come in order, each once."""
    async with Follower(parts.followers, parts.claims) as follower:
        racers = [parts.happen(5) for _ in range(10)]
        found, *_ = await asyncio.gather(take(follower, 50), *racers)
        assert found == list(range(2, 52))
        assert await silent(follower)


async def test_what_redis_has_lost_is_asked_for(
    store: Store, own_redis: RedisServer, redis_prefix: str
) -> None:
    """Whoever follows hears of what happened while Redis was away once it is back, before any sweep."""
    broker = RedisBroker(own_redis.url, redis_prefix)
    await broker.start()
    async with started(store, broker) as parts, Follower(parts.followers, parts.claims) as follower:
        own_redis.kill()
        await parts.happen(2, told=False)
        own_redis.start()
        assert await take(follower, 2) == [2, 3]
        assert await silent(follower)
    await broker.stop()


async def test_unannounced_events_are_swept_up(parts: Parts) -> None:
    """An event that nobody announced, or whose announcement was lost, comes with the next sweep."""
    async with Follower(parts.followers, parts.claims) as follower:
        await parts.happen(2, told=False)
        assert await silent(follower)
        await parts.followers.once()
        assert await take(follower, 2) == [2, 3]


async def test_own_end_is_the_last_event(parts: Parts) -> None:
    """After it nothing more is told, though more may have happened."""
    async with Follower(parts.followers, parts.claims) as follower:
        await parts.happen(1, told=False)
        await parts.sessions.revoke(parts.pair.session_id, "logout")
        await parts.happen()
        told = []
        async with asyncio.timeout(LIMIT):
            while event := await follower.next():
                told.append(event)
            assert await follower.next() is None
    assert [event.type for event in told] == ["login.failed", "session.revoked"]


async def test_own_end_reaches_every_process(parts: Parts, broker: Broker) -> None:
    """By the revocations alone, where the announcement of the event is lost."""
    async with Follower(parts.followers, parts.claims) as follower:
        now = parts.store.now()
        await parts.store.write(lambda tx: parts.sessions.end_all(tx, parts.user["id"], "logout", now))
        async with asyncio.timeout(LIMIT):  # the revocations are read every second
            event = await follower.next()
            assert event is not None
            assert event.type == "session.revoked"
            assert await follower.next() is None


async def test_session_that_ended_before(parts: Parts) -> None:
    """Between the check of its token and the subscription: it follows what was told, and ends."""
    seq = (await parts.events.newest([parts.user["id"]]))[parts.user["id"]]
    await parts.sessions.revoke(parts.pair.session_id, "logout")
    async with Follower(parts.followers, parts.claims, seq) as follower, asyncio.timeout(LIMIT):
        event = await follower.next()
        assert event is not None
        assert event.payload == {"session_id": parts.pair.session_id, "reason": "logout"}
        assert await follower.next() is None
    async with Follower(parts.followers, parts.claims) as follower, asyncio.timeout(LIMIT):
        assert await follower.next() is None


async def test_account_that_is_deleted(parts: Parts, database_url: str) -> None:
    """Its events are gone with it; the sweep ends who follows it, and nobody can begin to."""
    async with Follower(parts.followers, parts.claims) as follower:
        await execute(database_url, "DELETE FROM users")
        await parts.followers.once()
        async with asyncio.timeout(LIMIT):
            assert await follower.next() is None
    async with Follower(parts.followers, parts.claims) as follower, asyncio.timeout(LIMIT):
        assert await follower.next() is None


async def test_others_do_not_end(parts: Parts) -> None:
    """The end of another session of the same account is just an event."""
    other = await sign_in(parts.store, parts.sessions, parts.user)
    async with Follower(parts.followers, parts.claims) as follower:
        await parts.sessions.revoke(other.session_id, "logout")
        assert await take(follower, 1) == [3]
        await parts.happen()
        assert await take(follower, 1) == [4]


async def test_database_away_only_delays(parts: Parts) -> None:
    """What happened meanwhile is told when it is back; to begin to follow needs it."""
    async with Follower(parts.followers, parts.claims) as follower:
        await parts.happen(told=False)
        await parts.store.stop()
        follower.offer(Message(2, b""))
        waiting = asyncio.create_task(take(follower, 1))
        with pytest.raises(StoreUnavailable):
            async with Follower(parts.followers, parts.claims):
                pass
        await parts.store.start()
        assert await waiting == [2]


async def test_end_while_the_database_is_away(parts: Parts) -> None:
    """A session that is known to have ended is not kept open for an event that cannot be read."""
    async with Follower(parts.followers, parts.claims) as follower:
        await parts.store.stop()
        follower.end()
        async with asyncio.timeout(LIMIT):
            assert await follower.next() is None
    await parts.store.start()


async def test_nothing_is_left_behind(parts: Parts, broker: Broker) -> None:
    """Whoever leaves, by itself or by an error, is forgotten by the registry and by the broker."""
    async with Follower(parts.followers, parts.claims), Follower(parts.followers, parts.claims):
        assert len(broker.watched()) == 1
    await parts.store.stop()
    with pytest.raises(StoreUnavailable):
        async with Follower(parts.followers, parts.claims):
            pass
    await parts.store.start()
    assert broker.watched() == []
    assert parts.followers._by_sid == {}


async def test_sweeps_go_on_after_an_outage(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep that finds the database away is not the last one."""
    sessions = make_sessions(store, MemoryBroker())
    await sessions.start()
    user = await make_user(store)
    pair = await sign_in(store, sessions, user)
    events = AccountEvents(store, MemoryBroker())
    followers = Followers(events, sessions, interval=0.02)
    claims = await sessions.verify(pair.access_token)
    swept: list[Event | None] = []
    async with Follower(followers, claims) as follower:
        await store.stop()
        await followers.start()
        await store.start()
        await sign_in(store, sessions, user)  # announced by another broker, so that only a sweep finds it
        waiting = asyncio.create_task(follower.next())

        async def told() -> bool:
            return waiting.done()

        await until(told)
        swept.append(await waiting)
    await followers.stop()
    await sessions.stop()
    assert [event.type for event in swept if event] == ["session.created"]
