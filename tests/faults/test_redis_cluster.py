"""A Redis Cluster loses a primary, and moves a slot, under its brokers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from hub.realtime.dial import dialler
from hub.realtime.link import Link, Timing
from hub.realtime.redis import RedisBroker
from hub.realtime.watch import Message
from hub.realtime.wire import LinkDown
from tests.servers.cluster import RedisCluster
from tests.servers.waiting import until
from tests.watch import READ_AGAIN, watch_of

FAST = Timing(backoff=0.05, backoff_limit=0.2)
LIMIT = 60.0  # seconds for a failover on a busy machine


@pytest.fixture
async def brokers(own_cluster: RedisCluster) -> AsyncIterator[tuple[RedisBroker, RedisBroker]]:
    """Two processes' brokers on a cluster of their own."""
    pair = RedisBroker(own_cluster.url, "test:", FAST), RedisBroker(own_cluster.url, "test:", FAST)
    for broker in pair:
        await broker.start()
        assert broker.healthy
    yield pair
    for broker in pair:
        await broker.stop()


async def test_a_dead_primary(own_cluster: RedisCluster, brokers: tuple[RedisBroker, RedisBroker]) -> None:
    """Its replica takes over: watchers read again, messages and snapshots go there, and broadcasts arrive."""
    here, there = brokers
    back: list[None] = []
    heard: list[bytes] = []
    first = own_cluster.primary_of("test:a")
    topics = (f"news-{number}" for number in range(100))
    topic = next(topic for topic in topics if own_cluster.primary_of(f"test:topic:{topic}") is not first)
    there.on_reconnect(lambda: back.append(None))
    there.on_broadcast(topic, heard.append)
    with watch_of(there, "a") as watch:
        assert await watch.next(10) is READ_AGAIN
        first.kill()
        assert await watch.next(LIMIT) is READ_AGAIN

        async def kept() -> bool:
            await here.publish("a", Message(1, b"after"), ttl=60)
            return await there.snapshot("a") is not None

        await until(kept, timeout=LIMIT)
        assert await watch.next(10) == Message(1, b"after")

    async def well() -> bool:
        return here.healthy and there.healthy

    await until(well, timeout=LIMIT)
    own_cluster.primary_of(f"test:topic:{topic}").kill()

    async def told() -> bool:
        await here.broadcast(topic, b"hello")
        return bool(heard)

    await until(told, timeout=LIMIT)
    assert back


async def test_a_slot_is_moved(own_cluster: RedisCluster, brokers: tuple[RedisBroker, RedisBroker]) -> None:
    """The watchers of its names read again, once their subscription stands at the new node."""
    here, there = brokers
    await here.publish("a", Message(1, b"before"), ttl=60)
    source = own_cluster.primary_of("test:a")
    target = next(node for node in own_cluster.primaries if node is not source)
    with watch_of(there, "a") as watch, watch_of(there, "b") as other:
        for waiting in (watch, other):
            assert await waiting.next(10) is READ_AGAIN
        await asyncio.to_thread(own_cluster.move_slot, "test:a", source, target)
        assert await watch.next(10) is READ_AGAIN
        await here.publish("a", Message(2, b"after"), ttl=60)
        assert await watch.next(10) == Message(2, b"after")
        held = await there.snapshot("a")
        assert held is not None
        assert held[0] == Message(2, b"after")
        await here.publish("b", Message(1, b"elsewhere"), ttl=60)
        assert await other.next(10) == Message(1, b"elsewhere")


async def test_a_refused_subscription_disturbs_no_answer(cluster_server: RedisCluster) -> None:
    """What Redis says to a subscription at the wrong node is not taken for the answer to a command."""
    node = cluster_server.primaries[0]
    link = Link("test", dialler(node.url, timeout=2), "test:heartbeat:", FAST, scripts=())
    await link.start()
    assert link.wire is not None
    refused: list[str] = []
    answers = []
    for number in range(20):
        link.wire.fenced([("SSUBSCRIBE", f"name-{number}")], refused.append)
        answers.append(link.ask("ECHO", str(number)))
    assert await asyncio.gather(*answers) == [b"%d" % number for number in range(20)]
    assert 0 < len(refused) < 20
    assert all(reason.startswith("MOVED ") for reason in refused)
    with suppress(LinkDown):
        await link.stop()
