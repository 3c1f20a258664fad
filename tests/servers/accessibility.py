"""What axe-core finds on a page: the rules of WCAG 2.2 A and AA, and its best practices."""

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page

_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


async def violations(page: Page) -> list[str]:
    """Return each rule that the page breaks, with the elements that do."""
    await page.wait_for_load_state()  # before, style sheets may be missing
    # Preloaded, the style sheets of shadow roots become inline ones, which our policy forbids.
    found = await Axe().run(page, options={"runOnly": _RULES, "preload": False})
    return [
        f"{rule['id']}: {[node['html'][:200] for node in rule['nodes']]}"
        for rule in found.response["violations"]
    ]


async def overhang(page: Page) -> int:
    """Return by how many pixels the page is wider than its window, once its style sheets are there."""
    await page.wait_for_load_state()
    width: int = await page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    return width
