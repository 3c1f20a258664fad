"""The dashboard's figures over real sockets: who may, what moves when people sign in, and how it ends."""

import asyncio
import sqlite3
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from websockets.exceptions import InvalidStatus

from tests.code_client import Person, new_number
from tests.people import Browser, Phone, sign_in
from tests.servers.hub import HubProcess, shared
from tests.signing_in import execute
from tests.streaming import bearer
from tests.watching import MetricsSocket, make_admin, make_operator, user_id

SIGN_INS = 8


@pytest.fixture(params=["embedded", "servers", "unparked"])
def hub(request: pytest.FixtureRequest) -> HubProcess:
    """A shared hub on each pair of back ends in turn, and on a server that parks no sockets."""
    return shared(request)


@pytest.fixture(scope="module")
def own_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    """A hub whose figures nobody else moves, but the tests one after the other."""
    process = HubProcess(tmp_path_factory.mktemp("figures")).start()
    yield process
    process.stop()
    assert process.defects() == []


def count(frame: Mapping[str, Any], bars: str, *names: str) -> int:
    """How often something happened, by a frame: 0 for what is not told."""
    return sum(bar["count"] for bar in frame["bars"][bars] if bar["names"] == list(names))


def funnel(frame: Mapping[str, Any]) -> list[int]:
    """How many attempts were created, scanned, confirmed and redeemed."""
    steps = ("created", "scanned", "confirmed", "redeemed")
    assert [bar["names"] for bar in frame["bars"]["funnel"]] == [[step] for step in steps]
    return [bar["count"] for bar in frame["bars"]["funnel"]]


async def begun(stream: MetricsSocket) -> dict[str, Any]:
    """The first delta, which is newer than all that happened before."""
    return await stream.until(lambda frame: bool(frame["sockets"]))


async def test_a_sign_in_moves_the_figures(own_hub: HubProcess) -> None:
    """Each step of a QR sign-in shows on the socket, in the funnel, in the slots and by method."""
    async with (
        MetricsSocket(own_hub.url, await make_operator(own_hub)) as stream,
        Browser(own_hub.url) as browser,
        Phone(own_hub.url, "bob") as phone,
    ):
        before = await begun(stream)

        async def moved(*steps: int) -> dict[str, Any]:
            """The first delta in which the funnel has grown by so much."""
            expected = [count + step for count, step in zip(funnel(before), steps, strict=True)]
            return await stream.until(lambda frame: funnel(frame) == expected)

        await browser.begin()
        await moved(1, 0, 0, 0)
        await phone.scan(browser.attempt["qr_content"])
        await moved(1, 1, 0, 0)
        await phone.answer()
        await moved(1, 1, 1, 0)
        await browser.redeem()
        after = await moved(1, 1, 1, 1)
        signed_in = [count(frame, "sign_ins", "wechat", "success") for frame in (before, after)]
        assert signed_in[1] == signed_in[0] + 1
        assert after["results"]["success"] == before["results"]["success"] + 1
        assert sum(point["success"] for point in after["points"]) >= 1
        assert sum(bar["count"] for bar in after["bars"]["latency"]) >= 5
        assert 0 < after["p50"] <= after["p99"]


async def test_frames_follow_each_other(own_hub: HubProcess) -> None:
    """A snapshot has all slots, a delta only the newest; `seq` grows, and each socket is counted."""
    reply = await make_operator(own_hub)
    async with MetricsSocket(own_hub.url, reply) as stream, MetricsSocket(own_hub.url, reply) as other:
        assert other.snapshot["seq"] > stream.snapshot["seq"] > 0
        assert len(stream.snapshot["points"]) == 60
        first = await stream.until(lambda frame: bool(frame["sockets"] == 2))
        second = await stream.frame()
        assert second["type"] == "delta"
        assert second["seq"] > first["seq"] > stream.snapshot["seq"]
        assert 1 <= len(second["points"]) <= 2
        slots = [datetime.fromisoformat(point["at"]) for point in second["points"]]
        assert all(slot.timestamp() % second["slot"] == 0 for slot in slots)


async def test_failures_show_by_method(own_hub: HubProcess) -> None:
    """A wrong code and a wrong password are failures of their methods."""
    async with (
        MetricsSocket(own_hub.url, await make_operator(own_hub)) as stream,
        Person(own_hub.url) as person,
    ):
        number = new_number()
        code = await person.code(number)
        await person.login(number, str(10**6 - 1 - int(code)).zfill(6))
        await person.post("/api/login/password", account=number, password="wrong one")
        moved = await stream.until(lambda frame: count(frame, "sign_ins", "password", "failed") == 1)
        assert count(moved, "sign_ins", "sms_code", "failed") == 1


async def test_senders_and_budget(tmp_path: Path) -> None:
    """A sender is there before its first message, and then counts it; the day's budget goes down."""
    hub = HubProcess(tmp_path).start()
    try:
        async with MetricsSocket(hub.url, await make_operator(hub)) as stream:
            moved = await stream.until(lambda frame: count(frame, "senders", "console", "ok") == 1)
            assert moved["bars"]["senders"] == [
                {"names": ["console", "ok"], "count": 1, "whole": 1, "tone": "success"}
            ]
            moved = await stream.until(lambda frame: count(frame, "budgets", "all") == 1)
            assert moved["bars"]["budgets"][0]["whole"] > 1
    finally:
        hub.stop()


async def test_errors_show_by_errcode(own_hub: HubProcess) -> None:
    """What WeChat refuses shows with its call and errcode, and what became of it here with its status."""
    async with (
        MetricsSocket(own_hub.url, await make_operator(own_hub)) as stream,
        Browser(own_hub.url) as browser,
        Phone(own_hub.url, "bob") as phone,
    ):
        fault = {"fault": "errcode", "errcode": 45011, "path": "/sns/userinfo", "count": 1}
        answer = await browser.http.post("/sandbox/faults", json=fault)
        assert answer.status_code == 200, answer.text
        await browser.begin()
        await phone.scan(browser.attempt["qr_content"])
        moved = await stream.until(lambda frame: count(frame, "errors", "wechat", "userinfo", "45011") == 1)
        assert count(moved, "errors", "hub", "/api/auth/wechat/callback", "502") == 1


async def test_the_past_is_there_for_a_later_watcher(own_hub: HubProcess) -> None:
    """Whoever comes when nobody has watched sees what happened before."""
    reply = await make_operator(own_hub)
    async with MetricsSocket(own_hub.url, reply) as stream:
        before = await begun(stream)
    await sign_in(own_hub.url, "bob")
    expected = [count + 1 for count in funnel(before)]
    async with MetricsSocket(own_hub.url, reply) as stream:
        await stream.until(lambda frame: funnel(frame) == expected)


async def test_processes_are_counted_together(tmp_path: Path, hub_env: dict[str, str]) -> None:
    """Of two processes behind one listener each tells what both have done."""
    nowhere = "http://127.0.0.1:9"  # WeChat is not needed
    hub = HubProcess(tmp_path, **hub_env, WECHAT_API_URL=nowhere, WECHAT_OPEN_URL=nowhere)
    hub.start("--workers", "2")
    try:
        async with Person(hub.url) as person:
            reply = await person.sign_in(new_number())
        await make_admin(hub, reply)
        async with MetricsSocket(hub.url, reply) as stream:
            for _ in range(SIGN_INS):
                async with Person(hub.url) as person:  # on a connection of its own, so with either process
                    await person.sign_in(new_number())
            moved = await stream.until(
                lambda frame: count(frame, "sign_ins", "sms_code", "success") > SIGN_INS
            )
            assert count(moved, "sign_ins", "sms_code", "success") == SIGN_INS + 1
    finally:
        hub.stop()


async def test_others_are_sent_away(hub: HubProcess) -> None:
    """Whoever is no administrator is closed with 4500; a bad token with 4401, and none in time as well."""
    async with MetricsSocket(hub.url, None) as silent:
        async with MetricsSocket(hub.url, None) as stream:
            await stream.auth((await sign_in(hub.url, "bob"))["access_token"])
            assert await stream.closed() == 4500
        async with MetricsSocket(hub.url, None) as stream:
            await stream.auth("nonsense")
            assert await stream.closed() == 4401
        assert await silent.closed() == 4401


async def test_the_end_of_the_session(hub: HubProcess) -> None:
    """An administrator who signs out, or whose role changes, is closed with 4501."""
    reply = await make_operator(hub)
    async with MetricsSocket(hub.url, reply) as stream, httpx2.AsyncClient(base_url=hub.url) as http:
        await http.post("/api/logout", headers=bearer(reply))
        assert await stream.closed() == 4501
    reply = await make_operator(hub)
    async with MetricsSocket(hub.url, reply) as stream:
        who = await user_id(hub, reply)
        done = await asyncio.to_thread(hub.command, "user", "role", str(who), "user")
        assert done.returncode == 0, done.stderr
        assert await stream.closed() == 4501


async def test_a_role_that_is_taken_in_the_database(own_hub: HubProcess) -> None:
    """Whoever is administrator no more is sent away while the session runs on."""
    reply = await make_operator(own_hub)
    async with MetricsSocket(own_hub.url, reply) as stream:
        await execute(own_hub.database_url, "UPDATE users SET role = 'user' WHERE role = 'admin'")
        assert await stream.closed() == 4500
    assert await user_id(own_hub, reply) > 0


async def test_foreign_page(own_hub: HubProcess) -> None:
    """Another site's page gets no socket."""
    with pytest.raises(InvalidStatus) as denied:
        async with MetricsSocket(own_hub.url, None, origin="https://evil.example"):
            pass
    assert denied.value.response.status_code == 403


async def test_the_queue_is_measured(own_hub: HubProcess) -> None:
    """A message that waits shows, with its age."""
    path = own_hub.database_url.removeprefix("sqlite:///")
    reply = await make_operator(own_hub)
    with sqlite3.connect(path) as database:
        database.execute(
            "INSERT INTO outbox (kind, reference, payload, next_attempt_at, created_at)"
            " VALUES ('sms', 'r', 'x', '2999-01-01 00:00:00.000', '2026-01-01 00:00:00.000')"
        )
    async with MetricsSocket(own_hub.url, reply) as stream:
        moved = await stream.until(lambda frame: any(bar["count"] for bar in frame["bars"]["queues"]))
        [queue] = [bar for bar in moved["bars"]["queues"] if bar["names"][0] == "sms"]
        assert queue["count"] == 1
        assert int(queue["names"][1].removesuffix(" s")) > 1000
