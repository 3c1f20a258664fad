"""The simulated phone in Chromium: what it can scan, and the screens that codes lead to."""

import base64
import io
from collections.abc import Iterator
from urllib.parse import quote

import httpx2
import pytest
import segno
from playwright.async_api import FilePayload, Page, expect
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from tests.servers.chromium import NewPage
from tests.servers.push_receiver import Receiver
from tests.servers.sandbox import MINI, TOKEN, WEBSITE, served, ticket
from tests.servers.uvicorn_app import serve

LINK = "https://hub.test/s/AbC-_123?x=1&y=2"
PHONE = {"viewport": {"width": 390, "height": 780}}


@pytest.fixture
def server() -> Receiver:
    """The account's server."""
    return Receiver(TOKEN)


@pytest.fixture
def base(server: Receiver) -> Iterator[str]:
    """A sandbox that pushes to the server."""
    with serve(server.app) as receiving, served(push_patience=5) as address:
        with httpx2.Client(base_url=address) as http:
            http.post("/official-account", json={"push_url": f"{receiving}/push"})
        yield address


def picture(content: str, kind: str = "png", scale: int = 8) -> bytes:
    """Draw *content* as the picture of a QR code."""
    drawn = io.BytesIO()
    segno.make_qr(content).save(drawn, kind=kind, scale=scale)
    return drawn.getvalue()


async def phone_of(page: Page, base: str, person: str = "alice", path: str = "/phone") -> None:
    """Hand the phone to a person and open a page of it."""
    await page.goto(f"{base}/phone/people/{person}?next={quote('/sandbox' + path, safe='')}")


def account_code(base: str, scene: str = "scene-1") -> str:
    """Order a code with a scene and return its address."""
    with httpx2.Client(base_url=base) as http:
        return str(ticket(http, scene)["url"])


@pytest.mark.parametrize("scale", [3, 8, 60])
async def test_a_picture_that_is_chosen_is_read(new_page: NewPage, base: str, scale: int) -> None:
    """A picture file of any size is decoded in the browser, and its content is what was scanned."""
    page = await new_page(**PHONE)
    await phone_of(page, base)
    file = FilePayload(name="code.png", mimeType="image/png", buffer=picture(LINK, scale=scale))
    await page.set_input_files("#file", file)
    await expect(page.locator("#scanned-link")).to_have_text(LINK)
    await expect(page.locator("#open")).to_have_attribute("href", LINK)


@pytest.mark.parametrize("event", ["paste", "drop"])
async def test_a_picture_can_be_pasted_or_dropped(new_page: NewPage, base: str, event: str) -> None:
    """A picture in the clipboard or dragged onto the page is read as well."""
    page = await new_page(**PHONE)
    await phone_of(page, base)
    await page.evaluate(
        """([event, data]) => {
            const bytes = Uint8Array.from(atob(data), (char) => char.charCodeAt(0));
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], "code.png", { type: "image/png" }));
            dispatchEvent(event === "paste"
                ? new ClipboardEvent("paste", { clipboardData: transfer })
                : new DragEvent("drop", { dataTransfer: transfer }));
        }""",
        [event, base64.b64encode(picture(LINK)).decode()],
    )
    await expect(page.locator("#scanned-link")).to_have_text(LINK)


@pytest.mark.parametrize(
    ("content", "mime", "words"),
    [(b"\x89PNG no picture", "image/png", "cannot be read"), (None, "image/svg+xml", "cannot be read")],
)
async def test_a_picture_without_a_code_is_told(
    new_page: NewPage, base: str, content: bytes | None, mime: str, words: str
) -> None:
    """What is no picture leaves the page where it was, with a word about it."""
    page = await new_page(**PHONE)
    await phone_of(page, base)
    blank = b"<svg xmlns='http://www.w3.org/2000/svg'/>"
    file = FilePayload(name="x", mimeType=mime, buffer=content or blank)
    await page.set_input_files("#file", file)
    await expect(page.locator("#scan-status")).to_contain_text(words)


@pytest.mark.parametrize("kind", ["png", "svg"])
async def test_a_picture_is_read_by_its_address(new_page: NewPage, base: str, kind: str) -> None:
    """`?picture=` names the picture of a sign-in page, drawn or painted."""
    page = await new_page(**PHONE)
    await page.route(
        "**/code.*",
        lambda route: route.fulfill(
            body=picture(LINK, kind), content_type="image/png" if kind == "png" else "image/svg+xml"
        ),
    )
    await phone_of(page, base, path=f"/phone?picture=/code.{kind}")
    await expect(page.locator("#scanned-link")).to_have_text(LINK)


async def test_a_picture_waits_for_whoever_holds_the_phone(new_page: NewPage, base: str) -> None:
    """The page that reads it goes on by itself, and would take the choice away under one's finger."""
    page = await new_page(**PHONE)
    await page.goto(f"{base}/phone?picture=/code.png")
    await expect(page.locator("#person-bob")).to_be_visible()
    await expect(page.locator("#finder")).to_have_count(0)
    await page.locator("#person-bob").click()
    await expect(page.locator("#finder")).to_have_attribute("data-picture", "/code.png")


async def test_the_camera_reads_what_it_sees(new_page: NewPage, base: str) -> None:
    """The stream of a camera is looked at until there is a code in it."""
    page = await new_page(**PHONE)
    await page.add_init_script(
        """navigator.mediaDevices.getUserMedia = async () => {
            const canvas = document.createElement("canvas");
            canvas.width = canvas.height = 480;
            const image = new Image();
            image.src = "data:image/png;base64,PICTURE";
            await image.decode();
            const context = canvas.getContext("2d");
            setInterval(() => {
                context.fillStyle = "#ddd";
                context.fillRect(0, 0, 480, 480);
                context.drawImage(image, 100, 100, 280, 280);
            }, 50);
            return canvas.captureStream(20);
        };""".replace("PICTURE", base64.b64encode(picture(LINK)).decode())
    )
    await phone_of(page, base)
    await page.locator("#camera").click()
    await expect(page.locator("#scanned-link")).to_have_text(LINK)


async def test_a_camera_that_is_refused_is_told(new_page: NewPage, base: str) -> None:
    """Without a camera, or leave to use it, the other ways stay."""
    page = await new_page(**PHONE)
    await phone_of(page, base)
    await page.locator("#camera").click()
    await expect(page.locator("#scan-status")).to_have_text("The camera cannot be used here.")
    await expect(page.locator("#album")).to_be_enabled()


async def test_following_opens_the_chat_with_the_reply(
    new_page: NewPage, base: str, server: Receiver
) -> None:
    """A newcomer sees the account, follows, and finds the reply, whose link can be tapped."""
    page = await new_page(**PHONE)
    with httpx2.Client(base_url=base) as http:
        original = http.get("/official-account").json()["original_id"]
    await phone_of(page, base)
    await page.goto(f"{base}/phone?scan={quote(account_code(base), safe='')}")
    await expect(page.get_by_role("heading", name="Acme & Sons")).to_be_visible()
    await page.locator("#follow").click()
    await expect(page.locator(".note")).to_have_text("You follow this account now.")
    openid = server.got[0][0]["openid"]
    server.reply = (
        f"<xml><ToUserName>{openid}</ToUserName><FromUserName>{original}</FromUserName><CreateTime>1</CreateTime>"
        "<MsgType>text</MsgType><Content><![CDATA[Confirm: https://hub.test/c/1]]></Content></xml>"
    ).encode()
    await page.goto(f"{base}/phone?scan={quote(account_code(base, 'scene-2'), safe='')}")
    await expect(page.locator(".bubble a")).to_have_attribute("href", "https://hub.test/c/1")
    assert "SCAN" in server.got[1][1]


async def test_a_late_reply_appears_in_the_open_chat(new_page: NewPage, base: str, server: Receiver) -> None:
    """The chat shows what comes while it is open; a failing service is told in WeChat's words."""
    page = await new_page(**PHONE)
    await phone_of(page, base)
    await page.goto(f"{base}/phone?scan={quote(account_code(base), safe='')}")
    await page.locator("#follow").click()
    await expect(page.locator(".note")).to_have_count(1)
    server.broken = 3
    with httpx2.Client(base_url=base) as http:
        http.post("/official-account/message", json={"person": "alice", "text": "hello"})
    await expect(page.locator(".mine")).to_have_text("hello")
    await expect(page.locator(".note").last).to_contain_text("cannot provide its service")


async def test_a_text_is_sent_and_the_account_left(new_page: NewPage, base: str, server: Receiver) -> None:
    """The chat's field sends a text; after unfollowing it is gone."""
    page = await new_page(**PHONE)
    await phone_of(page, base)
    await page.goto(f"{base}/phone?scan={quote(account_code(base), safe='')}")
    await page.locator("#follow").click()
    await page.get_by_label("Message").fill("<b>你好</b>")
    await page.keyboard.press("Enter")
    await expect(page.locator(".mine")).to_have_text("<b>你好</b>")
    await page.get_by_role("button", name="Unfollow").click()
    await expect(page.locator("#stranger")).to_be_visible()
    await expect(page.get_by_label("Message")).to_have_count(0)
    assert "unsubscribe" in server.got[-1][1]


async def test_an_expired_code_is_told(new_page: NewPage, base: str) -> None:
    """A code with a scene that is over leads to WeChat's notice."""
    page = await new_page(**PHONE)
    code = account_code(base)
    with httpx2.Client(base_url=base) as http:
        http.post("/clock", json={"advance": 301})
    await phone_of(page, base)
    await page.goto(f"{base}/phone?scan={quote(code, safe='')}")
    await expect(page.locator(".notice")).to_contain_text("has expired")


@pytest.mark.parametrize(("button", "state"), [("Allow", "405"), ("Reject", "403")])
async def test_the_websites_page_follows_the_phone(
    new_page: NewPage, base: str, button: str, state: str
) -> None:
    """The desktop's page shows the scan, then the decision; only Allow leads back to the site."""
    desktop, phone = await new_page(), await new_page(**PHONE)
    await desktop.route("http://shop.test/**", lambda route: route.fulfill(body="shop"))
    await desktop.goto(
        f"{base}/connect/qrconnect?appid={WEBSITE}&redirect_uri=http%3A%2F%2Fshop.test%2Fback%3Fa%3D1"
        "&response_type=code&scope=snsapi_login&state=st#wechat_redirect"
    )
    href = await desktop.locator("#phone").get_attribute("href")
    await phone_of(phone, base)
    await phone.goto(base.removesuffix("/sandbox") + str(href))
    await expect(desktop.locator("body")).to_have_attribute("data-state", "404")
    await phone.get_by_role("button", name=button).click()
    await expect(phone.locator("#outcome")).to_be_visible()
    if state == "405":
        await desktop.wait_for_url("http://shop.test/back?a=1&code=*&state=st")
    else:
        await expect(desktop.locator("body")).to_have_attribute("data-state", "403")
        assert desktop.url.startswith(base)


@pytest.mark.parametrize("within", [True, False])
async def test_a_site_frames_the_page(new_page: NewPage, base: str, within: bool) -> None:
    """`WxLogin` shows the page in a frame of the site, which ends in the frame or in the window."""
    desktop, phone = await new_page(), await new_page(**PHONE)
    options = (
        f'{{id: "box", appid: "{WEBSITE}", scope: "snsapi_login", redirect_uri: "SHOP/back", '
        f'state: "st", self_redirect: {"true" if within else "false"}}}'
    )
    site = (
        f'<div id="box"></div><script src="{base}/connect/zh_CN/htmledition/js/wxLogin.js"></script>'
        f"<script>new WxLogin({options})</script>"
    )
    pages = {"/login": site, "/back": "back"}

    async def page(request: Request) -> Response:
        return HTMLResponse(pages.get(request.url.path, ""))

    with serve(Starlette(routes=[Route("/{path}", page)])) as shop:
        pages["/login"] = site.replace("SHOP", shop)
        await desktop.goto(f"{shop}/login")
        frame = desktop.frame_locator("iframe")
        href = await frame.locator("#phone").get_attribute("href")
        await phone_of(phone, base)
        await phone.goto(base.removesuffix("/sandbox") + str(href))
        await expect(frame.locator("body")).to_have_attribute("data-state", "404")
        await phone.get_by_role("button", name="Allow").click()
        if within:
            await expect(frame.locator("body")).to_have_text("back")
            assert desktop.url == f"{shop}/login"
        else:
            await desktop.wait_for_url(f"{shop}/back?code=*&state=st")


async def test_a_mini_program_without_a_server_is_told(new_page: NewPage, base: str) -> None:
    """Its code still opens on the phone, with a notice."""
    page = await new_page(**PHONE)
    await phone_of(page, base)
    await page.goto(f"{base}/phone?scan={quote(f'{base}/m/{MINI}?scene=x', safe='')}")
    await expect(page.locator(".notice")).to_contain_text("no such mini program")


@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
@pytest.mark.parametrize("width", [320, 1000])
async def test_no_screen_runs_over_the_edge(
    new_page: NewPage, base: str, server: Receiver, locale: str, width: int
) -> None:
    """At each width and in each language no screen needs sideways scrolling."""
    page = await new_page(viewport={"width": width, "height": 640}, locale=locale)
    code = account_code(base)
    await phone_of(page, base, "emoji")
    for path in ("/phone", "/phone/chats", "/phone/people", "/phone/inbox", f"/phone?scan={quote(code)}"):
        await page.goto(base + path)
        await fits(page)
    await page.locator("#follow").click()
    await page.get_by_role("textbox").fill("https://hub.test/" + "x" * 200)
    await page.keyboard.press("Enter")
    await expect(page.locator(".mine")).to_have_count(1)
    await fits(page)


async def fits(page: Page) -> None:
    """Fail where something of the page is wider than its room."""
    await page.wait_for_load_state()
    for element in ("html", ".device"):
        fit = await page.locator(element).evaluate("one => one.scrollWidth <= one.clientWidth")
        assert fit, (page.url, element)
