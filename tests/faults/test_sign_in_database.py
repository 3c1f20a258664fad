"""MariaDB freezes, dies, turns read-only: people wait or try again, nothing is lost."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx2
import pytest

from hub.qr.identifiers import hashed
from tests.people import Browser, Phone, frame
from tests.servers.hub import HubProcess
from tests.servers.mariadb import MariaDB, launch
from tests.servers.redis import RedisServer
from tests.servers.waiting import until
from tests.signing_in import rows

SOON = 10.0  # seconds after the fault's end


@pytest.fixture(scope="module")
def server() -> Iterator[MariaDB]:
    """A server for these tests; each one leaves it running. What it has committed is on disk."""
    with tempfile.TemporaryDirectory(prefix="hub-mariadb-") as folder:
        server = launch(Path(folder), "--innodb-flush-log-at-trx-commit=1")
        yield server
        server.stop()


@pytest.fixture(scope="module")
def hub(
    server: MariaDB, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[HubProcess]:
    """A process on it, which no test starts again."""
    server.execute("CREATE DATABASE hub_fault")
    folder = tmp_path_factory.mktemp("hub")
    env = {"REDIS_URL": redis_server.url, "REDIS_KEY_PREFIX": f"test:{folder}:"}
    process = HubProcess(folder, DATABASE_URL=server.url("hub_fault"), **env).start()
    yield process
    process.stop()
    assert process.defects() == []


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    """What is to be closed at the test's end."""
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
async def browser(hub: HubProcess, stack: AsyncExitStack) -> Browser:
    """A browser that has begun."""
    browser = await stack.enter_async_context(Browser(hub.url))
    await browser.begin()
    return browser


@pytest.fixture
async def phone(hub: HubProcess, browser: Browser, stack: AsyncExitStack) -> Phone:
    """A phone that has scanned its code."""
    phone = await stack.enter_async_context(Phone(hub.url))
    await phone.scan(browser.attempt["qr_content"])
    return phone


def refused(answer: httpx2.Response) -> bool:
    """Whether this is the answer to a request that found no database; no other refusal is expected."""
    if answer.is_success:
        return False
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/store-unavailable"), answer.text
    assert int(answer.headers["retry-after"]) >= 1
    return True


async def watched(hub: HubProcess, *, by: int) -> bool:
    """Whether so many channels wait for their attempt."""
    async with Browser(hub.url) as asking:
        return f"\nhub_broker_watches {by}.0\n" in (await asking.http.get("/metrics")).text


async def back(hub: HubProcess) -> None:
    """Wait until the process says that all its parts are there."""

    async def ready() -> bool:
        async with Browser(hub.url) as asking:
            return (await asking.http.get("/readyz")).status_code == 200

    await until(ready, timeout=SOON)


async def test_freeze(hub: HubProcess, server: MariaDB, browser: Browser, phone: Phone) -> None:
    """Five seconds without an answer: requests wait or are told when to come back, the socket stays."""
    async with browser.socket() as socket:
        assert (await frame(socket))["status"] == "scanned"
        server.pause()
        answering = asyncio.create_task(phone.answer())
        others = [asyncio.create_task(browser.http.post("/api/auth/wechat/qr-code")) for _ in range(40)]
        ready = asyncio.create_task(browser.http.get("/readyz"))
        await asyncio.sleep(5)  # the freeze itself, not an event
        server.resume()
        async with asyncio.timeout(SOON):
            assert (await ready).status_code == 503
            turned_away = [refused(other) for other in await asyncio.gather(*others)]
            assert True in turned_away  # there are more of them than connections
            if refused(await answering):
                await back(hub)
                assert (await phone.answer()).is_success
            assert (await frame(socket))["status"] == "confirmed"
    assert (await browser.redeem()).is_success


async def test_read_only(hub: HubProcess, server: MariaDB, browser: Browser, phone: Phone) -> None:
    """While nothing can be written the person is asked to try again; what can be read is told."""
    server.execute("SET GLOBAL read_only = 1")
    try:
        assert refused(await phone.answer())
        assert refused(await browser.http.post("/api/auth/wechat/qr-code"))
        assert (await browser.status()).json()["data"]["status"] == "scanned"
    finally:
        server.execute("SET GLOBAL read_only = 0")
    assert (await phone.answer()).is_success
    assert (await browser.redeem()).is_success


async def test_expiry_while_read_only(hub: HubProcess, server: MariaDB, browser: Browser) -> None:
    """What cannot be written is tried again, now and then and not all the time; nobody is told before."""
    due = "UTC_TIMESTAMP(3) + INTERVAL 1 SECOND"
    key = hashed(browser.session_id)
    move = f"UPDATE login_sessions SET expires_at = {due} WHERE session_id = '{key}'"  # noqa: S608 - no input
    server.execute("USE hub_fault", move)
    async with browser.socket() as socket:
        server.execute("SET GLOBAL read_only = 1")
        try:
            assert (await frame(socket))["expires_in"] <= 1
            before = await units(hub)
            await asyncio.sleep(3)  # the time in which it is tried, not an event
            assert await units(hub) - before < 30
        finally:
            server.execute("SET GLOBAL read_only = 0")
        async with asyncio.timeout(SOON):
            assert (await frame(socket))["status"] == "expired"


async def units(hub: HubProcess) -> float:
    """How many units of work the process's store has done."""
    async with Browser(hub.url) as asking:
        text = (await asking.http.get("/metrics")).text
    (told,) = [line for line in text.splitlines() if line.startswith("hub_store_unit_seconds_count")]
    return float(told.split()[-1])


async def test_refusal_after_the_claim(hub: HubProcess, server: MariaDB, browser: Browser) -> None:
    """Whoever has claimed sees the confirm page, even if the outcome of the callback cannot be noted."""
    refuse = "FOR EACH ROW SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1290, MESSAGE_TEXT = 'read-only'"
    server.execute("USE hub_fault", f"CREATE TRIGGER refuse BEFORE UPDATE ON provider_callbacks {refuse}")
    try:
        async with Phone(hub.url) as phone:
            assert (await phone.scan(browser.attempt["qr_content"])).is_success
            assert (await phone.answer()).is_success
    finally:
        server.execute("USE hub_fault", "DROP TRIGGER refuse")
    assert (await browser.redeem()).is_success


async def test_death_in_the_middle(hub: HubProcess, server: MariaDB, browser: Browser, phone: Phone) -> None:
    """A stream and a poll that wait outlive the database, and tell what happens after its return."""
    async with browser.http.stream("GET", browser.attempt["events_url"]) as stream:
        lines = stream.aiter_lines()
        poll = asyncio.create_task(browser.status(seq=2, wait=30))
        await until(lambda: watched(hub, by=2))
        await asyncio.sleep(0.2)  # for the poll's first reading, of whose end nothing tells
        server.kill()
        assert refused(await phone.answer())
        server.start()
        await back(hub)
        assert (await phone.answer()).is_success
        async with asyncio.timeout(SOON):
            assert (await poll).json()["data"]["status"] == "confirmed"
            assert [line async for line in lines if '"status":"confirmed"' in line]
    assert (await browser.redeem()).is_success


async def test_death_while_redeeming(hub: HubProcess, server: MariaDB, stack: AsyncExitStack) -> None:
    """Whoever got tokens is signed in, once; whoever got none can still redeem, unless that was just done."""
    waiting = [await confirmed(hub, stack) for _ in range(12)]
    redeeming = [asyncio.create_task(browser.redeem()) for browser in waiting for _ in range(2)]
    await asyncio.wait(redeeming, return_when=asyncio.FIRST_COMPLETED)
    server.kill()
    answers = await asyncio.gather(*redeeming)
    server.start()
    await back(hub)
    given = {answer.json()["data"]["session_id"] for answer in answers if answer.is_success}
    for browser in waiting:
        given |= await redeemed_at_last(browser)
    await one_session_each(server.url("hub_fault"), given)


async def one_session_each(database_url: str, given: set[str]) -> None:
    """Each redeemed attempt has one session, and each session that a client was told of is there."""
    sessions = [row["sid"] for row in await rows(database_url, "SELECT sid FROM user_sessions")]
    redeemed = await rows(database_url, "SELECT id FROM login_sessions WHERE redeemed_at IS NOT NULL")
    assert given <= set(sessions)
    assert len(redeemed) == len(sessions)


async def confirmed(hub: HubProcess, stack: AsyncExitStack) -> Browser:
    """A browser whose attempt a person has confirmed."""
    browser = await stack.enter_async_context(Browser(hub.url))
    phone = await stack.enter_async_context(Phone(hub.url))
    await browser.begin()
    await phone.scan(browser.attempt["qr_content"])
    assert (await phone.answer()).is_success
    return browser


async def redeemed_at_last(browser: Browser) -> set[str]:
    """The session of a browser that tries again; none where the answer to its first try was lost."""
    answer = await browser.redeem()
    if answer.is_success:
        return {answer.json()["data"]["session_id"]}
    assert answer.json()["type"] == "/problems/already-redeemed"
    return set()


async def test_death_of_the_process_while_redeeming(
    hub: HubProcess, server: MariaDB, tmp_path: Path, stack: AsyncExitStack
) -> None:
    """The browser of a process that dies tries again at another one; it is signed in, once."""
    waiting = [await confirmed(hub, stack) for _ in range(12)]
    other = HubProcess(tmp_path, DATABASE_URL=server.url("hub_fault")).start()
    for browser in waiting:
        browser.http.base_url = other.url
    redeeming = [asyncio.create_task(browser.redeem()) for browser in waiting]
    await asyncio.wait(redeeming, return_when=asyncio.FIRST_COMPLETED)
    other.kill()
    given = set()
    for end in await asyncio.gather(*redeeming, return_exceptions=True):
        if isinstance(end, httpx2.Response):
            given.add(end.json()["data"]["session_id"])
        else:
            assert isinstance(end, httpx2.TransportError)
    for browser in waiting:
        browser.http.base_url = hub.url
        given |= await redeemed_at_last(browser)
    await one_session_each(server.url("hub_fault"), given)
