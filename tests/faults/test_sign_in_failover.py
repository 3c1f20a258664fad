"""The primary of a replicated Redis dies in the middle of sign-ins."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.people import Browser, Phone, frame
from tests.servers.cluster import RedisCluster, sentinel_url
from tests.servers.hub import HubProcess
from tests.servers.redis import RedisServer
from tests.servers.waiting import until

LIMIT = 60.0  # seconds for a failover on a busy machine


class Replicated(NamedTuple):
    """A Redis that survives the death of a primary."""

    url: str
    kill: Callable[[], None]


@pytest.fixture(params=["cluster", "sentinel"])
def replicated(request: pytest.FixtureRequest) -> Replicated:
    """One of each kind."""
    if request.param == "cluster":
        cluster: RedisCluster = request.getfixturevalue("own_cluster")
        return Replicated(cluster.url, cluster.primaries[0].kill)
    primary: RedisServer = request.getfixturevalue("primary")
    return Replicated(sentinel_url(request.getfixturevalue("sentinel")), primary.kill)


@pytest.fixture
def pair(tmp_path: Path, mariadb_url: str, replicated: Replicated) -> Iterator[list[HubProcess]]:
    """Two hubs on MariaDB and that Redis."""
    env = {"DATABASE_URL": mariadb_url, "REDIS_URL": replicated.url}
    hubs = [HubProcess(tmp_path, **env).start() for _ in range(2)]
    yield hubs
    for hub in hubs:
        hub.stop()
        assert hub.defects() == []


async def test_a_primary_dies_amid_sign_ins(replicated: Replicated, pair: list[HubProcess]) -> None:
    """Every sign-in begun before, during and after comes through, over both processes."""
    first, second = pair
    away = asyncio.Event()

    async def sign_in(number: int) -> None:
        async with Browser(first.url) as browser, Phone(second.url) as phone:
            await browser.begin()
            async with browser.socket() as socket:
                assert (await frame(socket))["status"] == "pending"
                if number % 2:
                    await away.wait()
                await phone.scan(f"{second.url}/s/{browser.attempt['qr_code']}")
                async with asyncio.timeout(10):
                    assert (await frame(socket))["status"] == "scanned"
                await away.wait()
                answered = await phone.answer()
                assert answered.status_code == 200, answered.text
                async with asyncio.timeout(10):
                    assert (await frame(socket))["status"] == "confirmed"
            assert (await browser.redeem()).status_code == 200

    signing_in = [asyncio.create_task(sign_in(number)) for number in range(12)]
    await asyncio.sleep(1)  # let half of them come to the middle; too short only makes the test milder
    replicated.kill()
    away.set()
    await asyncio.gather(*signing_in)

    async def well() -> bool:
        async with Browser(first.url) as browser:
            return bool((await browser.http.get("/readyz")).json()["status"] == "ok")

    await until(well, timeout=LIMIT)
    await asyncio.gather(*(sign_in(number) for number in range(6)))
