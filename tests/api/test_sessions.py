"""Device sessions over HTTP: the list, renaming, ending one, ending all."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx2
import jwt
import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from tests.code_client import Person, new_email, new_number
from tests.people import DESKTOP, Browser, Phone, sign_in
from tests.problems import refused
from tests.servers.hub import HubProcess
from tests.streaming import bearer, sign_in_alone

PROFILE = "/api/user/profile"


@pytest.fixture
async def http(hub: HubProcess) -> AsyncIterator[httpx2.AsyncClient]:
    """A client without cookies."""
    async with httpx2.AsyncClient(base_url=hub.url, headers={"user-agent": DESKTOP}, timeout=20) as http:
        yield http


@pytest.fixture
async def embedded(hub_on_sqlite: HubProcess) -> AsyncIterator[httpx2.AsyncClient]:
    """The same, of the embedded default: for what does not depend on the back ends."""
    async with httpx2.AsyncClient(base_url=hub_on_sqlite.url, headers={"user-agent": DESKTOP}) as http:
        yield http


async def listed(http: httpx2.AsyncClient, headers: dict[str, str]) -> list[dict[str, Any]]:
    """Return the list of sessions."""
    answer = await http.get("/api/sessions", headers=headers)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["data"]["sessions"]
    return found


async def works(http: httpx2.AsyncClient, headers: dict[str, str]) -> bool:
    """Tell whether an access token is accepted."""
    return (await http.get(PROFILE, headers=headers)).status_code == 200


async def test_list(hub: HubProcess, http: httpx2.AsyncClient) -> None:
    """Each running session of the person with its device, the asking one marked."""
    here = await sign_in_alone(hub.url, device_name="Desk", device_type="web", device_id="d-1")
    there = await sign_in(hub.url)
    strange = await sign_in(hub.url, "bob")
    sessions = {each["id"]: each for each in await listed(http, bearer(here))}
    assert sessions.keys() == {here["session_id"], there["session_id"]}
    assert strange["session_id"] not in sessions
    assert [each["current"] for each in sessions.values()].count(True) == 1
    mine = sessions[here["session_id"]]
    assert mine["current"] is True
    assert (mine["device_name"], mine["device_type"], mine["device_id"]) == ("Desk", "web", "d-1")
    assert (mine["ip_address"], mine["user_agent"], mine["location"]) == ("127.0.0.1", DESKTOP, None)
    assert (mine["amr"], mine["client_id"]) == (["wechat"], None)
    assert mine["created_at"] <= mine["last_active_at"] < mine["expires_at"]
    assert mine["created_at"].endswith("Z")
    text = str(sessions)
    for reply in (here, there):
        assert reply["refresh_token"] not in text
        assert reply["access_token"] not in text


async def test_refresh_moves_the_last_activity(hub: HubProcess, http: httpx2.AsyncClient) -> None:
    """The session that was refreshed last comes first."""
    here, there = await sign_in_alone(hub.url), await sign_in(hub.url)
    assert (await listed(http, bearer(here)))[0]["id"] == there["session_id"]
    await http.post("/api/token/refresh", json={"refresh_token": here["refresh_token"]})
    first = (await listed(http, bearer(here)))[0]
    assert first["id"] == here["session_id"]
    assert first["last_active_at"] > first["created_at"]


async def test_rename(hub: HubProcess, http: httpx2.AsyncClient) -> None:
    """The new name shows in the answer and in the list."""
    here, there = await sign_in_alone(hub.url), await sign_in(hub.url)
    at = f"/api/sessions/{there['session_id']}"
    renamed = await http.patch(at, json={"device_name": "客厅电视"}, headers=bearer(here))
    assert renamed.status_code == 200
    assert renamed.json()["data"]["device_name"] == "客厅电视"
    assert renamed.json()["data"]["current"] is False
    names = {each["id"]: each["device_name"] for each in await listed(http, bearer(there))}
    assert names[there["session_id"]] == "客厅电视"
    assert names[here["session_id"]] is None


@pytest.mark.parametrize(
    "body", [{}, {"device_name": ""}, {"device_name": "   "}, {"device_name": 7}, {"device_name": "x" * 101}]
)
async def test_bad_name(hub_on_sqlite: HubProcess, embedded: httpx2.AsyncClient, body: object) -> None:
    """It is refused and changes nothing."""
    reply = await sign_in_alone(hub_on_sqlite.url, device_name="Desk")
    at = f"/api/sessions/{reply['session_id']}"
    refused(await embedded.patch(at, json=body, headers=bearer(reply)), 422, "invalid-request")
    assert (await listed(embedded, bearer(reply)))[0]["device_name"] == "Desk"


async def test_ending_another_session(hub: HubProcess, http: httpx2.AsyncClient) -> None:
    """Both its tokens are refused at once; it is gone from the list, and a second time there is none."""
    here, there = await sign_in_alone(hub.url), await sign_in(hub.url)
    at = f"/api/sessions/{there['session_id']}"
    assert (await http.delete(at, headers=bearer(here))).status_code == 200
    assert not await works(http, bearer(there))
    answer = await http.post("/api/token/refresh", json={"refresh_token": there["refresh_token"]})
    refused(answer, 401, "invalid-refresh-token")
    assert [each["id"] for each in await listed(http, bearer(here))] == [here["session_id"]]
    refused(await http.delete(at, headers=bearer(here)), 404, "not-found")


async def test_ending_the_own_session(hub_on_sqlite: HubProcess) -> None:
    """It is a logout: the refresh cookie goes too."""
    async with Browser(hub_on_sqlite.url) as browser, Phone(hub_on_sqlite.url) as phone:
        await browser.begin()
        await phone.scan(browser.attempt["qr_content"])
        await phone.answer()
        reply = (await browser.redeem(token_delivery="cookie")).json()["data"]
        assert "hub_refresh" in browser.http.cookies
        left = await browser.http.delete(f"/api/sessions/{reply['session_id']}", headers=bearer(reply))
        assert left.status_code == 200
        assert "hub_refresh" not in browser.http.cookies
        assert not await works(browser.http, bearer(reply))


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
async def test_another_persons_session(
    hub_on_sqlite: HubProcess, embedded: httpx2.AsyncClient, method: str
) -> None:
    """It looks like one that never was, and goes on as it is."""
    mine, strange = await sign_in_alone(hub_on_sqlite.url), await sign_in_alone(hub_on_sqlite.url, "bob")
    body = {"device_name": "mine"} if method == "PATCH" else None
    answers = [
        await embedded.request(method, f"/api/sessions/{sid}", json=body, headers=bearer(mine))
        for sid in (strange["session_id"], "A" * 22, "x")
    ]
    problems = [refused(answer, 404, "not-found") for answer in answers]
    assert problems[0] == problems[1] == problems[2]
    (theirs,) = await listed(embedded, bearer(strange))
    assert theirs["device_name"] is None


async def test_signing_out_everywhere(hub: HubProcess, http: httpx2.AsyncClient) -> None:
    """First everywhere else, then here too; other people stay signed in."""
    replies = [await sign_in(hub.url) for _ in range(3)]
    strange = await sign_in(hub.url, "bob")
    spared = await http.post("/api/logout-all", json={"except_current": True}, headers=bearer(replies[1]))
    assert spared.status_code == 200
    assert [await works(http, bearer(reply)) for reply in replies] == [False, True, False]
    assert (await http.post("/api/logout-all", headers=bearer(replies[1]))).status_code == 200
    assert not await works(http, bearer(replies[1]))
    assert await works(http, bearer(strange))


async def test_wrong_logout_all(hub_on_sqlite: HubProcess, embedded: httpx2.AsyncClient) -> None:
    """A wish that cannot be read ends nothing."""
    reply = await sign_in(hub_on_sqlite.url)
    answer = await embedded.post("/api/logout-all", json={"except_current": "yes"}, headers=bearer(reply))
    refused(answer, 422, "invalid-request")
    assert await works(embedded, bearer(reply))


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/sessions"),
        ("PATCH", "/api/sessions/x"),
        ("DELETE", "/api/sessions/x"),
        ("POST", "/api/logout-all"),
        ("POST", "/api/reauth"),
    ],
)
async def test_token_is_demanded(embedded: httpx2.AsyncClient, method: str, path: str) -> None:
    """Without an access token there is nothing to see and nothing to end."""
    refused(await embedded.request(method, path), 401, "unauthorized")


async def test_cap_ends_the_oldest(hub: HubProcess, http: httpx2.AsyncClient) -> None:
    """The eleventh device signs the first one out."""
    first = await sign_in_alone(hub.url)
    for _ in range(9):
        await sign_in(hub.url)
    assert await works(http, bearer(first))
    last = await sign_in(hub.url)
    assert not await works(http, bearer(first))
    assert len(await listed(http, bearer(last))) == 10


def auth_time(access_token: str) -> int:
    """Return the time of the last proof, as the token tells it."""
    claims: dict[str, int] = jwt.decode(access_token, options={"verify_signature": False})
    return claims["auth_time"]


@pytest.mark.parametrize("new_address", [new_number, new_email])
async def test_reauthentication_by_code(hub: HubProcess, new_address: Callable[[], str]) -> None:
    """A code to the account's own number or address gives a token of the same session with a fresh proof."""
    async with Person(hub.url) as person:
        address = new_address()
        reply = await person.sign_in(address)
        person.http.headers.update(bearer(reply))
        await asyncio.sleep(
            max(0, auth_time(reply["access_token"]) + 1 - time.time())
        )  # it tells whole seconds
        code = await person.code(address, purpose="login")
        answer = await person.post("/api/reauth", code=code)
        assert answer.status_code == 200, answer.text
        fresh = answer.json()["data"]
        assert fresh.keys() == {"access_token", "token_type", "expires_in", "session_id"}
        assert fresh["session_id"] == reply["session_id"]
        assert auth_time(fresh["access_token"]) > auth_time(reply["access_token"])
        assert await works(person.http, bearer(fresh))
        refused(await person.post("/api/reauth", code=code), 400, "invalid-code")
        renewed = await person.post("/api/token/refresh", refresh_token=reply["refresh_token"])
        renewed_at = auth_time(renewed.json()["data"]["access_token"])
        assert renewed_at == auth_time(fresh["access_token"])


async def test_reauthentication_by_a_strangers_code(hub_on_sqlite: HubProcess) -> None:
    """A code that was sent to somebody else proves nothing here, and stays good for its owner."""
    async with Person(hub_on_sqlite.url) as person, Person(hub_on_sqlite.url) as stranger:
        person.http.headers.update(bearer(await person.sign_in(new_number())))
        number = new_number()
        code = await stranger.code(number)
        refused(await person.post("/api/reauth", code=code), 400, "invalid-code")
        assert (await stranger.login(number, code)).status_code == 200


async def test_reauthentication_without_an_address(hub_on_sqlite: HubProcess) -> None:
    """An account that has neither number nor address cannot use a code."""
    async with Person(hub_on_sqlite.url) as person:
        person.http.headers.update(bearer(await sign_in(hub_on_sqlite.url)))
        for channel in (None, "phone", "email"):
            answer = await person.post("/api/reauth", code="123456", channel=channel)
            refused(answer, 400, "invalid-code")


async def test_reauthentications_by_one_code(hub: HubProcess) -> None:
    """Of ten at once with one code, one succeeds."""
    async with Person(hub.url) as person:
        number = new_number()
        person.http.headers.update(bearer(await person.sign_in(number)))
        code = await person.code(number)
        answers = await asyncio.gather(*(person.post("/api/reauth", code=code) for _ in range(10)))
        assert sorted(answer.status_code for answer in answers)[:2] == [200, 400]


@pytest.mark.parametrize("body", [{}, {"code": 123456}, {"code": "12"}, {"code": "123456", "channel": "fax"}])
async def test_unreadable_reauthentication(
    hub_on_sqlite: HubProcess, embedded: httpx2.AsyncClient, body: object
) -> None:
    """It is refused as such."""
    headers = bearer(await sign_in(hub_on_sqlite.url))
    refused(await embedded.post("/api/reauth", json=body, headers=headers), 422, "invalid-request")


async def test_place_is_told_in_the_callers_language(tmp_path: Path) -> None:
    """The city of each session's address, and none where it is not known."""
    writer = MMDBWriter(ip_version=6, ipv4_compatible=True)
    city = {"city": {"geoname_id": 1808926, "names": {"en": "Hangzhou", "zh-CN": "杭州"}}}
    writer.insert_network(IPSet(["203.0.113.0/24"]), city)
    writer.to_db_file(str(tmp_path / "cities.mmdb"))
    hub = HubProcess(tmp_path, GEOIP_DB=str(tmp_path / "cities.mmdb"), TRUSTED_PROXIES="127.0.0.1").start()
    try:
        async with Person(hub.url, **{"x-forwarded-for": "203.0.113.7"}) as person:
            number = new_number()
            first = await person.sign_in(number)
            person.http.headers["x-forwarded-for"] = "198.51.100.7"
            headers = bearer(await person.sign_in(number))
            assert [each["location"] for each in await listed(person.http, headers)] == [None, "Hangzhou"]
            headers["accept-language"] = "zh-CN"
            assert [each["location"] for each in await listed(person.http, headers)] == [None, "杭州"]
            assert (await listed(person.http, headers))[1]["id"] == first["session_id"]
    finally:
        hub.stop()
