"""`hub user`, beside a hub that runs: what an operator does reaches it at once, and is on record."""

import asyncio
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.people import Browser, Phone, sign_in
from tests.problems import refused
from tests.servers.hub import HubProcess
from tests.signing_in import execute, rows
from tests.streaming import LIMIT, AccountSocket, bearer

PROFILE = "/api/user/profile"


@pytest.fixture(params=["embedded", "servers"])
def own_hub(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[HubProcess]:
    """A hub whose accounts nobody else uses, on each pair of back ends in turn."""
    env = {} if request.param == "embedded" else request.getfixturevalue("hub_env")
    process = HubProcess(tmp_path, **env).start()
    yield process
    process.stop()
    assert process.defects() == []


async def command(hub: HubProcess, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `hub user …` while the test's sockets stay alive."""
    return await asyncio.to_thread(hub.command, "user", *arguments)


async def done(hub: HubProcess, *arguments: str) -> str:
    """Run what must succeed, and return what it prints."""
    ended = await command(hub, *arguments)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


async def user_id(hub: HubProcess, reply: Any) -> str:
    """Return the id of who signed in."""
    async with httpx2.AsyncClient(base_url=hub.url) as http:
        answer = await http.get(PROFILE, headers=bearer(reply))
    assert answer.status_code == 200, answer.text
    return str(answer.json()["data"]["id"])


async def close_code(stream: AccountSocket) -> int | None:
    """Wait for the hub to close the stream, and return its code."""
    async with asyncio.timeout(LIMIT):
        await stream.socket.wait_closed()
    return stream.socket.close_code


async def records(hub: HubProcess) -> list[tuple[str, str, str, Any]]:
    """Return actor, action, target and detail of each row of the log."""
    found = await rows(hub.database_url, "SELECT * FROM admin_log ORDER BY id")
    return [(row["actor"], row["action"], row["target"], json.loads(row["detail"])) for row in found]


async def test_ban(own_hub: HubProcess) -> None:
    """A ban closes the stream, and refuses token, refresh and redemption; it is on record."""
    reply = await sign_in(own_hub.url, "alice")
    who = await user_id(own_hub, reply)
    async with Browser(own_hub.url) as browser, Phone(own_hub.url, "alice") as phone:
        await browser.begin()
        await phone.scan(browser.attempt["qr_content"])
        assert (await phone.answer()).status_code == 200
        async with AccountSocket(own_hub.url, reply) as stream:
            told = await done(own_hub, "--actor", "ops@example", "ban", who)
            assert told == f"banned user {who}, ended 1 sessions\n"
            assert await close_code(stream) == 4501
        refused(await browser.http.get(PROFILE, headers=bearer(reply)), 401, "unauthorized")
        token = {"refresh_token": reply["refresh_token"]}
        refused(await browser.http.post("/api/token/refresh", json=token), 401, "invalid-refresh-token")
        refused(await browser.redeem(), 403, "account-blocked")
    [(actor, action, target, detail)] = await records(own_hub)
    assert (actor, action, target) == ("ops@example", "user.ban", f"user:{who}")
    assert detail == {
        "before": {"status": "active", "role": "user"},
        "sessions": [reply["session_id"]],
    }


async def test_the_end_is_an_event(own_hub: HubProcess) -> None:
    """What a ban ended is kept among the account's events."""
    reply = await sign_in(own_hub.url, "alice")
    await done(own_hub, "ban", await user_id(own_hub, reply))
    found = await rows(own_hub.database_url, "SELECT type, payload FROM account_events ORDER BY seq DESC")
    assert found[0]["type"] == "session.revoked"
    assert json.loads(found[0]["payload"]) == {
        "session_id": reply["session_id"],
        "reason": "account_blocked",
    }


async def test_unban(own_hub: HubProcess) -> None:
    """Who was banned signs in again afterwards; neither is done twice."""
    who = await user_id(own_hub, await sign_in(own_hub.url, "alice"))
    await done(own_hub, "ban", who)
    again = await command(own_hub, "ban", who)
    assert (again.returncode, again.stderr) == (1, f"hub: user {who} is banned already\n")
    assert await done(own_hub, "unban", who) == f"user {who} is active\n"
    assert await user_id(own_hub, await sign_in(own_hub.url, "alice")) == who
    again = await command(own_hub, "unban", who)
    assert (again.returncode, again.stderr) == (1, f"hub: user {who} is not banned\n")
    assert [action for _, action, _, _ in await records(own_hub)] == ["user.ban", "user.unban"]


async def test_role(own_hub: HubProcess) -> None:
    """Another role ends the sessions whose tokens name the former one."""
    reply = await sign_in(own_hub.url, "alice")
    who = await user_id(own_hub, reply)
    async with AccountSocket(own_hub.url, reply) as stream:
        assert "ended 1 sessions" in await done(own_hub, "role", who, "admin")
        assert await close_code(stream) == 4501
    assert f"{who}  active  admin" in await done(own_hub, "list", "--role", "admin")
    assert (await command(own_hub, "role", who, "admin")).returncode == 1
    [(_, action, _, detail)] = await records(own_hub)
    assert (action, detail["before"]["role"], detail["after"]) == ("user.role", "user", "admin")


async def test_revoke_one(own_hub: HubProcess) -> None:
    """The session that is named ends, the others run on; one of somebody else's is not found."""
    first, second = await sign_in(own_hub.url, "alice"), await sign_in(own_hub.url, "alice")
    strange = await sign_in(own_hub.url, "bob")
    who = await user_id(own_hub, second)
    listed = await done(own_hub, "sessions", who)
    assert {line.split()[0] for line in listed.splitlines()} == {first["session_id"], second["session_id"]}
    async with AccountSocket(own_hub.url, first) as stream:
        await done(own_hub, "revoke", who, f"--session={first['session_id']}")
        assert await close_code(stream) == 4501
    assert await user_id(own_hub, second) == who
    missing = await command(own_hub, "revoke", who, f"--session={strange['session_id']}")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert len(await records(own_hub)) == 1


async def test_whoever_is_asked_for(own_hub: HubProcess) -> None:
    """An account is found by id, number, address and username, and nobody else is."""
    who = await user_id(own_hub, await sign_in(own_hub.url, "alice"))
    await execute(
        own_hub.database_url,
        "UPDATE users SET phone = '+8613800138000', email = 'li@example.com', username = 'li.lei'"
        " WHERE id = :id",
        id=int(who),
    )
    for name in (who, "+8613800138000", "Li@Example.com", "Li.Lei"):
        assert f"id             {who}\n" in await done(own_hub, "show", name)
    for name in ("999999", "+8613800138001", "no@example.com", "nobody", "?"):
        missing = await command(own_hub, "show", name)
        assert (missing.returncode, missing.stderr) == (1, f"hub: no such user: {name}\n")


async def test_list_goes_on_after_an_id(own_hub: HubProcess) -> None:
    """Pages follow by id, and a filter keeps the others out."""
    ids = [await user_id(own_hub, await sign_in(own_hub.url, person)) for person in ("alice", "bob")]
    first = await done(own_hub, "list", "--limit", "1")
    assert [line.split()[0] for line in first.splitlines()] == ids[:1]
    second = await done(own_hub, "list", "--after", ids[0])
    assert [line.split()[0] for line in second.splitlines()] == ids[1:]
    assert await done(own_hub, "list", "--status", "banned") == ""


def test_without_a_schema(tmp_path: Path) -> None:
    """A database that is not migrated is not touched, and the exit code tells."""
    told = HubProcess(tmp_path).command("user", "list")
    assert told.returncode == 3
    assert "run `hub migrate` first" in told.stderr
