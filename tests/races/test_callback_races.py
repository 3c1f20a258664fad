"""WeChat's callback hit many times at once, at two processes: one exchange, and one outcome for all."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import NamedTuple

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from hub.wechat.sandbox import create_sandbox
from tests.people import AT, Browser, Phone
from tests.servers.hub import HubProcess
from tests.servers.mariadb import Databases, MariaDB
from tests.servers.redis import RedisServer
from tests.servers.uvicorn_app import serve
from tests.servers.waiting import until
from tests.signing_in import rows

HITS = 50
H5 = ("wxraces000000000h5", "h5-secret")
WEBSITE = ("wxraces0000website", "website-secret")


class Pair(NamedTuple):
    """Two processes, and the WeChat that both of them ask."""

    hubs: tuple[HubProcess, HubProcess]
    database_url: str
    wechat: str

    async def exchanges(self) -> int:
        """How many codes were sent to WeChat."""
        async with httpx2.AsyncClient() as http:
            calls = (await http.get(f"{self.wechat}/requests")).json()
        return sum(call["path"] == "/sns/oauth2/access_token" for call in calls)

    async def spoil(self, **fault: object) -> None:
        """Switch a fault of WeChat's on."""
        async with httpx2.AsyncClient() as http:
            assert (await http.post(f"{self.wechat}/faults", json=fault)).status_code == 200


@pytest.fixture(scope="module")
def wechat() -> Iterator[str]:
    """A sandbox outside of the hubs."""
    sandbox = create_sandbox(dict([H5]), websites=dict([WEBSITE]))
    with serve(Starlette(routes=[Mount("/sandbox", sandbox)])) as address:
        yield f"{address}/sandbox"


@pytest.fixture(scope="module")
def hubs(
    tmp_path_factory: pytest.TempPathFactory,
    mariadb_server: MariaDB,
    mariadb_databases: Databases,
    redis_server: RedisServer,
    wechat: str,
) -> Iterator[tuple[HubProcess, HubProcess]]:
    """Two processes on one MariaDB and one Redis."""
    database = mariadb_databases.take()
    env = {
        "DATABASE_URL": mariadb_server.url(database),
        "REDIS_URL": redis_server.url,
        "REDIS_KEY_PREFIX": f"test:{database}:",
        "WECHAT_API_URL": wechat,
        "WECHAT_OPEN_URL": wechat,
        "WECHAT_H5_APP_ID": H5[0],
        "WECHAT_H5_APP_SECRET": H5[1],
        "WECHAT_APP_ID": WEBSITE[0],
        "WECHAT_APP_SECRET": WEBSITE[1],
    }
    folder = tmp_path_factory.mktemp("hubs")
    first, second = HubProcess(folder, **env).start(), HubProcess(folder, **env).start()
    yield first, second
    for hub in (first, second):
        hub.stop()
        assert hub.defects() == []
    mariadb_databases.give_back(database)


@pytest.fixture
async def pair(hubs: tuple[HubProcess, HubProcess], wechat: str) -> Pair:
    """Both, and a WeChat that has no fault and has not been asked anything."""
    async with httpx2.AsyncClient() as http:
        for what in ("faults", "requests"):
            assert (await http.delete(f"{wechat}/{what}")).status_code == 200
    return Pair(hubs, hubs[0].database_url, wechat)


async def consented(browser: Browser, phone: Phone, door: str) -> tuple[httpx2.AsyncClient, str]:
    """Begin, consent, and return who comes back from WeChat, and the query it comes with."""
    await browser.begin(door=door)
    if door == "open_platform":
        comer, way = browser.http, browser.attempt["authorize_url"]
    else:
        comer = phone.http
        way = (await comer.get(browser.attempt["qr_content"])).headers["location"]
    led_back = await comer.get(way, headers={"x-sandbox-person": "alice"})
    return comer, led_back.headers["location"].partition("?")[2]


async def newest(pair: Pair) -> tuple[object, ...]:
    """The status and the seq of the attempt begun last."""
    (row,) = await rows(pair.database_url, "SELECT status, seq FROM login_sessions ORDER BY id DESC LIMIT 1")
    return tuple(row.values())


def end(answer: httpx2.Response) -> str:
    """What an answer of the callback amounts to, whatever request id and texts it has."""
    return f"{answer.status_code} {answer.headers.get('location', '')}"


@pytest.mark.parametrize("door", ["h5", "open_platform"])
async def test_fifty_hits_at_two_processes(pair: Pair, door: str) -> None:
    """While WeChat takes its time all wait for the one exchange, and all are led to the same end."""
    async with Browser(pair.hubs[0].url) as browser, Phone(pair.hubs[0].url) as phone:
        comer, query = await consented(browser, phone, door)
        await pair.spoil(fault="slow", seconds=1, path="/sns/oauth2/access_token", count=1)
        urls = [f"{pair.hubs[number % 2].url}{AT}/callback?{query}" for number in range(HITS)]
        async with httpx2.AsyncClient(
            headers=comer.headers,
            cookies=comer.cookies,
            timeout=40,
            limits=httpx2.Limits(max_connections=HITS),
        ) as racer:
            answers = await asyncio.gather(*(racer.get(url) for url in urls))
        assert Counter(map(end, answers)).most_common(1)[0][1] == HITS
        assert answers[0].status_code in (200, 303)
        assert await pair.exchanges() == 1
        moved = ("confirmed", 3) if door == "open_platform" else ("scanned", 2)
        assert await newest(pair) == moved


@pytest.mark.parametrize("door", ["h5", "open_platform"])
async def test_fifty_hits_of_a_failure(pair: Pair, door: str) -> None:
    """An exchange that fails is not tried again either: all are told the same."""
    async with Browser(pair.hubs[0].url) as browser, Phone(pair.hubs[0].url) as phone:
        comer, query = await consented(browser, phone, door)
        await pair.spoil(fault="busy", path="/sns/oauth2/access_token", count=1)
        answers = await asyncio.gather(
            *(comer.get(f"{pair.hubs[number % 2].url}{AT}/callback?{query}") for number in range(HITS))
        )
        assert Counter(answer.status_code for answer in answers) == {502: HITS}
        assert await pair.exchanges() == 1
        told = (await browser.status()).json()["data"]
        expected = ("failed", "provider_error") if door == "open_platform" else ("pending", None)
        assert (told["status"], told["reason"]) == expected


async def test_the_first_process_dies(pair: Pair) -> None:
    """Killed in the middle of exchanges, its hits are ended by those that wait at the other process."""
    first, second = pair.hubs
    doors = {"h5": ("pending", None), "open_platform": ("failed", "provider_error")}

    async def all_sent() -> bool:
        return await pair.exchanges() == len(doors)

    async with AsyncExitStack() as stack:
        browsers, comers = [], []
        for door in doors:
            browser = await stack.enter_async_context(Browser(second.url))
            phone = await stack.enter_async_context(Phone(second.url))
            browsers.append(browser)
            comers.append(await consented(browser, phone, door))
        await pair.spoil(fault="slow", seconds=30, path="/sns/oauth2/access_token", count=len(doors))

        async def hits(hub: HubProcess) -> list[httpx2.Response | BaseException]:
            calls = (comer.get(f"{hub.url}{AT}/callback?{query}") for comer, query in comers)
            return await asyncio.gather(*calls, return_exceptions=True)

        dying = asyncio.create_task(hits(first))
        await until(all_sent)
        first.kill()
        try:
            assert all(isinstance(lost, httpx2.HTTPError) for lost in await dying)
            async with asyncio.timeout(30):
                waited = await hits(second)
            again = await hits(second)
        finally:
            await asyncio.to_thread(first.start)
        assert [getattr(answer, "status_code", answer) for answer in waited + again] == [502] * 4
        assert await all_sent()
        for browser, expected in zip(browsers, doors.values(), strict=True):
            told = (await browser.status()).json()["data"]
            assert (told["status"], told["reason"]) == expected


async def test_two_ways_out_of_one_attempt(pair: Pair) -> None:
    """Two pages of WeChat's that a browser has open for one attempt, approved at once: one counts."""
    first, second = pair.hubs
    async with Browser(first.url) as browser:
        await browser.begin(door="open_platform")
        ways = [browser.attempt["authorize_url"], (await browser.status()).json()["data"]["authorize_url"]]
        assert ways[0] != ways[1]
        back = [await browser.http.get(way, headers={"x-sandbox-person": "bob"}) for way in ways]
        queries = [answer.headers["location"].partition("?")[2] for answer in back]
        known = len(await rows(pair.database_url, "SELECT id FROM users"))
        answers = await asyncio.gather(
            browser.http.get(f"{first.url}{AT}/callback?{queries[0]}"),
            browser.http.get(f"{second.url}{AT}/callback?{queries[1]}"),
        )
        assert {answer.status_code for answer in answers} == {200}
        assert all(browser.session_id in answer.text for answer in answers)
        assert await newest(pair) == ("confirmed", 3)
        assert len(await rows(pair.database_url, "SELECT id FROM users")) == known + 1
        assert (await browser.redeem()).status_code == 200
        assert (await browser.redeem()).status_code == 409
