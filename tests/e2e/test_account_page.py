"""The account page as people see it, in headless Chromium, beside other devices of the same person."""

import asyncio
import re
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Page, WebSocketRoute, expect

from tests.code_client import Person, new_email, new_number
from tests.people import Phone
from tests.servers.accessibility import overhang, violations
from tests.servers.chromium import NewPage
from tests.servers.hub import HubProcess
from tests.servers.waiting import until

PASSWORD = "correct horse battery"
HANDSET = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Version/19.0 Mobile/15E148 Safari/604.1"


class Resident:
    """Somebody with an e-mail address and a password, who is on the account page; and their phone."""

    def __init__(self, hub: HubProcess, page: Page, phone: Person) -> None:
        self.hub, self.page, self.phone = hub, page, phone
        self.email = new_email()

    async def move_in(self) -> "Resident":
        """Make the account, and sign in to it on the sign-in page."""
        code = await self.phone.code(self.email, purpose="register")
        made = await self.phone.post("/api/register", email=self.email, code=code, password=PASSWORD)
        assert made.status_code == 200, made.text
        await self.phone.http.post("/api/logout", headers=_bearer(made.json()["data"]["access_token"]))
        await self.page.goto(self.hub.url)
        await self.page.locator("#tab-password").click()
        await self.page.locator("#password-account").fill(self.email)
        await self.page.locator("#password-password").fill(PASSWORD)
        await self.page.keyboard.press("Enter")
        await self.page.locator("#signed-in a[href^='/account']").click()
        await expect(self.page.locator("#devices .row")).to_have_count(1)
        return self

    async def sign_in_on_the_phone(self) -> str:
        """Sign in on the phone and return its access token."""
        reply = await self.phone.post("/api/login/password", account=self.email, password=PASSWORD)
        return str(reply.json()["data"]["access_token"])

    async def enter_code(self, dialog: str, address: str) -> None:
        """Have a code sent from a dialog, and type it in."""
        before = len(await self.phone.messages(address))
        await self.page.locator(f"#{dialog} [data-send]").click()

        async def arrived() -> bool:
            return len(await self.phone.messages(address)) > before

        await until(arrived)
        code = (await self.phone.messages(address))[0]["code"]
        await self.page.locator(f"#{dialog} [name=code]").fill(code)


def _bearer(access_token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {access_token}"}


@pytest_asyncio.fixture(loop_scope="session")
async def phone(hub_on_sqlite: HubProcess) -> AsyncIterator[Person]:
    """The person's phone."""
    async with Person(hub_on_sqlite.url, **{"user-agent": HANDSET}) as person:
        yield person


@pytest_asyncio.fixture(loop_scope="session")
async def resident(hub_on_sqlite: HubProcess, new_page: NewPage, phone: Person) -> Resident:
    """Somebody who is on the account page."""
    return await Resident(hub_on_sqlite, await new_page(), phone).move_in()


async def test_devices_come_and_go_live(resident: Resident) -> None:
    """A sign-in elsewhere appears without a reload, and greys out when it ends."""
    page = resident.page
    access_token = await resident.sign_in_on_the_phone()
    row = page.locator("#devices .row").filter(has_text="Mobile Safari, iOS")
    await expect(row).to_be_visible()
    await expect(page.locator("#news")).not_to_be_empty()
    await resident.phone.http.post("/api/logout", headers=_bearer(access_token))
    await expect(row).to_contain_text("Signed out")
    await expect(row.locator("button")).to_have_count(0)
    await expect(page.locator("#news")).to_have_text("A device was signed out.")


async def test_ending_one_device(resident: Resident) -> None:
    """A device that is ended here is signed out there."""
    access_token = await resident.sign_in_on_the_phone()
    row = resident.page.locator("#devices .row").filter(has_text="Mobile Safari")
    await row.locator("[id^=end-]").click()
    await expect(row.get_by_text("Signed out")).to_be_visible()
    asked = await resident.phone.http.get("/api/user/profile", headers=_bearer(access_token))
    assert asked.status_code == 401


async def test_ending_all_others(resident: Resident) -> None:
    """One press ends all devices but this one."""
    page = resident.page
    await resident.sign_in_on_the_phone()
    await resident.sign_in_on_the_phone()
    await expect(page.locator("#devices .row")).to_have_count(3)
    await page.locator("#end-others").click()
    await page.locator("#others [data-kind]").click()
    await expect(page.locator("#devices .row[data-over]")).to_have_count(2)
    await expect(page.locator("#end-others")).to_be_hidden()
    await expect(page.locator("#devices .row").first).to_contain_text("This device")


async def test_being_ended_elsewhere(resident: Resident) -> None:
    """A page whose own session is ended elsewhere says so at once."""
    access_token = await resident.sign_in_on_the_phone()
    ended = await resident.phone.http.post(
        "/api/logout-all", json={"except_current": True}, headers=_bearer(access_token)
    )
    assert ended.status_code == 200
    await expect(resident.page.locator("[data-part=signed_out] h1")).to_be_focused()
    assert await violations(resident.page) == []


async def test_without_sockets(hub_on_sqlite: HubProcess, new_page: NewPage, phone: Person) -> None:
    """Where a proxy blocks sockets, devices still come and go without a reload, a little later."""
    page = await new_page()

    async def refuse(socket: WebSocketRoute) -> None:
        await socket.close(code=1011)

    await page.route_web_socket("**/api/sessions/stream*", refuse)
    resident = await Resident(hub_on_sqlite, page, phone).move_in()
    await resident.sign_in_on_the_phone()
    await expect(page.locator("#devices .row")).to_have_count(2, timeout=30_000)


async def test_rename(resident: Resident) -> None:
    """A device keeps the name that it is given."""
    page = resident.page
    await page.locator("[data-open=rename]").click()
    await page.locator("#rename-device_name").fill("Work")
    await page.keyboard.press("Enter")
    await expect(page.locator("#devices .row")).to_contain_text("Work")
    await page.reload()
    await expect(page.locator("#devices .row")).to_contain_text("Work")


async def test_binding_a_number(resident: Resident) -> None:
    """A number is bound by a code; the row shows it."""
    page, number = resident.page, new_number()
    await page.locator("[data-open=phone]").click()
    await page.locator("#phone-phone").fill(number)
    assert await violations(page) == []
    await resident.enter_code("phone", f"+86{number}")
    await expect(page.locator("#way-phone")).to_contain_text(f"+86{number}")
    await expect(page.locator("#phone")).to_be_hidden()


async def test_binding_wechat(hub_alone: HubProcess, new_page: NewPage) -> None:
    """WeChat is linked by a scan of the code on the page, and unlinked again."""
    page = await new_page()
    async with Person(hub_alone.url) as phone:
        await Resident(hub_alone, page, phone).move_in()
    async with page.expect_response("**/api/auth/wechat/qr-code") as answer:
        await page.locator("[data-open=wechat]").click()
    attempt = (await (await answer.value).json())["data"]
    await expect(page.locator("#wechat-card #code")).to_be_visible()
    assert await violations(page) == []
    async with Phone(hub_alone.url) as scanner:
        await scanner.scan(attempt["qr_content"])
        answered = await scanner.answer()
        assert answered.status_code == 200, answered.text
    button = page.locator("#way-wechat button")
    await expect(button).to_have_text("Unlink")
    await expect(page.locator("#wechat")).to_be_hidden()
    await button.click()
    await page.locator("#unbind [data-kind]").click()
    await expect(button).to_have_text("Link")


async def _grow_old(hub: HubProcess, page: Page) -> None:
    """Let the sign-in be longer ago than grave changes allow."""
    with sqlite3.connect(hub.database_url.removeprefix("sqlite:///")) as database:
        database.execute("UPDATE user_sessions SET auth_time = '2020-01-01 00:00:00.000'")
    await page.reload()
    await expect(page.locator(".account")).to_be_visible()


async def test_reauthentication(hub_alone: HubProcess, new_page: NewPage) -> None:
    """Long after the sign-in a change asks for the password first, and then goes on by itself."""
    async with Person(hub_alone.url) as phone:
        resident = await Resident(hub_alone, await new_page(), phone).move_in()
        page = resident.page
        await _grow_old(hub_alone, page)
        number = new_number()
        await page.locator("[data-open=phone]").click()
        await page.locator("#phone-phone").fill(number)
        await resident.enter_code("phone", f"+86{number}")
        await expect(page.locator("#reauth")).to_be_visible()
        assert await violations(page) == []
        await page.locator("#reauth-password").fill(PASSWORD)
        await page.keyboard.press("Enter")
        await expect(page.locator("#way-phone")).to_contain_text(number)


async def test_reauthentication_by_code(hub_alone: HubProcess, new_page: NewPage) -> None:
    """Who does not know the password proves it with a code instead."""
    async with Person(hub_alone.url) as phone:
        resident = await Resident(hub_alone, await new_page(), phone).move_in()
        page = resident.page
        await _grow_old(hub_alone, page)
        await page.locator("[data-open=delete]").click()
        await page.locator("#delete-typed").fill("delete my account")
        await page.keyboard.press("Enter")
        await resident.enter_code("reauth", resident.email)
        await expect(page.locator("[data-part=deleted] h1")).to_be_visible()


async def test_deletion_wants_the_words(resident: Resident) -> None:
    """Nothing is deleted before the words are typed; then the account is gone."""
    page = resident.page
    await page.locator("[data-open=delete]").click()
    await page.locator("#delete-typed").fill("yes")
    await page.keyboard.press("Enter")
    await expect(page.locator("#delete-typed-error")).not_to_be_empty()
    assert await violations(page) == []
    await page.locator("#delete-typed").fill("delete my account")
    await page.keyboard.press("Enter")
    await expect(page.locator("[data-part=deleted] h1")).to_be_visible()
    await page.reload()
    await expect(page.locator("[data-part=signed_out] a")).to_be_visible()


async def test_history(resident: Resident) -> None:
    """The history tells failed tries and what was unusual, by filter and page by page."""
    page = resident.page
    for _ in range(11):
        access_token = await resident.sign_in_on_the_phone()
        await resident.phone.http.post("/api/logout", headers=_bearer(access_token))
    await resident.phone.post("/api/login/password", account=resident.email, password="wrong one")
    await page.reload()
    rows = page.locator("#history .row")
    await expect(rows).to_have_count(10)
    await page.locator("[data-do=more]").click()
    await expect(rows).to_have_count(14)
    await expect(rows.nth(10)).to_be_focused()
    await page.locator("#filter").select_option("status=failed")
    await expect(rows).to_have_count(1)
    await expect(rows).to_contain_text(re.compile("Failed.*wrong code or password", re.DOTALL))
    await page.locator("#filter").focus()
    await page.locator("#filter").select_option("status=blocked")
    await expect(page.locator("#history")).to_contain_text("Nothing here.")
    await expect(page.locator("#filter")).to_be_focused()
    await page.locator("#filter").select_option("unusual=true")
    await expect(rows.first).to_contain_text("The first sign-in from this device.")
    assert {await mark.inner_text() for mark in await page.locator("#history .mark").all()} == {"Unusual"}
    assert await violations(page) == []


async def test_signing_out_in_another_tab(resident: Resident) -> None:
    """A sign-out ends the page in every tab of the browser."""
    other = await resident.page.context.new_page()
    await other.goto(f"{resident.hub.url}/account")
    await expect(other.locator(".account")).to_be_visible()
    await resident.page.locator("#sign-out").click()
    await expect(other.locator("[data-part=signed_out] h1")).to_be_visible()


async def test_tabs_share_one_refresh(resident: Resident) -> None:
    """Five tabs that wake at once stay signed in: their refreshes stand in line."""
    tabs = [await resident.page.context.new_page() for _ in range(5)]
    for tab in tabs:
        await tab.goto(f"{resident.hub.url}/account", wait_until="commit")
    for tab in tabs:
        await expect(tab.locator(".account")).to_be_visible()
    await expect(resident.page.locator(".account")).to_be_visible()


async def test_binding_over_wechats_own_page(tmp_path: Path, new_page: NewPage) -> None:
    """The window goes to WeChat's page to link it, and comes back to the account page linked."""
    hub = HubProcess(tmp_path, WECHAT_DOOR="open_platform").start()
    try:
        async with Person(hub.url) as phone:
            page, handset = await new_page(), await new_page()
            await Resident(hub, page, phone).move_in()
            await page.locator("[data-open=wechat]").click()
            await page.locator("#wechat-card #window").click()
            await page.wait_for_url("**/connect/qrconnect?**")
            href = await page.locator("#phone").get_attribute("href")
            await handset.goto(f"{hub.url}{href}")
            await handset.get_by_text("Bob", exact=True).click()
            await handset.locator("#allow").click()
            await expect(page.locator("#way-wechat button")).to_have_text("Unlink")
            assert page.url == f"{hub.url}/account"
            assert await page.evaluate("Object.keys(sessionStorage)") == []
    finally:
        hub.stop()


async def test_unreachable(resident: Resident) -> None:
    """A page that cannot reach the hub says so, and one press tries again."""
    page = resident.page
    await page.route("**/api/**", lambda route: route.abort())
    await page.reload()
    await expect(page.locator("[data-part=unreachable] h1")).to_be_visible()
    assert await violations(page) == []
    await page.unroute("**/api/**")
    await page.locator("[data-do=begin]").click()
    await expect(page.locator(".account")).to_be_visible()


@pytest.mark.parametrize(("locale", "scheme"), [("zh-CN", "light"), ("en-US", "dark")])
async def test_account_is_accessible(
    hub_on_sqlite: HubProcess, new_page: NewPage, phone: Person, locale: str, scheme: str
) -> None:
    """The page and each dialog keep WCAG 2.2 AA by day and night, and fit at 320 px and at 4K."""
    viewport = {"width": 320, "height": 700}
    page = await new_page(viewport=viewport, locale=locale, color_scheme=scheme, reduced_motion="reduce")
    resident = await Resident(hub_on_sqlite, page, phone).move_in()
    access_token = await resident.sign_in_on_the_phone()
    await expect(page.locator("#devices .row")).to_have_count(2)
    for width in (3840, 320):
        await page.set_viewport_size({"width": width, "height": 700})
        assert await overhang(page) <= 0
    assert await violations(page) == []
    for name in ("rename", "others", "phone", "email", "password", "wechat", "delete"):
        await page.locator(f"[data-open={name}]").first.click()
        if name == "wechat":
            await expect(page.locator("#wechat #code")).to_be_visible()
        assert await violations(page) == [], name
        await page.keyboard.press("Escape")
        await expect(page.locator(f"#{name}")).to_be_hidden()
        await expect(page.locator(f"[data-open={name}]").first).to_be_focused()
    await resident.phone.http.post("/api/logout", headers=_bearer(access_token))
    await expect(page.locator("[data-over]")).to_have_count(1)
    assert await violations(page) == []


async def test_signed_out_browser_is_shown_the_way(hub_on_sqlite: HubProcess, new_page: NewPage) -> None:
    """A browser that is not signed in is led to the sign-in page."""
    page = await new_page(locale="zh-CN")
    await page.goto(f"{hub_on_sqlite.url}/account")
    await expect(page.locator("[data-part=signed_out] h1")).to_have_text("您已退出登录")
    await expect(page.locator("[data-part=signed_out] a")).to_be_visible()
    assert await violations(page) == []


async def test_a_change_shows_in_every_tab(resident: Resident) -> None:
    """A number that is bound in one tab appears in the other, which nobody reloads."""
    other = await resident.page.context.new_page()
    await other.goto(f"{resident.hub.url}/account")
    await expect(other.locator("#way-phone")).to_contain_text("Not set")
    number = new_number()
    await resident.page.locator("[data-open=phone]").click()
    await resident.page.locator("#phone-phone").fill(number)
    await resident.enter_code("phone", f"+86{number}")
    await expect(other.locator("#way-phone")).to_contain_text(number)


async def test_a_change_before_the_stream_is_open_shows(resident: Resident) -> None:
    """What happens between the page's first reading and its stream is not lost."""
    page = await resident.page.context.new_page()
    held, changed = asyncio.Event(), asyncio.Event()

    async def hold(route: WebSocketRoute) -> None:
        held.set()
        await changed.wait()
        route.connect_to_server()

    await page.route_web_socket("**/api/sessions/stream*", hold)
    await page.goto(f"{resident.hub.url}/account")
    await expect(page.locator("#devices .row")).to_have_count(1)
    await asyncio.wait_for(held.wait(), 10)
    await resident.sign_in_on_the_phone()
    changed.set()
    await expect(page.locator("#devices .row")).to_have_count(2)


async def test_what_happens_offline_shows_afterwards(resident: Resident) -> None:
    """A page whose network was cut catches up when it is back, without a reload."""
    page = resident.page
    await page.context.set_offline(True)
    await resident.sign_in_on_the_phone()
    await page.locator("#filter").select_option("status=failed")
    await expect(page.locator("#news")).to_contain_text("No connection")
    assert await violations(page) == []
    await page.context.set_offline(False)
    await expect(page.locator("#devices .row")).to_have_count(2, timeout=20_000)


async def test_a_page_that_slept_catches_up(resident: Resident) -> None:
    """A tab that the browser has frozen shows, once it wakes, what has happened meanwhile."""
    page = resident.page
    devtools = await page.context.new_cdp_session(page)
    await devtools.send("Page.setWebLifecycleState", {"state": "frozen"})
    await resident.sign_in_on_the_phone()
    await devtools.send("Page.setWebLifecycleState", {"state": "active"})
    await expect(page.locator("#devices .row")).to_have_count(2, timeout=20_000)


async def test_back_and_forward(resident: Resident) -> None:
    """Away to the sign-in page and back again, the account is there, still live; so is the other language."""
    page = resident.page
    await page.get_by_role("link", name="中文").click()
    await expect(page.locator("#devices-title")).to_have_text("登录设备")
    await page.go_back()
    await expect(page.locator("#devices-title")).to_have_text("Devices")
    await page.goto(resident.hub.url)
    await page.go_back()
    await expect(page.locator("#devices .row")).to_have_count(1)
    await resident.sign_in_on_the_phone()
    await expect(page.locator("#devices .row")).to_have_count(2)
    await page.go_forward()
    await expect(page.locator("#signed-in")).to_be_visible()


async def test_nothing_is_left_of_a_deleted_account(hub_alone: HubProcess, new_page: NewPage) -> None:
    """After the page says so, no table has the account or its address, but for the log of tries."""
    async with Person(hub_alone.url) as phone:
        resident = await Resident(hub_alone, await new_page(), phone).move_in()
        page = resident.page
        await phone.send(resident.email)  # which subscribes it
        await page.locator("[data-open=delete]").click()
        await page.locator("#delete-typed").fill("delete my account")
        await page.keyboard.press("Enter")
        await expect(page.locator("[data-part=deleted] h1")).to_be_focused()
        assert await violations(page) == []
        refused = await phone.post("/api/login/password", account=resident.email, password=PASSWORD)
        assert refused.status_code == 401
    with sqlite3.connect(hub_alone.database_url.removeprefix("sqlite:///")) as database:
        tables = ("users", "user_sessions", "user_login_types", "wechat_users", "account_events")
        for table in (*tables, "account_warnings", "email_subscribers", "oauth_connections"):
            (left,) = database.execute(f"SELECT COUNT(*) FROM {table}").fetchone()  # noqa: S608 - our names
            assert left == 0, table
        logged = database.execute("SELECT DISTINCT user_id, account FROM login_logs").fetchall()
    assert logged == [(None, resident.email)]
