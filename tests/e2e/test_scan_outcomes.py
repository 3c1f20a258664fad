"""What a phone is shown where a scan leads to no sign-in: real scans in Chromium, in both languages."""

from collections.abc import AsyncIterator, Iterator
from urllib.parse import quote

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tests.people import Browser
from tests.servers.accessibility import violations
from tests.servers.chromium import NewPage
from tests.servers.hub import HubProcess

HANDSET = {"viewport": {"width": 320, "height": 640}, "has_touch": True}
SAID = {
    "already claimed": {"en-US": "Already scanned", "zh-CN": "二维码已被扫描"},
    "expired": {"en-US": "Code expired", "zh-CN": "二维码已过期"},
    "refused in WeChat": {"en-US": "Not allowed in WeChat", "zh-CN": "未获微信授权"},
    "WeChat away": {"en-US": "WeChat did not confirm it", "zh-CN": "微信未能确认"},
    "snapshot user": {"en-US": "Full WeChat page needed", "zh-CN": "需要完整服务"},
    "outside of WeChat": {"en-US": "Please open in WeChat", "zh-CN": "请在微信中打开"},
}

both_languages = pytest.mark.parametrize("locale", ["en-US", "zh-CN"])


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    """A hub to sign in to."""
    process = HubProcess(tmp_path_factory.mktemp("outcomes")).start()
    yield process
    process.stop()
    assert process.defects() == []


@pytest_asyncio.fixture(loop_scope="session")
async def browser(hub: HubProcess) -> AsyncIterator[Browser]:
    """A browser that waits."""
    async with Browser(hub.url) as browser:
        await browser.begin()
        yield browser
        await browser.http.delete("/sandbox/faults")


async def scan(phone: Page, browser: Browser, person: str, answer: str = "allow") -> None:
    """Scan with the simulated phone of *person*, and *answer* to WeChat's question."""
    await phone.goto(f"{browser.url}/sandbox/phone?scan={quote(browser.attempt['qr_content'], safe='')}")
    await phone.get_by_text(person, exact=True).click()
    await phone.locator("#open").click()
    await phone.locator(f"#{answer}").click()


async def told(phone: Page, outcome: str, locale: str) -> None:
    """Wait for the page that tells *outcome*, and see that everybody can read it."""
    await expect(phone.locator("h1")).to_have_text(SAID[outcome][locale], timeout=25_000)
    assert await violations(phone) == []


@both_languages
async def test_a_second_phone_comes_too_late(browser: Browser, new_page: NewPage, locale: str) -> None:
    """Of two phones that scan one code the second learns that it is taken."""
    first, second = [await new_page(**HANDSET, locale=locale) for _ in range(2)]
    await scan(first, browser, "Bob")
    await expect(first.locator("[data-action=confirm]")).to_be_enabled()
    await scan(second, browser, "爱丽丝 Alice")
    await told(second, "already claimed", locale)


@pytest.fixture(scope="module")
def brief_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    """A hub whose attempts end fifteen seconds after they began."""
    process = HubProcess(tmp_path_factory.mktemp("brief"), WECHAT_SESSION_EXPIRES_IN="15").start()
    yield process
    process.stop()


@both_languages
async def test_a_phone_that_never_answers(brief_hub: HubProcess, new_page: NewPage, locale: str) -> None:
    """The confirm page itself says when it is too late."""
    phone = await new_page(**HANDSET, locale=locale)
    async with Browser(brief_hub.url) as browser:
        await browser.begin()
        await scan(phone, browser, "Bob")
    await expect(phone.locator("[data-action=confirm]")).to_be_enabled()
    await told(phone, "expired", locale)


@both_languages
async def test_no_in_wechat(browser: Browser, new_page: NewPage, locale: str) -> None:
    """Who refuses WeChat itself learns how to go on."""
    phone = await new_page(**HANDSET, locale=locale)
    await scan(phone, browser, "Bob", "reject")
    await told(phone, "refused in WeChat", locale)


@both_languages
async def test_wechat_is_ill(browser: Browser, new_page: NewPage, locale: str) -> None:
    """Where WeChat answers nonsense the person is told to come again."""
    fault = {"fault": "server_error", "call": "access_token"}
    assert (await browser.http.post("/sandbox/faults", json=fault)).is_success
    phone = await new_page(**HANDSET, locale=locale)
    await scan(phone, browser, "Bob")
    await told(phone, "WeChat away", locale)


@both_languages
async def test_a_preview_is_nobody(browser: Browser, new_page: NewPage, locale: str) -> None:
    """A snapshot user is asked for the full page, and the browser is told of nobody."""
    phone = await new_page(**HANDSET, locale=locale)
    await scan(phone, browser, "微信用户")
    await told(phone, "snapshot user", locale)
    assert (await browser.status()).json()["data"]["user_info"] is None


@pytest.fixture(scope="module")
def hub_of_wechats_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    """A hub for which it is WeChat itself that asks."""
    real = {"WECHAT_H5_APP_ID": "wx0123456789abcdef", "WECHAT_H5_APP_SECRET": "0" * 32}
    urls = {"WECHAT_OPEN_URL": "https://open.weixin.qq.com", "WECHAT_API_URL": "https://api.weixin.qq.com"}
    process = HubProcess(tmp_path_factory.mktemp("real"), **real, **urls).start()  # none of which is called
    yield process
    process.stop()


@both_languages
async def test_outside_of_wechat(hub_of_wechats_own: HubProcess, new_page: NewPage, locale: str) -> None:
    """Any other browser shows the code to scan in WeChat."""
    phone = await new_page(**HANDSET, locale=locale)
    async with Browser(hub_of_wechats_own.url) as browser:
        await browser.begin(door="h5")
        await phone.goto(browser.attempt["qr_content"])
    await told(phone, "outside of WeChat", locale)
    await phone.wait_for_load_state()
    assert await phone.locator(".small-code").evaluate("image => image.naturalWidth") > 0
