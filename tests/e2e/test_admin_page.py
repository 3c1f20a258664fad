"""The dashboard as administrators see it, in headless Chromium, while people sign in."""

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.code_client import Person, new_email
from tests.people import sign_in
from tests.servers.accessibility import overhang, violations
from tests.servers.chromium import NewPage
from tests.servers.hub import HubProcess
from tests.signing_in import execute
from tests.streaming import AccountSocket
from tests.watching import make_admin

PASSWORD = "correct horse battery"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubProcess]:
    """A hub whose figures and people are the test's own."""
    process = HubProcess(tmp_path).start()
    yield process
    process.stop()
    assert process.defects() == []


class Operator:
    """An administrator with a password, who signs browsers in."""

    def __init__(self, hub: HubProcess, email: str) -> None:
        self.hub, self.email = hub, email

    async def sign_in(self, page: Page) -> None:
        """Give the browser a session."""
        answer = await page.request.post(
            f"{self.hub.url}/api/login/password",
            data={"account": self.email, "password": PASSWORD, "token_delivery": "cookie"},
            headers={"origin": self.hub.url},
        )
        assert answer.status == 200, await answer.text()

    async def open(self, page: Page) -> Page:
        """Sign the browser in, and wait for the live dashboard."""
        await self.sign_in(page)
        await page.goto(f"{self.hub.url}/admin")
        await expect(page.locator("#live")).to_have_attribute("data-tone", "success")
        return page


@pytest.fixture
async def operator(hub: HubProcess) -> AsyncIterator[Operator]:
    """Somebody whose account has the role."""
    email = new_email()
    async with Person(hub.url) as person:
        code = await person.code(email, purpose="register")
        made = await person.post("/api/register", email=email, code=code, password=PASSWORD)
        await make_admin(hub, made.json()["data"])
        yield Operator(hub, email)


async def _bob(hub: HubProcess) -> Mapping[str, Any]:
    return await sign_in(hub.url, "bob")


async def test_figures_move_live(hub: HubProcess, operator: Operator, new_page: NewPage) -> None:
    """A sign-in shows in the funnel, by method and in time, without a reload."""
    page = await operator.open(await new_page())
    redeemed = page.locator("#funnel li").nth(3)
    await expect(redeemed).to_contain_text("Signed in")
    await expect(redeemed.locator("b")).to_have_text(re.compile("^0 /"))
    await _bob(hub)
    await expect(redeemed.locator("b")).to_have_text("1 / 1 · 100%")
    await expect(redeemed.locator("rect")).to_have_attribute("width", "100")
    await expect(page.locator("#sign_ins li").filter(has_text="WeChat")).to_contain_text("Successful")
    await expect(page.locator("#tries rect")).to_have_count(180)
    assert await page.evaluate(
        "[...document.querySelectorAll('#tries rect')].some((r) => r.height.baseVal.value)"
    )
    await expect(page.locator("#open")).to_have_text("1")


async def test_finding_and_banning(hub: HubProcess, operator: Operator, new_page: NewPage) -> None:
    """Somebody is found by name, signed out on one device, banned with a reason, and let in again."""
    reply, other = await _bob(hub), await _bob(hub)
    page = await operator.open(await new_page())
    await page.locator("#query").fill("bo")
    await page.keyboard.press("Enter")
    rows = page.locator("#people > .rows > .row")
    await expect(rows).to_have_count(1)
    await expect(rows).to_contain_text("Bob")
    await rows.get_by_role("button", name="Manage").click()
    sessions = rows.locator("section .row")
    await expect(sessions).to_have_count(2)
    assert await violations(page) == []
    async with AccountSocket(hub.url, reply) as one, AccountSocket(hub.url, other) as two:
        await sessions.first.get_by_role("button").click()  # the one that was used last
        await expect(sessions).to_have_count(1)
        for stream in (one, two):
            assert (await stream.frame())["data"]["reason"] == "administrator"
        assert await two.closed() == 4501
        await expect(page.locator("#news")).to_have_text("Done, and on record.")
        ban = rows.get_by_role("button", name="Ban")
        await ban.click()
        await expect(rows.locator(".error")).not_to_be_empty()
        await rows.get_by_label("Reason").fill("spam")
        await ban.click()
        assert (await one.frame())["data"]["reason"] == "account_blocked"
        assert await one.closed() == 4501
    await expect(rows.locator(".mark")).to_have_text("Banned")
    await rows.get_by_label("Reason").fill("a mistake")
    await rows.get_by_role("button", name="Lift the ban").click()
    await expect(rows.locator(".mark")).to_have_count(0)
    await _bob(hub)


async def test_keyboard(hub: HubProcess, operator: Operator, new_page: NewPage) -> None:
    """The focus stays on the button that opened somebody's sessions, and closes them again."""
    page = await operator.open(await new_page())
    await page.locator("#query").fill("nobody")
    await page.keyboard.press("Enter")
    await expect(page.locator("#people")).to_have_text("Nobody found.")
    await page.locator("#query").fill("")
    await page.keyboard.press("Enter")
    button = page.get_by_role("button", name="Manage").first
    await button.focus()
    await page.keyboard.press("Enter")
    await expect(button).to_have_attribute("aria-expanded", "true")
    await expect(button).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(button).to_have_attribute("aria-expanded", "false")


async def test_others_see_nothing(hub: HubProcess, operator: Operator, new_page: NewPage) -> None:
    """Whoever is no administrator is told so, and who is not signed in is led to the sign-in page."""
    page = await new_page(locale="zh-CN")
    await page.goto(f"{hub.url}/admin")
    await expect(page.get_by_role("heading", name="您已退出登录")).to_be_visible()
    assert await violations(page) == []
    await operator.sign_in(page)
    await execute(hub.database_url, "UPDATE users SET role = 'user'")
    await page.reload()
    await expect(page.get_by_role("heading", name="仅管理员可查看此页面")).to_be_visible()
    await expect(page.locator(".board")).to_be_hidden()
    assert await violations(page) == []


async def test_a_role_that_is_taken(hub: HubProcess, operator: Operator, new_page: NewPage) -> None:
    """Whoever is administrator no more while the page is open is told so, and sees it no longer."""
    page = await operator.open(await new_page())
    await execute(hub.database_url, "UPDATE users SET role = 'user'")
    ended = page.get_by_role("heading", name="Your access to this page has ended")
    await expect(ended).to_be_visible(timeout=20_000)  # the roles are looked at every ten seconds
    await expect(page.locator(".board")).to_be_hidden()
    assert await violations(page) == []


async def test_a_restart_is_survived(hub: HubProcess, operator: Operator, new_page: NewPage) -> None:
    """The page says that the connection is gone, and goes on by itself when the hub is back."""
    page = await operator.open(await new_page())
    hub.kill()
    await expect(page.locator("#live")).to_have_text("Connecting…", timeout=20_000)
    hub.start()
    await expect(page.locator("#live")).to_have_text("Live", timeout=30_000)


async def test_the_account_page_leads_here(hub: HubProcess, operator: Operator, new_page: NewPage) -> None:
    """For administrators only."""
    page = await new_page()
    await operator.sign_in(page)
    await page.goto(f"{hub.url}/account")
    await page.get_by_role("link", name="Dashboard").click()
    await expect(page.locator("#live")).to_have_attribute("data-tone", "success")
    await execute(hub.database_url, "UPDATE users SET role = 'user'")
    await page.goto(f"{hub.url}/account")
    await expect(page.locator("#sign-out")).to_be_visible()
    await expect(page.get_by_role("link", name="Dashboard")).to_have_count(0)


async def test_accessible_in_every_guise(hub: HubProcess, operator: Operator, new_page: NewPage) -> None:
    """The live page keeps WCAG 2.2 AA and its width, in both languages, by day and night."""
    await _bob(hub)
    async with Person(hub.url) as person:
        await person.post("/api/login/password", account="nobody", password="wrong one")
    for locale, scheme, width in (
        ("zh-CN", "light", 320),
        ("en-US", "dark", 320),
        ("zh-CN", "dark", 3840),
        ("en-US", "light", 1280),
    ):
        viewport = {"width": width, "height": 900}
        page = await new_page(viewport=viewport, color_scheme=scheme, locale=locale)
        await operator.open(page)
        await page.locator("#people [aria-expanded]").last.click()
        await expect(page.locator("#people section")).to_be_visible()
        assert await violations(page) == [], (locale, scheme, width)
        assert await overhang(page) <= 0
