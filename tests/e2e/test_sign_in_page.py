"""The sign-in as people see it: a desktop and a phone in headless Chromium, each with its own cookies."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.async_api import Page, WebSocketRoute, expect

from tests.people import Browser, Phone
from tests.servers.accessibility import overhang, violations
from tests.servers.chromium import NewPage
from tests.servers.hub import HubProcess

DESKTOP = {"viewport": {"width": 1280, "height": 800}}
HANDSET = {"viewport": {"width": 390, "height": 780}, "has_touch": True}


@pytest.fixture
def own_hub(tmp_path: Path) -> Iterator[HubProcess]:
    """A hub that the test may stop and start again; unscanned attempts live five seconds."""
    process = HubProcess(tmp_path, WECHAT_QR_EXPIRES_IN="5").start()
    yield process
    process.stop()


async def scan(desktop: Page, phone: Page, hub: HubProcess, person: str | None = "Bob") -> None:
    """Take the simulated phone by the page's own link, pick a person (once), and consent."""
    link = desktop.locator("#phone")
    await expect(link).to_have_attribute("href", re.compile("scan="))
    href = await link.get_attribute("href")
    await phone.goto(f"{hub.url}{href}")
    if person is not None:
        await phone.get_by_text(person, exact=True).click()
    await phone.get_by_role("link", name="Open", exact=True).click()
    await phone.get_by_role("link", name="Allow").or_(phone.get_by_role("button", name="Allow")).click()
    await expect(phone.locator("[data-action=confirm]")).to_be_enabled()


async def test_scan_confirm_signed_in(hub_on_sqlite: HubProcess, new_page: NewPage) -> None:
    """The newcomer's way: open, scan with the simulated phone, confirm; then reload, and sign out."""
    desktop, phone = await new_page(**DESKTOP), await new_page(**HANDSET)
    await desktop.goto(hub_on_sqlite.url)
    await expect(desktop.locator("#code")).to_be_visible()
    await scan(desktop, phone, hub_on_sqlite)
    await expect(desktop.locator("#status")).to_contain_text("Bob")
    await expect(phone.locator("dl")).to_contain_text("Linux")
    await phone.locator("[data-action=confirm]").click()
    await expect(phone.locator("h1").filter(has_text="Confirmed")).to_be_visible()
    await expect(desktop.locator("#signed-in")).to_be_visible()
    await expect(desktop.locator("#signed-in")).to_contain_text("Bob")
    await desktop.reload()
    await expect(desktop.locator("#signed-in")).to_contain_text("Bob")
    await desktop.locator("#sign-out").click()
    await expect(desktop.locator("#code")).to_be_visible()
    await desktop.reload()
    await expect(desktop.locator("#code")).to_be_visible()


async def test_decline_then_again(hub_on_sqlite: HubProcess, new_page: NewPage) -> None:
    """After a refusal one press on the desktop begins anew."""
    desktop, phone = await new_page(**DESKTOP), await new_page(**HANDSET)
    await desktop.goto(hub_on_sqlite.url)
    await scan(desktop, phone, hub_on_sqlite)
    await phone.locator("[data-action=cancel]").click()
    await expect(phone.locator(".outcome")).to_be_visible()
    renew = desktop.locator("[data-renew]:visible")
    await renew.click()
    await expect(desktop.locator("#code")).to_be_visible()
    await scan(desktop, phone, hub_on_sqlite, person=None)
    await phone.locator("[data-action=confirm]").click()
    await expect(desktop.locator("#signed-in")).to_be_visible()


async def test_not_me(hub_on_sqlite: HubProcess, new_page: NewPage) -> None:
    """Who did not ask for the sign-in reports it, and the desktop is told."""
    desktop, phone = await new_page(**DESKTOP), await new_page(**HANDSET)
    await desktop.goto(hub_on_sqlite.url)
    await scan(desktop, phone, hub_on_sqlite)
    await phone.get_by_role("button", name="This was not me").click()
    await expect(phone.locator(".outcome")).to_be_visible()
    await expect(desktop.locator("#sign-in")).to_have_attribute("data-status", "failed")


async def test_expired_is_renewed_by_one_press(own_hub: HubProcess, new_page: NewPage) -> None:
    """An attempt that nobody scanned says so, and one press brings a new code."""
    desktop = await new_page(**DESKTOP)
    await desktop.goto(own_hub.url)
    await expect(desktop.locator("#code")).to_be_visible()
    first = await desktop.locator("#code").get_attribute("src")
    await desktop.locator("[data-renew]:visible").click()
    await expect(desktop.locator("#code")).to_be_visible()
    assert await desktop.locator("#code").get_attribute("src") != first


@pytest.mark.parametrize("blocked", [["websocket"], ["websocket", "events"]], ids=["events", "poll"])
async def test_fallback(hub_on_sqlite: HubProcess, new_page: NewPage, blocked: list[str]) -> None:
    """Where a proxy blocks sockets, or event streams as well, the sign-in goes on over what is left."""
    desktop, phone = await new_page(**DESKTOP), await new_page(**HANDSET)

    async def refuse(socket: WebSocketRoute) -> None:
        await socket.close(code=1011)

    await desktop.route_web_socket("**/ws/**", refuse)
    if "events" in blocked:
        await desktop.route("**/events/**", lambda route: route.abort())
    await desktop.goto(hub_on_sqlite.url)
    await scan(desktop, phone, hub_on_sqlite)
    await expect(desktop.locator("#status")).to_contain_text("Bob")
    await phone.locator("[data-action=confirm]").click()
    await expect(desktop.locator("#signed-in")).to_be_visible()


async def test_the_hub_comes_back(tmp_path: Path, new_page: NewPage) -> None:
    """A page whose hub was killed finds its attempt again when the hub is back."""
    hub = HubProcess(tmp_path).start()
    try:
        desktop, phone = await new_page(**DESKTOP), await new_page(**HANDSET)
        await desktop.goto(hub.url)
        await expect(desktop.locator("#code")).to_be_visible()
        hub.kill()
        hub.start()
        await scan(desktop, phone, hub)
        await phone.locator("[data-action=confirm]").click()
        await expect(desktop.locator("#signed-in")).to_be_visible(timeout=15_000)
    finally:
        hub.stop()


async def test_two_tabs(hub_on_sqlite: HubProcess, new_page: NewPage) -> None:
    """Two tabs of one browser wait on attempts of their own, and one sign-in leaves the other alone."""
    desktop, phone = await new_page(**DESKTOP), await new_page(**HANDSET)
    await desktop.goto(hub_on_sqlite.url)
    other = await desktop.context.new_page()
    await other.goto(hub_on_sqlite.url)
    await scan(desktop, phone, hub_on_sqlite)
    await phone.locator("[data-action=confirm]").click()
    await expect(desktop.locator("#signed-in")).to_be_visible()
    await expect(other.locator("#code")).to_be_visible()


@pytest.mark.parametrize(("locale", "words"), [("zh-CN", "等待扫码"), ("en-US", "Waiting for you to scan")])
async def test_both_languages(hub_on_sqlite: HubProcess, new_page: NewPage, locale: str, words: str) -> None:
    """The page speaks the browser's language."""
    desktop = await new_page(**DESKTOP, locale=locale)
    await desktop.goto(hub_on_sqlite.url)
    await expect(desktop.locator("#status")).to_have_text(words)


async def test_without_script(hub_on_sqlite: HubProcess, new_page: NewPage) -> None:
    """Without JavaScript the page says that it needs it."""
    desktop = await new_page(**DESKTOP, java_script_enabled=False)
    await desktop.goto(hub_on_sqlite.url)
    assert "JavaScript" in await desktop.locator("main").inner_text()


@pytest.mark.parametrize("width", [320, 3840])
async def test_no_sideways_scrolling(hub_on_sqlite: HubProcess, new_page: NewPage, width: int) -> None:
    """From the smallest phone to 4K the page fits its width."""
    desktop = await new_page(viewport={"width": width, "height": 700})
    await desktop.goto(hub_on_sqlite.url)
    await expect(desktop.locator("#code")).to_be_visible()
    assert await overhang(desktop) <= 0


async def test_the_page_frees_no_secret(hub_on_sqlite: HubProcess, new_page: NewPage) -> None:
    """No token stands in the page's address, storage or script-readable cookies after a sign-in."""
    desktop, phone = await new_page(**DESKTOP), await new_page(**HANDSET)
    await desktop.goto(hub_on_sqlite.url)
    await scan(desktop, phone, hub_on_sqlite)
    await phone.locator("[data-action=confirm]").click()
    await expect(desktop.locator("#signed-in")).to_be_visible()
    readable = await desktop.evaluate(
        "JSON.stringify([location.href, document.cookie, {...localStorage}, {...sessionStorage}])"
    )
    assert "eyJ" not in readable
    assert "hubr_" not in readable


async def test_a_phone_that_lands_late(own_hub: HubProcess, new_page: NewPage) -> None:
    """A phone that scans an attempt after its end is told so, and what to do."""
    phone = await new_page(**HANDSET)
    async with Browser(own_hub.url) as browser, Phone(own_hub.url):
        await browser.begin()
        while (await browser.status(seq=1, wait=10)).status_code == 304:
            continue
        answer = await phone.goto(browser.attempt["qr_content"])
        assert answer is not None
        assert answer.status == 410
        await expect(phone.locator(".outcome")).to_be_visible()


async def readable(page: Page) -> None:
    """See that everybody can read the page."""
    assert await violations(page) == [], await page.locator("#status").text_content()


# Each language by day or by night: no colour depends on what is written in it.
each_guise = pytest.mark.parametrize(("locale", "scheme"), [("en-US", "light"), ("zh-CN", "dark")])


@each_guise
async def test_each_state_of_a_scan_is_accessible(
    hub_on_sqlite: HubProcess, new_page: NewPage, locale: str, scheme: str
) -> None:
    """Waiting, scanned, declined, and signed in."""
    desktop = await new_page(**DESKTOP, locale=locale, color_scheme=scheme, reduced_motion="reduce")
    await desktop.goto(hub_on_sqlite.url)
    for decision, after in (("cancel", "[data-renew]:visible"), ("confirm", "#signed-in:visible")):
        await expect(desktop.locator("#code")).to_be_visible()
        await readable(desktop)
        content = await desktop.locator("#phone").get_attribute("href")
        async with Phone(hub_on_sqlite.url, "bob") as phone:
            await phone.scan(parse_qs(urlsplit(content or "").query)["scan"][0])
            await expect(desktop.locator("#status")).to_contain_text("Bob")
            await readable(desktop)
            await phone.answer(decision)
        await expect(desktop.locator(after)).to_be_visible()
        await readable(desktop)
        if decision == "cancel":
            await desktop.locator(after).click()


@each_guise
async def test_each_end_of_a_wait_is_accessible(
    own_hub: HubProcess, new_page: NewPage, locale: str, scheme: str
) -> None:
    """Expired, and out of reach."""
    desktop = await new_page(**DESKTOP, locale=locale, color_scheme=scheme, reduced_motion="reduce")
    await desktop.goto(own_hub.url)
    renew = desktop.locator("[data-renew]:visible")
    await expect(renew).to_be_visible(timeout=15_000)
    await readable(desktop)
    own_hub.kill()
    await renew.click()
    await expect(desktop.locator("#sign-in")).to_have_attribute("data-status", "unavailable")
    await readable(desktop)
