"""Attacks on a real process: its memory stays bounded, and people go on signing in beside them."""

import asyncio
import json
import os
import re
import statistics
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.attacks.attacker import ATTACKS
from tests.people import Browser, sign_in
from tests.servers.hub import HubProcess
from tests.servers.metrics import gauges
from tests.servers.waiting import until

SECONDS = 6.0
PEAK = 64 * 1024  # KiB that an attack may cost while it lasts: 400 connections at 64 KiB, and their garbage
LEFT = 24 * 1024  # KiB that may stay, as the allocator keeps what it once had
GAUGES = ("hub_open_sockets", "hub_broker_watches", "hub_stream_places", "hub_store_waiting")


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    """A process in the embedded default, without rate limits: nothing but its own bounds protects it."""
    process = HubProcess(tmp_path_factory.mktemp("hub"), MAX_SESSIONS="1000").start()
    yield process
    process.stop()
    assert process.defects() == []


def memory(hub: HubProcess) -> int:
    """What the process holds, in KiB (proportional set size)."""
    found = re.search(r"^Pss:\s+(\d+) kB$", Path(f"/proc/{hub.pid}/smaps_rollup").read_text("ascii"), re.M)
    assert found
    return int(found[1])


def files(hub: HubProcess) -> int:
    """How many files it has open."""
    return len(os.listdir(f"/proc/{hub.pid}/fd"))


async def sign_in_until(hub: HubProcess, over: asyncio.Event) -> tuple[list[float], int]:
    """Sign in again and again; return the seconds of each time, and the most memory that was seen."""
    clock = asyncio.get_running_loop().time
    taken: list[float] = []
    peak = 0
    while not over.is_set():
        begun = clock()
        await sign_in(hub.url)
        taken.append(clock() - begun)
        peak = max(peak, memory(hub))
    return taken, peak


@pytest.mark.slow
@pytest.mark.parametrize("name", ATTACKS)
async def test_attack(hub: HubProcess, name: str, record_property: Callable[[str, object], None]) -> None:
    """Whoever signs in beside it gets through, memory is bounded, and nothing is left of it."""
    for _ in range(3):
        await sign_in(hub.url)
    before, held, open_files = memory(hub), await gauges(hub), files(hub)
    record_property("table", "Attacks")
    record_property("attack", name)
    async with Browser(hub.url) as browser:
        session_id = (await browser.begin())["session_id"]
    over = asyncio.Event()
    signing_in = asyncio.create_task(sign_in_until(hub, over))
    attacker = await asyncio.create_subprocess_exec(
        *(
            sys.executable,
            "-m",
            "tests.faults.attacks.attacker",
            name,
            str(hub.port),
            str(SECONDS),
            session_id,
        ),
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )
    told, _ = await attacker.communicate()
    over.set()
    taken, peak = await signing_in
    assert attacker.returncode == 0

    async def calm() -> bool:
        now = await gauges(hub)
        return all(now[gauge] <= held[gauge] for gauge in GAUGES) and files(hub) <= open_files + 8

    await until(calm, timeout=30)
    seen = json.loads(told)
    record_property("seen", ", ".join(f"{what} {count}" for what, count in seen.items()))
    record_property("sign-ins beside", len(taken))
    record_property("median, s", round(statistics.median(taken), 2))
    record_property("slowest, s", round(max(taken), 2))
    record_property("memory before, KiB", before)
    record_property("peak", f"{peak - before:+d}")
    record_property("after", f"{memory(hub) - before:+d}")
    assert seen
    assert peak - before <= PEAK
    assert memory(hub) - before <= LEFT
