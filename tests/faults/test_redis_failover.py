"""A primary dies, sentinels promote its replica: the broker follows."""

from hub.realtime.link import Timing
from hub.realtime.redis import RedisBroker
from hub.realtime.watch import Message
from tests.servers.cluster import sentinel_url
from tests.servers.redis import RedisServer
from tests.servers.waiting import until
from tests.watch import READ_AGAIN, watch_of


async def test_the_broker_follows_a_failover(primary: RedisServer, sentinel: RedisServer) -> None:
    """After the primary's death the watchers read again from its successor, and publishing works there."""

    broker = RedisBroker(sentinel_url(sentinel), "test:", Timing(backoff=0.05, backoff_limit=0.2))
    await broker.start()
    assert broker.healthy
    with watch_of(broker, "a") as watch:
        assert await watch.next(10) is READ_AGAIN
        primary.kill()
        assert await watch.next(60) is READ_AGAIN

        async def kept() -> bool:
            await broker.publish("a", Message(1, b"after"), ttl=60)
            return await broker.snapshot("a") is not None

        await until(kept)
        assert await watch.next(10) == Message(1, b"after")
    await broker.stop()
