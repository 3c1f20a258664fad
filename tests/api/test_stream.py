"""The account stream over real sockets: what is told, to whom, for how long, and how it ends."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import jwt
import pytest
from websockets.exceptions import InvalidStatus

from hub.tokens.claims import AccessTokens
from hub.tokens.keys import KeyRing, secret_key
from tests.people import DESKTOP, sign_in
from tests.problems import refused
from tests.servers.hub import SECRET, HubProcess, shared
from tests.signing_in import execute
from tests.streaming import AccountSocket, bearer, event_stream, sign_in_alone


@pytest.fixture(params=["embedded", "servers", "unparked"])
def hub(request: pytest.FixtureRequest) -> HubProcess:
    """A shared hub on each pair of back ends in turn, and on a server that parks no sockets."""
    return shared(request)


@pytest.fixture(params=["embedded", "unparked"])
def either_hub(request: pytest.FixtureRequest) -> HubProcess:
    """A shared hub with sockets that are parked, and with others, for what is the same on all back ends."""
    return shared(request)


@pytest.fixture
async def http(hub: HubProcess) -> AsyncIterator[httpx2.AsyncClient]:
    """A client without cookies."""
    async with httpx2.AsyncClient(base_url=hub.url, headers={"user-agent": DESKTOP}, timeout=20) as http:
        yield http


@pytest.fixture
async def embedded(either_hub: HubProcess) -> AsyncIterator[httpx2.AsyncClient]:
    """The same, of the embedded default: for what does not depend on the back ends."""
    async with httpx2.AsyncClient(base_url=either_hub.url, headers={"user-agent": DESKTOP}) as http:
        yield http


@pytest.fixture(scope="module")
def limited_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    """A hub whose limits are on."""
    process = HubProcess(tmp_path_factory.mktemp("limited"), HUB_LIMITS="on").start()
    yield process
    process.stop()


def short_token(hub: HubProcess, reply: Mapping[str, Any], seconds: int) -> str:
    """Return an access token of the reply's session that ends in *seconds*."""
    claims = jwt.decode(reply["access_token"], options={"verify_signature": False})
    now = datetime.now(UTC)
    token, _ = AccessTokens(KeyRing([secret_key(f"jwt-{SECRET}")]), issuer=hub.url, ttl=seconds).issue(
        user_id=int(claims["sub"]),
        sid=claims["sid"],
        role=claims["role"],
        email=None,
        amr=claims["amr"],
        auth_time=now,
        now=now,
        until=now + timedelta(hours=1),
    )
    return token


async def test_another_device_is_told(hub: HubProcess, http: httpx2.AsyncClient) -> None:
    """A session that opens and ends elsewhere shows up on the socket, in order and without gaps."""
    reply = await sign_in_alone(hub.url)
    async with AccountSocket(hub.url, reply) as stream:
        seq = stream.greeting["seq"]
        assert stream.greeting["session_id"] == reply["session_id"]
        assert 6800 < stream.greeting["expires_in"] <= 7200
        tablet = {"device_name": "Tablet", "device_type": "android", "device_id": secrets.token_hex(8)}
        other = await sign_in(hub.url, **tablet)
        created = await stream.frame()
        assert (created["type"], created["seq"]) == ("session.created", seq + 1)
        assert created["created_at"].endswith("Z")
        assert created["data"]["session_id"] == other["session_id"]
        assert created["data"]["device_name"] == "Tablet"
        alert = await stream.frame()
        assert (alert["type"], alert["seq"]) == ("security.alert", seq + 2)
        assert "new_device" in alert["data"]["signals"]  # whatever else others have done from this address
        await http.post("/api/logout", headers=bearer(other))
        revoked = await stream.frame()
        assert (revoked["type"], revoked["seq"]) == ("session.revoked", seq + 3)
        assert revoked["data"] == {"session_id": other["session_id"], "reason": "logout"}


async def test_own_end_is_told_and_closes(hub: HubProcess, http: httpx2.AsyncClient) -> None:
    """Whoever is signed out gets the event, and then 4501; other people's sockets hear nothing of it."""
    reply, strange = await sign_in_alone(hub.url), await sign_in(hub.url, "bob")
    async with AccountSocket(hub.url, reply) as stream, AccountSocket(hub.url, strange) as other:
        await http.post("/api/logout", headers=bearer(reply))
        told = await stream.frame()
        assert told["data"] == {"session_id": reply["session_id"], "reason": "logout"}
        assert await stream.closed() == 4501
        await other.send({"type": "ping"})
        assert await other.frame() == {"type": "pong"}


async def test_missed_events_are_told_later(hub: HubProcess, http: httpx2.AsyncClient) -> None:
    """A client that comes back with the last seq it knows gets what it missed, and nothing twice."""
    reply = await sign_in_alone(hub.url)
    async with AccountSocket(hub.url, reply) as stream:
        seq = stream.greeting["seq"]
    others = [await sign_in(hub.url) for _ in range(3)]
    for other in others:
        await http.post("/api/logout", headers=bearer(other))
    async with AccountSocket(hub.url, reply, f"?seq={seq}") as stream:
        told = [await stream.frame() for _ in range(6)]
        assert [frame["seq"] for frame in told] == list(range(seq + 1, seq + 7))
        assert {frame["data"]["session_id"] for frame in told} == {each["session_id"] for each in others}
    async with AccountSocket(hub.url, reply, f"?seq={seq + 5}") as stream:
        assert (await stream.frame())["seq"] == seq + 6
        await sign_in(hub.url)
        assert (await stream.frame())["seq"] == seq + 7


async def test_more_events_than_a_page_are_told(hub: HubProcess) -> None:
    """After a long absence all of them come, in order."""
    reply = await sign_in_alone(hub.url)
    user_id = jwt.decode(reply["access_token"], options={"verify_signature": False})["sub"]
    async with AccountSocket(hub.url, reply) as stream:
        seq = stream.greeting["seq"]
    insert = "INSERT INTO account_events (user_id, seq, type, payload, created_at) VALUES "
    made = ",".join(f"({user_id}, {seq + n}, 'login.failed', '{{}}', '2026-01-01')" for n in range(1, 251))
    await execute(hub.database_url, insert + made)
    await execute(hub.database_url, f"UPDATE users SET event_seq = {seq + 250} WHERE id = {user_id}")  # noqa: S608
    async with AccountSocket(hub.url, reply, f"?seq={seq}") as stream:
        told = [(await stream.frame())["seq"] for _ in range(250)]
    assert told == list(range(seq + 1, seq + 251))


async def test_seq_of_a_restored_database(either_hub: HubProcess) -> None:
    """A client that knows more than there is goes on from what there is."""
    reply = await sign_in_alone(either_hub.url)
    async with AccountSocket(either_hub.url, reply, "?seq=9000000") as stream:
        assert stream.greeting["seq"] < 9000000
        await sign_in(either_hub.url)
        assert (await stream.frame())["seq"] == stream.greeting["seq"] + 1


async def test_no_token_in_time(either_hub: HubProcess) -> None:
    """A socket that does not say who it is within five seconds is closed with 4401, pings or not."""
    async with AccountSocket(either_hub.url, None) as stream:
        await stream.send({"type": "ping"})
        assert await stream.frame() == {"type": "pong"}
        assert await stream.closed() == 4401


@pytest.mark.parametrize("token", ["nonsense", "a.b.c", ""])
async def test_bad_first_token(either_hub: HubProcess, token: str) -> None:
    """It is closed with 4401 at once."""
    async with AccountSocket(either_hub.url, None) as stream:
        await stream.auth(token)
        assert await stream.closed() == 4401


async def test_token_of_an_ended_session(hub: HubProcess, http: httpx2.AsyncClient) -> None:
    """It opens no stream, on either channel."""
    reply = await sign_in_alone(hub.url)
    await http.post("/api/logout", headers=bearer(reply))
    async with AccountSocket(hub.url, None) as stream:
        await stream.auth(reply["access_token"])
        assert await stream.closed() == 4401
    refused(await http.get("/api/sessions/events", headers=bearer(reply)), 401, "unauthorized")


async def test_socket_ends_with_its_token(either_hub: HubProcess) -> None:
    """It is closed with 4401 when the token ends."""
    reply = await sign_in_alone(either_hub.url)
    async with AccountSocket(either_hub.url, None) as stream:
        await stream.auth(short_token(either_hub, reply, 2))
        assert (await stream.frame())["expires_in"] <= 2
        assert await stream.closed() == 4401


async def test_new_token_prolongs(either_hub: HubProcess) -> None:
    """A further token of the same session, before the first one ends, keeps the socket open and its place."""
    reply = await sign_in_alone(either_hub.url)
    async with AccountSocket(either_hub.url, None) as stream:
        await stream.auth(short_token(either_hub, reply, 2))
        first = await stream.frame()
        await stream.auth(short_token(either_hub, reply, 4))
        again = await stream.frame()
        assert (again["type"], again["seq"]) == ("authenticated", first["seq"])
        assert again["expires_in"] > first["expires_in"]
        # The first token ends while this is awaited: a frame that comes after is the proof of life.
        await asyncio.sleep(2.5)
        await sign_in(either_hub.url)
        assert (await stream.frame())["type"] == "session.created"
        assert await stream.closed() == 4401


async def test_further_token_of_another_session(either_hub: HubProcess) -> None:
    """It is refused by an error frame and changes nothing, be it the same person's or another's."""
    reply, second = await sign_in_alone(either_hub.url), await sign_in(either_hub.url)
    strange = await sign_in(either_hub.url, "bob")
    async with AccountSocket(either_hub.url, reply) as stream:
        for token in (second["access_token"], strange["access_token"], "nonsense"):
            await stream.auth(token)
            error = await stream.frame()
            assert (error["type"], error["problem"]) == ("error", "/problems/unauthorized")
        await sign_in(either_hub.url)
        assert (await stream.frame())["type"] == "session.created"


@pytest.mark.parametrize("frame", [{"type": "auth"}, {"type": "auth", "access_token": 7}, {"type": "x"}, 7])
async def test_three_frames_in_error(either_hub: HubProcess, frame: object) -> None:
    """Each is answered by an error frame; the third closes the socket with 4500."""
    async with AccountSocket(either_hub.url, await sign_in(either_hub.url)) as stream:
        for _ in range(3):
            await stream.send(frame)
            assert (await stream.frame())["type"] == "error"
        assert await stream.closed() == 4500


async def test_foreign_page(either_hub: HubProcess) -> None:
    """Another site's page gets no socket, an allowed one's does, and the subprotocol is taken up."""
    with pytest.raises(InvalidStatus) as denied:
        async with AccountSocket(either_hub.url, None, origin="https://evil.example"):
            pass
    assert denied.value.response.status_code == 403
    async with AccountSocket(either_hub.url, None, origin="https://shop.example.com") as stream:
        assert stream.socket.subprotocol == "login.v1"


@pytest.mark.parametrize("query", ["?seq=-1", "?seq=x", "?seq=1&seq=2", "?seq=99999999999999999999"])
async def test_bad_query(either_hub: HubProcess, embedded: httpx2.AsyncClient, query: str) -> None:
    """It is refused before anything is opened, on both channels."""
    with pytest.raises(InvalidStatus) as denied:
        async with AccountSocket(either_hub.url, None, query):
            pass
    assert denied.value.response.status_code == 422
    reply = await sign_in_alone(either_hub.url)
    answer = await embedded.get(f"/api/sessions/events{query}", headers=bearer(reply))
    refused(answer, 422, "invalid-request")


async def test_streams_of_a_session_are_limited(limited_hub: HubProcess) -> None:
    """The twenty-first socket of one session is closed with 4429, an event stream is refused with 429."""
    reply = await sign_in(limited_hub.url)
    sockets = [AccountSocket(limited_hub.url, reply) for _ in range(20)]
    try:
        for socket in sockets:
            await socket.__aenter__()
        async with AccountSocket(limited_hub.url, None) as further:
            await further.auth(reply["access_token"])
            assert await further.closed() == 4429
        async with httpx2.AsyncClient(base_url=limited_hub.url) as http:
            answer = await http.get("/api/sessions/events", headers=bearer(reply))
            refused(answer, 429, "too-many-sockets")
        await sockets.pop().__aexit__()
        async with AccountSocket(limited_hub.url, await sign_in(limited_hub.url)):
            pass
    finally:
        for socket in sockets:
            await socket.__aexit__()


async def test_event_stream(hub: HubProcess, http: httpx2.AsyncClient) -> None:
    """The same frames with their seq as id, until the own session ends."""
    reply = await sign_in_alone(hub.url)
    async with event_stream(hub.url, reply) as events:
        name, greeting = await anext(events)
        assert (greeting["type"], name) == ("authenticated", str(greeting["seq"]))
        other = await sign_in(hub.url)
        name, created = await anext(events)
        assert (created["type"], name) == ("session.created", str(greeting["seq"] + 1))
        assert created["data"]["session_id"] == other["session_id"]
        await http.post("/api/logout", headers=bearer(reply))
        assert (await anext(events))[1]["data"]["reason"] == "logout"
        assert [event async for event in events] == []


async def test_event_stream_resumes(hub: HubProcess) -> None:
    """Last-Event-ID, or `seq` where there is none, says what the client knows."""
    reply = await sign_in_alone(hub.url)
    async with event_stream(hub.url, reply) as events:
        seq = (await anext(events))[1]["seq"]
    others = [await sign_in(hub.url) for _ in range(2)]
    headers = {"last-event-id": str(seq + 1)}
    async with event_stream(hub.url, reply, f"?seq={seq}", **headers) as events:
        assert (await anext(events))[1]["seq"] == seq + 1
        assert (await anext(events))[1]["data"]["session_id"] == others[1]["session_id"]
    async with event_stream(hub.url, reply, f"?seq={seq}") as events:
        assert (await anext(events))[1]["seq"] == seq
        assert (await anext(events))[1]["data"]["session_id"] == others[0]["session_id"]


async def test_event_stream_ends_with_its_token(either_hub: HubProcess) -> None:
    """The client then comes back with another one."""
    reply = await sign_in_alone(either_hub.url)
    token = {"access_token": short_token(either_hub, reply, 2)}
    async with event_stream(either_hub.url, token) as events:
        assert [frame["type"] for _, frame in [event async for event in events]] == ["authenticated"]


async def test_event_stream_needs_a_token(embedded: httpx2.AsyncClient) -> None:
    """Without one it is a plain 401; a foreign page is refused before."""
    refused(await embedded.get("/api/sessions/events"), 401, "unauthorized")
    foreign = await embedded.get("/api/sessions/events", headers={"origin": "https://evil.example"})
    refused(foreign, 403, "origin-not-allowed")


async def test_restart_sends_streams_away(tmp_path_factory: pytest.TempPathFactory) -> None:
    """At SIGTERM sockets are closed with 1012, event streams end, and the process is gone in time."""
    process = HubProcess(tmp_path_factory.mktemp("drain")).start()
    reply = await sign_in(process.url)
    async with AccountSocket(process.url, reply) as stream, event_stream(process.url, reply) as events:
        await anext(events)
        async with AccountSocket(process.url, None) as silent:
            process.terminate()
            assert await stream.closed() == 1012
            assert await silent.closed() == 1012
            with contextlib.suppress(httpx2.RemoteProtocolError):  # it is cut off, not concluded
                assert [event async for event in events] == []
    assert await asyncio.to_thread(process.wait) == 0
