"""What administrators do to accounts over HTTP: who may, what comes of it, and what is put on record."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.people import Browser, Phone, sign_in
from tests.problems import refused
from tests.servers.hub import HubProcess
from tests.signing_in import execute, rows
from tests.streaming import AccountSocket, bearer
from tests.watching import USERS, make_operator, user_id

RACERS = 8


@pytest.fixture(params=["embedded", "servers"])
def own_hub(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[HubProcess]:
    """A hub whose accounts nobody else uses, on each pair of back ends in turn."""
    env = {} if request.param == "embedded" else request.getfixturevalue("hub_env")
    process = HubProcess(tmp_path, **env).start()
    yield process
    process.stop()
    assert process.defects() == []


class Operator:
    """An administrator's client."""

    def __init__(self, hub: HubProcess, reply: Mapping[str, Any], http: httpx2.AsyncClient) -> None:
        self.hub, self.reply, self.http = hub, reply, http

    async def ban(self, who: int, reason: str = "spam") -> httpx2.Response:
        """Ban an account."""
        return await self.http.post(f"{USERS}/{who}/ban", json={"reason": reason})

    async def found(self, query: str, **more: object) -> list[int]:
        """The ids of the accounts that a search finds."""
        params = {"query": query, **{name: str(value) for name, value in more.items()}}
        answer = await self.http.get(USERS, params=params)
        assert answer.status_code == 200, answer.text
        return [user["id"] for user in answer.json()["data"]["users"]]

    async def records(self) -> list[tuple[str, str, str, Any]]:
        """Actor, action, target and detail of each row of the log."""
        found = await rows(self.hub.database_url, "SELECT * FROM admin_log ORDER BY id")
        return [(row["actor"], row["action"], row["target"], json.loads(row["detail"])) for row in found]


@pytest.fixture
async def operator(own_hub: HubProcess) -> AsyncIterator[Operator]:
    """Alice, who is an administrator."""
    reply = await make_operator(own_hub)
    async with httpx2.AsyncClient(base_url=own_hub.url, headers=bearer(reply), timeout=20) as http:
        yield Operator(own_hub, reply, http)


async def test_ban_and_unban(own_hub: HubProcess, operator: Operator) -> None:
    """A ban ends sessions, sockets and tokens at once; both changes are on record with their reason."""
    reply = await sign_in(own_hub.url, "bob")
    bob, alice = await user_id(own_hub, reply), await user_id(own_hub, operator.reply)
    async with AccountSocket(own_hub.url, reply) as stream:
        assert (await operator.ban(bob, "发广告")).json()["data"] == {"ended": 1}
        assert (await stream.frame())["data"]["reason"] == "account_blocked"
        assert await stream.closed() == 4501
    async with httpx2.AsyncClient(base_url=own_hub.url) as http:
        refused(await http.get("/api/user/profile", headers=bearer(reply)), 401, "unauthorized")
        token = {"refresh_token": reply["refresh_token"]}
        refused(await http.post("/api/token/refresh", json=token), 401, "invalid-refresh-token")
    refused(await operator.ban(bob), 409, "conflict")
    unbanned = await operator.http.post(f"{USERS}/{bob}/unban", json={"reason": "sorry"})
    assert unbanned.status_code == 200
    refused(await operator.http.post(f"{USERS}/{bob}/unban", json={"reason": "x"}), 409, "conflict")
    assert await user_id(own_hub, await sign_in(own_hub.url, "bob")) == bob
    (ban, unban) = await operator.records()
    assert ban[:3] == (f"user:{alice}", "user.ban", f"user:{bob}")
    assert (ban[3]["reason"], ban[3]["sessions"]) == ("发广告", [reply["session_id"]])
    assert unban == (
        f"user:{alice}",
        "user.unban",
        f"user:{bob}",
        {"before": "banned", "after": "active", "reason": "sorry"},
    )


async def test_nobody_bans_themselves(own_hub: HubProcess, operator: Operator) -> None:
    """It is refused, and the administrator stays signed in."""
    alice = await user_id(own_hub, operator.reply)
    refused(await operator.ban(alice), 403, "forbidden")
    assert await user_id(own_hub, operator.reply) == alice
    assert await operator.records() == []


async def test_ending_sessions(own_hub: HubProcess, operator: Operator) -> None:
    """One session or all of them end, their sockets too; the list shows those that run."""
    first, second = await sign_in(own_hub.url, "bob"), await sign_in(own_hub.url, "bob")
    bob = await user_id(own_hub, first)
    path = f"{USERS}/{bob}/sessions"
    listed = (await operator.http.get(path)).json()["data"]["sessions"]
    assert [each["id"] for each in listed] == [second["session_id"], first["session_id"]]
    assert not any(each["current"] for each in listed)
    async with AccountSocket(own_hub.url, first) as one, AccountSocket(own_hub.url, second) as other:
        ended = await operator.http.delete(f"{path}/{first['session_id']}")
        assert ended.json()["data"] == {"ended": 1}
        assert (await one.frame())["data"]["reason"] == "administrator"
        assert await one.closed() == 4501
        assert await user_id(own_hub, second) == bob
        assert (await operator.http.delete(path)).json()["data"] == {"ended": 1}
        assert {(await other.frame())["type"], (await other.frame())["type"]} == {"session.revoked"}
        assert await other.closed() == 4501
    refused(await operator.http.delete(f"{path}/{first['session_id']}"), 404, "not-found")
    assert (await operator.http.get(path)).json()["data"]["sessions"] == []
    assert [action for _, action, _, _ in await operator.records()] == ["user.revoke", "user.revoke"]


async def test_search(own_hub: HubProcess, operator: Operator) -> None:
    """By id, number as it is typed, address and username as a whole, and by how a nickname begins."""
    bob = await user_id(own_hub, await sign_in(own_hub.url, "bob"))
    await execute(
        own_hub.database_url,
        "UPDATE users SET phone = '+8613800138000', email = 'li@example.com', username = 'li.lei',"
        " nickname = '李雷 100%_!' WHERE id = :id",
        id=bob,
    )
    for text in (
        str(bob),
        "+8613800138000",
        "138 0013 8000",
        "Li@Example.com",
        "Li.Lei",
        "李",
        "李雷 100%_!",
    ):
        assert await operator.found(text) == [bob], text
    for text in ("999999", "13800138001", "i@example.com", "li.le", "雷", "%", "_", "李雷 100%_!!", "!"):
        assert await operator.found(text) == [], text


async def test_search_pages(own_hub: HubProcess, operator: Operator) -> None:
    """Pages follow by id, with a search and without one, and the last one says so."""
    people = ("alice", "bob", "noavatar", "emoji")
    ids = sorted([await user_id(own_hub, await sign_in(own_hub.url, person)) for person in people])
    await execute(own_hub.database_url, "UPDATE users SET nickname = 'Same'")
    for query in ("", "same"):
        found: list[int] = []
        cursor: dict[str, str] = {}
        for expected in (3, 1):
            params = {"query": query, "limit": "3", **cursor}
            page = (await operator.http.get(USERS, params=params)).json()["data"]
            assert len(page["users"]) == expected
            found += [user["id"] for user in page["users"]]
            cursor = {"cursor": page["next_cursor"]}
        assert page["next_cursor"] is None
        assert found == ids


@pytest.mark.parametrize(
    "query", [{"limit": "0"}, {"limit": "101"}, {"cursor": "x"}, {"cursor": "-1"}, {"query": "x" * 255}]
)
async def test_bad_search(hub_on_sqlite: HubProcess, query: dict[str, str]) -> None:
    """It is refused."""
    reply = await make_operator(hub_on_sqlite)
    async with httpx2.AsyncClient(base_url=hub_on_sqlite.url, headers=bearer(reply)) as http:
        refused(await http.get(USERS, params=query), 422, "invalid-request")


@pytest.mark.parametrize("body", [{}, {"reason": ""}, {"reason": "  "}, {"reason": "x" * 201}, {"reason": 1}])
async def test_a_ban_needs_a_reason(hub_on_sqlite: HubProcess, body: dict[str, object]) -> None:
    """Without one that says something nothing is done."""
    reply = await make_operator(hub_on_sqlite)
    async with httpx2.AsyncClient(base_url=hub_on_sqlite.url, headers=bearer(reply)) as http:
        refused(await http.post(f"{USERS}/1/ban", json=body), 422, "invalid-request")


CALLS = [
    ("GET", USERS),
    ("POST", f"{USERS}/1/ban"),
    ("POST", f"{USERS}/1/unban"),
    ("GET", f"{USERS}/1/sessions"),
    ("DELETE", f"{USERS}/1/sessions"),
    ("DELETE", f"{USERS}/1/sessions/x"),
]


@pytest.mark.parametrize(("method", "path"), CALLS)
async def test_only_administrators(hub_on_sqlite: HubProcess, method: str, path: str) -> None:
    """Others get 403, and those who show no token 401."""
    reply = await sign_in(hub_on_sqlite.url, "bob")
    async with httpx2.AsyncClient(base_url=hub_on_sqlite.url) as http:
        refused(await http.request(method, path), 401, "unauthorized")
        refused(await http.request(method, path, headers=bearer(reply)), 403, "forbidden")


@pytest.mark.parametrize("who", ["999999", "0", "x", "+8613800138000", "li@example.com", "1" * 30])
async def test_unknown_accounts(hub_on_sqlite: HubProcess, who: str) -> None:
    """They are not found, and a path names accounts by id alone."""
    reply = await make_operator(hub_on_sqlite)
    async with httpx2.AsyncClient(base_url=hub_on_sqlite.url, headers=bearer(reply)) as http:
        refused(await http.post(f"{USERS}/{who}/ban", json={"reason": "x"}), 404, "not-found")
        refused(await http.get(f"{USERS}/{who}/sessions"), 404, "not-found")


async def test_the_role_is_the_databases(own_hub: HubProcess, operator: Operator) -> None:
    """A token that still says `admin` does not help whose role is gone."""
    alice = await user_id(own_hub, operator.reply)
    await execute(own_hub.database_url, "UPDATE users SET role = 'user' WHERE id = :id", id=alice)
    refused(await operator.http.get(USERS), 403, "forbidden")
    refused(await operator.ban(alice + 1), 403, "forbidden")


async def test_two_who_ban_each_other(own_hub: HubProcess, operator: Operator) -> None:
    """One wins, the other is an administrator no more: there is always one left."""
    other = await make_operator(own_hub, "bob")
    alice, bob = await user_id(own_hub, operator.reply), await user_id(own_hub, other)
    async with httpx2.AsyncClient(base_url=own_hub.url, headers=bearer(other), timeout=20) as http:
        answers = await asyncio.gather(
            operator.ban(bob), http.post(f"{USERS}/{alice}/ban", json={"reason": "spam"})
        )
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses[0] == 200
    assert statuses[1] in (401, 403)
    found = await rows(own_hub.database_url, "SELECT status FROM users ORDER BY status")
    assert [row["status"] for row in found] == ["active", "banned"]
    assert len(await operator.records()) == 1


async def test_parallel_bans_are_one(own_hub: HubProcess, operator: Operator) -> None:
    """Of many at once one does it; it is on record once."""
    bob = await user_id(own_hub, await sign_in(own_hub.url, "bob"))
    answers = await asyncio.gather(*(operator.ban(bob) for _ in range(RACERS)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * (RACERS - 1)
    assert len(await operator.records()) == 1


async def test_ban_while_signing_in(own_hub: HubProcess, operator: Operator) -> None:
    """Whoever is banned while several browsers redeem has no token that works afterwards, and no session."""
    bob = await user_id(own_hub, await sign_in(own_hub.url, "bob"))
    browsers = [Browser(own_hub.url) for _ in range(RACERS)]
    try:
        for browser in browsers:
            async with Phone(own_hub.url, "bob") as phone:
                await browser.begin()
                await phone.scan(browser.attempt["qr_content"])
                assert (await phone.answer()).status_code == 200
        banned, *redeemed = await asyncio.gather(
            operator.ban(bob), *(browser.redeem() for browser in browsers)
        )
        assert banned.status_code == 200
        for browser, answer in zip(browsers, redeemed, strict=True):
            if answer.status_code != 200:
                refused(answer, 403, "account-blocked")
                continue
            reply = answer.json()["data"]
            profile = await browser.http.get("/api/user/profile", headers=bearer(reply))
            refused(profile, 401, "unauthorized")
            token = {"refresh_token": reply["refresh_token"]}
            refused(await browser.http.post("/api/token/refresh", json=token), 401, "invalid-refresh-token")
    finally:
        for browser in browsers:
            await browser.http.aclose()
    running = await rows(own_hub.database_url, "SELECT user_id FROM user_sessions WHERE is_active = 1")
    assert bob not in {row["user_id"] for row in running}
