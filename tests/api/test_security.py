"""What nobody can do who is not both the browser that asked and the phone that scanned first."""

import asyncio
import json
import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import jwt
import pytest
from websockets.exceptions import InvalidStatus

from hub.qr.identifiers import hashed
from hub.web.language import translate
from tests.people import AT, Browser, CustomerApp, Phone, forget, frame, sign_in
from tests.problems import refused
from tests.servers.hub import ALLOWED_ORIGIN, HubProcess
from tests.signing_in import execute, rows

Block = Callable[[int], Awaitable[None]]

FOREIGN = "https://evil.example"


@pytest.fixture
async def browser(hub: HubProcess) -> AsyncIterator[Browser]:
    """The browser that wants in, on each pair of back ends in turn."""
    async with Browser(hub.url) as browser:
        yield browser


@pytest.fixture
async def phone(hub: HubProcess) -> AsyncIterator[Phone]:
    """The phone of the person who signs in."""
    async with Phone(hub.url) as phone:
        yield phone


@pytest.fixture
async def thief(hub: HubProcess) -> AsyncIterator[Browser]:
    """Another browser, with a binding cookie and a verifier of its own."""
    async with Browser(hub.url) as thief:
        await thief.begin(pkce=False)
        await thief.begin()
        yield thief


async def confirmed(browser: Browser, phone: Phone, **members: object) -> None:
    """Bring an attempt to the point where only the redemption is left."""
    await browser.begin(**members)  # type: ignore[arg-type]  # members of the request, pkce among them
    await phone.scan(browser.attempt["qr_content"])
    assert (await phone.answer()).status_code == 200


async def state_of(browser: Browser) -> tuple[str, str | None]:
    """Status and reason of the browser's attempt."""
    snapshot = (await browser.status()).json()["data"]
    return snapshot["status"], snapshot["reason"]


async def consented(phone: Phone, qr_content: str) -> str:
    """Scan and consent, and return the callback's address without opening it."""
    url = qr_content
    while f"{AT}/callback" not in url:
        answer = await phone.http.get(url, headers={"x-sandbox-person": phone.person})
        url = str(answer.url.join(answer.headers["location"]))
    return url


def shows(page: httpx2.Response, outcome: str) -> bool:
    """Tell whether a page is the one of this outcome."""
    return translate("en", f"page.outcome.{outcome}.title") in page.text


def user_id(reply: Any) -> int:
    """The account that a token reply signs in to."""
    return int(jwt.decode(reply["access_token"], options={"verify_signature": False})["sub"])


# --- What is seen or stolen signs nobody in.


@pytest.mark.parametrize("pkce", [True, False], ids=["verifier", "cookie"])
async def test_everything_but_the_secret_redeems_nothing(
    browser: Browser, phone: Phone, thief: Browser, pkce: bool
) -> None:
    """All codes, ids, frames and answers in another browser: 403, and the rightful one still signs in."""
    seen: list[dict[str, Any]] = [await browser.begin(pkce=pkce)]
    async with browser.socket() as socket:
        seen.append(await frame(socket))
        await phone.scan(browser.attempt["qr_content"])
        seen.append(await frame(socket))
        await phone.answer()
        seen.append(await frame(socket))
    seen.append((await thief.status(browser.session_id)).json())
    words = set(re.findall(r"[A-Za-z0-9._~-]{43,128}", json.dumps(seen)))
    assert browser.session_id in words
    for verifier in [thief.verifier, *words]:
        answer = await thief.redeem(browser.session_id, code_verifier=verifier)
        refused(answer, 403, "binding-mismatch")
    thief.verifier = None
    refused(await thief.redeem(browser.session_id), 403, "binding-mismatch")
    async with Browser(browser.url) as stranger:
        refused(await stranger.redeem(browser.session_id), 403, "binding-mismatch")
    assert (await browser.redeem()).status_code == 200


async def test_a_photo_of_the_code_tells_nothing(browser: Browser, thief: Browser) -> None:
    """A qr_code is no session_id: it has no status and cannot be redeemed."""
    await browser.begin()
    code = browser.attempt["qr_code"]
    refused(await thief.status(code), 404, "attempt-not-found")
    refused(await thief.redeem(code), 422, "invalid-request")
    with pytest.raises(InvalidStatus):
        async with thief.socket(code):
            pass


async def test_a_wrong_verifier_consumes_nothing(hub: HubProcess, browser: Browser, phone: Phone) -> None:
    """However often it is tried, the right one works afterwards; each try is on record."""
    await confirmed(browser, phone)
    count = "SELECT COUNT(*) AS n FROM login_logs WHERE failure_reason = 'invalid_code'"
    (before,) = await rows(hub.database_url, count)
    for _ in range(5):
        refused(await browser.redeem(code_verifier=secrets.token_urlsafe(32)), 403, "binding-mismatch")
    assert await last_try(hub) == ("failed", "invalid_code")
    (after,) = await rows(hub.database_url, count)
    assert after["n"] == before["n"] + 5
    assert (await browser.redeem()).status_code == 200


async def test_nothing_is_redeemed_before_the_phone_confirms(browser: Browser, phone: Phone) -> None:
    """Pending and scanned are told apart from confirmed only by status; both are 409 here."""
    await browser.begin()
    refused(await browser.redeem(), 409, "not-confirmed")
    await phone.scan(browser.attempt["qr_content"])
    refused(await browser.redeem(), 409, "not-confirmed")
    await phone.answer()
    assert (await browser.redeem()).status_code == 200


async def test_redeeming_twice(browser: Browser, phone: Phone) -> None:
    """Tokens are given out once."""
    await confirmed(browser, phone)
    assert (await browser.redeem()).status_code == 200
    refused(await browser.redeem(), 409, "already-redeemed")


async def test_redeeming_twenty_times_at_once(hub: HubProcess, browser: Browser, phone: Phone) -> None:
    """Of twenty parallel redemptions exactly one wins, and one session is opened."""
    await confirmed(browser, phone)
    before = await rows(hub.database_url, "SELECT id FROM user_sessions")
    answers = await asyncio.gather(*(browser.redeem() for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 19
    assert len(await rows(hub.database_url, "SELECT id FROM user_sessions")) == len(before) + 1


async def test_redeeming_too_late(hub: HubProcess, browser: Browser, phone: Phone) -> None:
    """A confirmed attempt that nobody redeemed in its minute is gone."""
    await confirmed(browser, phone)
    await ends(hub, browser)
    refused(await browser.redeem(), 410, "attempt-expired")


async def ends(hub: HubProcess, browser: Browser) -> None:
    """Move the deadline of the browser's attempt into the past."""
    await execute(
        hub.database_url,
        "UPDATE login_sessions SET expires_at = :expires_at WHERE session_id = :session_id",
        expires_at=datetime.now(UTC) - timedelta(seconds=60),
        session_id=hashed(browser.session_id),
    )


# --- The consent and its callback.


async def test_a_second_callback_gets_the_first_ones_outcome(browser: Browser, phone: Phone) -> None:
    """Browsers and WeChat call back twice: with the cookie, the phone gets to the same page again."""
    await browser.begin()
    url = await consented(phone, browser.attempt["qr_content"])
    for _ in range(2):
        answer = await phone.http.get(url)
        assert answer.status_code == 303
        page = await phone.http.get(answer.headers["location"])
        assert 'name="csrf-token"' in page.text
    assert await state_of(browser) == ("scanned", None)


async def test_a_callback_in_another_browser_is_neutral(browser: Browser, phone: Phone) -> None:
    """Without the cookie that landed there is no grant, before and after the rightful callback."""
    await browser.begin()
    url = await consented(phone, browser.attempt["qr_content"])
    async with Phone(browser.url) as bare, Phone(browser.url, "bob") as other:
        await consented(other, browser.attempt["qr_content"])  # has a binding cookie of its own
        for stranger in (bare, other):
            page = await stranger.http.get(url)
            assert shows(page, "neutral")
            assert "set-cookie" not in page.headers
        assert await state_of(browser) == ("pending", None)
        assert (await phone.http.get(url)).status_code == 303
        for stranger in (bare, other):
            assert shows(await stranger.http.get(url), "neutral")


async def test_parallel_callbacks_exchange_the_code_once(browser: Browser, phone: Phone) -> None:
    """Five hits at once all get the outcome; WeChat is asked by one of them."""
    await browser.begin()
    url = await consented(phone, browser.attempt["qr_content"])
    answers = await asyncio.gather(*(phone.http.get(url) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {303}
    code = httpx2.URL(url).params["code"]
    calls = (await phone.http.get("/sandbox/requests")).json()
    assert sum(call["query"].get("code") == code and "/sns/" in call["path"] for call in calls) == 1


async def test_a_state_is_for_one_code(browser: Browser, phone: Phone) -> None:
    """A used state with another code, or spelt otherwise, exchanges nothing more."""
    await browser.begin()
    url = httpx2.URL(await consented(phone, browser.attempt["qr_content"]))
    await phone.http.get(url)
    before = (await phone.http.get("/sandbox/requests")).json()
    again = url.copy_merge_params({"code": "another"})
    assert (await phone.http.get(again)).status_code == 303
    page = await phone.http.get(again.copy_merge_params({"state": url.params["state"].upper()}))
    assert shows(page, "neutral")
    assert (await phone.http.get("/sandbox/requests")).json() == before


# --- The second scanner.


async def test_a_second_person_burns_the_attempt(hub: HubProcess, browser: Browser, phone: Phone) -> None:
    """Somebody else scans what is claimed: refused, and the first person can no longer confirm."""
    await browser.begin(pkce=False)
    await phone.scan(browser.attempt["qr_content"])
    async with Phone(hub.url, "bob") as other:
        assert shows(await other.scan(browser.attempt["qr_content"]), "already_claimed")
    assert await state_of(browser) == ("failed", "already_claimed")
    refused(await phone.answer(), 409, "already-claimed")
    refused(await browser.redeem(), 410, "attempt-failed")
    (logged,) = await rows(hub.database_url, "SELECT * FROM login_logs ORDER BY id DESC LIMIT 1")
    assert (logged["login_method"], logged["login_status"]) == ("wechat", "failed")


async def test_whoever_photographs_the_screen_cannot_lock_its_owner_out(
    hub: HubProcess, browser: Browser, phone: Phone
) -> None:
    """The third second scan within ten minutes is refused and burns nothing."""
    async with Phone(hub.url, "bob") as other:
        for burnt in (True, True, False):
            await browser.begin(pkce=False)
            await phone.scan(browser.attempt["qr_content"])
            assert shows(await other.scan(browser.attempt["qr_content"]), "already_claimed")
            assert await state_of(browser) == (("failed", "already_claimed") if burnt else ("scanned", None))
    assert (await phone.answer()).status_code == 200
    assert (await browser.redeem()).status_code == 200


async def test_burning_can_be_switched_off(tmp_path: Path) -> None:
    """By setting, a second scan is only refused."""
    hub = HubProcess(tmp_path, QR_BURN_ON_SECOND_SCAN="false").start()
    try:
        async with Browser(hub.url) as browser, Phone(hub.url) as phone, Phone(hub.url, "bob") as other:
            await browser.begin()
            await phone.scan(browser.attempt["qr_content"])
            assert shows(await other.scan(browser.attempt["qr_content"]), "already_claimed")
            assert await state_of(browser) == ("scanned", None)
            assert (await phone.answer()).status_code == 200
    finally:
        hub.stop()


async def test_the_same_person_may_scan_again(browser: Browser, phone: Phone) -> None:
    """A second phone of the same person gets a grant of its own; seq does not move."""
    await browser.begin()
    await phone.scan(browser.attempt["qr_content"])
    async with Phone(browser.url) as second:
        await second.scan(browser.attempt["qr_content"])
        assert (await browser.status()).headers["etag"] == '"2"'
        assert (await second.answer()).status_code == 200
    refused(await phone.answer(), 409, "wrong-state")


# --- The confirmation.


async def test_confirming_needs_grant_token_and_origin(
    hub: HubProcess, browser: Browser, phone: Phone
) -> None:
    """Each of them missing, wrong, foreign or of another attempt: 403, and the attempt waits on."""
    await browser.begin()
    await phone.scan(browser.attempt["qr_content"])
    token, origin = phone.meta("csrf-token"), hub.url
    async with Browser(hub.url) as other_browser, Phone(hub.url, "bob") as other:
        await other_browser.begin()
        await other.scan(other_browser.attempt["qr_content"])
        for client, headers, slug in (
            (phone, {"origin": origin}, "csrf-failed"),
            (phone, {"origin": origin, "x-csrf-token": ""}, "csrf-failed"),
            (phone, {"origin": origin, "x-csrf-token": "0" * 64}, "csrf-failed"),
            (phone, {"origin": origin, "x-csrf-token": other.meta("csrf-token")}, "csrf-failed"),
            (phone, {"origin": FOREIGN, "x-csrf-token": token}, "origin-not-allowed"),
            (phone, {"origin": "null", "x-csrf-token": token}, "origin-not-allowed"),
            (phone, {"x-csrf-token": token}, "origin-not-allowed"),
            (other, {"origin": origin, "x-csrf-token": token}, "grant-required"),
            (other, {"origin": origin, "x-csrf-token": other.meta("csrf-token")}, "grant-required"),
            (other_browser, {"origin": origin, "x-csrf-token": token}, "grant-required"),
        ):
            body = {"session_id": browser.session_id, "action": "confirm"}
            answer = await client.http.post(f"{AT}/confirm", json=body, headers=headers)
            refused(answer, 403, slug)
    assert await state_of(browser) == ("scanned", None)
    assert (await phone.answer()).status_code == 200


async def test_an_access_token_is_no_grant_for_what_wechat_claimed(browser: Browser, phone: Phone) -> None:
    """Even the same person's token, for the phone that scanned is WeChat and not the customer's app."""
    reply = await sign_in(browser.url)
    await browser.begin()
    await phone.scan(browser.attempt["qr_content"])
    async with CustomerApp(browser.url, reply["access_token"]) as app:
        refused(await app.answer(browser.session_id), 403, "grant-required")
        refused(await app.answer(browser.session_id, "report"), 403, "grant-required")
    assert await state_of(browser) == ("scanned", None)


async def test_an_app_answers_only_for_its_own_person(browser: Browser) -> None:
    """What one account has claimed another one can neither claim nor confirm."""
    alice, bob = [await sign_in(browser.url, name) for name in ("alice", "bob")]
    await browser.begin(pkce=False, door="app")
    async with (
        CustomerApp(browser.url, alice["access_token"]) as app,
        CustomerApp(browser.url, bob["access_token"]) as other,
    ):
        assert (await app.scan(browser.attempt["qr_code"])).status_code == 200
        refused(await other.answer(browser.session_id), 403, "grant-required")
        assert (await app.answer(browser.session_id)).status_code == 200
        refused(await other.scan(browser.attempt["qr_code"]), 409, "wrong-state")
    assert user_id((await browser.redeem()).json()["data"]) == user_id(alice)


@pytest.mark.parametrize("door", ["mini_program", "official_account"])
async def test_an_app_takes_no_code_of_wechats(hub_on_sqlite: HubProcess, door: str) -> None:
    """What is to be scanned in WeChat cannot be claimed with an access token; the attempt waits on."""
    reply = await sign_in(hub_on_sqlite.url)
    async with (
        Browser(hub_on_sqlite.url) as browser,
        CustomerApp(hub_on_sqlite.url, reply["access_token"]) as app,
    ):
        await browser.begin(door=door)
        refused(await app.scan(browser.attempt["qr_code"]), 404, "attempt-not-found")
        assert await state_of(browser) == ("pending", None)


@pytest.mark.parametrize("action", ["confirm", "cancel", "report"])
async def test_an_answer_after_the_deadline(
    hub: HubProcess, browser: Browser, phone: Phone, action: str
) -> None:
    """Too late is too late, whether or not somebody has come round to writing `expired`."""
    await browser.begin()
    await phone.scan(browser.attempt["qr_content"])
    await ends(hub, browser)
    refused(await phone.answer(action), 410, "attempt-expired")
    refused(await browser.redeem(), 410, "attempt-expired")


async def test_answers_are_final(browser: Browser, phone: Phone) -> None:
    """After a decline nothing can be confirmed, after a confirmation nothing declined or cancelled."""
    await browser.begin()
    await phone.scan(browser.attempt["qr_content"])
    await phone.answer("cancel")
    refused(await phone.answer(), 410, "attempt-failed")
    await confirmed(browser, phone)
    refused(await phone.answer("cancel"), 409, "wrong-state")
    refused(await phone.answer("report"), 409, "wrong-state")
    assert (await browser.redeem()).status_code == 200


# --- Accounts that are blocked, and what is put on record.


@pytest.fixture(params=["banned", "inactive"])
async def block(hub: HubProcess, request: pytest.FixtureRequest) -> AsyncIterator[Block]:
    """Block an account, as an administrator would; it is let in again at the end."""
    blocked: set[int] = set()

    async def set_status(user: int, status: str) -> None:
        sql = "UPDATE users SET status = :status WHERE id = :id"
        await execute(hub.database_url, sql, id=user, status=status)

    async def block(user: int) -> None:
        blocked.add(user)
        await set_status(user, request.param)

    yield block
    for user in blocked:
        await set_status(user, "active")


async def test_a_blocked_account_cannot_confirm(
    hub: HubProcess, browser: Browser, phone: Phone, block: Block
) -> None:
    """The confirmation fails the attempt, and is on record as blocked."""
    user = user_id(await sign_in(hub.url))
    await browser.begin()
    await phone.scan(browser.attempt["qr_content"])
    await block(user)
    refused(await phone.answer(), 403, "account-blocked")
    assert await state_of(browser) == ("failed", "account_blocked")
    refused(await browser.redeem(), 410, "attempt-failed")
    assert await last_try(hub) == ("blocked", "account_blocked")


async def test_a_blocked_account_cannot_redeem(
    hub: HubProcess, browser: Browser, phone: Phone, block: Block
) -> None:
    """Status is checked again at redemption; nothing is consumed by the refusal."""
    user = user_id(await sign_in(hub.url))
    await confirmed(browser, phone)
    await block(user)
    refused(await browser.redeem(), 403, "account-blocked")
    assert await last_try(hub) == ("blocked", "account_blocked")
    await execute(hub.database_url, "UPDATE users SET status = 'active' WHERE id = :id", id=user)
    assert (await browser.redeem()).status_code == 200


async def test_a_blocked_account_cannot_confirm_by_app(
    hub: HubProcess, browser: Browser, block: Block
) -> None:
    """Its access token may still be good, but it neither claims nor confirms."""
    reply = await sign_in(hub.url)
    async with CustomerApp(hub.url, reply["access_token"]) as app:
        await browser.begin(door="app")
        await app.scan(browser.attempt["qr_code"])
        await block(user_id(reply))
        refused(await app.answer(browser.session_id), 403, "account-blocked")
        assert await state_of(browser) == ("failed", "account_blocked")
        await browser.begin(door="app")
        refused(await app.scan(browser.attempt["qr_code"]), 403, "account-blocked")
        assert await state_of(browser) == ("pending", None)


async def last_try(hub: HubProcess) -> tuple[str, str | None]:
    """Status and reason of the newest row of the login log."""
    (row,) = await rows(hub.database_url, "SELECT * FROM login_logs ORDER BY id DESC LIMIT 1")
    assert row["login_method"] == "wechat"
    return row["login_status"], row["failure_reason"]


async def test_a_sign_in_is_on_record(hub: HubProcess, browser: Browser, phone: Phone) -> None:
    """One session and one log row, with the device as told; hostile text is kept to the letter."""
    name, kind, device = "Bob's \"laptop\" \\' %s \\", "web'--", 'id"; DROP TABLE users; --'
    browser.http.headers["user-agent"] = "Mozilla/5.0 ' \" \\ % ? :id"
    await confirmed(browser, phone)
    reply = (await browser.redeem(device_name=name, device_type=kind, device_id=device)).json()["data"]
    (session,) = [
        row
        for row in await rows(hub.database_url, "SELECT * FROM user_sessions ORDER BY id DESC LIMIT 1")
        if row["sid"] == reply["session_id"]
    ]
    assert (session["device_name"], session["device_type"], session["device_id"]) == (name, kind, device)
    assert session["user_agent"] == browser.http.headers["user-agent"]
    assert (session["ip_address"], session["user_id"]) == ("127.0.0.1", user_id(reply))
    assert (session["amr"], session["is_active"], session["generation"]) == ("wechat", 1, 0)
    (logged,) = await rows(hub.database_url, "SELECT * FROM login_logs ORDER BY id DESC LIMIT 1")
    assert (logged["login_status"], logged["failure_reason"]) == ("success", None)
    assert (logged["device_name"], logged["user_id"]) == (name, user_id(reply))
    assert logged["account"].startswith("wechat:")
    (user,) = await rows(hub.database_url, f"SELECT * FROM users WHERE id = {user_id(reply)}")  # noqa: S608
    assert user["last_login_at"] == logged["created_at"]


async def test_a_decline_is_on_record(hub: HubProcess, browser: Browser, phone: Phone) -> None:
    """Failed tries are logged when they happen."""
    await browser.begin()
    await phone.scan(browser.attempt["qr_content"])
    await phone.answer("cancel")
    assert await last_try(hub) == ("failed", "declined")


# --- People and troubles of WeChat.


@pytest.mark.parametrize(("person", "nickname"), [("noavatar", "没有头像"), ("emoji", "🦊小狐狸👩‍💻🎉")])
async def test_odd_people_sign_in(browser: Browser, person: str, nickname: str) -> None:
    """No picture, or a name beyond the basic plane: it is told and stored to the letter."""
    await forget(browser.url, person)
    async with Phone(browser.url, person) as phone:
        await confirmed(browser, phone)
        told = (await browser.status()).json()["data"]["user_info"]
        assert told["nickname"] == nickname
        reply = (await browser.redeem()).json()["data"]
    bearer = {"authorization": f"Bearer {reply['access_token']}"}
    profile = (await browser.http.get("/api/user/profile", headers=bearer)).json()["data"]
    assert profile["nickname"] == profile["wechat_info"]["nickname"] == nickname
    assert bool(profile["avatar_url"]) is (person != "noavatar")


async def test_a_late_unionid_is_the_same_person(hub: HubProcess) -> None:
    """WeChat tells the unionid only from the second time on; the account stays the same and learns it."""
    first, second = [user_id(await sign_in(hub.url, "lateunion")) for _ in range(2)]
    assert first == second
    sql = f"SELECT unionid FROM wechat_users WHERE uid = {first}"  # noqa: S608
    assert [bool(row["unionid"]) for row in await rows(hub.database_url, sql)] == [True]


@pytest.mark.parametrize(
    ("person", "outcome"), [("snapshot", "snapshot_user"), ("decliner", "provider_denied")]
)
async def test_who_is_nobody_claims_nothing(browser: Browser, person: str, outcome: str) -> None:
    """A snapshot user and one who declines get a page that says what to do; the attempt waits on."""
    await browser.begin()
    async with Phone(browser.url, person) as phone, Phone(browser.url) as alice:
        page = await phone.scan(browser.attempt["qr_content"])
        assert shows(page, outcome)
        assert await state_of(browser) == ("pending", None)
        await alice.scan(browser.attempt["qr_content"])
        assert await state_of(browser) == ("scanned", None)


@pytest.fixture
def sandbox(hub_on_sqlite: HubProcess) -> Iterator[httpx2.Client]:
    """The sandbox's controls; its faults are switched off at the end."""
    with httpx2.Client(base_url=f"{hub_on_sqlite.url}/sandbox") as http:
        yield http
        http.delete("/faults")


@pytest.mark.parametrize("path", ["/sns/oauth2/access_token", "/sns/userinfo"])
@pytest.mark.parametrize(
    ("fault", "outcome", "status"),
    [
        ({"fault": "busy"}, "provider_away", 502),
        ({"fault": "too_fast"}, "provider_away", 502),
        ({"fault": "errcode", "errcode": 40029}, "provider_away", 502),
        ({"fault": "errcode", "errcode": 123456}, "provider_away", 502),
        ({"fault": "errcode", "errcode": 50002}, "account_blocked", 200),
        ({"fault": "broken_json"}, "provider_away", 502),
        ({"fault": "server_error"}, "provider_away", 502),
        ({"fault": "drop"}, "provider_away", 502),
    ],
    ids=lambda value: str(value.get("errcode", value["fault"])) if isinstance(value, dict) else None,
)
async def test_a_trouble_of_wechats_leaves_the_attempt_pending(
    hub_on_sqlite: HubProcess,
    sandbox: httpx2.Client,
    fault: dict[str, Any],
    outcome: str,
    status: int,
    path: str,
) -> None:
    """The phone gets a page that says what to do, and the next scan succeeds."""
    async with Browser(hub_on_sqlite.url) as browser, Phone(hub_on_sqlite.url) as phone:
        await browser.begin()
        assert sandbox.post("/faults", json={**fault, "path": path, "count": 1}).status_code == 200
        page = await phone.scan(browser.attempt["qr_content"])
        assert page.status_code == status
        assert shows(page, outcome)
        assert await state_of(browser) == ("pending", None)
        assert (await phone.scan(browser.attempt["qr_content"])).status_code == 200
        assert await state_of(browser) == ("scanned", None)


async def test_a_silent_wechat_is_given_up(hub_on_sqlite: HubProcess, sandbox: httpx2.Client) -> None:
    """An answer that does not come within seconds counts as none; the browser sees nothing of it."""
    async with Browser(hub_on_sqlite.url) as browser, Phone(hub_on_sqlite.url) as phone:
        await browser.begin()
        sandbox.post("/faults", json={"fault": "slow", "seconds": 30, "count": 1})
        async with asyncio.timeout(15):
            page = await phone.scan(browser.attempt["qr_content"])
        assert shows(page, "provider_away")
        assert await state_of(browser) == ("pending", None)


# --- Origins, headers, cookies.


@pytest.mark.parametrize("origin", [FOREIGN, "null", "http://127.0.0.1", f"{ALLOWED_ORIGIN}.evil.example"])
async def test_a_foreign_origin_is_refused(hub_on_sqlite: HubProcess, origin: str) -> None:
    """Sockets and event streams at the handshake, and all calls that change something."""
    async with Browser(hub_on_sqlite.url) as browser, Phone(hub_on_sqlite.url) as phone:
        await confirmed(browser, phone, pkce=False)
        with pytest.raises(InvalidStatus) as denied:
            async with browser.socket(Origin=origin):
                pass
        assert denied.value.response.status_code == 403
        assert json.loads(denied.value.response.body)["type"] == "/problems/origin-not-allowed"
        browser.http.headers["origin"] = origin
        refused(await browser.http.get(browser.attempt["events_url"]), 403, "origin-not-allowed")
        refused(await browser.redeem(), 403, "origin-not-allowed")
        refused(await browser.http.post(f"{AT}/qr-code"), 403, "origin-not-allowed")
        del browser.http.headers["origin"]
        assert (await browser.redeem()).status_code == 200


async def test_an_allowed_origin_is_let_in(hub_on_sqlite: HubProcess) -> None:
    """A page of ALLOWED_ORIGINS opens sockets and reads answers, without cookies."""
    async with Browser(hub_on_sqlite.url) as browser:
        browser.http.headers["origin"] = ALLOWED_ORIGIN
        begun = await browser.http.post(f"{AT}/qr-code", json={"code_challenge": "c" * 43})
        assert begun.headers["access-control-allow-origin"] == ALLOWED_ORIGIN
        assert "access-control-allow-credentials" not in begun.headers
        assert "Origin" in begun.headers["vary"]
        async with browser.socket(begun.json()["data"]["session_id"], Origin=ALLOWED_ORIGIN) as socket:
            assert (await frame(socket))["status"] == "pending"


async def test_preflights(hub_on_sqlite: HubProcess) -> None:
    """An allowed page may send tokens and JSON; a foreign one is told nothing; credentials never."""
    asked = {
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type",
    }
    async with httpx2.AsyncClient(base_url=hub_on_sqlite.url) as http:
        ours = await http.options(f"{AT}/token", headers={"origin": ALLOWED_ORIGIN, **asked})
        assert ours.status_code == 200
        assert ours.headers["access-control-allow-origin"] == ALLOWED_ORIGIN
        theirs = await http.options(f"{AT}/token", headers={"origin": FOREIGN, **asked})
        read = await http.get(f"{AT}/status/{'s' * 43}", headers={"origin": FOREIGN})
    for answer in (theirs, read):
        assert "access-control-allow-origin" not in answer.headers
    for answer in (ours, theirs, read):
        assert "access-control-allow-credentials" not in answer.headers


async def test_pages_are_locked_down(hub_on_sqlite: HubProcess) -> None:
    """No page can be framed, run foreign or inline code, be cached, or tell where its reader came from."""
    async with Browser(hub_on_sqlite.url) as browser, Phone(hub_on_sqlite.url) as phone:
        await browser.begin()
        pages = {
            "sign-in": await browser.http.get("/"),
            "problem": await browser.http.get("/problems/not-found"),
            "outcome": await browser.http.get("/s/unknown"),
            "callback": await browser.http.get(f"{AT}/callback"),
            "confirm": await phone.scan(browser.attempt["qr_content"]),
        }
    for name, page in pages.items():
        policy = dict(
            part.strip().split(" ", 1) for part in page.headers["content-security-policy"].split(";")
        )
        assert policy["default-src"] == "'none'", name
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert page.headers["x-content-type-options"] == "nosniff"
        assert page.headers["referrer-policy"] == "no-referrer"
        assert page.headers["cross-origin-opener-policy"] == "same-origin"
        assert page.headers["cache-control"] == "no-store"
        assert "strict-transport-security" not in page.headers  # plain http
        assert not re.search(r"<script(?![^>]*\ssrc=)|\son\w+=|<style|\sstyle=|javascript:", page.text), name


async def test_over_https_cookies_are_secure(tmp_path: Path) -> None:
    """With an https PUBLIC_URL each cookie has `__Host-` and Secure, and transport security is announced."""
    hub = HubProcess(tmp_path, PUBLIC_URL="https://login.test").start()
    try:
        async with Browser(hub.url) as browser, Phone(hub.url) as phone:
            begun = await browser.http.post(f"{AT}/qr-code")
            landed = await phone.http.get(f"/s/{begun.json()['data']['qr_code']}")
            assert landed.status_code == 302
            for answer in (begun, landed):
                (cookie,) = answer.headers.get_list("set-cookie")
                name, *attributes = cookie.split("; ")
                assert name.startswith("__Host-hub_binding=")
                assert {"Secure", "HttpOnly", "Path=/", "SameSite=lax"} <= set(attributes)
                assert not any(attribute.startswith("Domain") for attribute in attributes)
                assert answer.headers["strict-transport-security"].startswith("max-age=")
            assert begun.json()["data"]["ws_url"].startswith("wss://login.test/")
    finally:
        hub.stop()


async def test_cookies_are_hidden_from_scripts(hub_on_sqlite: HubProcess) -> None:
    """Binding, grant and refresh cookie are HttpOnly and SameSite; the refresh cookie strictly so."""
    async with Browser(hub_on_sqlite.url) as browser, Phone(hub_on_sqlite.url) as phone:
        await browser.begin(pkce=False)
        answer = await phone.http.get(await consented(phone, browser.attempt["qr_content"]))
        grant = answer.headers["set-cookie"]
        phone.page = (await phone.http.get(answer.headers["location"])).text
        await phone.answer()
        refresh = (await browser.redeem(token_delivery="cookie")).headers["set-cookie"]
    assert grant.startswith("hub_grant=")
    assert refresh.startswith("hub_refresh=")
    assert all("HttpOnly" in cookie for cookie in (grant, refresh))
    assert "SameSite=lax" in grant
    assert "SameSite=strict" in refresh


async def test_one_binding_for_all_tabs(hub_on_sqlite: HubProcess) -> None:
    """Tabs of one browser share the secret, and each redeems its own attempt."""
    async with Browser(hub_on_sqlite.url) as browser, Phone(hub_on_sqlite.url) as phone:
        first = await browser.begin(pkce=False)
        again = await browser.http.post(f"{AT}/qr-code")
        assert "set-cookie" not in again.headers
        for attempt in (again.json()["data"], first):
            await phone.scan(attempt["qr_content"])
            await phone.answer()
        for attempt in (first, again.json()["data"]):
            assert (await browser.redeem(attempt["session_id"])).status_code == 200
