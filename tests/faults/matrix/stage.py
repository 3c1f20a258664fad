"""Where the cells are played: hub processes on servers of their own, and what both hold in reserve."""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx2
import pytest

from tests.code_client import Person, new_number
from tests.people import sign_in
from tests.servers.hub import HubProcess
from tests.servers.mariadb import MariaDB
from tests.servers.metrics import gauges
from tests.servers.proxy import Proxy, proxied
from tests.servers.redis import RedisServer
from tests.servers.waiting import until

GAUGES = ("hub_open_sockets", "hub_broker_watches", "hub_stream_places", "hub_store_waiting", "hub_tasks")
SPARE_TASKS = 4  # timers come and go
SPARE_FILES = 30  # connections that a pool opens at need and keeps
_PRELOADS = [Path(f"/usr/lib/{os.uname().machine}-linux-gnu/faketime/libfaketimeMT.so.1")]


class Clock:
    """The wall clock of processes that were started with `environment`; their monotonic one is left alone."""

    def __init__(self, folder: Path) -> None:
        library = next((path for path in _PRELOADS if path.exists()), None)
        if library is None:
            complain = pytest.fail if os.environ.get("HUB_TEST_REQUIRE_ALL") == "1" else pytest.skip
            complain("libfaketime is not installed")
        self._file = folder / "clock"
        self._off = 0
        self.step(0)
        self.environment = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def step(self, seconds: int) -> None:
        """Move it by so much, from one moment to the next."""
        self._off += seconds
        successor = self._file.with_suffix(".new")
        successor.write_text(f"{self._off:+d}\n", "ascii")
        successor.chmod(0o644)
        successor.replace(self._file)


class Stage:
    """*hubs* on one database. Redis, the ways to it, MariaDB and the clocks are there where they are used."""

    def __init__(self, hubs: Sequence[HubProcess]) -> None:
        self.hubs = hubs
        self.redis: RedisServer
        self.ways: Sequence[Proxy] = ()
        self.mariadb: MariaDB
        self.hub_clock: Clock
        self.database_clock: Clock
        self.fail_over: Callable[[], None]
        self.access_token = ""
        self._calm: list[dict[str, float]] = []

    @property
    def urls(self) -> list[str]:
        """The addresses of all hubs."""
        return [hub.url for hub in self.hubs]

    @property
    def database_url(self) -> str:
        """The database they share."""
        return self.hubs[0].database_url

    async def warm(self) -> None:
        """Open all pools, and note what the processes hold then."""
        await self.begin()
        for url in self.urls:
            await asyncio.gather(*(sign_in(url) for _ in range(16)))
        self._calm = [await _held(hub) for hub in self.hubs]

    async def begin(self) -> None:
        """Sign somebody in for the app, whose token is of now, whatever the clock has been."""
        async with Person(self.urls[0]) as person:
            signed_in = await person.sign_in(new_number())
        self.access_token = signed_in["access_token"]

    async def well(self) -> None:
        """Wait until each process says that all its parts are there."""

        async def ready() -> bool:
            async with httpx2.AsyncClient(timeout=5) as http:
                for url in self.urls:
                    try:
                        answer = await http.get(f"{url}/readyz")
                    except httpx2.TransportError:
                        return False
                    if answer.status_code != 200 or answer.json()["status"] != "ok":
                        return False
            return True

        await until(ready, timeout=30)

    async def nothing_left(self) -> None:
        """Wait until no process holds more than it did when it was warm."""

        async def calm() -> bool:
            return not await self._surplus()

        try:
            await until(calm, timeout=30)
        except TimeoutError:
            raise AssertionError(await self._surplus()) from None

    async def _surplus(self) -> list[str]:
        found = []
        for hub, before in zip(self.hubs, self._calm, strict=True):
            for name, now in (await _held(hub)).items():
                spare = {"hub_tasks": SPARE_TASKS, "files": SPARE_FILES}.get(name, 0)
                if now > before[name] + spare:
                    found.append(f"{hub.url}: {name} {before[name]:.0f} -> {now:.0f}")
        return found


async def _held(hub: HubProcess) -> dict[str, float]:
    """What a process holds: its gauges, and its open files."""
    told = await gauges(hub)
    return {name: told.get(name, 0.0) for name in GAUGES} | {
        "files": float(len(os.listdir(f"/proc/{hub.pid}/fd")))
    }


@asynccontextmanager
async def running(stage: Stage) -> AsyncIterator[Stage]:
    """Start the hubs of a stage, and stop them; no mistake of their own may stand in their logs."""
    async with AsyncExitStack() as stack:
        for hub in stage.hubs:
            await asyncio.to_thread(hub.start)
            stack.push_async_callback(asyncio.to_thread, hub.stop)
        await stage.warm()
        yield stage
    for hub in stage.hubs:
        assert hub.defects() == []


@asynccontextmanager
async def on_servers(
    env: Sequence[dict[str, str]], folder: Path, mariadb: MariaDB, redis: RedisServer
) -> AsyncIterator[Stage]:
    """A process on MariaDB and Redis for each of *env*, each with a way of its own to Redis."""
    async with AsyncExitStack() as stack:
        ways = [await stack.enter_async_context(proxied("127.0.0.1", redis.port)) for _ in env]
        urls = [{"REDIS_URL": f"redis://127.0.0.1:{way.port}/0"} for way in ways]
        stage = Stage(_hubs(folder, mariadb, [{**own, **url} for own, url in zip(env, urls, strict=True)]))
        stage.redis, stage.ways, stage.mariadb = redis, ways, mariadb
        yield await stack.enter_async_context(running(stage))


@asynccontextmanager
async def beside(mariadb: MariaDB, folder: Path, redis_url: str) -> AsyncIterator[Stage]:
    """Two processes on MariaDB and a Redis of several servers."""
    async with running(Stage(_hubs(folder, mariadb, [{"REDIS_URL": redis_url}] * 2))) as stage:
        yield stage


def _hubs(folder: Path, mariadb: MariaDB, env: Sequence[dict[str, str]]) -> list[HubProcess]:
    name = f"hub_{uuid.uuid4().hex[:12]}"
    mariadb.execute(f"CREATE DATABASE {name}")
    shared = {"DATABASE_URL": mariadb.url(name), "MAX_SESSIONS": "1000", "JWT_ISSUER": "https://hub.example"}
    return [HubProcess(folder, **{**shared, **own}) for own in env]
