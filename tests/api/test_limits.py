"""Limits at the edge: what is told of them, whom they count, and that they are shared."""

import asyncio
import contextlib
import itertools
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.people import AT, Browser, frame
from tests.problems import refused
from tests.servers.hub import HubProcess
from tests.servers.waiting import until
from tests.signing_in import rows

QUOTA = 120
ADDRESSES = itertools.count(0x10)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    """A hub with limits, behind a proxy of this machine: each test is a client with an address of its own."""
    folder = tmp_path_factory.mktemp("limits")
    process = HubProcess(folder, HUB_LIMITS="on", TRUSTED_PROXIES="127.0.0.1").start()
    yield process
    process.stop()


@pytest.fixture
async def browser(hub: HubProcess) -> AsyncIterator[Browser]:
    """A browser at an address that no other test has."""
    async with at(hub, f"2001:db8:0:{next(ADDRESSES):x}::1") as browser:
        yield browser


def at(hub: HubProcess, address: str) -> Browser:
    """A browser whose proxy says that it is at *address*."""
    return Browser(hub.url, **{"x-forwarded-for": address})


async def spend(browser: Browser, number: int = QUOTA) -> list[httpx2.Response]:
    """Begin so many attempts, one after the other."""
    return [await browser.http.post(f"{AT}/qr-code") for _ in range(number)]


async def test_the_last_code_of_a_minute(hub: HubProcess, browser: Browser) -> None:
    """Every answer says what is left; one code more is refused with the time to wait, and writes nothing."""
    answers = await spend(browser)
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.headers["ratelimit-policy"] for answer in answers} == {'"qr";q=120;w=60'}
    left = [answer.headers["ratelimit"].split(";")[1] for answer in answers]
    assert left == [f"r={QUOTA - number}" for number in range(1, QUOTA + 1)]
    before = await rows(hub.database_url, "SELECT COUNT(*) AS n FROM login_sessions")
    answer = await browser.http.post(f"{AT}/qr-code", headers={"accept-language": "zh-CN"})
    body = refused(answer, 429, "rate-limited")
    wait = int(answer.headers["retry-after"])
    assert 1 <= wait <= 60
    assert body["retry_after"] == wait
    assert body["message"] == f"请 {wait} 秒后再试"
    assert answer.headers["ratelimit"] == f'"qr";r=0;t={wait}'
    assert answer.headers["ratelimit-policy"] == '"qr";q=120;w=60'
    assert await rows(hub.database_url, "SELECT COUNT(*) AS n FROM login_sessions") == before


async def test_what_is_refused_counts(browser: Browser) -> None:
    """A body that cannot be read costs as much as one that can."""
    for _ in range(QUOTA):
        answer = await browser.http.post(
            f"{AT}/qr-code", content=b"{", headers={"content-type": "application/json"}
        )
        refused(answer, 400, "bad-request")
    refused(await browser.http.post(f"{AT}/qr-code"), 429, "rate-limited")


async def test_each_address_has_its_own(hub: HubProcess, browser: Browser) -> None:
    """One client's limit is no other client's trouble, and one endpoint's none of another one's."""
    await spend(browser)
    refused(await browser.http.post(f"{AT}/qr-code"), 429, "rate-limited")
    async with at(hub, "198.51.100.7") as other:
        assert (await other.http.post(f"{AT}/qr-code")).status_code == 200
    answer = await browser.http.post(f"{AT}/token", json={"session_id": "s" * 43})
    refused(answer, 404, "attempt-not-found")


LIMITED_OTHERWISE = {
    "post /api/auth/wechat/qr-code",
    "post /api/auth/wechat/scan",
    "post /api/auth/wechat/confirm",
    "get /api/auth/wechat/status/{session_id}",
    "get /api/auth/wechat/events/{session_id}",
    "get /api/sessions/events",
    "post /oauth/introspect",  # by failed authentication alone
    "post /api/send-code",
    "post /api/send-verification-code",
}


async def test_who_guesses_is_stopped_everywhere(hub: HubProcess, browser: Browser) -> None:
    """A thousand guesses in ten minutes, at whichever call, are all that an address has for all of them."""

    async def guess() -> int:
        return (await browser.redeem("s" * 43)).status_code

    for _ in range(20):
        assert {404} == set(await asyncio.gather(*(guess() for _ in range(50))))
    paths = (await browser.http.get("/openapi.json")).json()["paths"]
    limited = {
        f"{method} {path}"
        for path, calls in paths.items()
        for method, call in calls.items()
        if isinstance(call, dict) and "429" in call.get("responses", {})
    }
    open_ = set()
    for name in limited:
        method, path = name.split(" ")
        answer = await browser.http.request(method, re.sub("[{}]", "", path), json={})
        if answer.status_code != 429:
            open_.add(name)
    assert open_ == LIMITED_OTHERWISE


@pytest.mark.parametrize(
    ("header", "address"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("6.6.6.6, 203.0.113.9", "203.0.113.9"),
        ("6.6.6.6, 203.0.113.9, 127.0.0.1", "203.0.113.9"),
        ("2001:DB8:0::9", "2001:db8::9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
    ],
)
async def test_the_proxys_word_is_the_last_one(hub: HubProcess, header: str, address: str) -> None:
    """What a client writes to the left of its own address is not believed."""
    async with at(hub, header) as browser:
        await browser.begin()
    (row,) = await rows(hub.database_url, "SELECT * FROM login_sessions ORDER BY id DESC LIMIT 1")
    assert row["ip_address"] == address


@pytest.mark.parametrize("header", ["nonsense", "", ",,,", "a" * 3000, "203.0.113.9\xff", "'; --"])
async def test_no_forwarded_address_breaks_anything(hub: HubProcess, header: str) -> None:
    """Whatever a proxy hands on, an attempt begins."""
    headers = [(b"x-forwarded-for", header.encode("latin-1"))]
    async with httpx2.AsyncClient(base_url=hub.url) as http:
        assert (await http.post(f"{AT}/qr-code", headers=headers)).status_code == 200


async def test_nobody_forges_an_address(tmp_path: Path) -> None:
    """Without trusted proxies X-Forwarded-For says nothing: no client escapes its limit by it."""
    hub = HubProcess(tmp_path, HUB_LIMITS="on").start()
    try:
        async with Browser(hub.url) as browser:
            for number in range(QUOTA):
                forged = {"x-forwarded-for": f"203.0.113.{number}", "forwarded": f"for=203.0.113.{number}"}
                assert (await browser.http.post(f"{AT}/qr-code", headers=forged)).status_code == 200
            last = await browser.http.post(f"{AT}/qr-code", headers={"x-forwarded-for": "203.0.113.200"})
            refused(last, 429, "rate-limited")
        seen = await rows(hub.database_url, "SELECT DISTINCT ip_address FROM login_sessions")
        assert [row["ip_address"] for row in seen] == ["127.0.0.1"]
    finally:
        hub.stop()


async def test_processes_share_a_limit(tmp_path: Path, hub_env: dict[str, str]) -> None:
    """Two processes on one Redis count together."""
    one, two = (HubProcess(tmp_path, **hub_env, HUB_LIMITS="on") for _ in range(2))
    try:
        one.start()
        two.start()
        async with Browser(one.url) as left, Browser(two.url) as right:
            for browser in (left, right):
                assert {answer.status_code for answer in await spend(browser, QUOTA // 2)} == {200}
            for browser in (left, right):
                refused(await browser.http.post(f"{AT}/qr-code"), 429, "rate-limited")
    finally:
        one.stop()
        two.stop()


async def test_switched_off_nothing_is_told(hub_on_sqlite: HubProcess) -> None:
    """Without limits there are no RateLimit headers to mislead a client."""
    async with Browser(hub_on_sqlite.url) as browser:
        answer = await browser.http.post(f"{AT}/qr-code")
    assert not [name for name in answer.headers if name.startswith("ratelimit")]


async def test_verifications_have_a_bucket_of_their_own(browser: Browser) -> None:
    """Redemptions, refreshes and the token endpoint draw on one quota."""
    first = await browser.http.post(f"{AT}/token", json={"session_id": "s" * 43})
    assert first.status_code == 404
    async with Browser(browser.url, **{"x-forwarded-for": browser.http.headers["x-forwarded-for"]}) as same:
        answer = await same.http.post("/oauth/token", data={"grant_type": "x"})
    assert answer.headers["ratelimit-policy"] == '"verify";q=1000;w=600'
    assert answer.headers["ratelimit"].startswith('"verify";r=998;')


@pytest.mark.parametrize(
    ("path", "members", "status", "told"),
    [
        ("/api/login", {"phone": "13800138000", "code": "000000"}, 400, '"verify";r=999;'),
        ("/api/login", {"phone": "13800138000"}, 422, '"verify";r=999;'),
        ("/api/login/password", {"account": "nobody", "password": "a-wrong-one"}, 401, '"verify";r=999;'),
        ("/api/token/refresh", {"refresh_token": "hubr_forged"}, 401, '"verify";r=999;'),
        ("/api/password/change", {}, 401, '"verify";r=999;'),
        ("/api/send-code", {"phone": "+12025550123"}, 422, '"sends";r=19;'),
        ("/oauth/introspect", {"token": "t"}, 401, '"verify";r=999;'),
    ],
)
async def test_a_refusal_says_what_is_left(
    browser: Browser, path: str, members: dict[str, str], status: int, told: str
) -> None:
    """Whoever guesses sees the bucket go down, and not only who is let in."""
    form = path.startswith("/oauth")
    answer = await browser.http.post(path, data=members if form else None, json=None if form else members)
    assert answer.status_code == status, answer.text
    assert answer.headers["ratelimit"].startswith(told)
    assert len(answer.headers.get_list("ratelimit-policy")) == 1


# --- Streams that stay open.


async def denied(browser: Browser, session_id: str | None = None) -> dict[str, Any]:
    """Open a socket that is refused for there being too many, and return the problem body."""
    forwarded = {"X-Forwarded-For": browser.http.headers["x-forwarded-for"]}
    with pytest.raises(InvalidStatus) as refusal:
        async with browser.socket(session_id, **forwarded):
            pass
    response = refusal.value.response
    assert response.status_code == 429
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = json.loads(response.body)
    assert body["type"] == "/problems/too-many-sockets"
    assert int(response.headers["retry-after"]) == body["retry_after"] > 0
    return body


async def test_the_fifth_socket_of_an_attempt(browser: Browser) -> None:
    """It is refused at the handshake, and let in once another one has gone."""
    await browser.begin()
    async with AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(browser.socket()) for _ in range(4)]
        await denied(browser)
        refused(await browser.http.get(browser.attempt["events_url"]), 429, "too-many-sockets")
        refused(await browser.status(seq=1, wait=5), 429, "too-many-sockets")
        assert (await browser.status()).status_code == 200
        await opened[0].close()

        async def let_in() -> bool:
            # The farewell is answered a moment before the place is free.
            with contextlib.suppress(InvalidStatus):
                async with browser.socket() as again:
                    return bool((await frame(again))["status"] == "pending")
            return False

        await until(let_in)
        await opened[1].close()

        async def poll_held() -> bool:
            return (await browser.status(seq=1, wait=0.1)).status_code == 304

        await until(poll_held)


async def test_streams_count_like_sockets(hub: HubProcess, browser: Browser) -> None:
    """Of eight event streams that are opened at once four last, and none is a defect; then no socket fits."""
    await browser.begin()
    url = browser.attempt["events_url"]
    heard = asyncio.Queue[str]()

    async def follow() -> int:
        async with browser.http.stream("GET", url) as stream:
            async for line in stream.aiter_lines():
                if line.startswith("data:"):
                    heard.put_nowait(line)
            return stream.status_code

    async with asyncio.TaskGroup() as group:
        streams = [group.create_task(follow()) for _ in range(8)]

        async def settled() -> bool:
            return heard.qsize() == 4 and sum(stream.done() for stream in streams) == 4

        await until(settled)
        await denied(browser)
        for stream in streams:
            if not stream.done():
                stream.cancel()

    async def free() -> bool:
        return (await browser.status(seq=1, wait=0.01)).status_code == 304

    await until(free)
    assert "defect" not in hub.log()


async def test_a_hundred_sockets_of_one_address(browser: Browser) -> None:
    """The hundred-and-first is refused, whatever attempt it is for; an unknown attempt takes no place."""
    forwarded = {"X-Forwarded-For": browser.http.headers["x-forwarded-for"]}
    async with AsyncExitStack() as stack:
        for _ in range(25):
            await browser.begin()
            for _ in range(4):
                await stack.enter_async_context(browser.socket(**forwarded))
        await browser.begin()
        await denied(browser)
    for _ in range(5):
        with pytest.raises(InvalidStatus) as refusal:
            async with browser.socket("s" * 43, **forwarded):
                pass
        assert refusal.value.response.status_code == 404


async def test_account_streams_of_one_network(hub: HubProcess) -> None:
    """One household's IPv6 addresses have a hundred places among them, on the account stream as well."""
    url = f"ws{hub.url.removeprefix('http')}/api/sessions/stream"
    network = f"2001:db8:0:{next(ADDRESSES):x}:"

    async def opened(stack: AsyncExitStack, address: str) -> None:
        headers = {"x-forwarded-for": address}
        await stack.enter_async_context(connect(url, additional_headers=headers))

    async with AsyncExitStack() as stack:
        for number in range(100):
            await opened(stack, f"{network}:{number + 1:x}")
        with pytest.raises(InvalidStatus) as refusal:
            await opened(stack, f"{network}:ffff")
        assert refusal.value.response.status_code == 429


async def test_renewing_costs_as_much_as_beginning(browser: Browser) -> None:
    """With nothing left a refresh is an error frame with the time to wait; the socket stays."""
    await browser.begin()
    forwarded = {"X-Forwarded-For": browser.http.headers["x-forwarded-for"]}
    async with browser.socket(**forwarded) as socket:
        await frame(socket)
        await socket.send('{"type":"cancel"}')
        await frame(socket)
        await spend(browser)
        for _ in range(4):
            await socket.send('{"type":"refresh"}')
            error = await frame(socket)
            assert (error["type"], error["problem"]) == ("error", "/problems/rate-limited")
            assert 1 <= error["retry_after"] <= 60
