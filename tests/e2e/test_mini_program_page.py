"""The sign-in by mini program, as people see it: WeChat's code on the desktop, the program on the phone."""

import pytest
from playwright.async_api import Page, expect

from tests.servers.chromium import NewPage
from tests.servers.hub import HubProcess

DESKTOP = {"viewport": {"width": 1280, "height": 800}}
HANDSET = {"viewport": {"width": 390, "height": 780}, "has_touch": True}


async def open_program(desktop: Page, phone: Page, hub: HubProcess, person: str = "Bob") -> None:
    """Point the simulated phone at the desktop's code, as *person*, until the program asks them."""
    await expect(desktop.locator("#code")).to_be_visible()
    await phone.goto(f"{hub.url}{await desktop.locator('#phone').get_attribute('href')}")
    await phone.get_by_text(person, exact=True).click()
    await expect(phone.locator("#confirm")).to_be_visible()


@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
async def test_scan_and_confirm(hub_on_sqlite: HubProcess, new_page: NewPage, locale: str) -> None:
    """The picture that WeChat drew is scanned, the program asks, and the desktop is signed in."""
    desktop, phone = await new_page(**DESKTOP, locale=locale), await new_page(**HANDSET, locale=locale)
    await desktop.goto(f"{hub_on_sqlite.url}/?door=mini_program")
    await open_program(desktop, phone, hub_on_sqlite)
    await expect(desktop.locator("#sign-in")).to_have_attribute("data-status", "scanned")
    await phone.locator("#confirm").click()
    await expect(desktop.locator("#signed-in")).to_be_visible()


async def test_decline_and_again(hub_on_sqlite: HubProcess, new_page: NewPage) -> None:
    """After a refusal one press brings another picture, on the same page."""
    desktop, phone = await new_page(**DESKTOP), await new_page(**HANDSET)
    await desktop.goto(f"{hub_on_sqlite.url}/?door=mini_program")
    await open_program(desktop, phone, hub_on_sqlite)
    first = await desktop.locator("#code").get_attribute("src")
    await phone.locator("#cancel").click()
    await desktop.locator("[data-renew]:visible").click()
    await expect(desktop.locator("#code")).not_to_have_attribute("src", first or "")
    await expect(desktop.locator("#code")).to_be_visible()


async def test_without_a_picture_the_page_says_so(hub_on_sqlite: HubProcess, new_page: NewPage) -> None:
    """While WeChat draws nothing the page says that, and one press tries again."""
    desktop = await new_page(**DESKTOP)
    fault = {"fault": "busy", "path": "/wxa/getwxacodeunlimit", "count": 3}
    await desktop.request.post(f"{hub_on_sqlite.url}/sandbox/faults", data=fault)
    await desktop.goto(f"{hub_on_sqlite.url}/?door=mini_program")
    await desktop.locator("[data-renew]:visible").click()
    await expect(desktop.locator("#code")).to_be_visible()
