"""What a whole sign-in costs the servers behind the hub: statements, round trips, commands of Redis."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests import people
from tests.people import Browser, CustomerApp, frame
from tests.servers.hub import HubProcess
from tests.servers.mariadb import MariaDB
from tests.servers.proxy import Proxy, proxied
from tests.servers.redis import RedisServer

SIGN_INS = 30
IDLE = 2.0  # seconds over which the hub's own doings are measured


class Cost(NamedTuple):
    """What has been spent: statements and round trips of SQL, and commands of Redis but for heartbeats."""

    statements: float
    round_trips: float
    commands: float

    def minus(self, other: "Cost") -> "Cost":
        """What was spent since *other*."""
        return Cost(*(now - before for now, before in zip(self, other, strict=True)))

    def times(self, factor: float) -> "Cost":
        """So many times as much."""
        return Cost(*(cost * factor for cost in self))


# Of a sign-in through the customer's app: create, socket, scan, confirm, redeem.
BUDGET = Cost(statements=18, round_trips=14, commands=6)
# What may come once more in any time than in another: the hub reads revocations and the clock; `spent` asks.
ONCE_MORE = Cost(statements=3, round_trips=2, commands=0)


class Bench(NamedTuple):
    """A hub, and the servers behind it, whose work is counted."""

    hub: HubProcess
    mariadb: MariaDB
    redis: RedisServer
    way: Proxy

    async def spent(self) -> Cost:
        """Everything since the servers' start."""
        return await asyncio.to_thread(self._spent)

    def _spent(self) -> Cost:
        [[_, questions]] = self.mariadb.execute("SHOW GLOBAL STATUS LIKE 'Questions'")
        calls = {}
        for line in self.redis.command("INFO", "commandstats").splitlines():
            name, _, figures = line.partition(":calls=")
            calls[name.removeprefix("cmdstat_")] = int(figures.partition(",")[0] or 0)
        commands = sum(calls.get(name, 0) for name in ("evalsha", "subscribe", "unsubscribe"))
        return Cost(int(questions), self.way.sent, commands)


@pytest.fixture
async def bench(tmp_path: Path, own_mariadb: MariaDB, own_redis: RedisServer) -> AsyncIterator[Bench]:
    """A hub without worker, on servers of its own."""
    own_mariadb.execute("CREATE DATABASE hub_budget")
    async with proxied("127.0.0.1", own_mariadb.port) as way:
        url = own_mariadb.url("hub_budget").replace(f":{own_mariadb.port}/", f":{way.port}/")
        hub = HubProcess(
            tmp_path,
            DATABASE_URL=url,
            DATABASE_CONNECTIONS="2",
            REDIS_URL=own_redis.url,
            MAX_SESSIONS="100",
            HUB_WORKER="off",  # its looks into the outbox are seldom, so some would count as a sign-in's
        )
        await asyncio.to_thread(hub.start)
        yield Bench(hub, own_mariadb, own_redis, way)
        await asyncio.to_thread(hub.stop)


async def test_a_sign_in_keeps_to_its_budget(bench: Bench) -> None:
    """No more of anything than is written down here, beside what the hub does while nobody signs in."""
    url, clock = bench.hub.url, asyncio.get_running_loop().time
    signed_in = await people.sign_in(url)
    async with CustomerApp(url, signed_in["access_token"]) as app, Browser(url) as browser:
        await sign_in(browser, app)
        before = await bench.spent()
        await asyncio.sleep(IDLE)  # what is measured is time without an event
        idle = (await bench.spent()).minus(before).times(1 / IDLE)
        before, begun = await bench.spent(), clock()
        for _ in range(SIGN_INS):
            await sign_in(browser, app)
        spent = (await bench.spent()).minus(before)
        beside = idle.times(clock() - begun)
    each = spent.minus(beside).minus(ONCE_MORE).times(1 / SIGN_INS)
    assert {
        name: cost for name, cost, most in zip(Cost._fields, each, BUDGET, strict=True) if cost > most
    } == {}


async def sign_in(browser: Browser, app: CustomerApp) -> None:
    """Sign in once, from the code to the tokens."""
    await browser.begin(door="app")
    async with browser.socket() as socket:
        await frame(socket)
        await app.scan(browser.attempt["qr_code"])
        await frame(socket)
        await app.answer(browser.session_id)
        assert (await frame(socket))["status"] == "confirmed"
    assert (await browser.redeem()).status_code == 200
