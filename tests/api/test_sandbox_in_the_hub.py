"""The sandbox as the hub mounts it: scripts go through the doors, and production has none."""

import asyncio
from pathlib import Path

import httpx2
import pytest

from tests.people import Browser, Phone
from tests.servers.hub import HubProcess


async def state_of(browser: Browser) -> tuple[str, str | None]:
    """What the browser sees of its attempt: status and reason."""
    snapshot = (await browser.status()).json()["data"]
    return snapshot["status"], snapshot["reason"]


async def test_a_named_person_follows_and_gets_the_link(hub_on_sqlite: HubProcess) -> None:
    """The account's code, opened with the header, is a scan; the hub's reply is on the page."""
    async with Browser(hub_on_sqlite.url) as browser, Phone(hub_on_sqlite.url, "emoji") as phone:
        await browser.begin(door="official_account")
        page = await phone.scan(browser.attempt["qr_content"])
        assert page.status_code == 200
        assert f'<a href="{hub_on_sqlite.url}/' in page.text
        assert (await state_of(browser))[0] == "scanned"


@pytest.mark.parametrize(
    ("person", "decision", "state"),
    [
        ("alice", None, ("confirmed", None)),
        ("alice", "deny", ("failed", "declined")),
        ("decliner", None, ("failed", "declined")),
    ],
)
async def test_a_named_person_decides_in_the_mini_program(
    hub_on_sqlite: HubProcess, person: str, decision: str | None, state: tuple[str, str | None]
) -> None:
    """The mini program's code, opened with the headers, is scanned and answered."""
    async with Browser(hub_on_sqlite.url) as browser, Phone(hub_on_sqlite.url) as phone:
        await browser.begin(door="mini_program")
        headers = {"x-sandbox-person": person, **({"x-sandbox-decision": decision} if decision else {})}
        page = await phone.http.get(
            "/sandbox/m/wxsandbox000mini",
            params={"scene": browser.attempt["qr_code"], "page": "pages/index/index"},
            headers=headers,
        )
        assert page.status_code == 200, page.text
        assert await state_of(browser) == state


async def test_the_mini_program_shows_the_hubs_refusal(hub_on_sqlite: HubProcess) -> None:
    """A scene that nobody waits for is refused in the hub's own words, in the reader's language."""
    async with Phone(hub_on_sqlite.url) as phone:
        page = await phone.http.get(
            "/sandbox/m/wxsandbox000mini",
            params={"scene": "A" * 22},
            headers={"x-sandbox-person": "alice", "accept-language": "en"},
        )
        assert 'data-good="false"' in page.text


async def test_a_button_answers_once(hub_on_sqlite: HubProcess) -> None:
    """The mini program's screen is good for one answer, of the person who opened it."""
    async with Browser(hub_on_sqlite.url) as browser, Phone(hub_on_sqlite.url) as phone:
        await browser.begin(door="mini_program")
        at = f"/sandbox/m/wxsandbox000mini?scene={browser.attempt['qr_code']}"
        await phone.http.get("/sandbox/phone/people/bob")
        page = (await phone.http.get(at)).text
        ticket = page.partition('name="ticket" value="')[2].partition('"')[0]
        await phone.http.get("/sandbox/phone/people/alice")
        answer = {"ticket": ticket, "action": "confirm"}
        assert (await phone.http.post(at, data=answer)).status_code == 410
        assert (await phone.http.post(at, data=answer)).status_code == 410
        assert (await state_of(browser))[0] == "scanned"


async def test_a_named_person_signs_in_through_wechats_page(hub_on_sqlite: HubProcess) -> None:
    """The header at `authorize_url` leads back to the hub, which has then signed the browser in."""
    async with Browser(hub_on_sqlite.url) as browser:
        attempt = await browser.begin(door="open_platform")
        left = await browser.http.get(attempt["authorize_url"], headers={"x-sandbox-person": "bob"})
        assert left.status_code == 302
        await browser.http.get(left.headers["location"])
        assert (await state_of(browser))[0] == "confirmed"


async def test_a_page_left_open_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """A poll of WeChat's page is answered at once when the hub is told to go, and so is the next."""
    hub = HubProcess(tmp_path).start()
    try:
        async with Browser(hub.url) as browser:
            attempt = await browser.begin(door="open_platform")
            page = (await browser.http.get(attempt["authorize_url"])).text
            uuid = page.partition('data-uuid="')[2].partition('"')[0]
            asked = asyncio.create_task(browser.http.get(f"/sandbox/connect/l/qrconnect?uuid={uuid}"))
            while uuid not in str((await browser.http.get("/sandbox/requests")).json()[0]["query"]):
                continue
            hub.terminate()
            assert (await asked).text == "window.wx_errcode=408;window.wx_code='';"
        assert await asyncio.to_thread(hub.wait) == 0
        assert hub.defects() == []
    finally:
        hub.stop()


def test_production_has_none(tmp_path: Path) -> None:
    """No path below `/sandbox` answers in production, in whatever way it is asked for."""
    hub = HubProcess(
        tmp_path,
        HUB_ENV="production",
        PUBLIC_URL="https://login.example.com",
        DATA_KEYS="data-secret-" * 4,
        CODE_PEPPERS="pepper-secret-" * 4,
        HUB_LIMITS="on",
        WECHAT_H5_APP_ID="wx1",
        WECHAT_H5_APP_SECRET="secret",
    )
    assert hub.command("migrate").returncode == 0
    hub.start()
    try:
        with httpx2.Client(base_url=hub.url, headers={"x-sandbox-person": "alice"}) as http:
            for path in ("", "/", "/phone", "/faults", "/clock", "/messages", "/connect/oauth2/authorize"):
                for method in ("GET", "POST"):
                    assert http.request(method, f"/sandbox{path}").status_code == 404
            assert "sandbox" not in http.get("/").text
    finally:
        hub.stop()
