"""Two hub processes at one attempt, over HTTP: one winner, and the others are told why not."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import NamedTuple

import httpx2
import jwt
import pytest

from tests.people import Browser, Phone
from tests.servers.hub import HubProcess
from tests.signing_in import rows

RACERS = 20


class Pair(NamedTuple):
    """A browser and a phone that know both processes: whatever they do, each may be asked."""

    database_url: str
    browsers: tuple[Browser, Browser]
    phones: tuple[Phone, Phone]

    async def confirmable(self) -> None:
        """Begin at the first process, and scan at the second."""
        first, second = self.browsers
        await first.begin()
        second.attempt, second.verifier = first.attempt, first.verifier
        await self.phones[1].scan(f"{second.url}/s/{first.attempt['qr_code']}")
        self.phones[0].http.cookies = self.phones[1].http.cookies
        self.phones[0].page = self.phones[1].page


@pytest.fixture
async def pair(tmp_path: Path, hub_env: dict[str, str]) -> AsyncIterator[Pair]:
    """Two processes on one MariaDB and one Redis."""
    hubs = [HubProcess(tmp_path, **hub_env).start() for _ in range(2)]
    browsers = Browser(hubs[0].url), Browser(hubs[1].url)
    phones = Phone(hubs[0].url), Phone(hubs[1].url)
    yield Pair(hub_env["DATABASE_URL"], browsers, phones)
    for client in (*browsers, *phones):
        await client.http.aclose()
    for hub in hubs:
        hub.stop()
        assert hub.defects() == []


def ends(answers: Iterable[httpx2.Response]) -> Counter[str]:
    """What became of the requests: "success", or the problem's slug."""
    return Counter(
        "success" if answer.is_success else answer.json()["type"].rpartition("/")[2] for answer in answers
    )


async def test_one_sign_in(pair: Pair) -> None:
    """Twenty parallel confirmations at both, then twenty redemptions: one move, one session."""
    await pair.confirmable()
    answers = await asyncio.gather(*(pair.phones[number % 2].answer() for number in range(RACERS)))
    assert ends(answers) == {"success": 1, "wrong-state": RACERS - 1}
    answers = await asyncio.gather(*(pair.browsers[number % 2].redeem() for number in range(RACERS)))
    assert ends(answers) == {"success": 1, "already-redeemed": RACERS - 1}
    (session,) = await rows(pair.database_url, "SELECT sid FROM user_sessions")
    (winner,) = [answer.json()["data"] for answer in answers if answer.is_success]
    assert winner["session_id"] == session["sid"]


async def test_redeeming_beside_the_confirmation(pair: Pair) -> None:
    """Browsers that ask for the tokens all the time get them once, as soon as the person has confirmed."""
    await pair.confirmable()
    tokens = []

    async def insist(browser: Browser) -> Counter[str]:
        seen: Counter[str] = Counter()
        while "already-redeemed" not in seen:
            answer = await browser.redeem()
            seen += ends([answer])
            if answer.is_success:
                tokens.append(answer.json()["data"]["access_token"])
        return seen

    insisting = [asyncio.create_task(insist(pair.browsers[number % 2])) for number in range(6)]
    async with asyncio.timeout(20):
        assert (await pair.phones[0].answer()).is_success
        seen = sum(await asyncio.gather(*insisting), Counter())
    assert seen.keys() <= {"success", "not-confirmed", "already-redeemed"}
    assert (seen["success"], len(tokens)) == (1, 1)
    assert jwt.decode(tokens[0], options={"verify_signature": False})["amr"] == ["wechat"]
