"""The simulated phone in a real browser, strict policy and all."""

import re
import shutil
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from playwright.sync_api import BrowserContext, Page, expect, sync_playwright
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tests.servers.sandbox import APPID, served
from tests.servers.uvicorn_app import serve

expect.set_options(timeout=15_000)  # of the blocking half of the library: a busy machine is slow


async def callback(request: Request) -> Response:
    """Stand for the app that WeChat leads back to: show what came."""
    return PlainTextResponse(",".join(f"{name}={value}" for name, value in request.query_params.items()))


@pytest.fixture(scope="module")
def back() -> Iterator[str]:
    """Serve the app's callback on another origin than the sandbox's."""
    with serve(Starlette(routes=[Route("/{path:path}", callback)])) as address:
        yield f"{address}/back"


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    """Serve one sandbox for all tests of this module."""
    with served() as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[BrowserContext]:
    """Start Chromium once; each test gets its own page, with no person picked."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("google-chrome"),
            args=["--no-sandbox", "--disable-background-networking", "--disable-gpu"],
        )
        context = chromium.new_context(locale="en-US", viewport={"width": 390, "height": 760})
        yield context
        chromium.close()


@pytest.fixture
def page(browser: BrowserContext) -> Iterator[Page]:
    """Return a page whose console must stay silent: a blocked style or request would be written there."""
    browser.clear_cookies()
    page = browser.new_page()
    written: list[str] = []
    page.on("console", lambda message: written.append(message.text))
    page.on("pageerror", lambda error: written.append(str(error)))
    yield page
    page.close()
    assert written == []


def consent_link(base: str, back: str) -> str:
    """Return the address a QR code would lead to, here the consent page itself."""
    return (
        f"{base}/connect/oauth2/authorize?appid={APPID}&redirect_uri={quote(back, safe='')}"
        "&response_type=code&scope=snsapi_userinfo&state=st#wechat_redirect"
    )


def test_a_scan_ends_at_the_app_with_a_code(page: Page, base: str, back: str) -> None:
    """Pick a person, open what was scanned, allow: the same window is led to the app, on another origin."""
    page.goto(f"{base}/phone?scan={quote(consent_link(base, back), safe='')}")
    page.get_by_role("link", name="Bob").click()
    page.get_by_role("link", name="Open").click()
    expect(page.locator("#nickname")).to_have_text("Bob")
    page.get_by_role("link", name="Allow").click()
    page.wait_for_url(f"{back}?*")
    expect(page.locator("body")).to_have_text(re.compile(r"^code=.{32},state=st$"))


def test_reject_by_keyboard(page: Page, base: str, back: str) -> None:
    """The whole way can be gone with Tab and Enter alone."""
    page.goto(f"{base}/phone/people/alice?next={quote('/sandbox/phone', safe='')}")
    page.get_by_label("Paste the link of a QR code").focus()
    page.keyboard.insert_text(consent_link(base, back))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="QR code scanned")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Open")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#nickname")).to_have_text("爱丽丝 Alice")
    for name in ("Use another person", "Reject"):
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name=name)).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url(f"{back}?*")
    expect(page.locator("body")).to_have_text("state=st")


@pytest.mark.parametrize("width", [320, 390, 1100])
@pytest.mark.parametrize("path", ["/phone", "/phone/people", "consent"])
def test_nothing_runs_over_the_edge(page: Page, base: str, back: str, path: str, width: int) -> None:
    """At each width the page needs no sideways scrolling, and its pictures are loaded."""
    page.set_viewport_size({"width": width, "height": 700})
    page.goto(f"{base}/phone/people/emoji")
    page.goto(consent_link(base, back) if path == "consent" else base + path)
    for element in ("html", ".device"):
        assert page.locator(element).evaluate("element => element.scrollWidth <= element.clientWidth")
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
