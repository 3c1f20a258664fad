"""A process that starts later refuses the access tokens of sessions that have ended before."""

from collections.abc import Mapping
from pathlib import Path

import httpx2
import pytest

from tests.people import sign_in
from tests.servers.hub import HubProcess
from tests.servers.waiting import until


async def ask(hub: HubProcess, tokens: Mapping[str, str], method: str, path: str) -> int:
    """The status of a call with an access token."""
    async with httpx2.AsyncClient(base_url=hub.url) as http:
        answer = await http.request(
            method, path, headers={"authorization": f"Bearer {tokens['access_token']}"}
        )
        return answer.status_code


@pytest.fixture(params=["embedded", "servers"])
def env(request: pytest.FixtureRequest) -> dict[str, str]:
    """The settings of all processes: SQLite and no Redis, or MariaDB and Redis."""
    found: dict[str, str] = request.getfixturevalue("hub_env") if request.param == "servers" else {}
    return {**found, "JWT_ISSUER": "https://hub.example"}  # by default each process's own address


async def test_what_ended_before_stays_ended(tmp_path: Path, env: dict[str, str]) -> None:
    """By the account's deletion, by a ban and by signing out; who did none of that is let in."""
    first = HubProcess(tmp_path, **env).start()
    tokens = {name: await sign_in(first.url, name) for name in ("alice", "bob", "emoji", "noavatar")}
    assert await ask(first, tokens["alice"], "DELETE", "/api/user") == 200
    assert await ask(first, tokens["bob"], "POST", "/api/logout") == 200
    emoji = str((await profile(first, tokens["emoji"]))["id"])
    banned = first.command("user", "ban", emoji)
    assert banned.returncode == 0, banned.stderr

    async def refused() -> bool:
        return await ask(first, tokens["emoji"], "GET", "/api/sessions") == 401

    await until(refused)
    first.stop()
    later = HubProcess(tmp_path, **env).start()
    try:
        for name in ("alice", "bob", "emoji"):
            assert await ask(later, tokens[name], "GET", "/api/sessions") == 401, name
        assert await ask(later, tokens["noavatar"], "GET", "/api/sessions") == 200
    finally:
        later.stop()


async def test_a_deletion_elsewhere_is_learnt(tmp_path: Path, hub_env: dict[str, str]) -> None:
    """A process beside the one that deletes refuses the tokens, and so does one that starts afterwards."""
    env = {**hub_env, "JWT_ISSUER": "https://hub.example"}
    here, there = HubProcess(tmp_path, **env).start(), HubProcess(tmp_path, **env).start()
    tokens = await sign_in(here.url)
    assert await ask(there, tokens, "GET", "/api/sessions") == 200
    assert await ask(here, tokens, "DELETE", "/api/user") == 200

    async def refused() -> bool:
        return await ask(there, tokens, "GET", "/api/sessions") == 401

    await until(refused)
    afterwards = HubProcess(tmp_path, **env).start()
    try:
        assert await ask(afterwards, tokens, "GET", "/api/sessions") == 401
    finally:
        for process in (here, there, afterwards):
            process.stop()


async def profile(hub: HubProcess, tokens: Mapping[str, str]) -> Mapping[str, object]:
    """The profile of who is signed in."""
    async with httpx2.AsyncClient(base_url=hub.url) as http:
        headers = {"authorization": f"Bearer {tokens['access_token']}"}
        found: Mapping[str, object] = (await http.get("/api/user/profile", headers=headers)).json()["data"]
        return found
