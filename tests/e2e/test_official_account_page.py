"""What people see at the official account's door, in headless Chromium."""

import re

import pytest
from playwright.async_api import Page, expect

from tests.people import forget
from tests.servers.accessibility import overhang
from tests.servers.chromium import NewPage
from tests.servers.hub import HubProcess

DESKTOP = {"viewport": {"width": 1280, "height": 800}}
NARROW = {"viewport": {"width": 320, "height": 568}, "has_touch": True}


async def scan(desktop: Page, hub: HubProcess, person: str) -> str:
    """Show this door's code on the desktop, let a person scan it, and return the link of the reply."""
    await desktop.goto(f"{hub.url}/?door=official_account")
    picture = desktop.locator("img#code")
    await expect(picture).to_have_attribute("src", re.compile(r"/[A-Za-z0-9_-]{22}\.svg"))
    code = (await picture.get_attribute("src") or "").rpartition("/")[2].removesuffix(".svg")
    answer = await desktop.request.post(
        f"{hub.url}/sandbox/official-account/scan", data={"scene": code, "person": person}
    )
    (link,) = (await answer.json())["reply"]["links"]
    await expect(desktop.locator("#sign-in")).to_have_attribute("data-status", "scanned")
    return str(link)


async def open_as(phone: Page, hub: HubProcess, person: str, link: str) -> None:
    """Open a link on this person's phone."""
    await phone.goto(f"{hub.url}/sandbox/phone/people/{person}")
    await phone.goto(link)


async def test_whom_wechat_does_not_name(hub_on_sqlite: HubProcess, new_page: NewPage) -> None:
    """WeChat tells an official account no name: desktop and phone say that it is somebody from WeChat."""
    await forget(hub_on_sqlite.url, "noavatar")
    desktop, phone = await new_page(**DESKTOP), await new_page(**NARROW)
    link = await scan(desktop, hub_on_sqlite, "noavatar")
    await expect(desktop.locator("#status")).to_contain_text("WeChat user")
    await open_as(phone, hub_on_sqlite, "noavatar", link)
    await expect(phone.locator(".person")).to_have_text("WeChat user")
    await phone.locator("[data-action=confirm]").click()
    await expect(desktop.locator("#signed-in .name")).to_have_text("WeChat user")


@pytest.mark.parametrize("person", ["noavatar", "bob"])
async def test_a_dead_link(hub_on_sqlite: HubProcess, new_page: NewPage, person: str) -> None:
    """A used link says so to whoever opens it, in 320 px, and offers nothing to press."""
    desktop, phone, another = await new_page(**DESKTOP), await new_page(**NARROW), await new_page(**NARROW)
    link = await scan(desktop, hub_on_sqlite, "noavatar")
    await open_as(phone, hub_on_sqlite, "noavatar", link)
    await expect(phone.locator("[data-action=confirm]")).to_be_enabled()
    await open_as(another, hub_on_sqlite, person, link)
    await expect(another.locator("h1")).to_have_text("This link no longer works")
    await expect(another.locator("button")).to_have_count(0)
    assert await overhang(another) <= 0
    await phone.locator("[data-action=cancel]").click()
    await expect(desktop.locator("#sign-in")).to_have_attribute("data-status", "failed")
