"""What administrators do to accounts over HTTP: who may, what comes of it, and what is put on record."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx2
import pytest

from tests.code_client import Person, new_email, new_number
from tests.people import Browser, CustomerApp
from tests.problems import refused
from tests.servers.hub import HubProcess
from tests.signing_in import execute, rows
from tests.streaming import AccountSocket, bearer
from tests.watching import USERS, make_operator, newcomer, user_id

RACERS = 8


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

    async def records(self) -> list[tuple[str, str, Any]]:
        """Action, target and detail of each row of the log that is this administrator's."""
        actor = f"user:{await user_id(self.hub, self.reply)}"
        found = await rows(self.hub.database_url, "SELECT * FROM admin_log ORDER BY id")
        return [
            (row["action"], row["target"], json.loads(row["detail"]))
            for row in found
            if row["actor"] == actor
        ]


@pytest.fixture
async def operator(hub: HubProcess) -> AsyncIterator[Operator]:
    """An administrator."""
    reply = await make_operator(hub)
    async with httpx2.AsyncClient(base_url=hub.url, headers=bearer(reply), timeout=20) as http:
        yield Operator(hub, reply, http)


async def test_ban_and_unban(hub: HubProcess, operator: Operator) -> None:
    """A ban ends sessions, sockets and tokens at once; both changes are on record with their reason."""
    number = new_number()
    async with Person(hub.url) as person:
        reply = await person.sign_in(number)
        who = await user_id(hub, reply)
        async with AccountSocket(hub.url, reply) as stream:
            assert (await operator.ban(who, "发广告")).json()["data"] == {"ended": 1}
            assert (await stream.frame())["data"]["reason"] == "account_blocked"
            assert await stream.closed() == 4501
        refused(await person.http.get("/api/user/profile", headers=bearer(reply)), 401, "unauthorized")
        token = {"refresh_token": reply["refresh_token"]}
        refused(await person.http.post("/api/token/refresh", json=token), 401, "invalid-refresh-token")
        refused(await operator.ban(who), 409, "conflict")
        unbanned = await operator.http.post(f"{USERS}/{who}/unban", json={"reason": "sorry"})
        assert unbanned.status_code == 200
        refused(await operator.http.post(f"{USERS}/{who}/unban", json={"reason": "x"}), 409, "conflict")
        assert await user_id(hub, await person.sign_in(number)) == who
    (ban, unban) = await operator.records()
    assert ban[:2] == ("user.ban", f"user:{who}")
    assert (ban[2]["reason"], ban[2]["sessions"]) == ("发广告", [reply["session_id"]])
    assert unban == (
        "user.unban",
        f"user:{who}",
        {"before": "banned", "after": "active", "reason": "sorry"},
    )


async def test_nobody_bans_themselves(hub: HubProcess, operator: Operator) -> None:
    """It is refused, and the administrator stays signed in."""
    refused(await operator.ban(await user_id(hub, operator.reply)), 403, "forbidden")
    assert await operator.records() == []


async def test_ending_sessions(hub: HubProcess, operator: Operator) -> None:
    """One session or all of them end, their sockets too; the list shows those that run."""
    number = new_number()
    async with Person(hub.url) as person:
        first, second = await person.sign_in(number), await person.sign_in(number)
    path = f"{USERS}/{await user_id(hub, first)}/sessions"
    listed = (await operator.http.get(path)).json()["data"]["sessions"]
    assert [each["id"] for each in listed] == [second["session_id"], first["session_id"]]
    assert not any(each["current"] for each in listed)
    async with AccountSocket(hub.url, first) as one, AccountSocket(hub.url, second) as other:
        ended = await operator.http.delete(f"{path}/{first['session_id']}")
        assert ended.json()["data"] == {"ended": 1}
        assert (await one.frame())["data"]["reason"] == "administrator"
        assert await one.closed() == 4501
        assert (await operator.http.delete(path)).json()["data"] == {"ended": 1}
        assert {(await other.frame())["type"], (await other.frame())["type"]} == {"session.revoked"}
        assert await other.closed() == 4501
    refused(await operator.http.delete(f"{path}/{first['session_id']}"), 404, "not-found")
    assert (await operator.http.get(path)).json()["data"]["sessions"] == []
    assert [action for action, _, _ in await operator.records()] == ["user.revoke", "user.revoke"]


async def test_search(hub: HubProcess, operator: Operator) -> None:
    """By id, number as it is typed, address and username as a whole, and by how a nickname begins."""
    who, number, email = await user_id(hub, await newcomer(hub)), new_number(), new_email()
    name = f"u{secrets.token_hex(6)}"
    await execute(
        hub.database_url,
        "UPDATE users SET phone = :phone, email = :email, username = :name, nickname = :nickname"
        " WHERE id = :id",
        id=who,
        phone=f"+86{number}",
        email=email,
        name=name,
        nickname=f"李{name} 100%_!",
    )
    typed = f"{number[:3]} {number[3:7]} {number[7:]}"
    for text in (str(who), f"+86{number}", typed, email.upper(), name, f"李{name}", f"李{name} 100%_!"):
        assert await operator.found(text) == [who], text
    for text in ("999999999", email[1:], name[:-1], f"{name} 100", f"李{name}%", f"李{name}_100", "!%_"):
        assert await operator.found(text) == [], text


async def test_search_pages(hub: HubProcess, operator: Operator) -> None:
    """Pages follow by id, with a search and without one, and the last one says so."""
    ids = [await user_id(hub, await newcomer(hub)) for _ in range(4)]
    name = secrets.token_hex(6)
    for who in ids:
        await execute(hub.database_url, "UPDATE users SET nickname = :n WHERE id = :id", n=name, id=who)
    for query, before in ((name, 0), ("", ids[0] - 1)):
        found: list[int] = []
        cursor = str(before)
        for expected in (3, 1):
            params = {"query": query, "limit": "3", "cursor": cursor}
            page = (await operator.http.get(USERS, params=params)).json()["data"]
            found += [user["id"] for user in page["users"][:expected]]
            cursor = page["next_cursor"]
        assert found == ids
        assert page["next_cursor"] is None


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
    reply = await newcomer(hub_on_sqlite)
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


async def test_the_role_is_the_databases(hub: HubProcess, operator: Operator) -> None:
    """A token that was an administrator's does not help whose role is gone."""
    own, other = await user_id(hub, operator.reply), await user_id(hub, await newcomer(hub))
    await execute(hub.database_url, "UPDATE users SET role = 'user' WHERE id = :id", id=own)
    refused(await operator.http.get(USERS), 403, "forbidden")
    refused(await operator.ban(other), 403, "forbidden")


async def test_two_who_ban_each_other(hub: HubProcess, operator: Operator) -> None:
    """One wins, the other is an administrator no more: there is always one left."""
    other = await make_operator(hub)
    first, second = await user_id(hub, operator.reply), await user_id(hub, other)
    async with httpx2.AsyncClient(base_url=hub.url, headers=bearer(other), timeout=20) as http:
        answers = await asyncio.gather(
            operator.ban(second), http.post(f"{USERS}/{first}/ban", json={"reason": "spam"})
        )
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses[0] == 200
    assert statuses[1] in (401, 403)
    found = await rows(hub.database_url, "SELECT id, status FROM users")
    assert sorted(row["status"] for row in found if row["id"] in (first, second)) == ["active", "banned"]


async def test_parallel_bans_are_one(hub: HubProcess, operator: Operator) -> None:
    """Of many at once one does it; it is on record once."""
    who = await user_id(hub, await newcomer(hub))
    answers = await asyncio.gather(*(operator.ban(who) for _ in range(RACERS)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * (RACERS - 1)
    assert len(await operator.records()) == 1


async def test_ban_while_signing_in(hub: HubProcess, operator: Operator) -> None:
    """Whoever is banned while several browsers redeem has no token that works afterwards, and no session."""
    reply = await newcomer(hub)
    who = await user_id(hub, reply)
    browsers = [Browser(hub.url) for _ in range(RACERS)]
    try:
        async with CustomerApp(hub.url, reply["access_token"]) as app:
            for browser in browsers:
                await browser.begin(door="app")
                await app.scan(browser.attempt["qr_code"])
                assert (await app.answer(browser.session_id)).status_code == 200
        banned, *redeemed = await asyncio.gather(
            operator.ban(who), *(browser.redeem() for browser in browsers)
        )
        assert banned.status_code == 200
        for browser, answer in zip(browsers, redeemed, strict=True):
            if answer.status_code != 200:
                refused(answer, 403, "account-blocked")
                continue
            opened = answer.json()["data"]
            profile = await browser.http.get("/api/user/profile", headers=bearer(opened))
            refused(profile, 401, "unauthorized")
            token = {"refresh_token": opened["refresh_token"]}
            refused(await browser.http.post("/api/token/refresh", json=token), 401, "invalid-refresh-token")
    finally:
        for browser in browsers:
            await browser.http.aclose()
    running = await rows(hub.database_url, "SELECT user_id FROM user_sessions WHERE is_active = 1")
    assert who not in {row["user_id"] for row in running}
