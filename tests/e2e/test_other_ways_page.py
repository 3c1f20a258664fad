"""The sign-in page's other ways: codes by SMS and e-mail, and the password, in headless Chromium."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Page, Route, expect

from tests.code_client import Person, new_email, new_number
from tests.servers.accessibility import overhang, violations
from tests.servers.chromium import NewPage
from tests.servers.hub import HubProcess
from tests.servers.waiting import until

PASSWORD = "correct horse battery"


@pytest.fixture
def wide_hub(tmp_path: Path) -> Iterator[HubProcess]:
    """A hub that sends SMS to three countries, and no e-mail."""
    process = HubProcess(tmp_path, SMS_COUNTRIES="86,852,1").start()
    yield process
    process.stop()


async def newest_code(person: Person, address: str) -> str:
    """Return the code that was sent to *address* once it has come."""
    codes: list[str] = []

    async def arrived() -> bool:
        codes[:] = [each["code"] for each in await person.messages(address) if each["code"]]
        return bool(codes)

    await until(arrived)
    return codes[0]


async def ask(page: Page, way: str, address: str) -> None:
    """Choose a way, and have a code sent."""
    await page.locator(f"#tab-{way}").click()
    await page.locator(f"#{way}-{way}").fill(address)
    await page.locator(f"#panel-{way} [data-send]").click()
    await expect(page.locator(f"#panel-{way} [data-said]")).to_contain_text(address)


async def test_sms_code(hub_on_sqlite: HubProcess, new_page: NewPage) -> None:
    """A pasted code is cleaned of what stands around its digits and signs in by itself."""
    page, number = await new_page(), new_number()
    await page.goto(hub_on_sqlite.url)
    await ask(page, "phone", number)
    await expect(page.locator("#phone-code")).to_be_focused()
    async with Person(hub_on_sqlite.url) as person:
        code = await newest_code(person, f"+86{number}")
    await page.locator("#phone-code").fill(f" {code[:3]} {code[3:]} ")
    await expect(page.locator("#signed-in")).to_be_visible()
    await page.reload()
    await expect(page.locator("#signed-in")).to_be_visible()


async def test_code_before_the_answer(hub_on_sqlite: HubProcess, new_page: NewPage) -> None:
    """A code that is entered before the page has heard that it was sent signs in all the same."""
    page = await new_page()
    number = new_number()
    entered = asyncio.Event()

    async def slow(route: Route) -> None:
        answer = await route.fetch()
        await entered.wait()
        await route.fulfill(response=answer)

    await page.route("**/api/send-code", slow)
    async with Person(hub_on_sqlite.url) as person:
        await page.goto(hub_on_sqlite.url)
        await page.locator("#tab-phone").click()
        await page.locator("#phone-phone").fill(number)
        await page.locator("#panel-phone [data-send]").click()
        await page.locator("#phone-code").fill(await newest_code(person, f"+86{number}"))
    entered.set()
    await expect(page.locator("#signed-in")).to_be_visible()


async def test_email_code(hub_on_sqlite: HubProcess, new_page: NewPage) -> None:
    """A code by e-mail signs in, and no token stands where a script could find it later."""
    page, address = await new_page(), new_email()
    await page.goto(hub_on_sqlite.url)
    await ask(page, "email", address)
    async with Person(hub_on_sqlite.url) as person:
        await page.locator("#email-code").fill(await newest_code(person, address))
    await expect(page.locator("#signed-in")).to_be_visible()
    readable = await page.evaluate(
        "JSON.stringify([location.href, document.cookie, {...localStorage}, {...sessionStorage}])"
    )
    assert "eyJ" not in readable
    assert "hubr_" not in readable


async def test_password(hub_on_sqlite: HubProcess, new_page: NewPage) -> None:
    """A wrong password is told at its field; the right one signs in."""
    async with Person(hub_on_sqlite.url) as person:
        address = new_email()
        code = await person.code(address, purpose="register")
        made = await person.post("/api/register", email=address, code=code, password=PASSWORD)
        assert made.status_code == 200, made.text
    page = await new_page()
    await page.goto(hub_on_sqlite.url)
    await page.locator("#tab-password").click()
    await page.locator("#password-account").fill(address)
    await page.locator("#password-password").fill("something else")
    await page.keyboard.press("Enter")
    await expect(page.locator("#password-password-error")).to_have_text(
        "The account or the password is wrong."
    )
    await expect(page.locator("#password-password")).to_be_focused()
    assert await violations(page) == []
    await page.locator("#password-password").fill(PASSWORD)
    await expect(page.locator("#password-password-error")).to_have_text("")
    await page.keyboard.press("Enter")
    await expect(page.locator("#signed-in")).to_be_visible()


async def test_wrong_code(hub_on_sqlite: HubProcess, new_page: NewPage) -> None:
    """A wrong code is told at its field, which is selected to be typed over."""
    page, number = await new_page(), new_number()
    await page.goto(hub_on_sqlite.url)
    await ask(page, "phone", number)
    async with Person(hub_on_sqlite.url) as person:
        code = await newest_code(person, f"+86{number}")
    await page.locator("#phone-code").fill("000000" if code != "000000" else "111111")
    await expect(page.locator("#phone-code-error")).not_to_be_empty()
    await expect(page.locator("#phone-code")).to_have_attribute("aria-invalid", "true")
    await page.locator("#phone-code").fill(code)
    await expect(page.locator("#signed-in")).to_be_visible()


async def test_resend_waits(hub_on_sqlite: HubProcess, new_page: NewPage) -> None:
    """Another code can only be asked for when the server would send one, and the button counts down."""
    page = await new_page()
    await page.clock.install()
    await page.goto(hub_on_sqlite.url)
    await ask(page, "phone", new_number())
    button = page.locator("#panel-phone [data-send]")
    await expect(button).to_be_disabled()
    await expect(button).to_contain_text("Resend in")
    await page.clock.fast_forward(61_000)
    await expect(button).to_be_enabled()
    await expect(button).to_have_text("Send code")


async def test_broken_number(hub_on_sqlite: HubProcess, new_page: NewPage) -> None:
    """An empty field and a number that the server refuses are told where they stand, in Chinese."""
    page = await new_page(locale="zh-CN")
    await page.goto(hub_on_sqlite.url)
    await page.locator("#tab-phone").click()
    send = page.locator("#panel-phone [data-send]")
    await send.click()
    await expect(page.locator("#phone-phone-error")).to_have_text("请填写此项。")
    await page.locator("#phone-phone").fill("12")
    await send.click()
    await expect(page.locator("#phone-phone-error")).to_have_text("这不是电话号码。")
    assert await violations(page) == []


async def test_countries(wide_hub: HubProcess, new_page: NewPage) -> None:
    """The picker has the countries that get SMS, by name, and the chosen one's code goes with the number."""
    page = await new_page()
    await page.goto(wide_hub.url)
    await page.locator("#tab-phone").click()
    picker = page.locator("[name=country_code]")
    labels = await picker.evaluate("select => [...select.options].map((option) => option.label)")
    assert labels == ["+86 China", "+852 Hong Kong", "+1 United States"]
    await picker.select_option("+852")
    await ask(page, "phone", "51234567")
    async with Person(wide_hub.url) as person:
        assert await newest_code(person, "+85251234567")


async def test_tabs_by_keyboard(hub_on_sqlite: HubProcess, new_page: NewPage) -> None:
    """Arrow keys go round the ways, and only the chosen one is in the order of Tab."""
    page = await new_page()
    await page.goto(hub_on_sqlite.url)
    await page.locator("#tab-scan").focus()
    await page.keyboard.press("ArrowLeft")
    await expect(page.locator("#tab-password")).to_be_focused()
    await expect(page.locator("#password-account")).to_be_visible()
    await page.keyboard.press("Tab")
    await expect(page.locator("#password-account")).to_be_focused()
    await page.locator("#tab-password").focus()
    await page.keyboard.press("ArrowRight")
    await expect(page.locator("#code")).to_be_visible()


async def test_hosted_sign_in_has_the_code_alone(hub_on_sqlite: HubProcess, new_page: NewPage) -> None:
    """A sign-in for another site ends with a code for that site, which only the QR code leads to."""
    page = await new_page()
    await page.goto(f"{hub_on_sqlite.url}/?redirect_uri=https%3A%2F%2Fshop.example.com%2Fback")
    await expect(page.locator("[role=tab]")).to_have_count(0)


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 320)])
async def test_every_way_is_accessible(
    hub_on_sqlite: HubProcess, new_page: NewPage, scheme: str, width: int
) -> None:
    """Each way keeps WCAG 2.2 AA and its width, by day and night."""
    page = await new_page(viewport={"width": width, "height": 700}, color_scheme=scheme)
    await page.goto(hub_on_sqlite.url)
    await expect(page.locator("#code")).to_be_visible()
    for way in ("scan", "phone", "email", "password"):
        await page.locator(f"#tab-{way}").click()
        assert await violations(page) == [], way
        assert await overhang(page) <= 0


@pytest.mark.parametrize("way", ["phone", "email"])
async def test_a_forgotten_password(hub_on_sqlite: HubProcess, new_page: NewPage, way: str) -> None:
    """A code leads to a new one: what is too weak is told at its field, what is not signs in."""
    page, address = await new_page(), new_number() if way == "phone" else new_email()
    received_at = f"+86{address}" if way == "phone" else address
    async with Person(hub_on_sqlite.url) as person:
        await person.sign_in(address)
        before = len(await person.messages(received_at))
        await page.goto(hub_on_sqlite.url)
        await page.locator("#tab-password").click()
        await page.get_by_text("Forgotten your password?").click()
        if way == "email":
            await page.get_by_text("Use e-mail instead").click()
        await page.locator(f"#reset-{way}").fill(address)
        assert await violations(page) == []
        await page.locator("[data-send]").click()

        async def arrived() -> bool:
            return len(await person.messages(received_at)) > before

        await until(arrived)
        await page.locator("#reset-new_password").fill("password1")
        await page.locator("#reset-code").fill(await newest_code(person, received_at))
        trouble = page.locator("#reset-new_password-error")
        await expect(trouble).to_have_text("Too many people use this password.")
        await page.locator("#reset-new_password").fill(PASSWORD)
        await page.keyboard.press("Enter")
        await expect(page.locator("#done h1")).to_be_focused()
        assert await violations(page) == []
        entered = await person.post("/api/login/password", account=address, password=PASSWORD)
        assert entered.status_code == 200, entered.text
