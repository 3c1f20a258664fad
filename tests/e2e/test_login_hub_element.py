"""The element `<login-hub>` on a customer's page of another origin, by the README's own example."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.async_api import Page, WebSocketRoute, expect
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from tests.code_client import Person, new_number
from tests.people import challenge
from tests.servers.accessibility import overhang, violations
from tests.servers.chromium import NewPage
from tests.servers.hub import HubProcess
from tests.servers.uvicorn_app import serve
from tests.servers.waiting import until

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
HANDSET = {"viewport": {"width": 390, "height": 780}, "has_touch": True}
RECORD = """
window.heard = [];
for (const name of ["pending", "scanned", "confirmed", "expired", "declined", "error"]) {
  const note = ({ target, detail }) => target.localName === "login-hub" && heard.push([name, detail]);
  addEventListener(name, note, true); // they do not bubble
}
"""


def example(language: str) -> str:
    """The README's example in this language."""
    return README.partition(f"```{language}\n")[2].partition("```")[0]


@dataclass
class Shop:
    """A customer's site: its page, its script and its policy are those of the README."""

    address: str = ""
    hub: str = ""
    attributes: str = 'theme="auto" language="en"'

    def page(self, _: Request) -> Response:
        """The page, with the element's attributes as a test wants them."""
        html = self._ours(example("html")).replace('theme="auto" language="en"', self.attributes)
        name, policy = self._ours(example("http")).strip().split(": ", 1)
        return HTMLResponse(html, headers={name: policy})

    def script(self, _: Request) -> Response:
        """Its script."""
        return Response(self._ours(example("js")), media_type="text/javascript")

    def back(self, _: Request) -> Response:
        """Where a sign-in with a redirect leads."""
        return HTMLResponse("<title>back</title>")

    def _ours(self, text: str) -> str:
        """Tests go without TLS."""
        hub = urlsplit(self.hub).netloc
        for scheme, plain in (("https", "http"), ("wss", "ws")):
            text = text.replace(f"{scheme}://login.example.com", f"{plain}://{hub}")
        return text.replace("img-src https:", f"img-src https: {self.hub}")


@pytest.fixture(scope="module")
def site() -> Iterator[Shop]:
    """The shop, served."""
    shop = Shop()
    routes = [Route("/", shop.page), Route("/shop.js", shop.script), Route("/back", shop.back)]
    with serve(Starlette(routes=routes)) as address:
        shop.address = address.replace("127.0.0.1", "localhost")
        yield shop


@pytest.fixture(scope="module")
def open_hub(tmp_path_factory: pytest.TempPathFactory, site: Shop) -> Iterator[HubProcess]:
    """A hub that lets the shop in."""
    env = {"ALLOWED_ORIGINS": site.address, "REDIRECT_URIS": f"{site.address}/back"}
    process = HubProcess(tmp_path_factory.mktemp("hub"), **env).start()
    yield process
    process.stop()
    assert process.defects() == []


@pytest.fixture
def shop(site: Shop, open_hub: HubProcess) -> Shop:
    """The shop, with the element as the README has it."""
    site.hub, site.attributes = open_hub.url, Shop.attributes
    return site


async def visit(new_page: NewPage, shop: Shop, **options: object) -> Page:
    """Open the shop and note what the element tells."""
    page = await new_page(**options)
    await page.add_init_script(RECORD)
    await page.goto(shop.address)
    return page


async def heard(page: Page) -> list[str]:
    """The events of the element, in order, without repetitions."""
    names: list[str] = await page.evaluate("heard.map(([name]) => name)")
    return [name for place, name in enumerate(names) if name not in names[:place]]


async def scan(page: Page, phone: Page, shop: Shop, person: str = "bob") -> None:
    """Let a person's simulated phone scan the code, and agree to be named."""
    await expect(page.locator("#code")).to_be_visible()
    content = await page.evaluate("document.querySelector('login-hub').hub.attempt.qr_content")
    await phone.goto(f"{shop.hub}/sandbox/phone/people/{person}")
    await phone.goto(content)
    await phone.locator("#allow").click()


async def test_the_example(shop: Shop, new_page: NewPage) -> None:
    """The README's page signs its visitor in and greets them, with tokens in its memory alone."""
    page, phone = await visit(new_page, shop), await new_page(**HANDSET)
    await scan(page, phone, shop)
    await expect(page.locator("main > p")).to_have_text("Hello Bob, please confirm on your phone.")
    await phone.locator("[data-action=confirm]").click()
    await expect(page.locator("main > p")).to_have_text("Welcome, Bob!")
    await expect(page.locator("#status")).to_have_text("You are signed in")
    assert await heard(page) == ["pending", "scanned", "confirmed"]
    session = await page.evaluate("document.querySelector('login-hub').hub.session")
    assert session["refresh_token"].startswith("hubr_")
    renewed = await page.evaluate("document.querySelector('login-hub').hub.refresh()")
    assert renewed["refresh_token"] != session["refresh_token"]
    kept = await page.evaluate("JSON.stringify([document.cookie, {...localStorage}, {...sessionStorage}])")
    assert kept == '["",{},{}]'


async def test_declined_and_again(shop: Shop, new_page: NewPage) -> None:
    """A refusal is an event, and one press brings another code."""
    page, phone = await visit(new_page, shop), await new_page(**HANDSET)
    await scan(page, phone, shop)
    await phone.locator("[data-action=cancel]").click()
    await expect(page.locator("#status")).to_have_text("Declined on the phone.")
    assert await heard(page) == ["pending", "scanned", "declined"]
    await page.locator("[data-renew]:visible").click()
    await expect(page.locator("#code")).to_be_visible()


@pytest.mark.parametrize("blocked", [["websocket"], ["websocket", "events"]], ids=["events", "poll"])
async def test_without_sockets(shop: Shop, new_page: NewPage, blocked: list[str]) -> None:
    """Where sockets are blocked, or event streams as well, the sign-in goes on from there too."""
    page, phone = await new_page(), await new_page(**HANDSET)

    async def refuse(socket: WebSocketRoute) -> None:
        await socket.close(code=1011)

    await page.route_web_socket("**/ws/**", refuse)
    if "events" in blocked:
        await page.route("**/events/**", lambda route: route.abort())
    await page.goto(shop.address)
    await scan(page, phone, shop)
    await phone.locator("[data-action=confirm]").click()
    await expect(page.locator("main > p")).to_have_text("Welcome, Bob!")


async def test_a_site_that_is_not_allowed(site: Shop, hub_on_sqlite: HubProcess, new_page: NewPage) -> None:
    """The element says why there is nothing to scan, in its language, and tells the page."""
    site.hub, site.attributes = hub_on_sqlite.url, 'language="zh-CN"'
    page = await visit(new_page, site)
    await expect(page.locator("login-hub")).to_contain_text("其来源不在 ALLOWED_ORIGINS 中")
    await expect(page.locator("main > p")).to_contain_text("ALLOWED_ORIGINS")
    assert await heard(page) == ["error"]
    assert await page.evaluate("heard[0][1].reason") == "origin-not-allowed"


async def test_a_hub_that_is_away(shop: Shop, new_page: NewPage) -> None:
    """Where the card does not come, the element says so, and tells the page."""
    page = await new_page()
    await page.add_init_script(RECORD)
    await page.route("**/api/card?**", lambda route: route.abort())
    await page.goto(shop.address)
    await expect(page.locator("login-hub")).to_contain_text("cannot be reached")
    assert await page.evaluate("heard[0][1].reason") == "unreachable"


async def test_a_code_by_sms(shop: Shop, new_page: NewPage) -> None:
    """The methods that the page wants are offered, in its language, and a code leads in."""
    shop.attributes = 'methods="phone password" language="zh-CN"'
    page, number = await visit(new_page, shop), new_number()
    await expect(page.get_by_role("tab")).to_have_text(["手机", "密码"])
    await expect(page.locator("#code")).to_have_count(0)
    await page.locator("#phone-phone").fill(number)
    await page.locator("[data-send]").click()
    await expect(page.locator("#panel-phone [data-said]")).to_contain_text(number)
    async with Person(shop.hub) as person:
        codes: list[str] = []

        async def arrived() -> bool:
            codes[:] = [each["code"] for each in await person.messages(f"+86{number}") if each["code"]]
            return bool(codes)

        await until(arrived)
    await page.locator("#phone-code").fill(codes[0])
    await expect(page.locator("#status")).to_have_text("您已登录")
    await expect(page.get_by_role("tab")).to_have_count(0)
    assert await heard(page) == ["confirmed"]
    assert await page.evaluate("heard[0][1].session.refresh_token.startsWith('hubr_')")


async def test_with_a_redirect(shop: Shop, new_page: NewPage) -> None:
    """With a redirect the visitor is led there with a code, which the verifier swaps."""
    verifier = "v" * 43
    shop.attributes = f'redirect-uri="{shop.address}/back" state="s1" code-challenge="{challenge(verifier)}"'
    page, phone = await visit(new_page, shop), await new_page(**HANDSET)
    await scan(page, phone, shop)
    await phone.locator("[data-action=confirm]").click()
    await page.wait_for_url("**/back?**")
    told = parse_qs(urlsplit(page.url).query)
    assert told["state"] == ["s1"]
    form: dict[str, str | float | bool] = {
        "grant_type": "authorization_code",
        "code": told["code"][0],
        "redirect_uri": f"{shop.address}/back",
        "code_verifier": verifier,
    }
    tokens = await phone.request.post(f"{shop.hub}/oauth/token", form=form)
    assert tokens.ok, await tokens.text()


async def test_wechats_own_page(shop: Shop, new_page: NewPage) -> None:
    """To WeChat's own page a visitor is led over the hub's, for it takes a cookie."""
    back = f"{shop.address}/back"
    shop.attributes = f'door="open_platform" redirect-uri="{back}" code-challenge="{challenge("v" * 43)}"'
    page = await visit(new_page, shop, locale="en")
    await page.locator("#window").click()
    await page.wait_for_url(f"{shop.hub}/?**")
    await expect(page.locator("#window")).to_have_attribute("href", re.compile("/connect/qrconnect"))


@pytest.mark.parametrize(
    ("theme", "ground", "width"), [("light", "rgb(255, 255, 255)", 320), ("dark", "rgb(22, 33, 39)", 1280)]
)
async def test_themes(shop: Shop, new_page: NewPage, theme: str, ground: str, width: int) -> None:
    """The theme is the page's choice, and each of them keeps WCAG 2.2 AA and its width."""
    shop.attributes = f'theme="{theme}" language="en"'
    other = {"light": "dark", "dark": "light"}[theme]
    page = await visit(new_page, shop, color_scheme=other, viewport={"width": width, "height": 800})
    await expect(page.locator("#code")).to_be_visible()
    colour = "element => getComputedStyle(element).backgroundColor"
    assert await page.locator("[part=card]").evaluate(colour) == ground
    assert await overhang(page) <= 0
    assert await violations(page) == []


async def test_without_script(shop: Shop, new_page: NewPage) -> None:
    """Without JavaScript the page says that it needs it."""
    page = await new_page(java_script_enabled=False)
    await page.goto(shop.address)
    assert "please turn JavaScript on" in await page.locator("main").inner_text()
