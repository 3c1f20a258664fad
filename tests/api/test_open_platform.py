"""WeChat's own page over HTTP: the binding to one browser, the one-time state, and what ends the sign-in."""

import re
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from tests.people import AT, Browser, challenge, frame, sign_in
from tests.servers.hub import ALLOWED_ORIGIN, HubProcess
from tests.signing_in import rows

DOOR = "open_platform"


@pytest.fixture
async def browser(hub: HubProcess) -> AsyncIterator[Browser]:
    """A browser that has begun an attempt at this door."""
    async with Browser(hub.url) as waiting:
        await waiting.begin(door=DOOR)
        yield waiting


async def led_back(browser: Browser, person: str = "alice", url: str | None = None, **headers: str) -> str:
    """Go to WeChat's page as *person*, and return the callback's address that it leads back to."""
    sent = {"x-sandbox-person": person, **headers}
    answer = await browser.http.get(url or browser.attempt["authorize_url"], headers=sent)
    assert answer.status_code == 302, answer.text
    return answer.headers["location"]


def title(answer: httpx2.Response) -> str:
    """The heading of a page."""
    found = re.search(r"<h1[^>]*>(.*?)</h1>", answer.text, re.DOTALL)
    assert found, answer.text
    return found[1].strip()


async def state_of(browser: Browser) -> tuple[str, str | None]:
    """Status and reason, as the browser sees them."""
    told = (await browser.status()).json()["data"]
    return told["status"], told["reason"]


def meta(answer: httpx2.Response) -> dict[str, str]:
    """What the page that finishes a sign-in is told."""
    found = re.search(
        r'<meta name="attempt" content="([^"]+)" data-binding="(\w+)" data-home="([^"]+)">', answer.text
    )
    assert found, answer.text
    return dict(zip(("session_id", "binding", "home"), found.groups(), strict=True))


@pytest.mark.parametrize("pkce", [True, False], ids=["pkce", "cookie"])
async def test_the_walk(hub: HubProcess, pkce: bool) -> None:
    """To WeChat and back, and the page that comes back is the one that redeems."""
    async with Browser(hub.url) as browser:
        await browser.begin(pkce=pkce, door=DOOR)
        assert browser.attempt["qr_url"] is browser.attempt["qr_content"] is None
        assert "hub_binding" in browser.http.cookies
        back = await browser.http.get(await led_back(browser))
        assert back.status_code == 200
        assert meta(back)["session_id"] == browser.session_id
        assert meta(back)["binding"] == ("verifier" if pkce else "cookie")
        told = (await browser.status()).json()["data"]
        assert (told["status"], told["seq"]) == ("confirmed", 3)
        assert (await browser.redeem()).status_code == 200
        assert (await browser.redeem()).status_code == 409


async def test_frames(browser: Browser) -> None:
    """Both moves are told, or the last one alone: a watcher has one slot."""
    async with browser.socket() as socket:
        first = await frame(socket)
        assert (first["seq"], first["status"], first["qr_url"]) == (1, "pending", None)
        assert "authorize_url" not in first
        await browser.http.get(await led_back(browser))
        seen = [await frame(socket)]
        if seen[-1]["status"] != "confirmed":
            seen.append(await frame(socket))
    assert [(one["seq"], one["status"]) for one in seen] in (
        [(2, "scanned"), (3, "confirmed")],
        [(3, "confirmed")],
    )


async def test_another_browser_gets_nowhere(hub: HubProcess, browser: Browser) -> None:
    """A victim who is sent the attacker's address approves nothing, and the attacker's code is not spent."""
    url = await led_back(browser)
    async with Browser(hub.url) as without, Browser(hub.url) as victim:
        await victim.begin(door=DOOR)
        for stranger in (without, victim):
            page = await stranger.http.get(url)
            assert (page.status_code, title(page)) == (200, "Nothing to do here")
    assert await state_of(browser) == ("pending", None)
    assert (await browser.http.get(url)).status_code == 200
    assert await state_of(browser) == ("confirmed", None)


async def test_the_way_out_is_for_its_own_browser(hub: HubProcess, browser: Browser) -> None:
    """While pending, the status tells a fresh address to the cookie's browser and to no other."""
    told = (await browser.status()).json()["data"]
    assert told["authorize_url"] != browser.attempt["authorize_url"]
    async with Browser(hub.url) as without, Browser(hub.url) as other:
        await other.begin(door=DOOR)
        for stranger in (without, other):
            assert "authorize_url" not in (await stranger.status(browser.session_id)).json()["data"]
    await browser.http.get(await led_back(browser, url=told["authorize_url"]))
    told = (await browser.status()).json()["data"]
    assert told["status"] == "confirmed"
    assert "authorize_url" not in told


async def test_a_second_hit_gets_the_same(browser: Browser) -> None:
    """Reloading the callback shows the same page, also after the tokens are given out."""
    url = await led_back(browser)
    first = await browser.http.get(url)
    assert (await browser.redeem()).status_code == 200
    again = await browser.http.get(url)
    assert (again.status_code, meta(again)) == (200, meta(first))


async def test_a_changed_state(browser: Browser) -> None:
    """A state that is not ours, in any digit, is nobody's."""
    url = await led_back(browser)
    state = parse_qs(urlsplit(url).query)["state"][0]
    for changed in (state[:-1] + ("0" if state[-1] != "0" else "1"), "03" + state[2:], state.upper(), ""):
        page = await browser.http.get(url.replace(state, changed))
        assert title(page) == "Nothing to do here"
    assert await state_of(browser) == ("pending", None)


async def test_who_declines(browser: Browser) -> None:
    """WeChat leads back with the state alone: the attempt is cancelled, and the page offers a new start."""
    url = await led_back(browser, **{"x-sandbox-decision": "deny"})
    assert "code=" not in url
    for _ in range(2):
        page = await browser.http.get(url)
        assert (page.status_code, title(page)) == (200, "Not allowed in WeChat")
        assert 'href="/?door=open_platform"' in page.text
    assert await state_of(browser) == ("failed", "cancelled")


async def test_a_refresh_on_the_socket(browser: Browser) -> None:
    """A new attempt of the same door and binding; the status tells its browser the way out."""
    await browser.http.get(await led_back(browser, **{"x-sandbox-decision": "deny"}))
    async with browser.socket() as socket:
        assert (await frame(socket))["status"] == "failed"
        await socket.send('{"type":"refresh"}')
        renewed = await frame(socket)
        assert renewed["status"] == "pending"
    way = (await browser.status(renewed["session_id"])).json()["data"]["authorize_url"]
    assert (await browser.http.get(await led_back(browser, url=way))).status_code == 200
    assert (await browser.redeem(renewed["session_id"])).status_code == 200


async def test_pages_elsewhere_have_to_lead_people_here(hub_on_sqlite: HubProcess) -> None:
    """A page of another origin cannot be given the cookie, and is told so at once."""
    headers = {"origin": ALLOWED_ORIGIN, "sec-fetch-site": "cross-site"}
    async with Browser(hub_on_sqlite.url, **headers) as elsewhere:
        refused = await elsewhere.http.post(f"{AT}/qr-code", json={"door": DOOR})
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "door")
        assert (await elsewhere.http.post(f"{AT}/qr-code", json={"door": "h5"})).status_code == 200


async def test_there_is_no_code_to_draw_or_land_on(browser: Browser) -> None:
    """WeChat draws this door's code itself, so ours leads nowhere."""
    code = browser.attempt["qr_code"]
    for kind in ("svg", "png"):
        assert (await browser.http.get(f"{AT}/qr-code/{code}.{kind}")).status_code == 404
    assert (await browser.http.get(f"/s/{code}")).status_code == 404
    assert (await browser.http.post(f"{AT}/scan", json={"qr_code": code})).status_code == 401


async def test_a_blocked_account(hub: HubProcess, browser: Browser) -> None:
    """Its person gets a page, the browser the reason, and the try is on record; nothing is redeemed."""
    await sign_in(hub.url, "emoji")
    (user,) = await rows(
        hub.database_url,
        "SELECT u.id FROM users u JOIN wechat_users w ON w.uid = u.id"
        " WHERE w.nickname LIKE '%小狐狸%' ORDER BY u.id LIMIT 1",
    )
    assert hub.command("user", "ban", str(user["id"])).returncode == 0
    page = await browser.http.get(await led_back(browser, "emoji"))
    assert title(page) == "Account not available"
    assert 'href="/?door=open_platform"' in page.text
    told = (await browser.status()).json()["data"]
    assert (told["status"], told["reason"], told["seq"]) == ("failed", "account_blocked", 3)
    assert (await browser.redeem()).status_code == 410
    blocked = await rows(
        hub.database_url, "SELECT login_method, failure_reason FROM login_logs WHERE login_status = 'blocked'"
    )
    assert ("wechat", "account_blocked") in [tuple(row.values()) for row in blocked]
    assert hub.command("user", "unban", str(user["id"])).returncode == 0


async def test_a_snapshot_user_is_nobody(browser: Browser) -> None:
    """A person whom WeChat made up is refused; the attempt is over, for its page of WeChat's is used up."""
    page = await browser.http.get(await led_back(browser, "snapshot"))
    assert page.status_code == 200
    assert await state_of(browser) == ("failed", "provider_error")


async def test_one_person_over_the_doors(hub: HubProcess, browser: Browser) -> None:
    """By their unionid a person comes to the same account here and in the app."""
    in_app = await sign_in(hub.url, "bob")
    await browser.http.get(await led_back(browser, "bob"))
    here = (await browser.redeem()).json()["data"]
    profiles = [
        (
            await browser.http.get(
                "/api/user/profile", headers={"authorization": f"Bearer {one['access_token']}"}
            )
        ).json()
        for one in (in_app, here)
    ]
    assert profiles[0]["data"]["id"] == profiles[1]["data"]["id"]


async def test_for_a_client(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A client's person is led straight on to it, twice to one address; after a failure to the same start."""
    client = "https://shop.example.com/back"
    hub = HubProcess(tmp_path_factory.mktemp("hub"), REDIRECT_URIS=client, WECHAT_DOOR=DOOR).start()
    try:
        async with Browser(hub.url) as browser:
            verifier = "v" * 43
            asked = {"redirect_uri": client, "state": "st&te", "code_challenge": challenge(verifier)}
            await browser.begin(pkce=False, **asked)
            url = await led_back(browser)
            answers = [await browser.http.get(url) for _ in range(2)]
            assert [answer.status_code for answer in answers] == [303, 303]
            assert answers[0].headers["location"] == answers[1].headers["location"]
            told = parse_qs(urlsplit(answers[0].headers["location"]).query)
            assert told["state"] == ["st&te"]
            form = {"grant_type": "authorization_code", "code": told["code"][0], "redirect_uri": client}
            tokens = await browser.http.post("/oauth/token", data={**form, "code_verifier": verifier})
            assert tokens.status_code == 200, tokens.text
            await browser.begin(pkce=False, **asked)
            page = await browser.http.get(await led_back(browser, **{"x-sandbox-decision": "deny"}))
            again = re.search(r'href="/\?([^"]+)"', page.text)
            assert again
            start = parse_qs(again[1].replace("&amp;", "&"))
            expected = {**asked, "door": DOOR, "code_challenge_method": "S256"}
            assert start == {name: [value] for name, value in expected.items()}
    finally:
        hub.stop()
