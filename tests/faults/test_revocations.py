"""A revoked session is refused by every process, whatever becomes of the broker between them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import NamedTuple

import pytest
from prometheus_client import REGISTRY

from hub.errors import StoreUnavailable, Unauthorized
from hub.realtime.link import Timing
from hub.realtime.memory import MemoryBroker
from hub.realtime.redis import RedisBroker
from hub.store.database import Row, Store
from hub.tokens.claims import LEEWAY
from hub.tokens.revocations import Revocations
from hub.tokens.service import Sessions, TokenPair
from tests.servers.proxy import Proxy, proxied
from tests.servers.redis import RedisServer
from tests.servers.waiting import until
from tests.signing_in import execute, make_sessions, make_user, sign_in

QUICK = Timing(heartbeat=0.1, heartbeat_timeout=0.5, backoff=0.02, backoff_limit=0.1, answer_timeout=0.3)


class Node(NamedTuple):
    """One process of the hub, as far as tokens go."""

    store: Store
    broker: RedisBroker
    sessions: Sessions

    async def two_sign_ins(self) -> tuple[TokenPair, TokenPair]:
        """Open two sessions of one user."""
        user = await make_user(self.store)
        return await sign_in(self.store, self.sessions, user), await sign_in(self.store, self.sessions, user)

    async def refuses(self, access_token: str) -> bool:
        """Tell whether this node refuses the token."""
        try:
            await self.sessions.verify(access_token)
        except Unauthorized:
            return True
        return False


@asynccontextmanager
async def node(database_url: str, redis_url: str, prefix: str) -> AsyncIterator[Node]:
    """Run one process's services for the length of a block."""
    broker = RedisBroker(redis_url, prefix, QUICK, dial_timeout=0.5)
    store = Store(database_url)
    sessions = make_sessions(store, broker)
    async with AsyncExitStack() as stack:
        for part in (store, broker, sessions):
            await part.start()
            stack.push_async_callback(part.stop)
        yield Node(store, broker, sessions)


def questions(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that grows by each row that is asked of *store*."""
    asked: list[str] = []
    one = store.one

    async def counted(query: str, /, **values: object) -> Row | None:
        asked.append(query)
        return await one(query, **values)

    monkeypatch.setattr(store, "one", counted)
    return asked


def becomes(broker: RedisBroker, *, healthy: bool) -> Callable[[], Awaitable[bool]]:
    """Return a condition to wait for."""

    async def condition() -> bool:
        return broker.healthy is healthy

    return condition


@pytest.fixture
async def proxy(redis_server: RedisServer) -> AsyncIterator[Proxy]:
    """The way of the second node to Redis."""
    async with proxied("127.0.0.1", redis_server.port) as proxy:
        yield proxy


async def test_every_process_learns_of_a_revocation(
    sqlite_url: str, redis_url: str, redis_prefix: str
) -> None:
    """The other node refuses the token without asking the database, which it has lost by then."""
    async with (
        node(sqlite_url, redis_url, redis_prefix) as one,
        node(sqlite_url, redis_url, redis_prefix) as two,
    ):
        ended, running = await one.two_sign_ins()
        assert not await two.refuses(ended.access_token)
        await two.store.stop()
        await one.sessions.revoke(ended.session_id, "logout")

        async def refused() -> bool:
            return await two.refuses(ended.access_token)

        await until(refused, timeout=2)
        assert not await two.refuses(running.access_token)


async def test_without_the_broker_the_database_is_asked(
    sqlite_url: str, redis_url: str, redis_prefix: str, proxy: Proxy
) -> None:
    """A node that has lost the broker refuses at once what was revoked meanwhile, and accepts the rest."""
    cut_off = f"redis://127.0.0.1:{proxy.port}/0"
    async with (
        node(sqlite_url, redis_url, redis_prefix) as one,
        node(sqlite_url, cut_off, redis_prefix) as two,
    ):
        ended, running = await one.two_sign_ins()
        proxy.cut()
        await until(becomes(two.broker, healthy=False))
        await one.sessions.revoke(ended.session_id, "logout")
        assert await two.refuses(ended.access_token)
        assert not await two.refuses(running.access_token)
        await two.store.stop()
        with pytest.raises(StoreUnavailable):
            await two.sessions.verify(running.access_token)


async def test_after_an_outage_what_was_missed_is_read(
    sqlite_url: str, redis_url: str, redis_prefix: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the broker is back, a node knows by itself what was revoked during the outage."""
    cut_off = f"redis://127.0.0.1:{proxy.port}/0"
    async with (
        node(sqlite_url, redis_url, redis_prefix) as one,
        node(sqlite_url, cut_off, redis_prefix) as two,
    ):
        ended, running = await one.two_sign_ins()
        proxy.cut()
        await until(becomes(two.broker, healthy=False))
        await one.sessions.revoke(ended.session_id, "logout")
        proxy.resume()
        await until(becomes(two.broker, healthy=True))
        assert await two.refuses(ended.access_token)
        asked = questions(two.store, monkeypatch)

        async def knows_by_itself() -> bool:
            asked.clear()
            assert not await two.refuses(running.access_token)
            return not asked

        await until(knows_by_itself)
        await two.store.stop()
        assert await two.refuses(ended.access_token)
        assert not await two.refuses(running.access_token)


async def test_without_broker_and_database_nothing_is_guessed(
    sqlite_url: str, redis_url: str, redis_prefix: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker comes back before the database does: until that one is read, tokens are not judged."""
    monkeypatch.setattr("hub.tokens.revocations._SWEEP", 0.05)
    cut_off = f"redis://127.0.0.1:{proxy.port}/0"
    async with (
        node(sqlite_url, redis_url, redis_prefix) as one,
        node(sqlite_url, cut_off, redis_prefix) as two,
    ):
        ended, running = await one.two_sign_ins()
        proxy.cut()
        await until(becomes(two.broker, healthy=False))
        await two.store.stop()
        await one.sessions.revoke(ended.session_id, "logout")
        proxy.resume()
        await until(becomes(two.broker, healthy=True))
        for pair in (ended, running):
            with pytest.raises(StoreUnavailable):
                await two.sessions.verify(pair.access_token)
        await two.store.start()
        assert await two.refuses(ended.access_token)
        assert not await two.refuses(running.access_token)


async def test_a_lost_broadcast_is_made_up_for(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A revocation that was never heard of is found by the next reading, though the broker is healthy."""
    monkeypatch.setattr("hub.tokens.revocations._SWEEP", 0.05)
    here, there = make_sessions(store, MemoryBroker()), make_sessions(store, MemoryBroker())
    await here.start()
    user = await make_user(store)
    ended, running = await sign_in(store, here, user), await sign_in(store, here, user)
    await there.revoke(ended.session_id, "logout")

    async def refused() -> bool:
        try:
            await here.verify(ended.access_token)
        except Unauthorized:
            return True
        return False

    await until(refused)
    assert (await here.verify(running.access_token)).sid == running.session_id
    await here.stop()


async def test_a_late_commit_is_found(
    store: Store, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A revocation whose transaction took half a minute is older than the last reading, and still found."""
    monkeypatch.setattr("hub.tokens.revocations._SWEEP", 0.02)
    sessions = make_sessions(store, MemoryBroker())
    await sessions.start()
    pair = await sign_in(store, sessions, await make_user(store))
    await execute(
        database_url,
        "UPDATE user_sessions SET is_active = 0, revoked_at = :revoked_at",
        revoked_at=store.now() - timedelta(seconds=30),
    )

    async def refused() -> bool:
        try:
            await sessions.verify(pair.access_token)
        except Unauthorized:
            return True
        return False

    await until(refused)
    await sessions.stop()


async def test_an_overfull_memory_asks_the_database(store: Store) -> None:
    """What had to be forgotten too early is still refused, and what runs is still accepted."""
    broker = MemoryBroker()
    sessions = make_sessions(store, broker)
    user = await make_user(store)
    pairs = [await sign_in(store, sessions, user) for _ in range(5)]
    memory = Revocations(store, broker, life=7200, capacity=2)
    await memory.start()
    for pair in pairs[:4]:
        await sessions.revoke(pair.session_id, "logout")
    assert [await memory.ended(pair.session_id) for pair in pairs] == [True, True, True, True, False]
    await store.stop()
    with pytest.raises(StoreUnavailable):
        await memory.ended(pairs[0].session_id)
    await memory.stop()


async def test_memory_forgets_in_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session is remembered as long as a token of it may live, were the clock set back by ten minutes."""
    now = 1000.0
    monkeypatch.setattr("hub.tokens.revocations.monotonic", lambda: now)
    sessions = make_sessions(store, MemoryBroker())
    user = await make_user(store)

    async def remembered() -> float | None:
        pair = await sign_in(store, sessions, user)
        await sessions.revoke(pair.session_id, "logout")
        return REGISTRY.get_sample_value("hub_revoked_sessions")

    life = 7200 + LEEWAY + 600
    assert await remembered() == 1
    now += life - 1
    assert await remembered() == 2
    now += 2
    assert await remembered() == 2
