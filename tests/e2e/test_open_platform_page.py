"""The sign-in through WeChat's own page, as people see it: in this window, in a frame, for another site."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.async_api import FrameLocator, Page, Route, expect
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route as StarletteRoute

from tests.people import challenge
from tests.servers.accessibility import overhang
from tests.servers.chromium import NewPage
from tests.servers.hub import HubProcess
from tests.servers.uvicorn_app import serve

DESKTOP = {"viewport": {"width": 1280, "height": 900}}
HANDSET = {"viewport": {"width": 390, "height": 780}, "has_touch": True}


@pytest.fixture(scope="module")
def client() -> Iterator[str]:
    """The redirect URI of a client, which is served."""

    async def back(_: Request) -> Response:
        return PlainTextResponse("the shop")

    with serve(Starlette(routes=[StarletteRoute("/back", back)])) as address:
        yield f"{address}/back"


@pytest.fixture(scope="module")
def window_hub(tmp_path_factory: pytest.TempPathFactory, client: str) -> Iterator[HubProcess]:
    """A hub whose default door is WeChat's own page, shown in a frame as well."""
    folder = tmp_path_factory.mktemp("hub")
    env = {"WECHAT_DOOR": "open_platform", "WECHAT_EMBED": "true", "REDIRECT_URIS": client}
    process = HubProcess(folder, **env).start()
    yield process
    process.stop()
    assert process.defects() == []


async def approve(wechat: Page | FrameLocator, phone: Page, url: str, button: str = "#allow") -> None:
    """Take the phone to the code that WeChat's page shows, as Bob, and press a button there."""
    href = await wechat.locator("#phone").get_attribute("href")
    await phone.goto(f"{url}{href}")
    await phone.get_by_text("Bob", exact=True).click()
    await phone.locator(button).click()


@pytest.mark.parametrize(
    ("locale", "button", "greeting"),
    [("en-US", "Continue with WeChat", "You are signed in"), ("zh-CN", "使用微信继续", "已登录")],
)
async def test_in_this_window(
    hub_on_sqlite: HubProcess, new_page: NewPage, locale: str, button: str, greeting: str
) -> None:
    """The window goes to WeChat and comes back signed in, without a code in its address, and stays so."""
    hub = hub_on_sqlite
    desktop, phone = await new_page(**DESKTOP, locale=locale), await new_page(**HANDSET)
    await desktop.goto(f"{hub.url}/?door=open_platform")
    await desktop.get_by_role("link", name=button).click()
    await desktop.wait_for_url("**/connect/qrconnect?**")
    await approve(desktop, phone, hub.url)
    await expect(desktop.locator("#signed-in")).to_be_visible()
    await expect(desktop.locator("#signed-in")).to_contain_text("Bob")
    await expect(desktop.locator("#signed-in-title")).to_have_text(re.compile(greeting))
    assert desktop.url == f"{hub.url}/?door=open_platform"
    assert await desktop.evaluate("sessionStorage.length") == 0
    await desktop.reload()
    await expect(desktop.locator("#signed-in")).to_contain_text("Bob")


async def test_bound_by_cookie(hub_on_sqlite: HubProcess, new_page: NewPage) -> None:
    """A page on plain http in a LAN has no `crypto.subtle`: the cookie of the window redeems."""
    hub = hub_on_sqlite
    desktop, phone = await new_page(**DESKTOP), await new_page(**HANDSET)
    await desktop.add_init_script("Object.defineProperty(crypto, 'subtle', { value: undefined })")
    await desktop.goto(f"{hub.url}/?door=open_platform")
    await desktop.get_by_role("link", name="Continue with WeChat").click()
    await desktop.wait_for_url("**/connect/qrconnect?**")
    await approve(desktop, phone, hub.url)
    await expect(desktop.locator("#signed-in")).to_contain_text("Bob")
    assert await desktop.evaluate("sessionStorage.length") == 0


async def test_in_a_frame(window_hub: HubProcess, new_page: NewPage) -> None:
    """WeChat's page is shown in a frame, and leads the whole window on when the person has approved."""
    desktop, phone = await new_page(**DESKTOP), await new_page(**HANDSET)
    answer = await desktop.goto(window_hub.url)
    assert answer is not None
    assert answer.headers["content-security-policy"].endswith(f"; frame-src {window_hub.url}")
    await expect(desktop.locator("#frame")).to_be_visible()
    await approve(desktop.frame_locator("#frame"), phone, window_hub.url)
    await expect(desktop.locator("#signed-in")).to_contain_text("Bob")


async def test_the_phone_opens_from_the_frame(window_hub: HubProcess, new_page: NewPage) -> None:
    """A click on the code within the frame opens the simulated phone, where the person approves."""
    desktop = await new_page(locale="en")
    await desktop.goto(f"{window_hub.url}/")
    async with desktop.expect_popup() as opened:
        await desktop.frame_locator("#frame").locator("#phone").click()
    phone = await opened.value
    await phone.locator("#person-alice").click()
    await phone.locator("#allow").click()
    await expect(desktop.locator("#signed-in")).to_be_visible()


async def test_in_another_tab(hub_on_sqlite: HubProcess, new_page: NewPage) -> None:
    """Where the person opens WeChat in a new tab, that one is signed in, and so is the first one."""
    hub = hub_on_sqlite
    desktop, phone = await new_page(**DESKTOP), await new_page(**HANDSET)
    await desktop.goto(f"{hub.url}/?door=open_platform")
    link = desktop.get_by_role("link", name="Continue with WeChat")
    async with desktop.context.expect_page() as opened:
        await link.click(modifiers=["Control"])
    other = await opened.value
    await approve(other, phone, hub.url)
    await expect(other.locator("#signed-in")).to_contain_text("Bob")
    await expect(desktop.locator("#signed-in")).to_contain_text("Bob")


async def test_for_another_site(window_hub: HubProcess, client: str, new_page: NewPage) -> None:
    """A client's person is led on to the client, with its state and a code that its verifier redeems."""
    desktop, phone = await new_page(**DESKTOP), await new_page(**HANDSET)
    verifier = "v" * 43
    asked = f"redirect_uri={client}&state=shop-state&code_challenge={challenge(verifier)}"
    await desktop.goto(f"{window_hub.url}/?{asked}")
    await desktop.get_by_role("link", name="Continue with WeChat").click()
    await desktop.wait_for_url("**/connect/qrconnect?**")
    await approve(desktop, phone, window_hub.url)
    await desktop.wait_for_url(f"{client}?**")
    told = parse_qs(urlsplit(desktop.url).query)
    assert told["state"] == ["shop-state"]
    form: dict[str, str | float | bool] = {
        "grant_type": "authorization_code",
        "code": told["code"][0],
        "redirect_uri": client,
        "code_verifier": verifier,
    }
    tokens = await phone.request.post(f"{window_hub.url}/oauth/token", form=form)
    assert tokens.ok, await tokens.text()


async def test_who_declines_can_start_again(hub_on_sqlite: HubProcess, new_page: NewPage) -> None:
    """Where WeChat leads back without a code, the page says so and one press begins anew."""
    hub = hub_on_sqlite
    desktop, phone = await new_page(**DESKTOP), await new_page(**HANDSET)

    async def decline(route: Route) -> None:
        await route.continue_(headers={**route.request.headers, "x-sandbox-decision": "deny"})

    await desktop.route("**/connect/qrconnect?**", decline, times=1)
    await desktop.goto(f"{hub.url}/?door=open_platform")
    await desktop.get_by_role("link", name="Continue with WeChat").click()
    await expect(desktop.locator(".outcome h1")).to_have_text("Not allowed in WeChat")
    await desktop.get_by_role("link", name="Start again").click()
    await desktop.get_by_role("link", name="Continue with WeChat").click()
    await approve(desktop, phone, hub.url)
    await expect(desktop.locator("#signed-in")).to_contain_text("Bob")


async def test_renewed_on_the_page(tmp_path: Path, new_page: NewPage) -> None:
    """After the time is over one press brings a new way to WeChat, for the same window."""
    hub = HubProcess(tmp_path, WECHAT_QR_EXPIRES_IN="12").start()
    try:
        desktop, phone = await new_page(**DESKTOP), await new_page(**HANDSET)
        await desktop.goto(f"{hub.url}/?door=open_platform")
        link = desktop.get_by_role("link", name="Continue with WeChat")
        first = await link.get_attribute("href")
        await desktop.locator("[data-renew]:visible").click()
        await expect(link).not_to_have_attribute("href", first or "")
        await link.click()
        await approve(desktop, phone, hub.url)
        await expect(desktop.locator("#signed-in")).to_contain_text("Bob")
    finally:
        hub.stop()


async def test_the_pages_fit_a_small_screen(window_hub: HubProcess, new_page: NewPage) -> None:
    """At 320 pixels nothing is cut off, the frame neither."""
    page = await new_page(viewport={"width": 320, "height": 640})
    await page.goto(window_hub.url)
    await expect(page.locator("#frame")).to_be_visible()
    assert await overhang(page) <= 0
