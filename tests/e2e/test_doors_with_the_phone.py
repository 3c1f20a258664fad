"""Every door of a hub that has just been cloned and started, gone through with the simulated phone."""

import re

import pytest
from playwright.async_api import Page, expect

from tests.servers.chromium import NewPage
from tests.servers.hub import HubProcess

DESKTOP = {"viewport": {"width": 1280, "height": 800}}
HANDSET = {"viewport": {"width": 390, "height": 780}}
DOORS = {
    "official_account": "Official account",
    "mini_program": "Mini program",
    "open_platform": "WeChat’s own page",
}


async def choose(desktop: Page, hub: HubProcess, door: str) -> None:
    """Open the sign-in page, and take this door by the chooser."""
    await desktop.goto(hub.url)
    await desktop.get_by_role("link", name=DOORS[door]).click()
    await expect(desktop.locator("#sign-in")).to_have_attribute("door", door)


async def scan(desktop: Page, phone: Page, hub: HubProcess, person: str) -> None:
    """Let this person's phone see what the desktop shows."""
    link = desktop.locator("#phone")
    await expect(link).to_have_attribute("href", re.compile("scan=|picture="))
    await phone.goto(f"{hub.url}/sandbox/phone/people/{person}")
    await phone.goto(f"{hub.url}{await link.get_attribute('href')}")


async def signed_in(desktop: Page) -> None:
    """Wait until the desktop says that somebody has signed in."""
    await expect(desktop.locator("#signed-in-title")).to_be_visible()


@pytest.mark.parametrize("door", ["h5", "official_account", "mini_program"])
async def test_a_click_on_the_code_is_a_scan(hub_on_sqlite: HubProcess, new_page: NewPage, door: str) -> None:
    """A click opens the phone in a window of its own, which has seen the code at whatever door."""
    desktop = await new_page(**DESKTOP)
    await desktop.goto(f"{hub_on_sqlite.url}/?door={door}")
    await expect(desktop.locator("#phone")).to_have_attribute("href", re.compile("scan=|picture="))
    async with desktop.expect_popup() as opened:
        await desktop.locator("#code").click()
    phone = await opened.value
    if door == "h5":
        await expect(phone.locator("#scanned-link")).to_contain_text(f"{hub_on_sqlite.url}/s/")
    await phone.locator("#person-bob").click()
    await expect(
        phone.locator({"h5": "#open", "official_account": "#talk, #follow"}.get(door, ".mini"))
    ).to_be_visible()


async def test_the_official_account(hub_on_sqlite: HubProcess, new_page: NewPage) -> None:
    """Scan, follow, tap the link of the reply, confirm."""
    desktop, phone = await new_page(**DESKTOP), await new_page(**HANDSET)
    unfollow = f"{hub_on_sqlite.url}/sandbox/official-account/unfollow"
    await phone.request.post(
        unfollow, data={"person": "emoji"}
    )  # the hub is shared, and so are its followers
    await choose(desktop, hub_on_sqlite, "official_account")
    await scan(desktop, phone, hub_on_sqlite, "emoji")
    await phone.locator("#follow").click()
    await expect(desktop.locator("#sign-in")).to_have_attribute("data-status", "scanned")
    await phone.locator(".note").last.locator("xpath=following-sibling::li//a").click()
    await phone.locator("[data-action=confirm]").click()
    await signed_in(desktop)


@pytest.mark.parametrize(
    ("button", "status"), [("#confirm", ""), ("#cancel", "failed"), ("#report", "failed")]
)
async def test_the_mini_program(
    hub_on_sqlite: HubProcess, new_page: NewPage, button: str, status: str
) -> None:
    """Its code is only a picture: the phone reads that, and one of the mini program's buttons answers."""
    desktop, phone = await new_page(**DESKTOP), await new_page(**HANDSET)
    await choose(desktop, hub_on_sqlite, "mini_program")
    await scan(desktop, phone, hub_on_sqlite, "bob")
    await expect(phone.locator(".facts")).to_contain_text("Linux")
    await expect(desktop.locator("#sign-in")).to_have_attribute("data-status", "scanned")
    await phone.locator(button).click()
    await expect(phone.locator("#outcome")).to_be_visible()
    if status:
        await expect(desktop.locator("#sign-in")).to_have_attribute("data-status", status)
    else:
        await signed_in(desktop)


async def test_wechats_own_page(hub_on_sqlite: HubProcess, new_page: NewPage) -> None:
    """The desktop goes to WeChat's page, whose code the phone scans; allowing it there is the sign-in."""
    desktop, phone = await new_page(**DESKTOP), await new_page(**HANDSET)
    await choose(desktop, hub_on_sqlite, "open_platform")
    await desktop.locator("#window").click()
    await desktop.wait_for_url("**/connect/qrconnect?*")
    await scan(desktop, phone, hub_on_sqlite, "bob")
    await phone.get_by_role("button", name="Allow").click()
    await signed_in(desktop)
