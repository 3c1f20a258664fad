"""Redis freezes, or one process loses its way to it: on every channel the sign-in goes on, a little later."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

import pytest
from prometheus_client import REGISTRY
from websockets.asyncio.client import ClientConnection

from hub.qr.follow import Follower, Sweep
from hub.realtime.link import Timing
from hub.realtime.memory import MemoryBroker
from hub.realtime.redis import RedisBroker
from hub.store.database import Store
from tests.people import Browser, Phone, frame
from tests.scanning import Desk, Waiting
from tests.servers.hub import HubProcess
from tests.servers.proxy import Proxy, proxied
from tests.servers.redis import RedisServer
from tests.servers.waiting import until

LATE = 11.0  # seconds in which everything converges while only Redis is away: a sweep, and a bit
QUICK = Timing(heartbeat=0.1, heartbeat_timeout=0.5, backoff=0.02, backoff_limit=0.1, answer_timeout=0.3)
PROMPT = 3.0  # a sweep would take longer than that


class Scene(NamedTuple):
    """A browser at one process and a phone at another, and the fault between them."""

    browser: Browser
    phone: Phone
    begin: Callable[[], None]
    end: Callable[[], None]

    def code(self, qr_code: str | None = None) -> str:
        """The address under which the phone reaches a code at its process."""
        return f"{self.phone.url}/s/{qr_code or self.browser.attempt['qr_code']}"


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    """What is to be closed at the test's end."""
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture(params=["frozen", "browser cut off", "phone cut off"])
async def scene(
    request: pytest.FixtureRequest,
    stack: AsyncExitStack,
    tmp_path: Path,
    mariadb_url: str,
    own_redis: RedisServer,
) -> AsyncIterator[Scene]:
    """Two processes, each with a way of its own to Redis, and each fault in turn."""
    ways = [await stack.enter_async_context(proxied("127.0.0.1", own_redis.port)) for _ in range(2)]
    hubs = [hub_behind(way, tmp_path, mariadb_url) for way in ways]
    await asyncio.gather(*(asyncio.to_thread(hub.start) for hub in hubs))
    browser = await stack.enter_async_context(Browser(hubs[0].url))
    phone = await stack.enter_async_context(Phone(hubs[1].url))
    faults = {
        "frozen": (own_redis.pause, own_redis.resume),
        "browser cut off": (ways[0].black_hole, ways[0].resume),
        "phone cut off": (ways[1].black_hole, ways[1].resume),
    }
    yield Scene(browser, phone, *faults[request.param])
    for hub in hubs:
        await asyncio.to_thread(hub.stop)
        assert hub.defects() == []


def hub_behind(way: Proxy, folder: Path, database_url: str) -> HubProcess:
    """A process that reaches Redis by *way*."""
    return HubProcess(folder, DATABASE_URL=database_url, REDIS_URL=f"redis://127.0.0.1:{way.port}/0")


async def on_socket(socket: ClientConnection) -> str:
    """The next status that a socket tells."""
    status: str = (await frame(socket))["status"]
    return status


async def on_stream(lines: AsyncIterator[str]) -> str:
    """The next status that an event stream tells."""
    async for line in lines:
        if line.startswith("data:"):
            status: str = json.loads(line[5:])["status"]
            return status
    raise AssertionError("the stream has ended")


async def on_poll(browser: Browser, seq: int) -> str:
    """The next status that long polls tell."""
    while True:
        answer = await browser.status(seq=seq, wait=25)
        if answer.status_code == 200:
            status: str = answer.json()["data"]["status"]
            return status


async def within(seconds: float, *channels: Awaitable[str]) -> set[str]:
    """What the channels tell, all of them in this time."""
    async with asyncio.timeout(seconds):
        return set(await asyncio.gather(*channels))


async def test_every_channel_goes_on(scene: Scene, stack: AsyncExitStack) -> None:
    """Socket, stream and poll hear of it without Redis, and a new sign-in works; afterwards it is instant."""
    browser, phone = scene.browser, scene.phone
    await browser.begin()
    socket = await stack.enter_async_context(browser.socket())
    stream = await stack.enter_async_context(browser.http.stream("GET", browser.attempt["events_url"]))
    lines = stream.aiter_lines()
    assert await within(PROMPT, on_socket(socket), on_stream(lines)) == {"pending"}
    poll = asyncio.ensure_future(on_poll(browser, 1))
    await phone.scan(scene.code())
    assert await within(PROMPT, on_socket(socket), on_stream(lines), poll) == {"scanned"}

    scene.begin()
    poll = asyncio.ensure_future(on_poll(browser, 2))
    async with asyncio.timeout(PROMPT):
        assert (await phone.answer()).status_code == 200
    assert await within(LATE, on_socket(socket), on_stream(lines), poll) == {"confirmed"}
    async with asyncio.timeout(PROMPT):
        tokens = (await browser.redeem()).json()["data"]
        refreshed = await browser.http.post(
            "/api/token/refresh", json={"refresh_token": tokens["refresh_token"]}
        )
    assert refreshed.status_code == 200

    await browser.begin()
    async with asyncio.timeout(PROMPT):
        socket = await stack.enter_async_context(browser.socket())
        await frame(socket)
        await socket.send('{"type":"cancel"}')
        assert await on_socket(socket) == "failed"
        await socket.send('{"type":"refresh"}')
        renewed = await frame(socket)
    await phone.scan(scene.code(renewed["qr_code"]))
    assert await within(LATE, on_socket(socket)) == {"scanned"}

    scene.end()
    await until(lambda: ready(browser.url))
    await until(lambda: ready(phone.url))
    await phone.answer()
    assert await within(PROMPT, on_socket(socket)) == {"confirmed"}
    assert (await browser.redeem(renewed["session_id"])).status_code == 200


async def test_all_read_again_without_a_rush(own_redis: RedisServer, sqlite_url: str) -> None:
    """After Redis' return five hundred watchers learn what they missed by a few statements together."""
    store, broker = Store(sqlite_url), RedisBroker(own_redis.url, timing=QUICK)
    await store.start()
    await broker.start()
    desk, elsewhere = Desk(store, broker), Desk(store, MemoryBroker())
    waitings = [await desk.begin() for _ in range(500)]
    told: list[str] = []

    async def follow(waiting: Waiting) -> None:
        async with Follower(desk.attempts, waiting.session_id) as follower:
            told.append((await follower.next()).status)
            told.append((await follower.next()).status)

    following = asyncio.gather(*(follow(waiting) for waiting in waitings))
    await until(lambda: all_told(told, 500))
    own_redis.kill()
    for waiting in waitings:
        await elsewhere.cancel(waiting)
    before = readings()
    own_redis.start()
    async with asyncio.timeout(LATE):
        await following
    assert told[500:] == ["failed"] * 500
    assert readings() - before < 50
    await broker.stop()
    await store.stop()


async def test_another_process_finds_redis_later(own_redis: RedisServer, sqlite_url: str) -> None:
    """What a process tells that is still without Redis arrives soon where it is back already."""
    store, broker = Store(sqlite_url), RedisBroker(own_redis.url, timing=QUICK)
    desk, elsewhere = Desk(store, broker), Desk(store, MemoryBroker())
    sweep = Sweep(desk.attempts)
    for part in (store, broker, sweep):
        await part.start()
    waiting = await desk.begin()
    async with Follower(desk.attempts, waiting.session_id) as follower:
        assert (await follower.next()).status == "pending"
        following = asyncio.create_task(follower.next())
        own_redis.kill()
        await until(lambda: healthy(broker, False))
        await asyncio.sleep(1.5)  # for the sweeper to notice
        own_redis.start()
        await until(lambda: healthy(broker, True))
        await asyncio.sleep(0.2)  # for what is read again then; too short would only make the test milder
        await elsewhere.cancel(waiting)
        async with asyncio.timeout(PROMPT):
            assert (await following).status == "failed"
    for part in (sweep, broker, store):
        await part.stop()


async def healthy(broker: RedisBroker, is_: bool) -> bool:
    """Whether the broker is well, or is not."""
    return broker.healthy is is_


async def all_told(told: list[str], number: int) -> bool:
    """Whether so many watchers were told something."""
    return len(told) == number


def readings() -> float:
    """How many units of work the store's readers have done."""
    return REGISTRY.get_sample_value("hub_store_unit_seconds_count", {"lane": "read"}) or 0.0


async def ready(url: str) -> bool:
    """Whether a process says that all its parts are there."""
    async with Browser(url) as asking:
        told: str = (await asking.http.get("/readyz")).json()["status"]
        return told == "ok"
