"""`hub user`, beside a hub that runs: what an operator does reaches it at once, and is on record."""

import asyncio
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx2

from tests.code_client import Person, new_number
from tests.people import Browser, CustomerApp
from tests.problems import refused
from tests.servers.hub import HubProcess
from tests.signing_in import rows
from tests.streaming import LIMIT, AccountSocket, bearer

PROFILE = "/api/user/profile"


async def command(hub: HubProcess, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `hub user …` while the test's sockets stay alive."""
    return await asyncio.to_thread(hub.command, "user", *arguments)


async def done(hub: HubProcess, *arguments: str) -> str:
    """Run what must succeed, and return what it prints."""
    ended = await command(hub, *arguments)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


async def sign_in(hub: HubProcess, number: str | None = None) -> Mapping[str, Any]:
    """Sign in with a *number*, or as somebody new."""
    async with Person(hub.url) as person:
        return await person.sign_in(number or new_number())


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


async def records(hub: HubProcess, who: str) -> list[tuple[str, str, Any]]:
    """Return actor, action and detail of each row of the log that is about somebody."""
    found = await rows(hub.database_url, "SELECT * FROM admin_log ORDER BY id")
    return [
        (row["actor"], row["action"], json.loads(row["detail"]))
        for row in found
        if row["target"] == f"user:{who}"
    ]


async def test_ban(hub: HubProcess) -> None:
    """A ban closes the stream, and refuses token, refresh and redemption; it is on record."""
    reply = await sign_in(hub)
    who = await user_id(hub, reply)
    async with Browser(hub.url) as browser, CustomerApp(hub.url, reply["access_token"]) as app:
        await browser.begin(door="app")
        await app.scan(browser.attempt["qr_code"])
        assert (await app.answer(browser.session_id)).status_code == 200
        async with AccountSocket(hub.url, reply) as stream:
            told = await done(hub, "--actor", "ops@example", "ban", who)
            assert told == f"banned user {who}, ended 1 sessions\n"
            assert await close_code(stream) == 4501
        refused(await browser.http.get(PROFILE, headers=bearer(reply)), 401, "unauthorized")
        token = {"refresh_token": reply["refresh_token"]}
        refused(await browser.http.post("/api/token/refresh", json=token), 401, "invalid-refresh-token")
        refused(await browser.redeem(), 403, "account-blocked")
    [(actor, action, detail)] = await records(hub, who)
    assert (actor, action) == ("ops@example", "user.ban")
    assert detail == {
        "before": {"status": "active", "role": "user"},
        "sessions": [reply["session_id"]],
    }


async def test_the_end_is_an_event(hub: HubProcess) -> None:
    """What a ban ended is kept among the account's events."""
    reply = await sign_in(hub)
    who = await user_id(hub, reply)
    await done(hub, "ban", who)
    events = f"SELECT type, payload FROM account_events WHERE user_id = {int(who)} ORDER BY seq"  # noqa: S608
    last = (await rows(hub.database_url, events))[-1]
    assert last["type"] == "session.revoked"
    assert json.loads(last["payload"]) == {
        "session_id": reply["session_id"],
        "reason": "account_blocked",
    }


async def test_unban(hub: HubProcess) -> None:
    """Who was banned signs in again afterwards; neither is done twice."""
    number = new_number()
    who = await user_id(hub, await sign_in(hub, number))
    await done(hub, "ban", who)
    again = await command(hub, "ban", who)
    assert (again.returncode, again.stderr) == (1, f"hub: user {who} is banned already\n")
    assert await done(hub, "unban", who) == f"user {who} is active\n"
    assert await user_id(hub, await sign_in(hub, number)) == who
    again = await command(hub, "unban", who)
    assert (again.returncode, again.stderr) == (1, f"hub: user {who} is not banned\n")
    assert [action for _, action, _ in await records(hub, who)] == ["user.ban", "user.unban"]


async def test_role(hub: HubProcess) -> None:
    """Another role ends the sessions whose tokens name the former one."""
    reply = await sign_in(hub)
    who = await user_id(hub, reply)
    async with AccountSocket(hub.url, reply) as stream:
        assert "ended 1 sessions" in await done(hub, "role", who, "admin")
        assert await close_code(stream) == 4501
    assert f"{who}  active  admin" in await done(hub, "list", "--role", "admin")
    assert (await command(hub, "role", who, "admin")).returncode == 1
    [(_, action, detail)] = await records(hub, who)
    assert (action, detail["before"]["role"], detail["after"]) == ("user.role", "user", "admin")


async def test_revoke_one(hub: HubProcess) -> None:
    """The session that is named ends, the others run on; one of somebody else's is not found."""
    number = new_number()
    first, second, strange = await sign_in(hub, number), await sign_in(hub, number), await sign_in(hub)
    who = await user_id(hub, second)
    listed = await done(hub, "sessions", who)
    assert {line.split()[0] for line in listed.splitlines()} == {first["session_id"], second["session_id"]}
    async with AccountSocket(hub.url, first) as stream:
        await done(hub, "revoke", who, f"--session={first['session_id']}")
        assert await close_code(stream) == 4501
    assert await user_id(hub, second) == who
    missing = await command(hub, "revoke", who, f"--session={strange['session_id']}")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert len(await records(hub, who)) == 1


async def test_whoever_is_asked_for(hub_on_sqlite: HubProcess) -> None:
    """The account of a number is shown, and one that is not there is named."""
    number = new_number()
    who = await user_id(hub_on_sqlite, await sign_in(hub_on_sqlite, number))
    assert f"id             {who}\n" in await done(hub_on_sqlite, "show", f"+86{number}")
    missing = await command(hub_on_sqlite, "show", "nobody")
    assert (missing.returncode, missing.stderr) == (1, "hub: no such user: nobody\n")


async def test_list(hub_on_sqlite: HubProcess) -> None:
    """A line for each account that follows an id, as many as are asked for, of the status that is."""
    ids = [await user_id(hub_on_sqlite, await sign_in(hub_on_sqlite)) for _ in range(2)]
    before = str(int(ids[0]) - 1)
    first = await done(hub_on_sqlite, "list", "--after", before, "--limit", "1")
    assert [line.split()[0] for line in first.splitlines()] == ids[:1]
    assert await done(hub_on_sqlite, "list", "--after", before, "--status", "banned") == ""


def test_without_a_schema(tmp_path: Path) -> None:
    """A database that is not migrated is not touched, and the exit code tells."""
    told = HubProcess(tmp_path).command("user", "list")
    assert told.returncode == 3
    assert "run `hub migrate` first" in told.stderr
