"""The database lets in fewer connections than the hub may hold: those that it has do all the work."""

import asyncio
import contextlib
import tempfile
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from hub.store.database import Store, connect
from hub.store.failures import Refused
from hub.store.location import Location
from hub.store.migrate import migrate
from tests.servers.mariadb import MariaDB, launch

UNITS = 200


@pytest.fixture
def crowded() -> Iterator[MariaDB]:
    """A server that lets in eight clients."""
    with tempfile.TemporaryDirectory(prefix="hub-mariadb-") as folder:
        server = launch(Path(folder), "--max-connections=8")
        yield server
        server.stop()


@pytest.mark.parametrize("rest", [30.0, 0.0])
async def test_too_many_connections(crowded: MariaDB, monkeypatch: pytest.MonkeyPatch, rest: float) -> None:
    """However many units there are at once each is done, also where each connection is checked before."""
    monkeypatch.setattr("hub.store.connector._PING_AFTER", rest)
    crowded.execute("CREATE DATABASE hub_crowded")
    url = crowded.url("hub_crowded")
    await migrate(url)
    store = Store(url, connections=20)
    await store.start()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(store.stop)
        with contextlib.suppress(Refused):
            while True:
                link = await connect(Location.parse(url))
                stack.push_async_callback(link.close)
        for _ in range(3):
            await asyncio.gather(*(store.ping() for _ in range(UNITS)))
