"""The official account's door from the browser to the phone and back, on real processes."""

import re
from collections.abc import AsyncIterator, Iterator
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from hub.qr.image import inline
from hub.settings import STAND_IN_ACCOUNT
from tests.people import DESKTOP, Browser, Phone, forget, frame
from tests.pushing import APPID, SECRET, TOKEN
from tests.servers.hub import HubProcess
from tests.signing_in import rows

DOOR = "official_account"
NOWHERE = "http://127.0.0.1:9"
REAL = "https://open.weixin.qq.com"  # never called: people are sent there

STAND_IN = {
    "WECHAT_OA_APP_ID": STAND_IN_ACCOUNT.app_id,
    "WECHAT_OA_APP_SECRET": STAND_IN_ACCOUNT.secret,
    "WECHAT_OA_TOKEN": STAND_IN_ACCOUNT.token,
    "WECHAT_OA_AES_KEY": STAND_IN_ACCOUNT.aes_keys[0],
}


@pytest.fixture(scope="module")
def auto_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    """A hub where scans confirm by themselves."""
    process = HubProcess(tmp_path_factory.mktemp("auto"), WECHAT_OA_CONFIRM="auto").start()
    yield process
    process.stop()
    assert process.defects() == []


@pytest.fixture
async def browser(hub: HubProcess) -> AsyncIterator[Browser]:
    """A browser that shows a code of this door, on each pair of back ends in turn."""
    async with Browser(hub.url) as browser:
        await browser.begin(door=DOOR)
        yield browser


async def scan(browser: Browser, person: str = "alice", **members: Any) -> dict[str, Any]:
    """Let a person scan the browser's code, and return what became of the push."""
    answer = await browser.http.post(
        "/sandbox/official-account/scan",
        json={"scene": browser.attempt["qr_code"], "person": person, **members},
    )
    assert answer.status_code == 200, answer.text
    delivery: dict[str, Any] = answer.json()
    assert delivery["delivered"], delivery
    return delivery


def link(delivery: dict[str, Any]) -> str:
    """The confirm link of the reply that stands in the person's chat."""
    (found,) = delivery["reply"]["links"]
    return str(found)


async def test_the_whole_walk(browser: Browser, hub: HubProcess) -> None:
    """Code, scan, link, confirmation, tokens: and the browser sees each step."""
    async with browser.socket() as socket, Phone(hub.url) as phone:
        assert (await frame(socket))["status"] == "pending"
        page = await phone.scan(link(await scan(browser)))
        assert (await frame(socket))["status"] == "scanned"
        assert page.status_code == 200
        assert (await phone.answer()).json()["data"] == {"status": "confirmed"}
        assert (await frame(socket))["status"] == "confirmed"
    redeemed = await browser.redeem()
    assert redeemed.json()["data"]["access_token"]


async def test_the_picture_leads_to_the_account(browser: Browser) -> None:
    """What the code says is WeChat's address, and the picture is drawn from it."""
    assert "/q/" in browser.attempt["qr_content"]
    for kind in ("svg", "png"):
        picture = await browser.http.get(browser.attempt["qr_url"].replace(".svg", f".{kind}"))
        assert picture.status_code == 200


async def test_a_refresh_shows_another_code(browser: Browser) -> None:
    """A new attempt on the same socket has a code and a ticket of its own."""
    async with browser.socket() as socket:
        await frame(socket)
        await socket.send('{"type":"cancel"}')
        assert (await frame(socket))["status"] == "failed"
        await socket.send('{"type":"refresh"}')
        fresh = await frame(socket)
    assert fresh["status"] == "pending"
    former = browser.attempt["qr_code"]
    browser.attempt = {**browser.attempt, "qr_code": fresh["qr_code"], "session_id": fresh["session_id"]}
    assert fresh["qr_code"] != former
    assert link(await scan(browser))


async def test_a_forwarded_link(browser: Browser, hub: HubProcess) -> None:
    """Another person's phone gets nowhere with it, and its own person still may."""
    forwarded = link(await scan(browser))
    async with Phone(hub.url, "bob") as stranger, Phone(hub.url) as own:
        page = await stranger.scan(forwarded)
        assert "no longer works" in page.text
        assert "csrf-token" not in page.text
        assert 'name="csrf-token"' in (await own.scan(forwarded)).text


async def test_a_link_is_used_once(browser: Browser, hub: HubProcess) -> None:
    """The phone that used it may come back to its page, another one of the same person may not."""
    used = link(await scan(browser))
    async with Phone(hub.url) as phone, Phone(hub.url) as another:
        await phone.scan(used)
        assert "no longer works" in (await another.scan(used)).text
        assert 'name="csrf-token"' in (await phone.scan(used)).text
        await phone.answer("cancel")
        assert "Declined" in (await phone.scan(used)).text


async def test_a_link_that_has_done_its_work(browser: Browser, hub: HubProcess) -> None:
    """After the confirmation its own phone is told so, and any other that the link is no more."""
    used = link(await scan(browser))
    async with Phone(hub.url) as phone, Phone(hub.url) as another:
        await phone.scan(used)
        await phone.answer()
        assert "Confirmed" in (await phone.scan(used)).text
        assert "no longer works" in (await another.scan(used)).text


async def test_a_snapshot_user(browser: Browser, hub: HubProcess) -> None:
    """Whom WeChat has made up cannot confirm."""
    async with Phone(hub.url, "snapshot") as phone:
        page = await phone.scan(link(await scan(browser, "snapshot")))
        assert 'name="csrf-token"' not in page.text


async def test_a_guessed_link(hub: HubProcess) -> None:
    """A link nobody made is not there."""
    async with Phone(hub.url) as phone:
        assert (await phone.http.get(f"/c/{'A' * 43}")).status_code == 404


async def test_a_second_person(browser: Browser, hub: HubProcess) -> None:
    """Another person's scan ends the attempt for both."""
    first = link(await scan(browser))
    assert (await scan(browser, "bob"))["reply"]["links"] == []
    status = await browser.http.get(browser.attempt["status_url"])
    assert status.json()["data"]["reason"] == "already_claimed"
    async with Phone(hub.url) as phone:
        assert 'name="csrf-token"' not in (await phone.scan(first)).text


async def test_lost_answers(browser: Browser) -> None:
    """The tries of a push whose answers were lost claim once, and the last one still brings the link."""
    assert link(await scan(browser, times=3))
    status = await browser.http.get(browser.attempt["status_url"])
    assert (status.json()["data"]["status"], status.json()["data"]["seq"]) == ("scanned", 2)


async def test_the_landing_page_of_this_door(browser: Browser, hub: HubProcess) -> None:
    """Who types the code's address is told to scan it with WeChat."""
    async with Phone(hub.url) as phone:
        page = await phone.http.get(f"/s/{browser.attempt['qr_code']}")
        assert 'name="csrf-token"' not in page.text
        assert "WeChat" in page.text


async def test_unfollowing(browser: Browser, hub: HubProcess) -> None:
    """Who leaves the account leaves no data of WeChat's behind."""
    await forget(hub.url, "emoji")
    async with Phone(hub.url, "emoji") as phone:
        await phone.scan(link(await scan(browser, "emoji")))
        await phone.answer()
    (before,) = await rows(hub.database_url, _KNOWN)
    assert before["language"]
    answer = await browser.http.post("/sandbox/official-account/unfollow", json={"person": "emoji"})
    assert answer.json()["delivered"]
    (after,) = await rows(hub.database_url, _KNOWN)
    assert after["language"] is None


async def test_scans_that_confirm_by_themselves(auto_hub: HubProcess) -> None:
    """Set to `auto` the scan signs in, as the page says, and start and doctor warn of it."""
    async with Browser(auto_hub.url) as browser:
        await browser.begin(door=DOOR)
        delivery = await scan(browser)
        assert delivery["reply"]["links"] == []
        assert (await browser.redeem()).json()["data"]["access_token"]
        page = await browser.http.get("/", params={"door": DOOR}, headers={"accept-language": "en"})
        assert "the scan signs you in" in page.text
        assert "Confirm on your phone" not in page.text
        assert "the link" not in page.text
    assert "scans_confirm_by_themselves" in auto_hub.log()
    assert "WECHAT_OA_CONFIRM" in auto_hub.command("doctor").stdout


async def test_links_are_kept_nowhere(hub_on_sqlite: HubProcess) -> None:
    """Neither the log nor the database holds a confirm link, nor the account's secrets."""
    async with Browser(hub_on_sqlite.url) as browser, Phone(hub_on_sqlite.url) as phone:
        await browser.begin(door=DOOR)
        given = link(await scan(browser)).rpartition("/")[2]
        await phone.scan(f"/c/{given}")
    file = Path(hub_on_sqlite.database_url.removeprefix("sqlite:///"))
    kept = b"".join(path.read_bytes() for path in file.parent.glob(f"{file.name}*"))
    assert browser.attempt["qr_code"].encode() in kept
    for secret in (given, STAND_IN_ACCOUNT.secret, STAND_IN_ACCOUNT.token, *STAND_IN_ACCOUNT.aes_keys):
        assert secret.encode() not in kept
        assert secret not in hub_on_sqlite.log()


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({}, None),
        ({"WECHAT_OA_APP_SECRET": "wrong"}, "WECHAT_OA_APP_SECRET"),
        ({"WECHAT_MP_URL": NOWHERE}, "WECHAT_MP_URL"),
    ],
    ids=["well", "secret", "address"],
)
def test_the_doctor(
    tmp_path: Path, hub_on_sqlite: HubProcess, wrong: dict[str, str], named: str | None
) -> None:
    """`hub doctor` has WeChat make a code of the account and show its picture, and says what to mend."""
    at = f"{hub_on_sqlite.url}/sandbox"
    settings = {"WECHAT_API_URL": at, "WECHAT_OPEN_URL": at, "WECHAT_MP_URL": at, **STAND_IN, **wrong}
    doctor = HubProcess(tmp_path, **settings).command("doctor").stdout
    (line,) = [line for line in doctor.splitlines() if "official account:" in line]
    assert line.startswith("mend" if named else "ok")
    assert (named or "") in line


async def test_wechat_is_away(tmp_path: Path) -> None:
    """Without WeChat no code of this door can be made: come back later, and the other doors stay open."""
    settings = {"WECHAT_OA_APP_ID": APPID, "WECHAT_OA_APP_SECRET": SECRET, "WECHAT_OA_TOKEN": TOKEN}
    hub = HubProcess(tmp_path, WECHAT_API_URL=NOWHERE, WECHAT_OPEN_URL=NOWHERE, **settings).start()
    try:
        async with Browser(hub.url) as browser:
            answer = await browser.http.post("/api/auth/wechat/qr-code", json={"door": DOOR})
            assert answer.status_code == 503
            assert answer.json()["type"] == "/problems/provider-away"
            assert int(answer.headers["retry-after"]) >= 1
            assert await rows(hub.database_url, "SELECT id FROM login_sessions") == []
            assert (await browser.begin(door="app"))["qr_code"]
    finally:
        hub.stop()


async def test_an_installation_without_the_door(tmp_path: Path) -> None:
    """Where no account is configured there is neither the door nor its endpoint."""
    hub = HubProcess(tmp_path, WECHAT_API_URL=NOWHERE, WECHAT_OPEN_URL=NOWHERE).start()
    try:
        async with Browser(hub.url) as browser:
            answer = await browser.http.post("/api/auth/wechat/qr-code", json={"door": DOOR})
            assert answer.status_code == 422
            assert (await browser.http.get("/api/auth/wechat/push")).status_code == 404
    finally:
        hub.stop()


async def test_links_are_for_wechat(tmp_path: Path, hub_on_sqlite: HubProcess) -> None:
    """With the real WeChat another browser is told to open the link there, and shows it as a code."""
    at = f"{hub_on_sqlite.url}/sandbox"
    hub = HubProcess(tmp_path, WECHAT_API_URL=at, WECHAT_OPEN_URL=REAL, **STAND_IN).start()
    try:
        async with Browser(hub.url) as browser, Browser(hub_on_sqlite.url) as control:
            await browser.begin(door=DOOR)
            account = "/sandbox/official-account"
            former = (await control.http.get(account)).json()["push_url"]
            await control.http.post(account, json={"push_url": f"{hub.url}{urlsplit(former).path}"})
            try:
                scanned = await control.http.post(
                    f"{account}/scan", json={"scene": browser.attempt["qr_code"], "person": "alice"}
                )
            finally:
                await control.http.post(account, json={"push_url": former})
            found = link(scanned.json())
            page = await browser.http.get(found, headers={"user-agent": DESKTOP})
            assert re.search(r"<h1[^>]*>[^<]*WeChat", page.text)
            assert f'src="{inline(found)}"' in unescape(page.text)
            async with Phone(hub.url) as phone:
                answer = await phone.http.get(found)
                assert answer.headers["location"].startswith(f"{REAL}/connect/oauth2/authorize?appid=")
                assert "scope=snsapi_base" in answer.headers["location"]
    finally:
        hub.stop()


_KNOWN = "SELECT language FROM wechat_users WHERE appid = 'wxsandbox00000oa' ORDER BY id DESC LIMIT 1"
