"""The script of the guide to embedding, on a customer's page of another origin, in each language."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import expect
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from tests.people import Phone
from tests.servers.chromium import NewPage
from tests.servers.hub import HubProcess
from tests.servers.uvicorn_app import serve

GUIDES = Path(__file__).parents[2] / "hub" / "docs" / "guides"
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Shop</title>
<script type="module" src="/own.js"></script><img id="code" alt="code"><p id="said"></p></html>"""
OWN = """
const say = (text) => { document.querySelector("#said").textContent = text; };
const greet = (name) => say(`Hello ${name}`);
const signedIn = ({ session_id }) => say(`Session ${session_id}`);
"""


@pytest.fixture(params=["embed.md", "embed.zh-CN.md"])
def script(request: pytest.FixtureRequest) -> str:
    """The guide's script."""
    found = re.search(r"```js\n(.*?)```", (GUIDES / request.param).read_text("utf-8"), re.DOTALL)
    assert found
    return found[1]


@pytest.fixture
def shop(script: str, tmp_path: Path) -> Iterator[tuple[str, HubProcess]]:
    """A shop with that script, and the hub that lets it in."""
    hub: HubProcess | None = None

    def page(_: Request) -> Response:
        url = hub.url if hub else ""
        policy = f"script-src 'self' {url}; img-src {url}; connect-src {url} {url.replace('http', 'ws', 1)}"
        return HTMLResponse(PAGE, headers={"content-security-policy": f"default-src 'none'; {policy}"})

    def own(_: Request) -> Response:
        text = script.replace("https://login.example.com", hub.url if hub else "")
        return Response(text + OWN, media_type="text/javascript")

    with serve(Starlette(routes=[Route("/", page), Route("/own.js", own)])) as address:
        origin = address.replace("127.0.0.1", "localhost")
        hub = HubProcess(tmp_path, ALLOWED_ORIGINS=origin).start()
        yield origin, hub
        hub.stop()


async def test_the_client_on_a_page(shop: tuple[str, HubProcess], new_page: NewPage) -> None:
    """The code is shown, the person is greeted, and ends up with a session, under the policy of the guide."""
    origin, hub = shop
    page = await new_page()
    await page.goto(origin)
    await expect(page.locator("#code")).to_have_attribute("src", re.compile("/qr-code/"))
    shown = await page.locator("#code").get_attribute("src") or ""
    async with Phone(hub.url) as phone:
        found = re.search(r"/qr-code/([\w-]+)\.", shown)
        assert found
        await phone.scan(f"{hub.url}/s/{found[1]}")
        await expect(page.locator("#said")).to_contain_text("Alice")
        await phone.answer()
        await expect(page.locator("#said")).to_contain_text("Session")
