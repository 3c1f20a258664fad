"""Redis answers but takes nothing: frames from another process come at once all the same."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.faults.test_two_processes import Pair
from tests.people import Browser, Phone, frame
from tests.servers.hub import HubProcess
from tests.servers.redis import RedisServer
from tests.servers.waiting import until

PROMPT = 5.0  # seconds; a sweep may take ten


def disk_fails(redis: RedisServer) -> None:
    """Have it fail to save, after which it refuses to write (MISCONF)."""
    (redis.folder / "dump.rdb").mkdir()
    redis.command("CONFIG", "SET", "save", "3600 1")
    redis.command("SET", "something", "to save")
    redis.command("BGSAVE")


def disk_is_back(redis: RedisServer) -> None:
    """Let it save again."""
    (redis.folder / "dump.rdb").rmdir()
    redis.command("SAVE")
    redis.command("CONFIG", "SET", "save", "")


class Refusal(NamedTuple):
    """How Redis comes to refuse, by which word one knows it, and how it ends."""

    begin: Callable[[RedisServer], object]
    word: str
    end: Callable[[RedisServer], object]


REFUSALS = {
    "disk fails": Refusal(disk_fails, "MISCONF", disk_is_back),
    "memory is full": Refusal(
        lambda redis: redis.command("CONFIG", "SET", "maxmemory", "1"),
        "OOM",
        lambda redis: redis.command("CONFIG", "SET", "maxmemory", "0"),
    ),
}


@pytest.fixture
def pair(tmp_path: Path, mariadb_url: str, own_redis: RedisServer) -> Iterator[Pair]:
    """Two hubs with limits, and a Redis of the test's own."""
    env = {"DATABASE_URL": mariadb_url, "REDIS_URL": own_redis.url, "HUB_LIMITS": "on"}
    hubs = Pair(HubProcess(tmp_path, **env).start(), HubProcess(tmp_path, **env).start())
    yield hubs
    for hub in hubs:
        hub.stop()
        assert hub.defects() == []


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=list(REFUSALS))
async def test_redis_takes_nothing(pair: Pair, own_redis: RedisServer, refusal: Refusal) -> None:
    """A phone at one process moves the browser at the other, before, during and after it."""

    async def refuses() -> bool:
        return refusal.word in own_redis.command("SET", "x", "y")

    async with Browser(pair.first.url) as browser, Phone(pair.second.url) as phone:
        await sign_in(browser, phone)
        refusal.begin(own_redis)
        try:
            await until(refuses)
            await sign_in(browser, phone)
        finally:
            refusal.end(own_redis)
        await sign_in(browser, phone)


async def sign_in(browser: Browser, phone: Phone) -> None:
    """Sign in; each frame comes by the broker."""
    await browser.begin()
    async with browser.socket() as socket, asyncio.timeout(3 * PROMPT):
        assert (await frame(socket))["status"] == "pending"
        await phone.scan(f"{phone.url}/s/{browser.attempt['qr_code']}")
        async with asyncio.timeout(PROMPT):
            assert (await frame(socket))["status"] == "scanned"
        assert (await phone.answer()).status_code == 200
        async with asyncio.timeout(PROMPT):
            assert (await frame(socket))["status"] == "confirmed"
    assert (await browser.redeem()).status_code == 200
