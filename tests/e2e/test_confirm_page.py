"""The confirm page's second step, in headless Chromium, on a hub that knows where phone and browser are."""

from collections.abc import AsyncIterator, Iterator
from urllib.parse import quote

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tests import geography
from tests.people import Browser
from tests.people import Phone as Person
from tests.servers.accessibility import overhang
from tests.servers.chromium import NewPage
from tests.servers.hub import HubProcess

HANDSET = {"viewport": {"width": 320, "height": 640}, "has_touch": True}
AT = "x-forwarded-for"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    """A hub behind a proxy that knows three cities' networks, with limits."""
    folder = tmp_path_factory.mktemp("confirm")
    cities = geography.write_cities(folder / "cities.mmdb")
    process = HubProcess(folder, GEOIP_DB=str(cities), TRUSTED_PROXIES="127.0.0.1", HUB_LIMITS="on").start()
    yield process
    process.stop()
    assert process.defects() == []


@pytest_asyncio.fixture(loop_scope="session")
async def browser(hub: HubProcess) -> AsyncIterator[Browser]:
    """A browser that waits in Hangzhou."""
    async with Browser(hub.url, **{AT: geography.HANGZHOU}) as browser:
        await browser.begin()
        yield browser


async def asked(hub: HubProcess, browser: Browser, phone: Page) -> None:
    """Take the simulated phone to the confirm page, as Bob."""
    await phone.goto(f"{hub.url}/sandbox/phone?scan={quote(browser.attempt['qr_content'], safe='')}")
    await phone.get_by_text("Bob", exact=True).click()
    await phone.get_by_role("link", name="Open", exact=True).click()
    await phone.get_by_role("link", name="Allow").or_(phone.get_by_role("button", name="Allow")).click()
    await expect(phone.locator("[data-action=confirm]")).to_be_enabled()


async def status(browser: Browser) -> str:
    """How the attempt stands."""
    found: str = (await browser.status()).json()["data"]["status"]
    return found


async def test_elsewhere_the_tick_comes_first(hub: HubProcess, browser: Browser, new_page: NewPage) -> None:
    """By keyboard: without the tick nothing is sent and focus goes there; with it that is a sign-in."""
    phone = await new_page(**HANDSET, extra_http_headers={AT: geography.BERLIN})
    await asked(hub, browser, phone)
    tick, confirm = phone.get_by_role("checkbox"), phone.locator("[data-action=confirm]")
    await expect(phone.get_by_role("alert").first).to_contain_text("different place")
    await expect(tick).not_to_be_checked()
    assert await overhang(phone) <= 0
    await confirm.focus()
    await phone.keyboard.press("Enter")
    await expect(phone.locator("#trouble")).to_contain_text("Confirm this first")
    await expect(tick).to_be_focused()
    assert await status(browser) == "scanned"
    await phone.keyboard.press("Space")
    await expect(tick).to_be_checked()
    await confirm.click()
    await expect(phone.locator("h1").filter(has_text="Confirmed")).to_be_visible()
    assert await status(browser) == "confirmed"


async def test_elsewhere_declining_needs_no_tick(
    hub: HubProcess, browser: Browser, new_page: NewPage
) -> None:
    """The safe way out stays one press."""
    phone = await new_page(**HANDSET, extra_http_headers={AT: geography.BERLIN})
    await asked(hub, browser, phone)
    await phone.locator("[data-action=cancel]").click()
    await expect(phone.locator("h1").filter(has_text="Declined")).to_be_visible()
    assert await status(browser) == "failed"


async def test_a_reported_address_shows_the_tick_late(hub: HubProcess, new_page: NewPage) -> None:
    """What only the server knows: the first press brings the tick up, the second one with it confirms."""
    at = {AT: geography.NOWHERE}
    async with Browser(hub.url, **at) as asks, Person(hub.url, "alice") as reporter:
        await asks.begin()
        await reporter.scan(asks.attempt["qr_content"])
        assert (await reporter.answer("report")).status_code == 200
    phone = await new_page(**HANDSET)
    async with Browser(hub.url, **at) as asks:
        await asks.begin()
        await asked(hub, asks, phone)
        tick, confirm = phone.get_by_role("checkbox"), phone.locator("[data-action=confirm]")
        await expect(tick).to_be_hidden()
        await confirm.click()
        await expect(tick).to_be_focused()
        await expect(phone.locator("#trouble")).to_contain_text("unusual")
        assert await status(asks) == "scanned"
        await tick.check()
        await confirm.click()
        await expect(phone.locator("h1").filter(has_text="Confirmed")).to_be_visible()
