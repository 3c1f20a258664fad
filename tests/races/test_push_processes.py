"""The tries of one push, which a balancer spreads over two processes."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.people import Browser
from tests.pushing import AES_KEY, APPID, SECRET, TOKEN, WeChat, scan, written
from tests.servers.hub import HubProcess
from tests.signing_in import rows

ACCOUNT = {
    "WECHAT_OA_APP_ID": APPID,
    "WECHAT_OA_APP_SECRET": SECRET,
    "WECHAT_OA_TOKEN": TOKEN,
    "WECHAT_OA_AES_KEY": AES_KEY,
}
TRIES = 3
ROUNDS = 8


@pytest.fixture
def hubs(tmp_path: Path, hub_env: dict[str, str]) -> Iterator[list[HubProcess]]:
    """Two processes on one MariaDB and one Redis, which people reach by the first one's address."""
    first = HubProcess(tmp_path, **hub_env, **ACCOUNT)
    second = HubProcess(tmp_path, **hub_env, **ACCOUNT, PUBLIC_URL=first.url)
    yield [first.start(), second.start()]
    for hub in (first, second):
        hub.stop()
        assert hub.defects() == []


async def test_the_tries_of_one_push(hubs: list[HubProcess]) -> None:
    """In parallel at both processes they have one effect, and each brings the same link."""
    async with AsyncExitStack() as stack:
        browsers = [await stack.enter_async_context(Browser(hub.url)) for hub in hubs]
        wechats = [WeChat(browser.http) for browser in browsers]
        for _ in range(ROUNDS):
            attempt = await browsers[0].begin(door="official_account")
            push = written(scan(attempt["qr_code"]))
            ways = [wechats[number % 2] for number in range(TRIES)]
            answers = await asyncio.gather(*(wechat.push(push) for wechat in ways))
            replies = {wechat.reply(answer) for wechat, answer in zip(ways, answers, strict=True)}
            assert len(replies) == 1
            assert f"{hubs[0].url}/c/" in replies.pop()
            told = (await browsers[1].http.get(f"/api/auth/wechat/status/{attempt['session_id']}")).json()
            assert (told["data"]["status"], told["data"]["seq"]) == ("scanned", 2)
    seen = await rows(hubs[0].database_url, "SELECT push_key FROM wechat_pushes")
    assert len(seen) == ROUNDS


async def test_two_people_at_two_processes(hubs: list[HubProcess]) -> None:
    """Scans of two people at once end the attempt: neither can be signed in by it."""
    for _ in range(ROUNDS):
        # Browsers of their own, for each one's attempts are burnt only so often.
        async with Browser(hubs[0].url) as browser, Browser(hubs[1].url) as other:
            attempt = await browser.begin(door="official_account", pkce=False)
            wechats = [WeChat(browser.http), WeChat(other.http)]
            pushes = [written(scan(attempt["qr_code"], openid)) for openid in ("oAlice", "oaLICE")]
            answers = await asyncio.gather(*(w.push(p) for w, p in zip(wechats, pushes, strict=True)))
            links = ["/c/" in w.reply(a) for w, a in zip(wechats, answers, strict=True)]
            assert sum(links) <= 1
            told = (await other.http.get(f"/api/auth/wechat/status/{attempt['session_id']}")).json()
            assert (told["data"]["status"], told["data"]["reason"]) == ("failed", "already_claimed")
