"""The faults: how each begins and ends, how long it lasts, and what a client may notice of it."""

import asyncio
import os
import resource
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Literal, NamedTuple

import httpx2

from tests.faults.matrix.stage import Stage
from tests.faults.stalled import UPGRADE, stalled
from tests.faults.storm import misbehave
from tests.people import AT, Browser
from tests.servers.freezing import freeze

StageName = Literal["servers", "embedded", "clocks", "in_a_cluster", "by_sentinel"]
Play = Callable[[Stage], AsyncIterator[None]]
STEP = 300  # seconds by which a clock is set wrong
FOLLOWED = 8.0  # seconds in which the processes have noticed that the database's clock was set
STORM, STORMERS = 4.0, 60
STALLED = 60


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


class Fault(NamedTuple):
    """*lasts* seconds; *gentle* ones hold nobody up for more than a sweep, even while they last."""

    play: Play
    stage: StageName = "servers"
    lasts: float = 0.0
    gentle: bool = False
    slow: bool = True
    expires: bool = False  # an attempt may rightly expire by it
    door: str = "app"

    @asynccontextmanager
    async def acts(self, stage: Stage) -> AsyncIterator[None]:
        """Begin it, and end it again."""
        play = self.play(stage)
        await anext(play)
        try:
            yield
        finally:
            await anext(play, None)


FAULTS = {
    "hub SIGKILL": Fault(hub_killed, lasts=1),
    "hub SIGTERM": Fault(hub_terminated, lasts=1),
    "hub frozen for 6 s": Fault(hub_frozen, lasts=6),
    "Redis restart": Fault(redis_killed, gentle=True),
    "Redis away for 30 s": Fault(redis_killed, lasts=30, gentle=True),
    "Redis frozen": Fault(redis_frozen, lasts=8, gentle=True),
    "Redis link a black hole": Fault(redis_black_hole, lasts=20, gentle=True),
    "Redis flushed": Fault(redis_flushed, gentle=True, slow=False),
    "Redis full": Fault(redis_full, lasts=2, gentle=True),
    "Redis failover by sentinel": Fault(failover, stage="by_sentinel"),
    "Redis failover in a cluster": Fault(failover, stage="in_a_cluster"),
    "MariaDB restart": Fault(mariadb_killed, lasts=1),
    "MariaDB sessions killed": Fault(mariadb_sessions_killed, slow=False),
    "MariaDB read-only": Fault(mariadb_read_only, lasts=1, slow=False),
    "MariaDB crowded": Fault(mariadb_crowded, lasts=3),
    "MariaDB stalled for 5 s": Fault(mariadb_stalled, lasts=5),
    "WeChat slow": Fault(wechat("slow", seconds=10), stage="embedded", lasts=8, door="h5"),
    "WeChat 500": Fault(wechat("server_error"), stage="embedded", lasts=1, door="h5", slow=False),
    "WeChat garbage": Fault(wechat("broken_json"), stage="embedded", lasts=1, door="h5"),
    "hub clock + 5 min": Fault(hub_clock(STEP), stage="clocks", lasts=1, gentle=True),
    "hub clock - 5 min": Fault(hub_clock(-STEP), stage="clocks", lasts=1, gentle=True),
    "database clock + 5 min": Fault(database_clock(STEP), stage="clocks", lasts=FOLLOWED, expires=True),
    "database clock - 5 min": Fault(database_clock(-STEP), stage="clocks", lasts=FOLLOWED),
    "full disk": Fault(full_disk, stage="embedded", lasts=1, slow=False),
    "stalled readers": Fault(stalled_readers, lasts=2, gentle=True),
    "cancel storm": Fault(cancel_storm, lasts=STORM),
}
