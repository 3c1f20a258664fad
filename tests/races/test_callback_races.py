"""WeChat's callback hit many times at once, at two processes: one exchange, and one outcome for all."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import NamedTuple

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from hub.wechat.sandbox import create_sandbox
from tests.people import AT, Browser, Phone
from tests.servers.hub import HubProcess
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


@pytest.fixture
def wechat() -> Iterator[str]:
    """A sandbox outside of the hubs."""
    sandbox = create_sandbox(dict([H5]), websites=dict([WEBSITE]))
    with serve(Starlette(routes=[Mount("/sandbox", sandbox)])) as address:
        yield f"{address}/sandbox"


@pytest.fixture
async def pair(tmp_path: Path, hub_env: dict[str, str], wechat: str) -> AsyncIterator[Pair]:
    """Two processes on one MariaDB and one Redis."""
    env = {
        **hub_env,
        "WECHAT_API_URL": wechat,
        "WECHAT_OPEN_URL": wechat,
        "WECHAT_H5_APP_ID": H5[0],
        "WECHAT_H5_APP_SECRET": H5[1],
        "WECHAT_APP_ID": WEBSITE[0],
        "WECHAT_APP_SECRET": WEBSITE[1],
    }
    first, second = HubProcess(tmp_path, **env).start(), HubProcess(tmp_path, **env).start()
    yield Pair((first, second), hub_env["DATABASE_URL"], wechat)
    for hub in (first, second):
        hub.stop()
        assert hub.defects() == []


async def consented(pair: Pair, browser: Browser, phone: Phone, door: str) -> tuple[httpx2.AsyncClient, str]:
    """Begin, consent, and return who comes back from WeChat, and the query it comes with."""
    await browser.begin(door=door)
    if door == "open_platform":
        comer, way = browser.http, browser.attempt["authorize_url"]
    else:
        comer = phone.http
        way = (await comer.get(browser.attempt["qr_content"])).headers["location"]
    led_back = await comer.get(way, headers={"x-sandbox-person": "alice"})
    return comer, led_back.headers["location"].partition("?")[2]


async def sent(pair: Pair) -> bool:
    """Whether WeChat has got a code."""
    return await pair.exchanges() > 0


def end(answer: httpx2.Response) -> str:
    """What an answer of the callback amounts to, whatever request id and texts it has."""
    return f"{answer.status_code} {answer.headers.get('location', '')}"


@pytest.mark.parametrize("door", ["h5", "open_platform"])
async def test_fifty_hits_at_two_processes(pair: Pair, door: str) -> None:
    """While WeChat takes its time all wait for the one exchange, and all are led to the same end."""
    async with Browser(pair.hubs[0].url) as browser, Phone(pair.hubs[0].url) as phone:
        comer, query = await consented(pair, browser, phone, door)
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
        moved = await rows(pair.database_url, "SELECT status, seq FROM login_sessions")
        assert [tuple(row.values()) for row in moved] == [
            ("confirmed", 3) if door == "open_platform" else ("scanned", 2)
        ]


@pytest.mark.parametrize("door", ["h5", "open_platform"])
async def test_fifty_hits_of_a_failure(pair: Pair, door: str) -> None:
    """An exchange that fails is not tried again either: all are told the same."""
    async with Browser(pair.hubs[0].url) as browser, Phone(pair.hubs[0].url) as phone:
        comer, query = await consented(pair, browser, phone, door)
        await pair.spoil(fault="busy", path="/sns/oauth2/access_token", count=1)
        answers = await asyncio.gather(
            *(comer.get(f"{pair.hubs[number % 2].url}{AT}/callback?{query}") for number in range(HITS))
        )
        assert Counter(answer.status_code for answer in answers) == {502: HITS}
        assert await pair.exchanges() == 1
        told = (await browser.status()).json()["data"]
        expected = ("failed", "provider_error") if door == "open_platform" else ("pending", None)
        assert (told["status"], told["reason"]) == expected


@pytest.mark.parametrize("door", ["h5", "open_platform"])
async def test_the_first_process_dies(pair: Pair, door: str) -> None:
    """Killed in the middle of the exchange, its hit is ended by the one that waits at the other process."""
    first, second = pair.hubs
    async with Browser(second.url) as browser, Phone(second.url) as phone:
        comer, query = await consented(pair, browser, phone, door)
        await pair.spoil(fault="slow", seconds=30, path="/sns/oauth2/access_token", count=1)
        dying = asyncio.create_task(comer.get(f"{first.url}{AT}/callback?{query}"))
        await until(lambda: sent(pair))
        first.kill()
        with pytest.raises(httpx2.HTTPError):
            await dying
        async with asyncio.timeout(30):
            waited = await comer.get(f"{second.url}{AT}/callback?{query}")
        assert waited.status_code == 502
        again = await comer.get(f"{second.url}{AT}/callback?{query}")
        assert again.status_code == 502
        assert await pair.exchanges() == 1
        told = (await browser.status()).json()["data"]
        expected = ("failed", "provider_error") if door == "open_platform" else ("pending", None)
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
        answers = await asyncio.gather(
            browser.http.get(f"{first.url}{AT}/callback?{queries[0]}"),
            browser.http.get(f"{second.url}{AT}/callback?{queries[1]}"),
        )
        assert {answer.status_code for answer in answers} == {200}
        assert all(browser.session_id in answer.text for answer in answers)
        (row,) = await rows(pair.database_url, "SELECT status, seq FROM login_sessions")
        assert (row["status"], row["seq"]) == ("confirmed", 3)
        assert len(await rows(pair.database_url, "SELECT id FROM users")) == 1
        assert (await browser.redeem()).status_code == 200
        assert (await browser.redeem()).status_code == 409
