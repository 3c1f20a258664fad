"""A primary dies, sentinels promote its replica: the broker follows."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.realtime.link import Timing
from hub.realtime.redis import RedisBroker
from hub.realtime.watch import READ_AGAIN, Message
from tests.servers.redis import RedisServer, require
from tests.servers.waiting import until


@pytest.fixture
def primary(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis with a replica beside it."""
    require("redis-server")
    servers: list[RedisServer] = []
    for name in ("primary", "replica"):
        (tmp_path / name).mkdir()
        options = {"replicaof": f"127.0.0.1 {servers[0].port}"} if servers else {}
        servers.append(RedisServer(tmp_path / name, options))
        servers[-1].start()
    yield servers[0]
    for server in servers:
        server.stop()


@pytest.fixture
def sentinel(tmp_path: Path, primary: RedisServer) -> Iterator[RedisServer]:
    """A sentinel that watches the primary as the service `hub` and gives it up after half a second."""
    folder = tmp_path / "sentinel"
    folder.mkdir()
    server = RedisServer(folder, sentinel=True)
    (folder / "sentinel.conf").write_text(
        f"sentinel monitor hub 127.0.0.1 {primary.port} 1\n"
        "sentinel down-after-milliseconds hub 500\n"
        "sentinel failover-timeout hub 5000\n"
    )
    server.start()
    yield server
    server.stop()


async def test_the_broker_follows_a_failover(primary: RedisServer, sentinel: RedisServer) -> None:
    """After the primary's death the watchers read again from its successor, and publishing works there."""

    async def replica_known() -> bool:
        return "num-slaves\n1" in await asyncio.to_thread(sentinel.command, "SENTINEL", "MASTER", "hub")

    await until(replica_known)
    url = f"redis+sentinel://127.0.0.1:1,127.0.0.1:{sentinel.port}/hub/0"
    broker = RedisBroker(url, "test:", Timing(backoff=0.05, backoff_limit=0.2))
    await broker.start()
    assert broker.healthy
    with broker.watch("a") as watch:
        assert await watch.next(10) is READ_AGAIN
        primary.kill()
        assert await watch.next(60) is READ_AGAIN

        async def kept() -> bool:
            await broker.publish("a", Message(1, b"after"), ttl=60)
            return await broker.snapshot("a") is not None

        await until(kept)
        assert await watch.next(10) == Message(1, b"after")
    await broker.stop()
