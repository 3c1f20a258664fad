"""A headless Chromium, shared by the session, and contexts that stand for a desktop and a phone.

They belong to the event loop of the session, on which all tests that take `new_page` run.
"""

import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio
from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Error,
    Page,
    async_playwright,
    expect,
)

NewPage = Callable[..., Awaitable[Page]]

PATIENCE = 15_000  # ms that a page has on a busy machine to come to what is expected of it
expect.set_options(timeout=PATIENCE)

_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests that open pages on the browser's event loop."""
    for item in items:
        if isinstance(item, pytest.Function) and "new_page" in item.fixturenames:
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


def _binary() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    if os.environ.get("HUB_TEST_REQUIRE_ALL") == "1":
        pytest.fail("chromium is not installed")
    pytest.skip("chromium is not installed")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """The browser; whoever takes it opens contexts in it, and closes them."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=_binary(), args=_FLAGS)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def new_page(chromium: Browser) -> AsyncIterator[NewPage]:
    """Open pages, each in a context of its own; any script error or CSP violation on them fails the test."""
    complaints: list[str] = []
    contexts: list[BrowserContext] = []

    def console(message: ConsoleMessage) -> None:
        # A failed request is logged by Chromium itself; whether it may fail is the test's business.
        if message.type == "error" and "Failed to load resource" not in message.text:
            complaints.append(message.text)

    def thrown(error: Error) -> None:
        complaints.append(str(error))

    async def open_page(**options: object) -> Page:
        context = await chromium.new_context(**{"locale": "en-US", **options})  # type: ignore[arg-type]
        contexts.append(context)
        page = await context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("console", console)
        page.on("pageerror", thrown)
        return page

    yield open_page
    for context in contexts:
        await context.close()
    expected = ("WebSocket connection to", "ERR_CONNECTION_REFUSED", "ERR_INTERNET_DISCONNECTED")
    assert [text for text in complaints if not any(part in text for part in expected)] == []
