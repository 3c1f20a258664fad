"""Binding WeChat over HTTP and sockets, on real processes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import httpx2
import jwt
import pytest

from tests.code_client import Person, new_number
from tests.people import AT, Browser, CustomerApp, Phone, frame, sign_in
from tests.problems import refused
from tests.servers.hub import REDIRECT_URI, HubProcess


@pytest.fixture(params=["embedded", "servers"])
def hub_of_my_own(request: pytest.FixtureRequest) -> HubProcess:
    """Such a hub on each pair of back ends in turn."""
    name = "hub_alone" if request.param == "embedded" else "hub_on_servers"
    process: HubProcess = request.getfixturevalue(name)
    return process


class Member(NamedTuple):
    """Somebody signed in by a number, at a desktop browser."""

    number: str
    browser: Browser

    async def bind(self, **members: object) -> httpx2.Response:
        """Bind what the browser's attempt has brought."""
        attempt = self.browser.attempt
        given = {"qr_code": attempt["qr_code"], "session_id": attempt["session_id"], **members}
        return await self.browser.http.post("/api/user/bind-wechat", json=given)


@asynccontextmanager
async def member(hub: HubProcess) -> AsyncIterator[Member]:
    """Sign in by a new number."""
    async with Person(hub.url) as person:
        number = new_number()
        reply = await person.sign_in(number)
        async with Browser(hub.url, authorization=f"Bearer {reply['access_token']}") as browser:
            yield Member(number, browser)


def account(reply: object) -> str:
    """The account of a token reply."""
    assert isinstance(reply, dict)
    sub: str = jwt.decode(reply["access_token"], options={"verify_signature": False})["sub"]
    return sub


async def test_a_member_binds_wechat(hub_of_my_own: HubProcess) -> None:
    """The page names the account, frames name none, the binding is in the profile, and WeChat signs in."""
    hub = hub_of_my_own
    async with member(hub) as member_, Phone(hub.url) as phone:
        await member_.browser.begin(purpose="bind")
        async with member_.browser.socket() as socket:
            assert (await frame(socket))["status"] == "pending"
            page = await phone.scan(member_.browser.attempt["qr_content"])
            shown = f"+86{member_.number[:3]}****{member_.number[-4:]}"
            assert f"Link WeChat to {shown}?" in page.text
            assert (await frame(socket))["user_info"]["user_id"] is None
            assert (await phone.answer()).json()["data"] == {"status": "confirmed"}
            confirmed = await frame(socket)
        assert (confirmed["status"], confirmed["user_info"]["user_id"]) == ("confirmed", None)
        bound = await member_.bind()
        assert bound.status_code == 200, bound.text
        profile = bound.json()["data"]
        assert (profile["login_type"], profile["login_methods"]) == ("both", ["phone", "wechat"])
        assert account(await sign_in(hub.url)) == str(profile["id"])
        refused(await member_.bind(), 409, "already-redeemed")


async def test_the_page_names_the_account_in_chinese(hub_alone: HubProcess) -> None:
    """So does its title say what is confirmed."""
    async with member(hub_alone) as member_, Phone(hub_alone.url, **{"accept-language": "zh-CN"}) as phone:
        await member_.browser.begin(purpose="bind")
        page = (await phone.scan(member_.browser.attempt["qr_content"])).text
        assert "<title>绑定微信" in page
        assert f"{member_.number[:3]}****{member_.number[-4:]}" in page


async def test_binding_is_never_a_sign_in(hub_alone: HubProcess) -> None:
    """A confirmed attempt carries no redirect, and is refused where tokens are given out."""
    async with member(hub_alone) as member_, Phone(hub_alone.url) as phone:
        browser = member_.browser
        for pkce in (True, False):
            redirect = {"redirect_uri": REDIRECT_URI, "state": "s"} if pkce else {}
            await browser.begin(pkce=pkce, purpose="bind", **redirect)
            await phone.scan(browser.attempt["qr_content"])
            assert (await phone.answer()).status_code == 200
            status = (await browser.status()).json()["data"]
            assert status["status"] == "confirmed"
            assert "redirect_url" not in status
            refused(await browser.redeem(), 409, "wrong-state")


async def test_only_who_is_signed_in_may_begin(hub_alone: HubProcess) -> None:
    """Without an access token there is nobody to bind for."""
    async with Browser(hub_alone.url) as browser:
        refused(await browser.http.post(f"{AT}/qr-code", json={"purpose": "bind"}), 401, "unauthorized")
        given = {"qr_code": "q" * 22, "session_id": "s" * 43}
        refused(await browser.http.post("/api/user/bind-wechat", json=given), 401, "unauthorized")


async def test_the_app_door_is_no_way_to_wechat(hub_alone: HubProcess) -> None:
    """It cannot be asked for, and the app cannot scan a code that WeChat is meant to."""
    async with member(hub_alone) as member_:
        browser = member_.browser
        asked = await browser.http.post(f"{AT}/qr-code", json={"purpose": "bind", "door": "app"})
        assert refused(asked, 422, "invalid-request")["errors"][0]["field"] == "door"
        await browser.begin(purpose="bind")
        token = browser.http.headers["authorization"].removeprefix("Bearer ")
        async with CustomerApp(hub_alone.url, token) as app:
            refused(await app.scan(browser.attempt["qr_code"]), 409, "wechat-needed")
        assert (await browser.status()).json()["data"]["status"] == "pending"


async def test_anothers_wechat_is_refused(hub_alone: HubProcess) -> None:
    """The phone is told, the browser is told, and neither learns whose it is."""
    owner = account(await sign_in(hub_alone.url, "bob"))
    async with member(hub_alone) as member_, Phone(hub_alone.url, "bob") as phone:
        await member_.browser.begin(purpose="bind")
        await phone.scan(member_.browser.attempt["qr_content"])
        refused(await phone.answer(), 409, "already-bound")
        status = (await member_.browser.status()).json()["data"]
        assert (status["status"], status["reason"]) == ("failed", "already_bound")
        refused(await member_.bind(), 409, "already-bound")
        assert account(await sign_in(hub_alone.url, "bob")) == owner


async def test_a_snapshot_user_is_nobody_to_bind(hub_alone: HubProcess) -> None:
    """WeChat's made-up person claims nothing, and the attempt goes on waiting."""
    async with member(hub_alone) as member_, Phone(hub_alone.url, "snapshot") as phone:
        await member_.browser.begin(purpose="bind")
        page = await phone.scan(member_.browser.attempt["qr_content"])
        assert "Full WeChat page needed" in page.text
        assert (await member_.browser.status()).json()["data"]["status"] == "pending"


async def test_another_wechat_of_the_app_is_refused(hub_alone: HubProcess) -> None:
    """Who is bound already has to unbind first."""
    reply = await sign_in(hub_alone.url, "alice")
    bearer = {"authorization": f"Bearer {reply['access_token']}"}
    async with Browser(hub_alone.url, **bearer) as browser, Phone(hub_alone.url, "bob") as phone:
        await browser.begin(purpose="bind")
        await phone.scan(browser.attempt["qr_content"])
        await phone.answer()
        refused(await Member("", browser).bind(), 409, "wechat-bound")
    assert account(await sign_in(hub_alone.url, "bob")) != account(reply)


async def test_the_qr_code_is_checked_for_form_only(hub_alone: HubProcess) -> None:
    """It rotates: any well-formed one will do, a malformed one will not."""
    async with member(hub_alone) as member_, Phone(hub_alone.url) as phone:
        await member_.browser.begin(purpose="bind")
        await phone.scan(member_.browser.attempt["qr_content"])
        refused(await member_.bind(), 409, "not-confirmed")
        await phone.answer()
        refused(await member_.bind(qr_code="short"), 422, "invalid-request")
        assert (await member_.bind(qr_code="A" * 22)).status_code == 200


async def test_a_stranger_cannot_bind_it(hub_alone: HubProcess) -> None:
    """Knowing the session_id is not enough: account and session have to be those that began."""
    async with (
        member(hub_alone) as member_,
        member(hub_alone) as stranger,
        Phone(hub_alone.url) as phone,
    ):
        await member_.browser.begin(purpose="bind")
        await phone.scan(member_.browser.attempt["qr_content"])
        await phone.answer()
        stranger.browser.attempt = member_.browser.attempt
        refused(await stranger.bind(), 403, "binding-mismatch")
        assert (await member_.bind()).status_code == 200


async def test_a_refreshed_attempt_still_binds(hub_alone: HubProcess) -> None:
    """The successor on the same socket is to bind as well."""
    async with member(hub_alone) as member_, Phone(hub_alone.url) as phone:
        browser = member_.browser
        await browser.begin(purpose="bind")
        async with browser.socket() as socket:
            await frame(socket)
            await socket.send('{"type":"cancel"}')
            assert (await frame(socket))["status"] == "failed"
            await socket.send('{"type":"refresh"}')
            renewed = await frame(socket)
            assert renewed["session_id"] != browser.session_id
            browser.attempt = renewed
            page = await phone.scan(f"{hub_alone.url}/s/{renewed['qr_code']}")
            assert "Link WeChat to" in page.text
            await phone.answer()
            assert [(await frame(socket))["status"] for _ in range(2)] == ["scanned", "confirmed"]
        assert (await member_.bind(qr_code=renewed["qr_code"])).status_code == 200


async def led_back(browser: Browser, person: str) -> httpx2.Response:
    """Approve on WeChat's own page, and come back."""
    answer = await browser.http.get(browser.attempt["authorize_url"], headers={"x-sandbox-person": person})
    return await browser.http.get(answer.headers["location"])


async def test_wechat_s_own_page_binds(hub_alone: HubProcess) -> None:
    """WeChat has asked the person, and the page that comes back neither signs in nor redeems."""
    async with member(hub_alone) as member_:
        browser = member_.browser
        await browser.begin(purpose="bind", door="open_platform")
        page = await led_back(browser, "alice")
        assert page.status_code == 200
        assert "data-binding" not in page.text  # by which the sign-in page would redeem
        status = (await browser.status()).json()["data"]
        assert (status["status"], status["user_info"]["user_id"]) == ("confirmed", None)
        refused(await browser.redeem(), 409, "wrong-state")
        bound = await member_.bind(qr_code="A" * 22)
        assert bound.json()["data"]["login_type"] == "both", bound.text


async def test_wechat_s_own_page_refuses_anothers(hub_alone: HubProcess) -> None:
    """There too it is another account's, and stays that."""
    owner = account(await sign_in(hub_alone.url, "bob"))
    async with member(hub_alone) as member_:
        browser = member_.browser
        await browser.begin(purpose="bind", door="open_platform")
        await led_back(browser, "bob")
        status = (await browser.status()).json()["data"]
        assert (status["status"], status["reason"]) == ("failed", "already_bound")
        refused(await member_.bind(qr_code="A" * 22), 409, "already-bound")
    assert account(await sign_in(hub_alone.url, "bob")) == owner


async def test_the_mini_program_binds(hub_alone: HubProcess) -> None:
    """It is told which account it is about, and its confirmation signs nobody in."""
    async with member(hub_alone) as member_, Person(hub_alone.url) as phone:
        browser = member_.browser
        await browser.begin(purpose="bind", door="mini_program")
        made = (await phone.post("/sandbox/mini-program/login", person="alice")).json()["code"]
        claimed = await phone.post(f"{AT}/mini/scan", scene=browser.attempt["qr_code"], js_code=made)
        told = claimed.json()["data"]
        assert told["account_name"] == f"+86{member_.number[:3]}****{member_.number[-4:]}"
        phone.http.headers["authorization"] = f"Bearer {told['grant']}"
        confirmed = await phone.post(f"{AT}/confirm", session_id=browser.session_id, action="confirm")
        assert confirmed.json()["data"] == {"status": "confirmed"}
        assert (await member_.bind()).json()["data"]["login_type"] == "both"


@pytest.mark.parametrize("confirm", ["link", "auto"])
async def test_the_official_account_binds(tmp_path: Path, confirm: str) -> None:
    """Its link leads to the page that names the account, even where scans confirm by themselves."""
    hub = HubProcess(tmp_path, WECHAT_OA_CONFIRM=confirm).start()
    try:
        async with member(hub) as member_, Phone(hub.url) as phone:
            browser = member_.browser
            await browser.begin(purpose="bind", door="official_account")
            pushed = await browser.http.post(
                "/sandbox/official-account/scan",
                json={"scene": browser.attempt["qr_code"], "person": "alice"},
            )
            assert (await browser.status()).json()["data"]["status"] == "scanned"
            (link,) = pushed.json()["reply"]["links"]
            page = await phone.scan(link)
            assert f"{member_.number[:3]}****{member_.number[-4:]}" in page.text
            await phone.answer()
            assert (await member_.bind()).json()["data"]["login_type"] == "both"
    finally:
        hub.stop()
