"""The guides as people read them, in headless Chromium."""

import pytest

from tests.servers.accessibility import overhang, violations
from tests.servers.chromium import NewPage
from tests.servers.hub import HubProcess


@pytest.mark.parametrize(("width", "scheme"), [(320, "light"), (1280, "dark")])
@pytest.mark.parametrize("path", ["guides?lang=en", "guides/operations", "guides/wechat?lang=zh-CN"])
async def test_guides_can_be_read_by_all(
    hub_on_sqlite: HubProcess, new_page: NewPage, path: str, width: int, scheme: str
) -> None:
    """On a narrow screen nothing sticks out of the page, and axe finds nothing wrong with it."""
    page = await new_page(viewport={"width": width, "height": 700}, color_scheme=scheme)
    await page.goto(f"{hub_on_sqlite.url}/docs/{path}")
    assert await overhang(page) <= 0
    assert await violations(page) == []


async def test_guides_lead_from_one_to_another(hub_on_sqlite: HubProcess, new_page: NewPage) -> None:
    """From the page of the API to the list, to a guide, to a heading of another one."""
    page = await new_page(viewport={"width": 1280, "height": 700})
    await page.goto(f"{hub_on_sqlite.url}/docs?lang=en")
    await page.get_by_role("link", name="Guides").click()
    await page.get_by_role("link", name="Going to production").click()
    await page.get_by_role("link", name="backup").click()
    assert page.url.endswith("/docs/guides/operations#backup")
    assert await page.locator("#backup").is_visible()
