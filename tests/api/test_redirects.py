"""Signing in to another site: which redirects are allowed, and what the code they carry is good for."""

import asyncio
import base64
import hashlib
import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, quote_plus, urlsplit

import httpx2
import pytest

from hub.qr.identifiers import hashed
from tests.people import AT, Browser, Phone, frame
from tests.problems import refused
from tests.servers.hub import HubProcess
from tests.signing_in import execute, rows

SHOP, BANK = ("shop", "secret of the shop: +/%&ä"), ("bank", "secret of the bank")
SHOP_BACK, BANK_BACK = "https://shop.example.com/back", "https://bank.example.com/back"
SPA, QUERY, APP = (
    "https://spa.example.com/back",
    "https://spa.example.com/q?keep=1&x=",
    "com.example.app:/back",
)
STATE = "a b&c=d#e/%李"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    """A hub with two confidential clients and three redirect URIs of public ones."""
    folder = tmp_path_factory.mktemp("redirects")
    clients = [
        {
            "client_id": name,
            "secret_sha256": ["0" * 64, hashlib.sha256(secret.encode()).hexdigest()],
            "redirect_uris": [back],
        }
        for (name, secret), back in ((SHOP, SHOP_BACK), (BANK, BANK_BACK))
    ]
    (folder / "clients.json").write_text(json.dumps(clients))
    process = HubProcess(
        folder, OAUTH_CLIENTS=str(folder / "clients.json"), REDIRECT_URIS=f"{SPA}, {QUERY}, {APP}"
    ).start()
    yield process
    process.stop()


@pytest.fixture
async def browser(hub: HubProcess) -> AsyncIterator[Browser]:
    """The browser that is to be led back."""
    async with Browser(hub.url) as browser:
        yield browser


@pytest.fixture
async def http(hub: HubProcess) -> AsyncIterator[httpx2.AsyncClient]:
    """A back end that swaps codes."""
    async with httpx2.AsyncClient(base_url=hub.url, timeout=20) as http:
        yield http


async def led_back(
    browser: Browser, redirect_uri: str, *, pkce: bool = True, state: str | None = STATE
) -> str:
    """Sign in towards *redirect_uri* and return the code."""
    await browser.begin(pkce=pkce, redirect_uri=redirect_uri, state=state)
    async with Phone(browser.url) as phone:
        await phone.scan(browser.attempt["qr_content"])
        await phone.answer()
    code: str = parse_qs(urlsplit(await redirect_url(browser) or "").query)["code"][0]
    return code


async def redirect_url(browser: Browser) -> str | None:
    """What the status answer says of a redirect."""
    url: str | None = (await browser.status()).json()["data"].get("redirect_url")
    return url


def form(code: str, redirect_uri: str, **members: str | None) -> dict[str, Any]:
    """The form that swaps a code."""
    return {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri, **members}


async def swap(
    http: httpx2.AsyncClient,
    code: str,
    redirect_uri: str,
    auth: tuple[str, str] | None = None,
    **members: Any,
) -> httpx2.Response:
    """Swap a code, by HTTP Basic or as a public client; Basic is form-encoded within (RFC 6749, 2.3.1)."""
    headers = {}
    if auth is not None:
        credentials = ":".join(map(quote_plus, auth)).encode()
        headers["authorization"] = f"Basic {base64.b64encode(credentials).decode()}"
    return await http.post("/oauth/token", data=form(code, redirect_uri, **members), headers=headers)


def invalid_grant(answer: httpx2.Response) -> bool:
    """Tell whether a code was refused as RFC 6749 section 5.2 words it."""
    return (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


# --- Where to.


@pytest.mark.parametrize(
    "redirect_uri",
    [
        "https://spa.example.com/back/",
        "https://spa.example.com/BACK",
        "HTTPS://spa.example.com/back",
        "https://spa.example.com:443/back",
        "http://spa.example.com/back",
        "https://spa.example.com/back?x=1",
        "https://spa.example.com/back#x",
        "https://spa.example.com/x/../back",
        "https://spa.example.com/%62ack",
        "https://spa.example.com",
        "https://spa.example.com.evil.example/back",
        "https://spa.example.com@evil.example/back",
        "https://evil.example/back",
        "//spa.example.com/back",
        " https://spa.example.com/back",
        "https://spa.example.com/back\n",
        "https://spa.example.com/q?keep=1",
        "com.example.app:/back/x",
        "javascript:alert(1)",
        f"{SPA},{APP}",
    ],
)
async def test_only_what_is_listed_to_the_letter(
    hub: HubProcess, browser: Browser, redirect_uri: str
) -> None:
    """No prefix, no pattern, no normal form (RFC 9700, 2.1); nothing is begun."""
    before = await rows(hub.database_url, "SELECT COUNT(*) AS n FROM login_sessions")
    asked = {"redirect_uri": redirect_uri, "code_challenge": "c" * 43}
    body = refused(await browser.http.post(f"{AT}/qr-code", json=asked), 422, "invalid-request")
    assert [error["field"] for error in body["errors"]] == ["redirect_uri"]
    assert await rows(hub.database_url, "SELECT COUNT(*) AS n FROM login_sessions") == before


@pytest.mark.parametrize("redirect_uri", [SPA, QUERY, APP])
async def test_a_public_client_needs_a_challenge(browser: Browser, redirect_uri: str) -> None:
    """Without one, whoever sees the code could swap it."""
    answer = await browser.http.post(f"{AT}/qr-code", json={"redirect_uri": redirect_uri})
    assert [error["field"] for error in refused(answer, 422, "invalid-request")["errors"]] == [
        "code_challenge"
    ]
    await browser.begin(redirect_uri=redirect_uri)


@pytest.mark.parametrize(
    ("redirect_uri", "begins"), [(SPA, f"{SPA}?code="), (QUERY, f"{QUERY}&code="), (APP, f"{APP}?code=")]
)
async def test_the_redirect_carries_code_and_state(browser: Browser, redirect_uri: str, begins: str) -> None:
    """Both are added to what the URI has already; the state comes back to the letter."""
    code = await led_back(browser, redirect_uri)
    url = await redirect_url(browser)
    assert url is not None
    assert url.startswith(begins)
    query = parse_qs(urlsplit(url).query, keep_blank_values=True)
    assert (query["code"], query["state"]) == ([code], [STATE])
    assert len(code) == 43
    await led_back(browser, redirect_uri, state=None)
    assert "state" not in (await redirect_url(browser) or "")


async def test_the_redirect_is_due_only_while_confirmed(hub: HubProcess, browser: Browser) -> None:
    """Not before the confirmation, not after its minute; in between each answer says the same."""
    async with Phone(hub.url) as phone:
        await browser.begin(redirect_uri=SPA)
        assert await redirect_url(browser) is None
        await phone.scan(browser.attempt["qr_content"])
        assert await redirect_url(browser) is None
        await phone.answer()
    first, second = await redirect_url(browser), await redirect_url(browser)
    assert first is not None
    assert first == second
    assert (await browser.status()).headers["cache-control"] == "no-store"
    await ends(hub, browser)
    assert await redirect_url(browser) is None


async def ends(hub: HubProcess, browser: Browser) -> None:
    """Move the deadline of the browser's attempt into the past."""
    await execute(
        hub.database_url,
        "UPDATE login_sessions SET expires_at = :moment WHERE session_id = :key",
        moment=datetime.now(UTC) - timedelta(seconds=1),
        key=hashed(browser.session_id),
    )


async def test_without_a_redirect_there_is_none(browser: Browser) -> None:
    """An attempt that names no redirect has no code, whatever its state."""
    await browser.begin(state=STATE)
    async with Phone(browser.url) as phone:
        await phone.scan(browser.attempt["qr_content"])
        await phone.answer()
    assert await redirect_url(browser) is None


async def test_a_declined_attempt_leads_nowhere(browser: Browser) -> None:
    """The site learns of a refusal from nobody but the browser itself."""
    await browser.begin(redirect_uri=SPA)
    async with Phone(browser.url) as phone:
        await phone.scan(browser.attempt["qr_content"])
        await phone.answer("cancel")
    assert await redirect_url(browser) is None


async def test_only_its_cookie_sees_a_cookie_bound_redirect(hub: HubProcess, browser: Browser) -> None:
    """Who has the session_id alone, or another browser's cookie, learns the status and no code."""
    await led_back(browser, SHOP_BACK, pkce=False)
    async with Browser(hub.url) as thief:
        assert "redirect_url" not in (await thief.status(browser.session_id)).json()["data"]
        await thief.begin(pkce=False)
        told = (await thief.status(browser.session_id)).json()["data"]
        assert told["status"] == "confirmed"
        assert "redirect_url" not in told
    assert await redirect_url(browser) is not None


async def test_a_successor_leads_to_the_same_place(browser: Browser) -> None:
    """A refresh keeps redirect, state and challenge."""
    await browser.begin(redirect_uri=SPA, state=STATE)
    async with browser.socket() as socket, Phone(browser.url) as phone:
        await frame(socket)
        await socket.send('{"type":"cancel"}')
        await frame(socket)
        await socket.send('{"type":"refresh"}')
        renewed = await frame(socket)
        await phone.scan(f"{browser.url}/s/{renewed['qr_code']}")
        await phone.answer()
    told = (await browser.status(renewed["session_id"])).json()["data"]["redirect_url"]
    assert parse_qs(urlsplit(told).query)["state"] == [STATE]


# --- What the code is good for.


async def test_a_public_code_needs_its_verifier(browser: Browser, http: httpx2.AsyncClient) -> None:
    """None, a wrong one, another redirect: refused, and nothing is consumed."""
    code = await led_back(browser, SPA)
    for wrong in (
        await swap(http, code, SPA),
        await swap(http, code, SPA, code_verifier="x" * 43),
        await swap(http, code, QUERY, code_verifier=browser.verifier),
        await swap(http, code[:-1], SPA, code_verifier=browser.verifier),
        await swap(http, browser.session_id, SPA, code_verifier=browser.verifier),
        await swap(http, code, SPA, SHOP, code_verifier=browser.verifier),
    ):
        assert invalid_grant(wrong), wrong.text
    assert (await swap(http, code, SPA, code_verifier=browser.verifier)).status_code == 200


@pytest.mark.parametrize("way", ["basic", "post"])
async def test_a_confidential_code_needs_its_client(
    hub: HubProcess, browser: Browser, http: httpx2.AsyncClient, way: str
) -> None:
    """None, another client, a wrong secret: refused; then its own, by header or by form."""
    code = await led_back(browser, SHOP_BACK, pkce=False)
    assert invalid_grant(await swap(http, code, SHOP_BACK))
    assert invalid_grant(await swap(http, code, SHOP_BACK, BANK))
    assert invalid_grant(await swap(http, code, BANK_BACK, BANK))
    assert (await swap(http, code, SHOP_BACK, (SHOP[0], "wrong"))).json()["error"] == "invalid_client"
    assert (await swap(http, code, SHOP_BACK, client_id=SHOP[0])).json()["error"] == "invalid_client"
    if way == "basic":
        answer = await swap(http, code, SHOP_BACK, SHOP)
    else:
        answer = await swap(http, code, SHOP_BACK, client_id=SHOP[0], client_secret=SHOP[1])
    assert answer.status_code == 200, answer.text
    (session,) = await rows(hub.database_url, "SELECT * FROM user_sessions ORDER BY id DESC LIMIT 1")
    assert (session["sid"], session["client_id"]) == (answer.json()["session_id"], SHOP[0])


async def test_both_ways_of_authentication_at_once(browser: Browser, http: httpx2.AsyncClient) -> None:
    """RFC 6749, 2.3: not more than one."""
    code = await led_back(browser, SHOP_BACK, pkce=False)
    answer = await swap(http, code, SHOP_BACK, SHOP, client_id=SHOP[0], client_secret=SHOP[1])
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert (await swap(http, code, SHOP_BACK, SHOP)).status_code == 200


async def test_a_challenge_binds_a_confidential_client_too(
    browser: Browser, http: httpx2.AsyncClient
) -> None:
    """A client that began with a challenge proves it, secret or not (RFC 9700, 2.1.1)."""
    code = await led_back(browser, SHOP_BACK)
    assert invalid_grant(await swap(http, code, SHOP_BACK, SHOP))
    assert invalid_grant(await swap(http, code, SHOP_BACK, SHOP, code_verifier="x" * 43))
    assert (await swap(http, code, SHOP_BACK, SHOP, code_verifier=browser.verifier)).status_code == 200


async def test_a_verifier_without_a_challenge(browser: Browser, http: httpx2.AsyncClient) -> None:
    """A client that proves a challenge which was never given has been led astray (RFC 9700, 2.1.1)."""
    code = await led_back(browser, SHOP_BACK, pkce=False)
    assert invalid_grant(await swap(http, code, SHOP_BACK, SHOP, code_verifier="x" * 43))
    assert (await swap(http, code, SHOP_BACK, SHOP)).status_code == 200


async def test_a_code_is_good_once(hub: HubProcess, browser: Browser, http: httpx2.AsyncClient) -> None:
    """Of ten swaps at once one wins; one session is opened, and later ones are refused."""
    code = await led_back(browser, SPA)
    before = await rows(hub.database_url, "SELECT id FROM user_sessions")
    answers = await asyncio.gather(
        *(swap(http, code, SPA, code_verifier=browser.verifier) for _ in range(10))
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 9
    assert len(await rows(hub.database_url, "SELECT id FROM user_sessions")) == len(before) + 1
    assert invalid_grant(await swap(http, code, SPA, code_verifier=browser.verifier))


async def test_code_and_session_share_one_redemption(browser: Browser, http: httpx2.AsyncClient) -> None:
    """Whichever way comes first, the other one comes too late."""
    code = await led_back(browser, SPA)
    assert (await browser.redeem()).status_code == 200
    assert invalid_grant(await swap(http, code, SPA, code_verifier=browser.verifier))
    code = await led_back(browser, SPA)
    assert (await swap(http, code, SPA, code_verifier=browser.verifier)).status_code == 200
    refused(await browser.redeem(), 409, "already-redeemed")


async def test_a_code_ends_with_its_minute(
    hub: HubProcess, browser: Browser, http: httpx2.AsyncClient
) -> None:
    """Then it is refused like one that never was."""
    code = await led_back(browser, SPA)
    await ends(hub, browser)
    assert invalid_grant(await swap(http, code, SPA, code_verifier=browser.verifier))


async def test_a_code_of_a_blocked_account(
    hub: HubProcess, browser: Browser, http: httpx2.AsyncClient
) -> None:
    """The client learns no more than that the grant is invalid; the try is on record."""
    code = await led_back(browser, SPA)
    await execute(hub.database_url, "UPDATE users SET status = :status", status="banned")
    try:
        answer = await swap(http, code, SPA, code_verifier=browser.verifier)
    finally:
        await execute(hub.database_url, "UPDATE users SET status = :status", status="active")
    assert invalid_grant(answer)
    assert "blocked" not in answer.text
    (logged,) = await rows(hub.database_url, "SELECT * FROM login_logs ORDER BY id DESC LIMIT 1")
    assert (logged["login_status"], logged["failure_reason"]) == ("blocked", "account_blocked")
