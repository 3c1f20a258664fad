"""The account stream between processes, whatever becomes of them and of the servers between them."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest

from hub.store.migrate import migrate
from tests.people import DESKTOP, sign_in
from tests.servers.hub import HubProcess
from tests.servers.mariadb import MariaDB
from tests.servers.redis import RedisServer
from tests.servers.waiting import until
from tests.signing_in import execute
from tests.streaming import AccountSocket, bearer

SOON = 5.0  # seconds; by sweeps alone, while Redis is believed to be well, it would be up to ten


class Nodes(NamedTuple):
    """Two processes of one hub, and the Redis between them."""

    one: HubProcess
    two: HubProcess
    redis: RedisServer


@pytest.fixture
def nodes(tmp_path: Path, mariadb_url: str, own_redis: RedisServer) -> Iterator[Nodes]:
    """Two hubs on one MariaDB database and a Redis of their own."""
    env = {"DATABASE_URL": mariadb_url, "REDIS_URL": own_redis.url, "JWT_ISSUER": "https://hub.example.com"}
    with ExitStack() as stack:
        one, two = HubProcess(tmp_path, **env), HubProcess(tmp_path, **env)
        for process in (one, two):
            stack.callback(process.stop)
            process.start()
        yield Nodes(one, two, own_redis)


async def post(hub: HubProcess, path: str, reply: Mapping[str, Any] | None = None, **members: object) -> int:
    """Send a request to one node, and return the status of its answer."""
    async with httpx2.AsyncClient(base_url=hub.url, headers={"user-agent": DESKTOP}, timeout=20) as http:
        return (await http.post(path, json=members, headers=bearer(reply) if reply else {})).status_code


async def refused(hub: HubProcess, reply: Mapping[str, Any]) -> bool:
    """Tell whether one node refuses the reply's access token."""
    async with httpx2.AsyncClient(base_url=hub.url, timeout=20) as http:
        return (await http.get("/api/user/profile", headers=bearer(reply))).status_code == 401


async def is_refused_everywhere(nodes: Nodes, reply: Mapping[str, Any]) -> None:
    """Wait until both nodes refuse the access token."""
    for hub in (nodes.one, nodes.two):
        await until(lambda hub=hub: refused(hub, reply), timeout=SOON)  # type: ignore[misc]


async def expect_own_end(stream: AccountSocket, reply: Mapping[str, Any]) -> None:
    """Wait for the event of the stream's own end, and for the close that follows."""
    async with asyncio.timeout(SOON):
        told = await stream.frame()
        assert (told["type"], told["data"]["session_id"]) == ("session.revoked", reply["session_id"])
        assert await stream.closed() == 4501


async def test_end_on_another_node(nodes: Nodes) -> None:
    """The socket gets the event and 4501, and the token is refused on both nodes."""
    here, there = await sign_in(nodes.one.url), await sign_in(nodes.two.url)
    async with AccountSocket(nodes.one.url, here) as stream:
        async with httpx2.AsyncClient(base_url=nodes.two.url) as http:
            ended = await http.delete(f"/api/sessions/{here['session_id']}", headers=bearer(there))
            assert ended.status_code == 200
        await expect_own_end(stream, here)
    await is_refused_everywhere(nodes, here)
    assert not await refused(nodes.one, there)


@pytest.mark.parametrize("outage", ["kill", "pause"])
async def test_end_while_redis_is_away(nodes: Nodes, outage: str) -> None:
    """Killed or frozen, it only delays: the nodes go on by SQL, and heal by themselves when it is back."""
    here, there = await sign_in(nodes.one.url), await sign_in(nodes.two.url)
    async with AccountSocket(nodes.one.url, here) as stream, AccountSocket(nodes.two.url, there) as other:
        getattr(nodes.redis, outage)()
        assert await post(nodes.two, "/api/logout-all", there, except_current=True) == 200
        await expect_own_end(stream, here)
        assert (await other.frame())["data"]["session_id"] == here["session_id"]
        await is_refused_everywhere(nodes, here)
        assert not await refused(nodes.one, there)
        newcomer = await sign_in(nodes.one.url)
        async with asyncio.timeout(2 * SOON):
            assert (await other.frame())["data"]["session_id"] == newcomer["session_id"]
        if outage == "kill":
            nodes.redis.start()
        else:
            nodes.redis.resume()
        async with AccountSocket(nodes.one.url, newcomer) as stream:
            assert await post(nodes.two, "/api/logout-all", there, except_current=True) == 200
            await expect_own_end(stream, newcomer)
        await is_refused_everywhere(nodes, newcomer)


async def test_refreshes_while_streaming_and_then_theft(nodes: Nodes, mariadb_url: str) -> None:
    """Twenty refreshes of one token at once: one successor, and the socket stays.

    The old token eleven seconds later: the session is dead, its socket is closed, the person is told.
    """
    here, other = await sign_in(nodes.one.url), await sign_in(nodes.two.url)
    body = {"refresh_token": here["refresh_token"]}
    async with (
        AccountSocket(nodes.one.url, here) as stream,
        AccountSocket(nodes.two.url, other) as bystander,
        httpx2.AsyncClient(headers={"user-agent": DESKTOP}, timeout=20) as http,
    ):
        urls = [f"{hub.url}/api/token/refresh" for hub in (nodes.one, nodes.two)] * 10
        answers = await asyncio.gather(*(http.post(url, json=body) for url in urls))
        assert [answer.status_code for answer in answers] == [200] * 20
        replies = [answer.json()["data"] for answer in answers]
        assert len({reply["refresh_token"] for reply in replies}) == 1
        await stream.auth(replies[0]["access_token"])
        assert (await stream.frame())["type"] == "authenticated"
        earlier = datetime.now(UTC) - timedelta(seconds=11)
        await execute(
            mariadb_url,
            "UPDATE user_sessions SET rotated_at = :rotated_at WHERE sid = :sid",
            rotated_at=earlier,
            sid=here["session_id"],
        )
        assert (await http.post(urls[1], json=body)).status_code == 401
        await expect_own_end(stream, here)
        ended, alert = await bystander.frame(), await bystander.frame()
        assert (ended["type"], ended["data"]["reason"]) == ("session.revoked", "reuse_detected")
        assert (alert["type"], alert["data"]["kind"]) == ("security.alert", "refresh_token_reused")
        assert alert["data"]["session_id"] == here["session_id"]
        await is_refused_everywhere(nodes, replies[0])
        successor = {"refresh_token": replies[0]["refresh_token"]}
        assert (await http.post(urls[0], json=successor)).status_code == 401
        assert not await refused(nodes.one, other)


async def test_client_of_a_node_that_died(nodes: Nodes) -> None:
    """It goes on at another node with the last seq it knows, and misses nothing."""
    reply = await sign_in(nodes.two.url)
    async with AccountSocket(nodes.one.url, reply) as stream:
        seq = stream.greeting["seq"]
        nodes.one.kill()
        others = [await sign_in(nodes.two.url) for _ in range(3)]
    async with AccountSocket(nodes.two.url, reply, f"?seq={seq}") as stream:
        told = [await stream.frame() for _ in range(3)]
    assert [frame["data"]["session_id"] for frame in told] == [each["session_id"] for each in others]
    assert [frame["seq"] for frame in told] == [seq + 1, seq + 2, seq + 3]


async def test_database_restart(
    tmp_path: Path, own_mariadb: MariaDB, redis_url: str, redis_prefix: str
) -> None:
    """Sockets stay open while the database is away, and tell what happens afterwards."""
    own_mariadb.execute("CREATE DATABASE hub_stream")
    url = own_mariadb.url("hub_stream")
    await migrate(url)
    hub = HubProcess(tmp_path, DATABASE_URL=url, REDIS_URL=redis_url, REDIS_KEY_PREFIX=redis_prefix).start()
    try:
        reply = await sign_in(hub.url)
        async with AccountSocket(hub.url, reply) as stream:
            own_mariadb.kill()
            assert await post(hub, "/api/token/refresh", refresh_token=reply["refresh_token"]) == 503
            own_mariadb.start()

            async def signs_in() -> bool:
                return await post(hub, "/api/token/refresh", refresh_token=reply["refresh_token"]) == 200

            await until(signs_in)
            other = await sign_in(hub.url)
            assert (await stream.frame())["data"]["session_id"] == other["session_id"]
            assert await post(hub, "/api/logout-all", reply) == 200
            assert (await stream.frame())["type"] == "session.revoked"
    finally:
        hub.stop()
