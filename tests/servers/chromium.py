"""A headless Chromium, shared by the session, and contexts that stand for a desktop and a phone."""

import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from playwright.async_api import BrowserContext, ConsoleMessage, Error, Page, async_playwright

NewPage = Callable[..., Awaitable[Page]]

_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]


def _binary() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    if os.environ.get("HUB_TEST_REQUIRE_ALL") == "1":
        pytest.fail("chromium is not installed")
    pytest.skip("chromium is not installed")


@pytest.fixture
async def new_page() -> AsyncIterator[NewPage]:
    """Open pages, each in a context of its own; any script error or CSP violation on them fails the test."""
    complaints: list[str] = []

    def console(message: ConsoleMessage) -> None:
        # A failed request is logged by Chromium itself; whether it may fail is the test's business.
        if message.type == "error" and "Failed to load resource" not in message.text:
            complaints.append(message.text)

    def thrown(error: Error) -> None:
        complaints.append(str(error))

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=_binary(), args=_FLAGS)
        contexts: list[BrowserContext] = []

        async def open_page(**options: object) -> Page:
            context = await browser.new_context(**{"locale": "en-US", **options})  # type: ignore[arg-type]
            contexts.append(context)
            page = await context.new_page()
            page.set_default_timeout(15_000)
            page.on("console", console)
            page.on("pageerror", thrown)
            return page

        yield open_page
        for context in contexts:
            await context.close()
        await browser.close()
    expected = ("WebSocket connection to", "ERR_CONNECTION_REFUSED", "ERR_INTERNET_DISCONNECTED")
    assert [text for text in complaints if not any(part in text for part in expected)] == []
