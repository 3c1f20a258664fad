"""Unusual sign-ins as people learn of them, over HTTP, on a hub that knows three cities."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2
import pytest

from tests import geography
from tests.code_client import Person, new_email, new_number
from tests.people import Browser, CustomerApp, Phone, sign_in
from tests.problems import refused
from tests.servers.hub import HubProcess
from tests.servers.waiting import until
from tests.signing_in import rows
from tests.streaming import bearer

AT = "x-forwarded-for"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    """A hub behind a proxy, with limits; each test has people and addresses of its own."""
    folder = tmp_path_factory.mktemp("alerts")
    cities = geography.write_cities(folder / "cities.mmdb")
    process = HubProcess(folder, GEOIP_DB=str(cities), TRUSTED_PROXIES="127.0.0.1", HUB_LIMITS="on").start()
    yield process
    process.stop()
    assert process.defects() == []


@pytest.fixture
async def browser(hub: HubProcess) -> AsyncIterator[Browser]:
    """A browser in Hangzhou."""
    async with Browser(hub.url, **{AT: geography.HANGZHOU}) as browser:
        yield browser


async def alerts(person: Person, address: str) -> list[str]:
    """The texts of the warnings that were sent to an address."""
    return [each["text"] for each in await person.messages(address) if each["code"] is None]


async def history(hub: HubProcess, tokens: Any) -> list[dict[str, Any]]:
    """An account's own login history, newest first."""
    async with httpx2.AsyncClient(base_url=hub.url, headers=bearer(tokens)) as http:
        found: list[dict[str, Any]] = (await http.get("/api/login-logs")).json()["data"]["login_logs"]
    return found


async def test_a_new_device_is_told_by_mail(hub: HubProcess) -> None:
    """The first one is not, the second is, with its name, place and time; and the history says why."""
    email = new_email()
    async with Person(hub.url, **{AT: geography.HANGZHOU}) as person:
        code = await person.code(email, purpose="register")
        await person.post("/api/register", email=email, code=code, password="correct horse battery")
        assert await alerts(person, email) == []
        entry = {"account": email, "password": "correct horse battery", "device_id": "new-phone"}
        answer = await person.post("/api/login/password", **entry, device_name="New phone")
        assert answer.status_code == 200, answer.text

        async def told() -> bool:
            return len(await alerts(person, email)) == 1

        await until(told)
        (text,) = await alerts(person, email)
        assert "New phone" in text
        assert "杭州" in text
        newest, oldest = await history(hub, answer.json()["data"])
    assert newest["risk"] == {"signals": ["new_device"], "score": 3}
    assert oldest["risk"] is None


async def test_wrong_codes_reach_the_stream_and_the_history(hub: HubProcess) -> None:
    """A known number's refused tries are told to its signed-in client, later than to who tries."""
    number = new_number()
    async with Person(hub.url, **{AT: "192.0.2.20"}) as person:
        tokens = await person.sign_in(number)
        async with Person(hub.url, **{AT: "192.0.2.120"}) as stranger:
            for _ in range(4):
                assert (await stranger.login(number, "000000")).status_code == 400

        async def told() -> bool:
            found = await rows(
                hub.database_url,
                "SELECT type FROM account_events WHERE type = 'login.failed'"  # noqa: S608 - a number
                f" AND user_id = {tokens['user']['id']}",
            )
            return len(found) == 1

        async def linked() -> bool:
            return len(await history(hub, tokens)) == 5

        await until(told)
        await until(linked)
        told_of = await history(hub, tokens)
    assert [each["status"] for each in told_of] == ["failed"] * 4 + ["success"]
    assert {each["ip_address"] for each in told_of[:4]} == {"192.0.2.120"}


async def test_reauthentication_and_reset_are_on_record(hub_on_sqlite: HubProcess) -> None:
    """Right and wrong, by code and by password."""
    email = new_email()
    async with Person(hub_on_sqlite.url) as person:
        code = await person.code(email, purpose="register")
        first = (
            await person.post("/api/register", email=email, code=code, password="correct horse battery")
        ).json()["data"]
        person.http.headers.update(bearer(first))
        for proof in ({"password": "wrong"}, {"password": "correct horse battery"}, {"code": "000000"}):
            await person.post("/api/reauth", **proof)
        reset = {"email": email, "new_password": "another horse battery"}
        await person.post("/api/password/reset", code="000000", **reset)
        async with Person(hub_on_sqlite.url) as other:
            code = await other.code(email, purpose="reset_password")
            assert (await other.post("/api/password/reset", code=code, **reset)).status_code == 200
        entry = {"account": email, "password": "another horse battery"}
        tokens = (await person.post("/api/login/password", **entry)).json()["data"]

        async def linked() -> bool:
            return len(await history(hub_on_sqlite, tokens)) == 7

        await until(linked)
        found = [(each["method"], each["status"]) for each in await history(hub_on_sqlite, tokens)]
    assert found == [
        ("password", "success"),
        ("email_code", "success"),
        ("email_code", "failed"),
        ("email_code", "failed"),
        ("password", "success"),
        ("password", "failed"),
        ("email_code", "success"),
    ]


async def test_a_phone_elsewhere_confirms_twice(hub: HubProcess, browser: Browser) -> None:
    """On the page a mismatch of places demands the second step; the first press changes nothing."""
    async with Phone(hub.url, "bob", **{AT: geography.BERLIN}) as phone:
        await browser.begin()
        page = await phone.scan(browser.attempt["qr_content"])
        assert 'id="caution" hidden' not in page.text
        refused(await phone.answer(), 409, "confirmation-required")
        assert (await browser.status()).json()["data"]["status"] == "scanned"
        refused(await phone.answer(acknowledged="yes"), 422, "invalid-request")
        assert (await phone.answer(acknowledged=True)).status_code == 200
    assert (await browser.redeem()).status_code == 200


async def test_a_phone_in_the_same_city_confirms_once(hub: HubProcess, browser: Browser) -> None:
    """Nothing more is asked of it, whatever network it is in."""
    async with Phone(hub.url, "bob", **{AT: geography.HANGZHOU_TOO}) as phone:
        await browser.begin()
        page = await phone.scan(browser.attempt["qr_content"])
        assert 'id="caution" hidden' in page.text
        assert (await phone.answer()).status_code == 200


async def test_an_app_elsewhere_confirms_once(hub: HubProcess, browser: Browser) -> None:
    """It was told of the mismatch when it scanned, and asks its person in its own way."""
    tokens = await sign_in(hub.url, "bob")
    async with CustomerApp(hub.url, tokens["access_token"]) as app:
        app.http.headers[AT] = geography.BERLIN
        await browser.begin(door="app")
        scanned = await app.scan(browser.attempt["qr_code"])
        assert scanned.json()["data"]["request"]["mismatch"] is True
        assert (await app.answer(browser.session_id)).status_code == 200


async def test_reports_make_it_stricter_for_others(hub: HubProcess) -> None:
    """One report demands the second step of everybody, three people's reports end the next attempt."""
    at = {AT: "192.0.2.77"}
    tokens = await sign_in(hub.url, "alice")

    async def report(person: str) -> None:
        async with Browser(hub.url, **at) as asks, Phone(hub.url, person) as phone:
            await asks.begin()
            await phone.scan(asks.attempt["qr_content"])
            assert (await phone.answer("report")).status_code == 200

    await report("bob")
    async with CustomerApp(hub.url, tokens["access_token"]) as app, Browser(hub.url, **at) as asks:
        await asks.begin(door="app")
        await app.scan(asks.attempt["qr_code"])
        refused(await app.answer(asks.session_id), 409, "confirmation-required")
        confirmed = {"session_id": asks.session_id, "action": "confirm", "acknowledged": True}
        assert (await app.http.post("/api/auth/wechat/confirm", json=confirmed)).status_code == 200
    await report("noavatar")
    await report("emoji")
    async with Browser(hub.url, **at) as asks, Phone(hub.url, "alice") as phone:
        await asks.begin()
        await phone.scan(asks.attempt["qr_content"])
        refused(await phone.answer(acknowledged=True), 403, "sign-in-refused")
        status = (await asks.status()).json()["data"]
    assert (status["status"], status["reason"]) == ("failed", "risk")
    (row,) = await rows(
        hub.database_url,
        "SELECT login_status, risk FROM login_logs WHERE ip_address = '192.0.2.77' ORDER BY id DESC LIMIT 1",
    )
    assert row["login_status"] == "blocked"
    assert '"reported"' in row["risk"]


async def test_what_is_counted(hub: HubProcess) -> None:
    """Signals and alerts are in the metrics, by kind and by way."""
    async with httpx2.AsyncClient(base_url=hub.url) as http:
        told = (await http.get("/metrics")).text
    assert 'hub_signals_total{signal="new_device"}' in told
    assert 'hub_alerts_total{channel="email"}' in told
    assert 'hub_alerts_total{channel="stream"}' in told
