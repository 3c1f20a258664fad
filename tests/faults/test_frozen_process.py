"""A process is frozen, as on a starved host, and goes on with what it knew: nobody is told of the past."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.code_client import Person, new_number
from tests.faults.test_two_processes import SOON, Pair, at, soon
from tests.people import Browser, Phone, frame
from tests.servers.freezing import freeze
from tests.servers.hub import HubProcess

WHILE = 3.0  # seconds of the freeze


@pytest.fixture
def pair(tmp_path: Path, hub_env: dict[str, str]) -> Iterator[Pair]:
    """Two processes that take each other's tokens."""
    env = {**hub_env, "JWT_ISSUER": "https://hub.example"}
    hubs = Pair(HubProcess(tmp_path, **env).start(), HubProcess(tmp_path, **env).start())
    yield hubs
    for hub in hubs:
        hub.stop()
        assert hub.defects() == []


@contextlib.contextmanager
def frozen(hub: HubProcess) -> Iterator[None]:
    """Let a process do nothing meanwhile, not even end."""
    freeze(hub.pid)
    try:
        yield
    finally:
        os.kill(hub.pid, signal.SIGCONT)


async def test_a_frozen_process_catches_up(pair: Pair) -> None:
    """It tells of what has moved meanwhile, and takes no token of a session that has ended meanwhile."""
    profile = f"{pair.first.url}/api/user/profile"
    async with (
        Browser(pair.first.url) as browser,
        Phone(pair.second.url) as phone,
        Person(pair.second.url) as person,
        httpx2.AsyncClient(timeout=30) as http,
    ):
        bearer = {"authorization": f"Bearer {(await person.sign_in(new_number()))['access_token']}"}
        assert (await http.get(profile, headers=bearer)).status_code == 200
        await browser.begin()
        async with browser.socket() as socket:
            await soon(socket, "pending")
            with frozen(pair.first):
                await phone.scan(at(pair.second, browser))
                await phone.answer()
                ended = await http.post(f"{pair.second.url}/api/logout", headers=bearer, json={})
                assert ended.status_code == 200
                asking = asyncio.create_task(http.get(profile, headers=bearer))
                await asyncio.sleep(WHILE)  # the freeze itself, not an event
            assert (await asking).status_code == 401
            async with asyncio.timeout(SOON):
                while (told := (await frame(socket))["status"]) != "confirmed":
                    assert told == "scanned"
        assert (await browser.redeem()).status_code == 200
