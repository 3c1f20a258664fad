"""The database's clock is set while two processes run, which notice one after the other."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.code_client import Person, new_number
from tests.faults.matrix.stage import Clock
from tests.servers.hub import HubProcess
from tests.servers.mariadb import launch

NOTICED = "database_clock_set"
TRIES = 5


class Pair(NamedTuple):
    """Two processes, and the clock of their database."""

    first: HubProcess
    second: HubProcess
    clock: Clock

    def noticed(self, times: int) -> int:
        """How many of them know of the new time, which has been set so often."""
        return sum(hub.log().count(NOTICED) >= times for hub in (self.first, self.second))


@pytest.fixture
def pair(tmp_path: Path, redis_url: str, redis_prefix: str) -> Iterator[Pair]:
    """Both on one MariaDB and one Redis."""
    with tempfile.TemporaryDirectory(prefix="hub-mariadb-") as folder:
        clock = Clock(Path(folder))
        server = launch(Path(folder), environment=clock.environment)
        server.execute("CREATE DATABASE hub_clock")
        env = {"REDIS_URL": redis_url, "REDIS_KEY_PREFIX": redis_prefix, "JWT_ISSUER": "https://hub.example"}
        hubs = [HubProcess(tmp_path, DATABASE_URL=server.url("hub_clock"), **env).start() for _ in range(2)]
        yield Pair(hubs[0], hubs[1], clock)
        for hub in hubs:
            hub.stop()
        server.stop()


@pytest.mark.parametrize("seconds", [300, -300])
async def test_an_honest_repeat_is_no_theft(pair: Pair, seconds: int) -> None:
    """A token renewed at both processes gives one successor, whichever of them knows of the new time."""
    async with Person(pair.first.url) as person:
        token = (await person.sign_in(new_number()))["refresh_token"]
        torn = False

        async def renew(hub: HubProcess) -> str:
            answer = await person.http.post(f"{hub.url}/api/token/refresh", json={"refresh_token": token})
            assert answer.status_code == 200, answer.text
            successor: str = answer.json()["data"]["refresh_token"]
            return successor

        for times in range(1, TRIES + 1):  # both may notice between two renewals
            pair.clock.step(seconds)
            while pair.noticed(times) < 2:
                for hubs in ((pair.first, pair.second), (pair.second, pair.first)):
                    successor = await renew(hubs[0])
                    torn |= pair.noticed(times) == 1
                    assert await renew(hubs[1]) == successor
                    token = successor
            if torn:
                break
        assert torn
        successor = await renew(pair.first)
        assert await renew(pair.second) == successor
