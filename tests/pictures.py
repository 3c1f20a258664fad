"""The pictures of the README, taken of a running hub: `python -m tests.pictures`.

Each is taken in both languages, light and dark, and is named `<name>.<language>.<scheme>.webp`.
"""

import asyncio
import base64
import re
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

from playwright.async_api import Browser, Page, async_playwright, expect

from hub.web.language import LANGUAGES
from tests import geography
from tests.code_client import Person, new_email
from tests.people import DESKTOP, IN_WECHAT, Phone, sign_in
from tests.people import Browser as Client
from tests.servers.hub import HubProcess
from tests.watching import make_admin

FOLDER: Final = Path(__file__).parents[1] / "hub" / "docs" / "pictures"
SCHEMES: Final = ("light", "dark")
_QUALITY: Final = 78
_AT: Final = "x-forwarded-for"
_LAPTOP: Final = {"width": 1120, "height": 680}
_DESK: Final = {"width": 1120, "height": 900}
_ROUNDS: Final = 3
_PEOPLE: Final = ("alice", "bob", "emoji", "noavatar")
_HANDSET: Final = {"width": 390, "height": 860}
_SAFARI: Final = "Mozilla/5.0 (Macintosh; Intel Mac OS X 15_7) Version/26.0 Safari/605.1.15"
_FIREFOX: Final = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:150.0) Firefox/150.0"
_ELSEWHERE: Final = (
    {"user-agent": _SAFARI, _AT: geography.HANGZHOU_TOO},
    {"user-agent": _FIREFOX, _AT: geography.BERLIN},
)
"""The other browsers of the person."""


class Studio:
    """A hub, a browser, and one combination of language and scheme."""

    def __init__(self, hub: HubProcess, browser: Browser, language: str, scheme: str) -> None:
        self.hub, self.language, self.scheme = hub, language, scheme
        self._browser = browser

    @asynccontextmanager
    async def page(self, *, size: dict[str, int], **headers: str) -> AsyncIterator[Page]:
        """Open a page of *size*, whose requests carry *headers*."""
        agent = headers.pop("agent", DESKTOP)
        context = await self._browser.new_context(
            viewport=size,  # type: ignore[arg-type]  # a TypedDict
            device_scale_factor=1.5,
            locale=self.language,
            timezone_id="Asia/Shanghai",
            color_scheme=self.scheme,  # type: ignore[arg-type]  # a literal
            reduced_motion="reduce",
            user_agent=agent,
            extra_http_headers={_AT: geography.HANGZHOU, **headers},
        )
        page = await context.new_page()
        page.set_default_timeout(15_000)
        yield page
        await context.close()

    async def take(self, page: Page, name: str) -> None:
        """Take the picture, once all that the page shows is there."""
        await page.wait_for_load_state("networkidle" if name == "account" else "load")
        await page.evaluate("document.fonts.ready")
        await page.wait_for_timeout(400)
        session = await page.context.new_cdp_session(page)
        taken = await session.send("Page.captureScreenshot", {"format": "webp", "quality": _QUALITY})
        (FOLDER / f"{name}.{self.language}.{self.scheme}.webp").write_bytes(base64.b64decode(taken["data"]))

    async def begin(self, page: Page) -> str:
        """Open the sign-in page and return what its code says."""
        await page.goto(self.hub.url)
        code = page.locator("img[src*='/qr-code/']").first
        await expect(code).to_be_visible()
        found = re.search(r"/qr-code/([\w-]+)\.", await code.get_attribute("src") or "")
        assert found
        return f"{self.hub.url}/s/{found[1]}"


async def signing_in(studio: Studio) -> None:
    """The sign-in page: as it waits, and once a phone has scanned."""
    async with studio.page(size=_LAPTOP) as page, Phone(studio.hub.url, "alice") as phone:
        content = await studio.begin(page)
        await studio.take(page, "sign-in")
        await phone.scan(content)
        await expect(page.get_by_text(re.compile("Alice")).first).to_be_visible()
        await studio.take(page, "scanned")


async def confirming(studio: Studio) -> None:
    """What a phone in another city is asked."""
    person = {"agent": IN_WECHAT, "x-sandbox-person": "alice", _AT: geography.BERLIN}
    async with studio.page(size=_LAPTOP) as page, studio.page(size=_HANDSET, **person) as phone:
        await phone.goto(await studio.begin(page))
        await expect(phone.locator("[data-action=confirm]")).to_be_enabled()
        await studio.take(phone, "confirm")


async def at_home(studio: Studio) -> None:
    """The account page of somebody who has signed in on three devices."""
    for headers in _ELSEWHERE:
        async with Client(studio.hub.url, **headers) as client, Phone(studio.hub.url, "alice") as phone:
            await client.begin()
            await phone.scan(client.attempt["qr_content"])
            await phone.answer()
            assert (await client.redeem()).status_code == 200
    async with studio.page(size=_LAPTOP) as page, Phone(studio.hub.url, "alice") as phone:
        await phone.scan(await studio.begin(page))
        assert (await phone.answer()).status_code == 200
        await expect(page.locator("#signed-in")).to_be_visible()
        await page.goto(f"{studio.hub.url}/account")
        await expect(page.locator("main")).to_contain_text(re.compile("Chrome"))
        await studio.take(page, "account")


async def operating(studio: Studio) -> None:
    """The dashboard of an operator, while people sign in, and one of them by a wrong password."""
    url = studio.hub.url
    async with Person(url) as operator, studio.page(size=_DESK) as page:
        email, password = new_email(), "correct horse battery"
        code = await operator.code(email, purpose="register")
        made = await operator.post("/api/register", email=email, code=code, password=password)
        await make_admin(studio.hub, made.json()["data"])
        answer = await page.request.post(
            f"{url}/api/login/password",
            data={"account": email, "password": password, "token_delivery": "cookie"},
            headers={"origin": url},
        )
        assert answer.status == 200, await answer.text()
        await page.goto(f"{url}/admin")
        await expect(page.locator("#live")).to_have_attribute("data-tone", "success")
        for first in range(_ROUNDS):
            await asyncio.gather(*(sign_in(url, name) for name in _PEOPLE[first:]))
            await operator.post("/api/login/password", account=email, password=password if first else "no")
            await page.wait_for_timeout(5_000)
        await studio.take(page, "admin")


SCENES: Final[dict[Callable[[Studio], Awaitable[None]], tuple[str, ...]]] = {
    signing_in: ("sign-in", "scanned"),
    confirming: ("confirm",),
    at_home: ("account",),
    operating: ("admin",),
}
"""What is played, and the pictures that are taken of it."""


def names() -> Iterator[str]:
    """Yield the file name of each picture."""
    for taken in SCENES.values():
        for name in taken:
            yield from (f"{name}.{lang}.{scheme}.webp" for lang in LANGUAGES for scheme in SCHEMES)


async def main() -> None:
    """Take all pictures anew."""
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.webp"):
        old.unlink()
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        sys.exit("chromium is not installed")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for language in LANGUAGES:
            for scheme in SCHEMES:
                with _hub() as hub:
                    for scene in SCENES:
                        await scene(Studio(hub, browser, language, scheme))
        await browser.close()


@contextmanager
def _hub() -> Iterator[HubProcess]:
    """Start a hub that nobody has used yet, and that knows some places."""
    with tempfile.TemporaryDirectory() as folder:
        cities = geography.write_cities(Path(folder) / "cities.mmdb")
        hub = HubProcess(Path(folder), GEOIP_DB=str(cities), TRUSTED_PROXIES="127.0.0.1").start()
        try:
            yield hub
        finally:
            hub.stop()


if __name__ == "__main__":
    asyncio.run(main())
