"""The three channels to a waiting browser: frames, close codes, and what time alone brings."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from hub.app import create_app
from hub.qr import sockets
from hub.qr.identifiers import hashed
from hub.settings import load_settings
from tests.people import AT, Browser, Phone, frame
from tests.problems import refused
from tests.servers.hub import HubProcess, shared
from tests.servers.uvicorn_app import serve
from tests.signing_in import execute

BROKEN = ["", "{", "[]", "null", '"ping"', "1", '{"type":"pong"}', '{"type":null}', '{"type":["ping"]}', "{}"]


@pytest.fixture(params=["embedded", "servers", "unparked"])
def hub(request: pytest.FixtureRequest) -> HubProcess:
    """A shared hub on each pair of back ends in turn, and on a server that parks no sockets."""
    return shared(request)


@pytest.fixture(params=["embedded", "unparked"])
def either_hub(request: pytest.FixtureRequest) -> HubProcess:
    """A shared hub with sockets that are parked, and with others, for what is the same on all back ends."""
    return shared(request)


@pytest.fixture
async def browser(hub: HubProcess) -> AsyncIterator[Browser]:
    """A browser with a fresh attempt, on each pair of back ends in turn."""
    async with Browser(hub.url) as browser:
        await browser.begin()
        yield browser


async def due(hub: HubProcess, browser: Browser, column: str, seconds: float) -> datetime:
    """Move a deadline of the browser's attempt to so many seconds from now, and return it."""
    moment = datetime.now(UTC) + timedelta(seconds=seconds)
    sql = f"UPDATE login_sessions SET {column} = :moment WHERE session_id = :key"  # noqa: S608 - a column
    await execute(hub.database_url, sql, moment=moment, key=hashed(browser.session_id))
    return moment


async def closed(socket: ClientConnection) -> tuple[int, str]:
    """Wait for the end of a socket and return its code and reason."""
    async with asyncio.timeout(20):
        with suppress(ConnectionClosed):
            while True:
                await socket.recv()
    assert socket.close_code is not None
    return socket.close_code, socket.close_reason or ""


async def error(socket: ClientConnection) -> dict[str, Any]:
    """The next frame, which must be an error with all members of a problem body."""
    received = await frame(socket)
    assert received["type"] == "error"
    assert (received["success"], received["data"]) == (False, None)
    assert received["code"] == received["status"]
    assert received["message"]
    return received


# --- Frames in.


async def test_the_third_broken_frame_ends_the_socket(browser: Browser) -> None:
    """Two get an error frame each and no more; the third closes with a code that says not to come back."""
    async with browser.socket() as socket:
        await frame(socket)
        for broken, slug in (("{", "bad-request"), (b"{}", "bad-request"), ('{"type":1}', "invalid-request")):
            await socket.send(broken)
            assert (await error(socket))["problem"] == f"/problems/{slug}"
        assert await closed(socket) == (4500, "three frames in error")


async def test_nothing_is_obeyed_after_the_third(browser: Browser) -> None:
    """What was sent behind the third broken frame is not looked at."""
    async with browser.socket() as socket:
        await frame(socket)
        for sent in ("1", "2", "3", '{"type":"cancel"}', "5"):
            await socket.send(sent)
        assert (await closed(socket))[0] == 4500
    assert (await browser.status()).json()["data"]["status"] == "pending"


@pytest.mark.parametrize("broken", BROKEN)
async def test_each_broken_frame_counts(either_hub: HubProcess, broken: str) -> None:
    """What is no object of a known type is an error, whatever else it is."""
    async with Browser(either_hub.url) as browser:
        await browser.begin()
        async with browser.socket() as socket:
            await frame(socket)
            for _ in range(3):
                await socket.send(broken)
            assert (await closed(socket))[0] == 4500


async def test_errors_are_in_the_callers_language(browser: Browser) -> None:
    """The language of the handshake is that of its error frames."""
    messages = []
    for language in ("en", "zh-CN"):
        async with browser.socket(**{"Accept-Language": language}) as socket:
            await frame(socket)
            await socket.send("{")
            messages.append((await error(socket))["message"])
    assert messages[0].isascii()
    assert not messages[1].isascii()


async def test_large_and_garbled_frames_are_refused(browser: Browser) -> None:
    """Over 4 KiB, in one piece or in several: 1009; text that is not UTF-8: 1007 (RFC 6455, 7.4.1)."""
    for sent, code in (("x" * 4097, 1009), (["x" * 1000] * 5, 1009)):
        async with browser.socket() as socket:
            await frame(socket)
            await socket.send(sent)
            assert (await closed(socket))[0] == code
    async with browser.socket() as socket:
        await frame(socket)
        await socket.send(b"\xff\xfe", text=True)
        assert (await closed(socket))[0] == 1007
    async with browser.socket() as socket:
        await frame(socket)
        await socket.send(json.dumps({"type": "ping", "x": "y" * 4000}))
        assert await frame(socket) == {"type": "pong"}


async def test_cancelling_twice(browser: Browser) -> None:
    """The second time there is nothing to cancel: an error frame, and no strike."""
    async with browser.socket() as socket:
        await frame(socket)
        await socket.send('{"type":"cancel"}')
        assert (await frame(socket))["reason"] == "cancelled"
        for _ in range(4):
            await socket.send('{"type":"cancel"}')
            assert (await error(socket))["problem"] == "/problems/attempt-failed"


async def test_nothing_is_renewed_while_it_lives(browser: Browser) -> None:
    """Pending or scanned, a refresh is an error, and the attempt goes on."""
    async with browser.socket() as socket, Phone(browser.url) as phone:
        await frame(socket)
        await socket.send('{"type":"refresh"}')
        assert (await error(socket))["problem"] == "/problems/wrong-state"
        await phone.scan(browser.attempt["qr_content"])
        await frame(socket)
        await socket.send('{"type":"refresh"}')
        assert (await error(socket))["problem"] == "/problems/wrong-state"
        await phone.answer()
        assert (await frame(socket))["status"] == "confirmed"
        assert (await closed(socket))[0] == 1000


async def test_a_burst_of_pings(browser: Browser) -> None:
    """Each is answered, in a socket that nobody else notices."""
    async with browser.socket() as socket:
        await frame(socket)
        for _ in range(200):
            await socket.send('{"type":"ping"}')
        assert [await frame(socket) for _ in range(200)] == [{"type": "pong"}] * 200


# --- The handshake.


async def test_an_unknown_attempt_is_refused_at_the_handshake(hub: HubProcess) -> None:
    """404 with a problem body, and the headers of every answer."""
    async with Browser(hub.url) as browser:
        for session_id in ("s" * 43, "s", "%00"):
            with pytest.raises(InvalidStatus) as denied:
                async with browser.socket(session_id):
                    pass
            response = denied.value.response
            assert response.status_code == 404
            assert response.headers["content-type"] == "application/problem+json"
            assert response.headers["x-request-id"]
            assert json.loads(response.body)["type"] == "/problems/attempt-not-found"


@pytest.mark.parametrize("path", ["/nowhere", "/healthz", "/api/auth/wechat/ws/"])
async def test_a_socket_where_there_is_none(either_hub: HubProcess, path: str) -> None:
    """404 with a problem body, like any other address."""
    with pytest.raises(InvalidStatus) as denied:
        async with connect(f"{either_hub.url.replace('http', 'ws', 1)}{path}"):
            pass
    response = denied.value.response
    assert response.status_code == 404
    assert response.headers["x-request-id"]
    assert json.loads(response.body)["type"] == "/problems/not-found"


async def test_the_subprotocol_is_offered_not_demanded(browser: Browser) -> None:
    """`login.v1` is chosen where it is offered; a client without it is served as well, uncompressed."""
    address = f"{browser.url.replace('http', 'ws', 1)}{AT}/ws/{browser.session_id}"
    for offered, chosen in ((None, None), (["other"], None), (["other", "login.v1"], "login.v1")):
        async with connect(address, subprotocols=offered) as socket:  # type: ignore[arg-type]  # a NewType
            assert socket.subprotocol == chosen
            assert socket.response is not None
            assert "sec-websocket-extensions" not in socket.response.headers
            assert (await frame(socket))["status"] == "pending"


# --- The end of an attempt.


@pytest.fixture(params=["parked", "unparked"])
def impatient(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[str]:
    """A hub in this process whose sockets wait a moment, instead of a minute, for a refresh."""
    monkeypatch.setattr(sockets, "LINGER", 0.2)
    settings = load_settings(env_file=None, database_url=sqlite_url, hub_limits="off")
    with serve(create_app(settings), parks=request.param == "parked") as address:
        yield address


async def test_close_codes_of_what_failed_and_expired(impatient: str, sqlite_url: str) -> None:
    """After the time for a refresh: 4511 and the reason, or 4510."""
    async with Browser(impatient) as browser:
        await browser.begin()
        async with browser.socket() as socket:
            await socket.send('{"type":"cancel"}')
            assert await closed(socket) == (4511, "cancelled")
        await browser.begin()
        await execute(
            sqlite_url,
            "UPDATE login_sessions SET expires_at = :moment WHERE session_id = :key",
            moment=datetime.now(UTC) - timedelta(seconds=1),
            key=hashed(browser.session_id),
        )
        async with browser.socket() as socket:
            assert (await closed(socket))[0] == 4510


async def test_a_socket_to_what_is_over(browser: Browser) -> None:
    """It is told and closed at once; who knows the end already is only closed."""
    async with Phone(browser.url) as phone:
        await phone.scan(browser.attempt["qr_content"])
        await phone.answer()
    async with browser.socket() as socket:
        assert (await frame(socket))["status"] == "confirmed"
        assert (await closed(socket))[0] == 1000
    async with browser.socket(query="?seq=3") as socket:
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(socket.recv(), 10)
        assert socket.close_code == 1000


async def test_a_failed_attempt_is_renewed_by_a_socket_opened_afterwards(browser: Browser) -> None:
    """A client that comes back with the last seq it knows can still ask for a successor."""
    async with browser.socket() as socket:
        await socket.send('{"type":"cancel"}')
        while (await frame(socket))["status"] != "failed":
            pass
    async with browser.socket(query="?seq=2") as socket:
        await socket.send('{"type":"refresh"}')
        renewed = await frame(socket)
        assert (renewed["status"], renewed["seq"]) == ("pending", 1)
        assert renewed["session_id"] != browser.session_id


# --- What time alone brings.


async def test_expiry_comes_at_its_second(hub: HubProcess, browser: Browser) -> None:
    """The frame is sent when the deadline has passed, not before it and without being asked."""
    deadline = await due(hub, browser, "expires_at", 2)
    async with browser.socket() as socket:
        assert (await frame(socket))["expires_in"] <= 2
        expired = await asyncio.wait_for(frame(socket), 10)
        assert datetime.now(UTC) >= deadline - timedelta(milliseconds=5)
        assert (expired["status"], expired["reason"], expired["expires_in"]) == ("expired", None, 0)
        assert expired["qr_code"] is None
        await socket.send('{"type":"refresh"}')
        assert (await frame(socket))["status"] == "pending"


async def test_the_code_rotates_on_an_open_socket(hub: HubProcess, browser: Browser) -> None:
    """A new code with the next seq; the former one is good for ten seconds more."""
    async with browser.socket() as other:
        await frame(other)
        deadline = await due(hub, browser, "qr_expires_at", 2)
        async with browser.socket() as socket:
            former = await frame(socket)
            assert former["qr_expires_in"] <= 2
            rotated = await asyncio.wait_for(frame(socket), 10)
            assert datetime.now(UTC) >= deadline - timedelta(milliseconds=5)
            assert await asyncio.wait_for(frame(other), 10) == rotated
    assert (rotated["status"], rotated["seq"]) == ("pending", 2)
    assert rotated["qr_code"] not in (None, former["qr_code"])
    assert rotated["qr_code"] in rotated["qr_url"]
    assert rotated["qr_expires_in"] == 60
    async with httpx2.AsyncClient(base_url=hub.url, headers={"user-agent": "MicroMessenger"}) as http:
        for code in (former["qr_code"], rotated["qr_code"]):
            assert (await http.get(f"/s/{code}")).status_code == 302
        await due(hub, browser, "qr_expires_at", 60 - 10.5)
        assert (await http.get(f"/s/{former['qr_code']}")).status_code == 404
        assert (await http.get(f"/s/{rotated['qr_code']}")).status_code == 302


async def test_a_poll_rotates_what_is_due(hub: HubProcess, browser: Browser) -> None:
    """Nobody has to hold a stream: whoever asks triggers the rotation, and two who ask get the same code."""
    await due(hub, browser, "qr_expires_at", -1)
    async with browser.socket() as socket:
        snapshot = await frame(socket)
        if snapshot["seq"] == 1:
            snapshot = await asyncio.wait_for(frame(socket), 10)
    answers = [(await browser.status()).json()["data"] for _ in range(2)]
    assert {answer["qr_code"] for answer in answers} == {snapshot["qr_code"]}
    assert snapshot["qr_code"] != browser.attempt["qr_code"]


async def test_parallel_watchers_see_one_rotation(hub: HubProcess, browser: Browser) -> None:
    """Ten sockets to which the rotation falls due at once all get the same new code."""
    await due(hub, browser, "qr_expires_at", 1)
    opened = [await browser.socket() for _ in range(10)]
    try:
        assert {(await frame(socket))["seq"] for socket in opened} == {1}
        rotated = [await asyncio.wait_for(frame(socket), 10) for socket in opened]
        assert {snapshot["seq"] for snapshot in rotated} == {2}
        assert len({snapshot["qr_code"] for snapshot in rotated}) == 1
    finally:
        await asyncio.gather(*(socket.close() for socket in opened))


# --- Event streams and polls.


async def events(browser: Browser, seq: str = "", **headers: str) -> AsyncIterator[dict[str, Any]]:
    """The snapshots of an event stream, until the hub ends it."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with browser.http.stream("GET", browser.attempt["events_url"] + seq, headers=named) as stream:
        assert stream.status_code == 200
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert stream.headers["cache-control"] == "no-store"
        assert stream.headers["x-accel-buffering"] == "no"
        number = None
        async for line in stream.aiter_lines():
            name, _, value = line.partition(": ")
            if name == "id":
                number = int(value)
            elif name == "data":
                snapshot = json.loads(value)
                assert snapshot["seq"] == number
                yield snapshot


async def test_a_stream_ends_with_its_attempt(browser: Browser) -> None:
    """Each snapshot once, then the end; coming back brings 204, which keeps an EventSource away."""
    async with Phone(browser.url) as phone:
        heard = []
        async for snapshot in events(browser):
            heard.append(snapshot["status"])
            if snapshot["status"] == "pending":
                await phone.scan(browser.attempt["qr_content"])
            elif snapshot["status"] == "scanned":
                await phone.answer("cancel")
    assert heard == ["pending", "scanned", "failed"]
    for known in ("3", "4"):
        again = await browser.http.get(browser.attempt["events_url"], headers={"last-event-id": known})
        assert (again.status_code, again.content) == (204, b"")
    assert (await browser.http.get(browser.attempt["events_url"] + "?seq=3")).status_code == 204


async def test_a_stream_resumes_after_what_is_known(browser: Browser) -> None:
    """By Last-Event-ID or `?seq`; the header is newer than the address, and nonsense in it counts as none."""
    async with Phone(browser.url) as phone:
        await phone.scan(browser.attempt["qr_content"])
        await phone.answer()
    assert [s["seq"] async for s in events(browser)] == [3]
    assert [s["seq"] async for s in events(browser, last_event_id="2")] == [3]
    assert [s["seq"] async for s in events(browser, "?seq=2")] == [3]
    assert [s["seq"] async for s in events(browser, "?seq=3", last_event_id="1")] == [3]
    assert [s["seq"] async for s in events(browser, last_event_id="-1")] == [3]
    assert [s["seq"] async for s in events(browser, last_event_id="9" * 30)] == [3]


async def test_a_stream_tells_the_expiry(hub: HubProcess, browser: Browser) -> None:
    """Time has the same effect on every channel."""
    await due(hub, browser, "expires_at", 1)
    async with asyncio.timeout(10):
        assert [s["status"] async for s in events(browser)] == ["pending", "expired"]


async def test_channels_tell_the_same(browser: Browser) -> None:
    """A client can change channel at any time: the snapshots are equal, member by member."""
    async with Phone(browser.url) as phone:
        await phone.scan(browser.attempt["qr_content"])
    async with browser.socket() as socket:
        by_socket = await frame(socket)
    by_poll = (await browser.status()).json()["data"]
    by_stream = await anext(events(browser))
    for told in (by_socket, by_poll, by_stream):
        assert 118 <= told.pop("expires_in") <= 120
    assert by_socket == by_poll == by_stream


async def test_a_long_poll_does_not_wait_for_what_cannot_come(browser: Browser) -> None:
    """Of a final attempt it answers at once, 304 where the caller knows the end."""
    async with Phone(browser.url) as phone:
        await phone.scan(browser.attempt["qr_content"])
        await phone.answer()
    async with asyncio.timeout(20):
        assert (await browser.status(seq=2, wait=30)).json()["data"]["status"] == "confirmed"
        known = await browser.status(seq=3, wait=30)
    assert (known.status_code, known.headers["etag"], known.content) == (304, '"3"', b"")


async def test_a_long_poll_ends_with_the_attempt(hub: HubProcess, browser: Browser) -> None:
    """A deadline that passes while it waits is news."""
    await due(hub, browser, "expires_at", 1)
    answer = await browser.status(seq=1, wait=20)
    assert answer.json()["data"]["status"] == "expired"
    refused(await browser.redeem(), 410, "attempt-expired")


async def test_entity_tags(browser: Browser) -> None:
    """`If-None-Match` works weak and strong, and a foreign tag is no match."""
    for tag, status in (('"1"', 304), ('W/"1"', 304), ('"0"', 200), ('"abc"', 200), ("*", 200), ('""', 200)):
        answer = await browser.http.get(browser.attempt["status_url"], headers={"if-none-match": tag})
        assert answer.status_code == status, tag
