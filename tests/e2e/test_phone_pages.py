"""Every page that a phone is shown, in every state, both languages and both themes, narrow and wide."""

import re
from collections.abc import Awaitable, Callable, Iterator

import pytest
from playwright.async_api import Route, expect

from tests.servers.accessibility import overhang, violations
from tests.servers.chromium import NewPage
from tests.servers.hub import HubProcess
from tests.unit import rendered

PHONE_PAGES = ("confirm.html", "outcome.html", "problem.html", "reset.html")


def shown_to_phones(language: str) -> Iterator[rendered.Page]:
    """Each page and state once; of those that differ by a word in a link, the first."""
    seen = set()
    for page in rendered.pages():
        heading = re.findall(r"<h1.*?</h1>", page.html, re.DOTALL)[:1]
        key = (page.name, *(() if page.name == "problem.html" else heading), page.html.count("hidden"))
        if page.language == language and page.name in PHONE_PAGES and key not in seen:
            seen.add(key)
            yield page


def answering(html: str) -> Callable[[Route], Awaitable[None]]:
    """Answer whatever is asked for with *html*."""

    async def answer(route: Route) -> None:
        await route.fulfill(body=html, content_type="text/html")

    return answer


@pytest.mark.parametrize(("language", "scheme"), [("zh-CN", "dark"), ("en", "light")])
async def test_every_state_is_accessible(
    hub_on_sqlite: HubProcess, new_page: NewPage, language: str, scheme: str
) -> None:
    """Each keeps WCAG 2.2 AA by day and night, and fits at 320 px and at 4K."""
    page = await new_page(color_scheme=scheme, reduced_motion="reduce")
    wrong = []
    for shown in shown_to_phones(language):
        await page.route("**/state", answering(shown.html))
        await page.goto(f"{hub_on_sqlite.url}/state")
        await expect(page.locator("h1").first).to_be_visible()
        title = await page.title()
        for width in (3840, 320):
            await page.set_viewport_size({"width": width, "height": 640})
            if await overhang(page) > 0:
                wrong.append(f"{shown.name} {title} at {width}: {await overhang(page)} px too wide")
        wrong += [f"{shown.name} {title} {scheme}: {each}" for each in await violations(page)]
        await page.unroute("**/state")
    assert wrong == []
