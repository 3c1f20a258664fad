"""Pushes while MariaDB freezes or is away: WeChat is answered in time, and no scan is lost."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.people import Browser
from tests.pushing import AES_KEY, APPID, SECRET, TOKEN, WeChat, scan, written
from tests.servers.hub import HubProcess
from tests.servers.mariadb import MariaDB, launch
from tests.servers.waiting import until

PATIENCE = 5.0  # seconds that WeChat waits for an answer
SOON = 10.0  # seconds after the fault's end


@pytest.fixture(scope="module")
def server() -> Iterator[MariaDB]:
    """A server for these tests; each one leaves it running."""
    with tempfile.TemporaryDirectory(prefix="hub-mariadb-") as folder:
        server = launch(Path(folder), "--innodb-flush-log-at-trx-commit=1")
        yield server
        server.stop()


@pytest.fixture(scope="module")
def hub(server: MariaDB, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    """A process on it, which no test starts again."""
    server.execute("CREATE DATABASE hub_push")
    account = {
        "WECHAT_OA_APP_ID": APPID,
        "WECHAT_OA_APP_SECRET": SECRET,
        "WECHAT_OA_TOKEN": TOKEN,
        "WECHAT_OA_AES_KEY": AES_KEY,
    }
    url = server.url("hub_push")
    process = HubProcess(tmp_path_factory.mktemp("hub"), DATABASE_URL=url, **account).start()
    yield process
    process.stop()
    assert process.defects() == []


@pytest.fixture
async def browser(hub: HubProcess) -> AsyncIterator[Browser]:
    """A browser that shows a code."""
    async with Browser(hub.url) as browser:
        await browser.begin(door="official_account")
        yield browser


async def status(browser: Browser) -> str | None:
    """What the attempt has come to, None while nobody can say."""
    answer = await browser.http.get(browser.attempt["status_url"])
    return str(answer.json()["data"]["status"]) if answer.is_success else None


async def test_a_freeze(server: MariaDB, browser: Browser) -> None:
    """A database that does not answer holds up no answer to WeChat, and the scan is done when it goes on."""
    push = written(scan(browser.attempt["qr_code"]))
    server.pause()
    try:
        async with asyncio.timeout(PATIENCE):
            answer = await WeChat(browser.http).push(push)
    finally:
        server.resume()
    assert (answer.status_code, answer.text) == (200, "success")

    async def done() -> bool:
        return await status(browser) == "scanned"

    await until(done, timeout=SOON)


async def test_an_outage(server: MariaDB, browser: Browser) -> None:
    """Without a database WeChat is answered in time; its next try, or the hub itself, claims later."""
    wechat, push = WeChat(browser.http), written(scan(browser.attempt["qr_code"]))
    server.kill()
    try:
        async with asyncio.timeout(PATIENCE):
            answer = await wechat.push(push)
        if answer.status_code == 503:  # it was found out in time, so WeChat comes again
            assert answer.headers["retry-after"]
        else:
            assert (answer.status_code, answer.text) == (200, "success")
    finally:
        server.start()

    async def answered() -> bool:
        again = await wechat.push(push)
        return again.status_code == 200 and "/c/" in wechat.reply(again)

    await until(answered, timeout=SOON)
    assert await status(browser) == "scanned"
