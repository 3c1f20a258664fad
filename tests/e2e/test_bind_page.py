"""The page on which a person links WeChat to an account, in headless Chromium."""

from urllib.parse import quote

import pytest
from playwright.async_api import expect

from tests.code_client import Person, new_number
from tests.people import Browser
from tests.servers.accessibility import overhang
from tests.servers.chromium import NewPage
from tests.servers.hub import HubProcess

NARROW = {"viewport": {"width": 320, "height": 568}, "has_touch": True}
NICKNAME = "Wolfeschlegelsteinhausenbergerdorff" * 2  # one word, wider than the page


@pytest.mark.parametrize(
    ("locale", "heading", "button", "done", "scheme"),
    [
        ("en", "Link WeChat to", "Link", "Confirmed", "light"),
        ("zh-CN", "将微信绑定到", "确认绑定", "已确认", "dark"),
    ],
)
async def test_linking_by_keyboard(
    hub_alone: HubProcess, new_page: NewPage, locale: str, heading: str, button: str, done: str, scheme: str
) -> None:
    """The page names the account in 320 px, keys alone can answer it, and then the account has WeChat."""
    async with Person(hub_alone.url) as person:
        number = new_number()
        bearer = {"authorization": f"Bearer {(await person.sign_in(number))['access_token']}"}
    async with Browser(hub_alone.url, **bearer) as browser:
        await browser.http.patch("/api/user/profile", json={"nickname": NICKNAME[:64]})
        await browser.begin(purpose="bind")
        phone = await new_page(**NARROW, locale=locale, color_scheme=scheme)
        await phone.goto(
            f"{hub_alone.url}/sandbox/phone?scan={quote(browser.attempt['qr_content'], safe='')}"
        )
        await phone.get_by_text("Bob", exact=True).click()
        await phone.locator("#open").click()
        await phone.locator("#allow").click()
        title = phone.locator("#ask-title")
        await expect(title).to_contain_text(heading)
        await expect(title).to_contain_text(f"{NICKNAME[:64]} · +86{number[:3]}****{number[-4:]}")
        assert await overhang(phone) <= 0
        confirm = phone.locator("[data-action=confirm]")
        await expect(confirm).to_be_enabled()
        await expect(confirm).to_have_text(button)
        await title.focus()
        for _ in range(10):
            if await confirm.evaluate("button => button === document.activeElement"):
                break
            await phone.keyboard.press("Tab")
        await phone.keyboard.press("Enter")
        await expect(phone.locator("h1").filter(has_text=done)).to_be_visible()
        bound = await browser.http.post(
            "/api/user/bind-wechat",
            json={"qr_code": browser.attempt["qr_code"], "session_id": browser.session_id},
        )
        assert bound.json()["data"]["login_type"] == "both", bound.text
