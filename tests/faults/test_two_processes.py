"""Two hub processes on MariaDB and Redis: browser on one, phone on the other, and parts are killed."""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from tests.people import Browser, Phone, frame
from tests.servers.hub import HubProcess
from tests.servers.mariadb import MariaDB
from tests.servers.redis import RedisServer

SOON = 5.0  # seconds in which everything must have converged without a broker


class Pair(NamedTuple):
    """Two processes on the same servers."""

    first: HubProcess
    second: HubProcess


@pytest.fixture
def pair(tmp_path: Path, mariadb_url: str, own_redis: RedisServer) -> Iterator[Pair]:
    """Two hubs, and a Redis of the test's own."""
    env = {"DATABASE_URL": mariadb_url, "REDIS_URL": own_redis.url}
    hubs = Pair(HubProcess(tmp_path, **env), HubProcess(tmp_path, **env))
    for hub in hubs:
        hub.start()
    yield hubs
    for hub in hubs:
        hub.stop()


def at(hub: HubProcess, browser: Browser) -> str:
    """The address under which a phone reaches the browser's code at *hub*."""
    return f"{hub.url}/s/{browser.attempt['qr_code']}"


async def soon(socket: ClientConnection, status: str) -> None:
    """Wait for the frame with this status, and for no longer than SOON."""
    async with asyncio.timeout(SOON):
        assert (await frame(socket))["status"] == status


async def test_across_processes(pair: Pair) -> None:
    """A phone at one process moves the browser at the other."""
    async with Browser(pair.first.url) as browser, Phone(pair.second.url) as phone:
        await browser.begin()
        async with browser.socket() as socket:
            await soon(socket, "pending")
            await phone.scan(at(pair.second, browser))
            await soon(socket, "scanned")
            await phone.answer()
            await soon(socket, "confirmed")
        assert (await browser.redeem()).status_code == 200


async def test_redis_is_killed_in_the_middle(pair: Pair, own_redis: RedisServer) -> None:
    """Without Redis the sign-in completes, a new one too; when it is back, so are the instant frames."""
    async with Browser(pair.first.url) as browser, Phone(pair.second.url) as phone:
        await browser.begin()
        async with browser.socket() as socket:
            await soon(socket, "pending")
            await phone.scan(at(pair.second, browser))
            await soon(socket, "scanned")
            own_redis.kill()
            assert (await phone.answer()).status_code == 200
            await soon(socket, "confirmed")
        assert (await browser.redeem()).status_code == 200
        ready = await browser.http.get("/readyz")
        assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
        await browser.begin()
        async with browser.socket() as socket:
            await soon(socket, "pending")
            await phone.scan(at(pair.second, browser))
            await soon(socket, "scanned")
            await asyncio.sleep(10)  # the outage itself, not an event
            own_redis.start()
            for hub in pair:
                await healthy(hub)
            await phone.answer()
            async with asyncio.timeout(0.9):  # by the broker: the sweep alone would take its ten seconds
                assert (await frame(socket))["status"] == "confirmed"
        assert (await browser.redeem()).status_code == 200


async def test_the_browsers_process_is_killed(pair: Pair) -> None:
    """The browser comes back to the other process with its last seq, and gets what it missed."""
    async with Browser(pair.first.url) as browser, Phone(pair.second.url) as phone:
        await browser.begin()
        async with browser.socket() as socket:
            await soon(socket, "pending")
            pair.first.kill()
            with pytest.raises(ConnectionClosed):
                await frame(socket)
        await phone.scan(at(pair.second, browser))
        async with Browser(pair.second.url) as again:
            again.attempt, again.verifier = browser.attempt, browser.verifier
            async with again.socket(query="?seq=1") as socket:
                await soon(socket, "scanned")
                await phone.answer()
                await soon(socket, "confirmed")
            assert (await again.redeem()).status_code == 200


async def test_drain(pair: Pair) -> None:
    """On SIGTERM every socket is sent away with 1012 and a hint, spread out, and the process ends."""
    loop = asyncio.get_running_loop()
    browsers = [Browser(pair.first.url) for _ in range(60)]

    async def wait_for_the_end(browser: Browser) -> tuple[int, str, float]:
        await browser.begin()
        async with browser.socket() as socket:
            await frame(socket)
            opened.release()
            with pytest.raises(ConnectionClosed) as closed:
                await frame(socket)
            assert closed.value.rcvd is not None
            return closed.value.rcvd.code, closed.value.rcvd.reason, loop.time()

    opened = asyncio.Semaphore(0)
    waiting = [asyncio.create_task(wait_for_the_end(browser)) for browser in browsers]
    for _ in browsers:
        await opened.acquire()
    pair.first.terminate()
    ends = await asyncio.gather(*waiting)
    assert {code for code, _, _ in ends} == {1012}
    assert all(reason.startswith("retry in ") for _, reason, _ in ends)
    moments = sorted(moment for _, _, moment in ends)
    assert moments[-1] - moments[0] > 2
    assert await asyncio.to_thread(pair.first.wait) == 0
    async with Browser(pair.second.url) as again, Phone(pair.second.url) as phone:
        again.attempt, again.verifier = browsers[0].attempt, browsers[0].verifier
        await phone.scan(at(pair.second, again))
        await phone.answer()
        assert (await again.redeem()).status_code == 200
    for browser in browsers:
        await browser.http.aclose()


async def test_the_database_is_away(tmp_path: Path, own_mariadb: MariaDB, redis_url: str) -> None:
    """While MariaDB is down requests are told when to come back, sockets stay, and afterwards all goes on."""
    own_mariadb.execute("CREATE DATABASE hub_fault")
    hub = HubProcess(tmp_path, DATABASE_URL=own_mariadb.url("hub_fault"), REDIS_URL=redis_url).start()
    try:
        async with Browser(hub.url) as browser, Phone(hub.url) as phone:
            await browser.begin()
            async with browser.socket() as socket:
                await soon(socket, "pending")
                await phone.scan(browser.attempt["qr_content"])
                await soon(socket, "scanned")
                own_mariadb.kill()
                refused = await phone.answer()
                assert (refused.status_code, refused.json()["type"]) == (503, "/problems/store-unavailable")
                assert int(refused.headers["retry-after"]) >= 1
                assert (await browser.http.get("/readyz")).status_code == 503
                own_mariadb.start()
                await healthy(hub)
                assert (await phone.answer()).status_code == 200
                await soon(socket, "confirmed")
            assert (await browser.redeem()).status_code == 200
    finally:
        hub.stop()


async def healthy(hub: HubProcess) -> None:
    """Wait until the hub says that all its parts are there."""
    async with Browser(hub.url) as browser, asyncio.timeout(15):
        while True:
            with contextlib.suppress(OSError):
                answer = await browser.http.get("/readyz")
                if answer.json()["status"] == "ok":
                    return
            await asyncio.sleep(0.1)
