"""Faults between the sending and the mark, and in the middle of an archive."""

import asyncio
import gzip
import json
import random
import sys
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from structlog.testing import capture_logs

from hub.codes.dispatch import Dispatcher
from hub.codes.senders.http import Http
from hub.ops.archive import months_before
from hub.store.database import Store
from hub.store.migrate import migrate
from tests.outgoing import aliyun, code_for, enqueue, make_outbox
from tests.servers.hub import HubProcess
from tests.servers.mariadb import MariaDB
from tests.servers.providers import Aliyun, Fault, served
from tests.servers.waiting import until
from tests.servers.worker import ALIYUN
from tests.signing_in import execute, rows

ARCHIVER = """
import asyncio, sys
from pathlib import Path
from hub.ops.archive import LoginLogArchive
from hub.store.database import Store

async def main():
    store = Store(sys.argv[1])
    await store.start()
    print("started", flush=True)
    await LoginLogArchive(store, Path(sys.argv[2])).run(lambda: False)
    await store.stop()

asyncio.run(main())
"""


async def test_a_database_that_dies_before_the_mark_does_not_send_twice(own_mariadb: MariaDB) -> None:
    """MariaDB is killed once the provider has the message: when it is back the mark is made, not the call."""
    own_mariadb.execute("CREATE DATABASE hub_outbox")
    url = own_mariadb.url("hub_outbox")
    await migrate(url)
    provider = Aliyun()
    store = Store(url)
    async with AsyncExitStack() as stack:
        for part in (store, http := Http(call_limit=5)):
            await part.start()
            stack.push_async_callback(part.stop)
        stack.enter_context(served(provider))
        outbox = make_outbox(store, "sms")
        dispatcher = Dispatcher(store, outbox, {"sms": [aliyun(http, provider.url)]})
        await dispatcher.start()
        stack.push_async_callback(dispatcher.stop)
        provider.before_answering = own_mariadb.kill
        with capture_logs() as lines:
            await enqueue(store, outbox, code_for(store))

            async def failed() -> bool:
                return any(line["event"] == "mark_delayed" for line in lines)

            await until(failed)
        provider.before_answering = lambda: None
        await asyncio.to_thread(own_mariadb.start)

        async def marked() -> bool:
            (row,) = await rows(url, "SELECT sent_at, attempts FROM outbox")
            return row["sent_at"] is not None and row["attempts"] == 1

        await until(marked)
    assert provider.calls == 1


@pytest.mark.parametrize("fault", ["slow", "html", "garbage"])
async def test_a_failing_sender_holds_up_no_request(tmp_path: Path, fault: Fault) -> None:
    """The person's request is answered before the provider has; the message waits, visibly, and goes out."""
    provider = Aliyun()
    provider.fail(fault)
    with served(provider):
        hub = HubProcess(tmp_path, **ALIYUN, ALIYUN_SMS_URL=provider.url).start()
        try:
            async with httpx2.AsyncClient(base_url=hub.url, timeout=30) as http:
                answer = await http.post("/api/send-code", json={"phone": "13800138000"})
                assert answer.status_code == 200, answer.text
                assert not provider.taken
                assert 'hub_outbox_waiting{kind="sms"} 1.0' in (await http.get("/metrics")).text
                provider.fail("")

                async def sent() -> bool:
                    return (
                        'hub_outbox_sent_total{kind="sms",provider="aliyun"} 1.0'
                        in (await http.get("/metrics")).text
                    )

                await until(sent, timeout=30)
                assert 'hub_outbox_waiting{kind="sms"} 0.0' in (await http.get("/metrics")).text
        finally:
            hub.stop()
    assert [one["to"] for one in provider.taken] == ["13800138000"]


async def test_a_killed_archiver_loses_and_doubles_nothing(
    store: Store, database_url: str, tmp_path: Path
) -> None:
    """SIGKILL at some ten random moments; the last run ends the work."""
    at = months_before(store.now(), 8)
    for month in range(2):
        await execute(
            database_url,
            "INSERT INTO login_logs (account, login_method, login_status, created_at)"
            " VALUES ('li@example.com', 'email_code', 'success', :at)",
            at=at + timedelta(days=31 * month),
        )
    for _ in range(13):
        await execute(
            database_url,
            "INSERT INTO login_logs (account, login_method, login_status, created_at)"
            " SELECT account, login_method, login_status, created_at FROM login_logs",
        )
    ids = [row["id"] for row in await rows(database_url, "SELECT id FROM login_logs")]
    runs = 0
    while await rows(database_url, "SELECT id FROM login_logs LIMIT 1"):
        runs += 1
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            ARCHIVER,
            database_url,
            str(tmp_path / "archive"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stdout
        assert await process.stdout.readline() == b"started\n", await process.communicate()
        try:
            async with asyncio.timeout(random.uniform(0, 0.2) if runs <= 10 else 60):  # noqa: S311 - a moment
                await process.wait()
        except TimeoutError:
            process.kill()
        await process.communicate()
    kept = [line["id"] for line in _lines(tmp_path / "archive")]
    assert len(kept) == len(set(kept))
    assert sorted(kept) == sorted(ids)


def _lines(folder: Path) -> list[dict[str, Any]]:
    texts = [gzip.decompress(file.read_bytes()).decode() for file in folder.glob("*.gz")]
    return [json.loads(line) for text in texts for line in text.splitlines()]
