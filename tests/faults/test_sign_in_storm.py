"""Clients that drop requests, streams and sockets at any moment: nothing of theirs stays behind."""

import asyncio
import os

from tests.faults.storm import PEOPLE, misbehave
from tests.people import sign_in
from tests.servers.hub import HubProcess
from tests.servers.metrics import gauges
from tests.servers.waiting import until

CLIENTS = 200
SECONDS = 5.0
POOLS = 60  # connections that stay: to the database, and to and from the sandbox
GAUGES = ("hub_open_sockets", "hub_broker_watches", "hub_stream_places", "hub_store_waiting")


def files(hub: HubProcess) -> int:
    """How many file descriptors the process has open."""
    return len(os.listdir(f"/proc/{hub.pid}/fd"))


async def test_nothing_stays_behind(hub: HubProcess) -> None:
    """After the storm no socket, watcher, waiting unit, connection or file is left over, and all goes on."""
    await sign_in(hub.url)
    before, files_before = await gauges(hub), files(hub)
    storm_ends = asyncio.get_running_loop().time() + SECONDS
    await asyncio.gather(*(misbehave(hub, number, storm_ends) for number in range(CLIENTS)))

    async def calm() -> bool:
        now = await gauges(hub)
        return all(now[name] == before[name] for name in GAUGES) and files(hub) <= files_before + POOLS

    try:
        await until(calm)
    except TimeoutError:
        raise AssertionError((before, await gauges(hub), files_before, files(hub))) from None
    async with asyncio.timeout(20):
        await asyncio.gather(*(sign_in(hub.url, PEOPLE[number % 4]) for number in range(40)))
    assert hub.defects() == []
