"""How each fault begins, and how it ends."""

import asyncio
import os
import resource
import signal
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from urllib.parse import urlsplit

import httpx2
import pymysql

from tests.faults.matrix.stage import Stage
from tests.faults.stalled import UPGRADE, stalled
from tests.faults.storm import misbehave
from tests.people import AT, Browser
from tests.servers.freezing import freeze

Play = Callable[[Stage], AsyncIterator[None]]
STORM, STORMERS = 4.0, 60
STALLED = 60


@asynccontextmanager
async def again_and_again(strike: Callable[[], Awaitable[None]], pause: float) -> AsyncIterator[None]:
    """Strike for the length of the block, with *pause* seconds in between."""
    over = False

    async def go_on() -> None:
        while not over:
            await strike()
            await asyncio.sleep(pause)

    going = asyncio.create_task(go_on())
    try:
        yield
    finally:
        over = True
        await going


async def hub_killed(stage: Stage) -> AsyncIterator[None]:
    """One of two processes dies, and is started again as an init system does."""
    await asyncio.to_thread(stage.hubs[0].kill)
    yield
    await asyncio.to_thread(stage.hubs[0].start)


async def hub_terminated(stage: Stage) -> AsyncIterator[None]:
    """One of two processes is told to go, ends in order, and is started again."""
    stage.hubs[0].terminate()
    yield
    assert await asyncio.to_thread(stage.hubs[0].wait, 25) == 0
    await asyncio.to_thread(stage.hubs[0].start)


async def hub_frozen(stage: Stage) -> AsyncIterator[None]:
    """One of two processes stands still, and goes on with what it knew."""
    await asyncio.to_thread(freeze, stage.hubs[0].pid)
    yield
    os.kill(stage.hubs[0].pid, signal.SIGCONT)


async def hubs_starved(stage: Stage) -> AsyncIterator[None]:
    """All processes get little time, a moment now and then."""

    async def starve() -> None:
        for hub in stage.hubs:
            await asyncio.to_thread(freeze, hub.pid)
        await asyncio.sleep(0.4)
        for hub in stage.hubs:
            os.kill(hub.pid, signal.SIGCONT)

    async with again_and_again(starve, 0.1):
        yield


async def no_files_left(stage: Stage) -> AsyncIterator[None]:
    """One of two processes can open no file and take no connection."""
    hub = stage.hubs[0]
    before = resource.prlimit(hub.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(hub.pid, resource.RLIMIT_NOFILE, (len(os.listdir(f"/proc/{hub.pid}/fd")), before[1]))
    yield
    resource.prlimit(hub.pid, resource.RLIMIT_NOFILE, before)


async def redis_killed(stage: Stage) -> AsyncIterator[None]:
    """Redis dies, and comes back empty."""
    await asyncio.to_thread(stage.redis.kill)
    yield
    await asyncio.to_thread(stage.redis.start)


async def redis_frozen(stage: Stage) -> AsyncIterator[None]:
    """Redis keeps its connections and answers nothing."""
    stage.redis.pause()
    yield
    stage.redis.resume()


async def redis_black_hole(stage: Stage) -> AsyncIterator[None]:
    """No byte passes between the processes and Redis, and none of them is told."""
    for way in stage.ways:
        way.black_hole()
    yield
    for way in stage.ways:
        way.resume()


async def redis_link_torn(stage: Stage) -> AsyncIterator[None]:
    """All connections to Redis break, again and again."""

    async def tear() -> None:
        for way in stage.ways:
            way.cut()
            way.resume()

    async with again_and_again(tear, 0.15):
        yield


async def redis_flushed(stage: Stage) -> AsyncIterator[None]:
    """Redis forgets everything."""
    await asyncio.to_thread(stage.redis.command, "FLUSHALL")
    yield


async def redis_full(stage: Stage) -> AsyncIterator[None]:
    """Redis answers, but refuses to write."""
    await asyncio.to_thread(stage.redis.command, "CONFIG", "SET", "maxmemory", "1")
    yield
    await asyncio.to_thread(stage.redis.command, "CONFIG", "SET", "maxmemory", "0")


async def failover(stage: Stage) -> AsyncIterator[None]:
    """A primary dies, and its replica takes over."""
    await asyncio.to_thread(stage.fail_over)
    yield
    await stage.well()


async def mariadb_killed(stage: Stage) -> AsyncIterator[None]:
    """MariaDB dies as at a power cut, and is started again."""
    await asyncio.to_thread(stage.mariadb.kill)
    yield
    await asyncio.to_thread(stage.mariadb.start)


async def mariadb_sessions_killed(stage: Stage) -> AsyncIterator[None]:
    """All connections to MariaDB are ended, again and again."""
    for _ in range(3):
        await asyncio.to_thread(stage.mariadb.execute, "KILL HARD CONNECTION USER hub")
        await asyncio.sleep(0.1)
    yield


async def mariadb_statements_killed(stage: Stage) -> AsyncIterator[None]:
    """Statements are ended by an operator, again and again."""

    async def kill() -> None:
        await asyncio.to_thread(stage.mariadb.execute, "KILL QUERY USER hub")

    async with again_and_again(kill, 0.01):
        yield


def mariadb_locked(*statements: str) -> Play:
    """Somebody else's session holds the locks of *statements*."""

    async def play(stage: Stage) -> AsyncIterator[None]:
        database = urlsplit(stage.database_url).path[1:]
        other = pymysql.connect(unix_socket=str(stage.mariadb.socket), user="root", database=database)
        with other, other.cursor() as cursor:
            for statement in statements:
                await asyncio.to_thread(cursor.execute, statement)
            yield

    return play


async def sqlite_locked(stage: Stage) -> AsyncIterator[None]:
    """Another program writes to the database's file."""
    with closing(
        sqlite3.connect(stage.database_url.removeprefix("sqlite:///"), isolation_level=None)
    ) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


async def servers_killed(stage: Stage) -> AsyncIterator[None]:
    """Redis and MariaDB die together, and come back one after the other."""
    await asyncio.gather(asyncio.to_thread(stage.redis.kill), asyncio.to_thread(stage.mariadb.kill))
    yield
    await asyncio.to_thread(stage.mariadb.start)
    await asyncio.to_thread(stage.redis.start)


async def mariadb_read_only(stage: Stage) -> AsyncIterator[None]:
    """Nothing can be written."""
    await asyncio.to_thread(stage.mariadb.execute, "SET GLOBAL read_only = 1")
    yield
    await asyncio.to_thread(stage.mariadb.execute, "SET GLOBAL read_only = 0")


async def mariadb_crowded(stage: Stage) -> AsyncIterator[None]:
    """MariaDB ends all connections, and lets in fewer than the processes may hold."""
    before = (await asyncio.to_thread(stage.mariadb.execute, "SELECT @@max_connections"))[0][0]
    fewer = ("SET GLOBAL max_connections = 10", "KILL HARD CONNECTION USER hub")
    await asyncio.to_thread(stage.mariadb.execute, *fewer)
    yield
    await asyncio.to_thread(stage.mariadb.execute, f"SET GLOBAL max_connections = {before}")


async def mariadb_stalled(stage: Stage) -> AsyncIterator[None]:
    """MariaDB keeps its connections and answers nothing."""
    stage.mariadb.pause()
    yield
    stage.mariadb.resume()


def wechat(fault: str, **members: object) -> Play:
    """Each of WeChat's answers is spoilt."""

    async def play(stage: Stage) -> AsyncIterator[None]:
        async with httpx2.AsyncClient() as http:
            for url in stage.urls:
                for path in ("/sns/oauth2/access_token", "/sns/userinfo"):
                    spoilt = {"path": path, "fault": fault, **members}
                    (await http.post(f"{url}/sandbox/faults", json=spoilt)).raise_for_status()
            yield
            for url in stage.urls:
                await http.delete(f"{url}/sandbox/faults")

    return play


def hub_clock(seconds: int) -> Play:
    """The clock of one of two processes is set wrong, and right again."""

    async def play(stage: Stage) -> AsyncIterator[None]:
        stage.hub_clock.step(seconds)
        yield
        stage.hub_clock.step(-seconds)

    return play


def database_clock(seconds: int) -> Play:
    """The database's clock is set, and stays so; in the end all processes have noticed."""

    async def play(stage: Stage) -> AsyncIterator[None]:
        stage.database_clock.step(seconds)
        yield

    return play


async def full_disk(stage: Stage) -> AsyncIterator[None]:
    """No byte can be written into any file."""
    (hub,) = stage.hubs
    before = resource.prlimit(hub.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(hub.pid, resource.RLIMIT_FSIZE, (0, before[1]))
    yield
    resource.prlimit(hub.pid, resource.RLIMIT_FSIZE, before)


async def stalled_readers(stage: Stage) -> AsyncIterator[None]:
    """Many open sockets and streams, and read nothing of them."""
    async with AsyncExitStack() as stack:
        for number in range(STALLED):
            hub = stage.hubs[number % len(stage.hubs)]
            browser = await stack.enter_async_context(Browser(hub.url))
            await browser.begin()
            channel, headers = ("ws", UPGRADE) if number % 2 else ("events", {})
            path = f"{AT}/{channel}/{browser.session_id}"
            await stack.enter_async_context(stalled(hub, path, **headers))
        yield


async def cancel_storm(stage: Stage) -> AsyncIterator[None]:
    """Many clients break off whatever they do."""
    ends = asyncio.get_running_loop().time() + STORM
    storm = asyncio.gather(
        *(misbehave(stage.hubs[number % len(stage.hubs)], number, ends) for number in range(STORMERS))
    )
    yield
    await storm
