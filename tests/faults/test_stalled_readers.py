"""Clients that stay and read nothing: their stream ends in time, and nobody else notices."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.faults.stalled import UPGRADE, stalled
from tests.people import sign_in
from tests.servers.hub import HubProcess
from tests.servers.metrics import gauges
from tests.servers.waiting import until
from tests.signing_in import execute, rows
from tests.streaming import AccountSocket, bearer

EVENTS = 120
PAYLOAD = json.dumps({"text": "x" * 60_000})  # all of them together fill every buffer on the way
GIVEN_UP = 25.0  # seconds


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubProcess]:
    """A hub of the test's own."""
    process = HubProcess(tmp_path).start()
    yield process
    process.stop()
    assert process.defects() == []


@pytest.fixture
async def reply(hub: HubProcess) -> Mapping[str, Any]:
    """Tokens of somebody with a long history of events."""
    reply = await sign_in(hub.url)
    (user,) = await rows(hub.database_url, "SELECT id, event_seq FROM users")
    for number in range(EVENTS):
        await execute(
            hub.database_url,
            "INSERT INTO account_events (user_id, seq, type, payload, created_at)"
            " VALUES (:id, :seq, 'security.alert', :payload, :now)",
            id=user["id"],
            seq=user["event_seq"] + number + 1,
            payload=PAYLOAD,
            now=datetime.now(UTC),
        )
    await execute(hub.database_url, "UPDATE users SET event_seq = event_seq + :more", more=EVENTS)
    return reply


def text(frame: object) -> bytes:
    """A text frame of more than 125 bytes as a client sends it (RFC 6455 section 5.2)."""
    payload = json.dumps(frame).encode()
    return b"\x81\xfe" + len(payload).to_bytes(2) + bytes(4) + payload


async def holds(hub: HubProcess, places: int) -> bool:
    """Whether streams hold so many places."""
    return (await gauges(hub))["hub_stream_places"] == places


async def test_a_stream_nobody_reads(hub: HubProcess, reply: Mapping[str, Any]) -> None:
    """Its places are free again while the client is still there; another one reads all events meanwhile."""
    async with stalled(hub, "/api/sessions/events?seq=0", **bearer(reply)):
        await until(lambda: holds(hub, 2))
        async with AccountSocket(hub.url, reply, "?seq=0") as reader:
            for _ in range(EVENTS):
                await reader.frame()
        await until(lambda: holds(hub, 0), timeout=GIVEN_UP)
        assert "event_stream_stalled" in hub.log()
        assert (await gauges(hub))["hub_broker_watches"] == 0


async def test_a_socket_nobody_reads(hub: HubProcess, reply: Mapping[str, Any]) -> None:
    """It is closed for being too slow, though its client will not hear that, and leaves nothing behind."""
    auth = text({"type": "auth", "access_token": reply["access_token"]})
    async with stalled(hub, "/api/sessions/stream?seq=0", auth, **UPGRADE):

        async def closed() -> bool:
            return "socket_closed_unheard" in hub.log()

        await until(closed, timeout=GIVEN_UP)
    await until(lambda: holds(hub, 0))
    assert (await gauges(hub))["hub_open_sockets"] == 0
