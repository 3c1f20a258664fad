"""`hub worker` as a process: it sends, cleans and archives, beside a hub or alone, and leaves in order."""

import gzip
import json
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest

from hub.ops.archive import months_before
from hub.store.database import Store
from tests.outgoing import code_for, enqueue, make_outbox
from tests.servers.hub import HubProcess
from tests.servers.ports import free_port
from tests.servers.providers import Aliyun, served
from tests.servers.waiting import until
from tests.servers.worker import ALIYUN, DATA_KEY, Start
from tests.signing_in import execute, rows


async def shown(hub: HubProcess, to: str = "") -> list[dict[str, Any]]:
    """What the hub's sandbox shows."""
    async with httpx2.AsyncClient(base_url=hub.url) as http:
        answer = await http.get("/sandbox/messages", params={"to": to})
        found: list[dict[str, Any]] = answer.json()
        return found


async def shows(hub: HubProcess, count: int) -> bool:
    """Tell whether the sandbox shows so many messages."""
    return len(await shown(hub)) == count


async def test_a_hub_sends_by_itself_and_the_sandbox_shows_it(
    store: Store, database_url: str, tmp_path: Path
) -> None:
    """In the default the serving process sends others' messages too; the console's are read over HTTP."""
    hub = HubProcess(tmp_path, DATABASE_URL=database_url, DATA_KEYS=DATA_KEY, SITE_NAME="Acme").start()
    try:
        outbox = make_outbox(store)
        for count, message in enumerate((code_for(store), code_for(store, "li@example.com")), 1):
            await enqueue(store, outbox, message)
            await until(partial(shows, hub, count))
        mail, sms = await shown(hub)
        assert (sms["to"], sms["code"]) == ("+8613800138000", "042917")
        assert sms["text"].startswith("[Acme] 042917 is your sign-in code")
        assert (mail["to"], mail["code"]) == ("li@example.com", "042917")
        assert "042917" in mail["text"]
        assert sms["sent_at"] <= mail["sent_at"]
        for to in ("+8613800138000", "13800138000", " 8613800138000"):
            assert await shown(hub, to) == [sms]
        assert await shown(hub, "LI@example.com") == [mail]
        assert await shown(hub, "+8613900139000") == []
        assert "042917" not in hub.log()
    finally:
        hub.stop()


async def test_a_hub_beside_a_worker_only_queues(
    store: Store, database_url: str, tmp_path: Path, start_worker: Start
) -> None:
    """With HUB_WORKER=off the message waits, and the metric says so, until a worker comes."""
    hub = HubProcess(tmp_path, DATABASE_URL=database_url, DATA_KEYS=DATA_KEY, HUB_WORKER="off").start()
    try:
        await enqueue(store, make_outbox(store), code_for(store))
        async with httpx2.AsyncClient(base_url=hub.url) as http:
            assert 'hub_outbox_waiting{kind="sms"} 1.0' in (await http.get("/metrics")).text
            port = free_port()
            start_worker(database_url, WORKER_METRICS_PORT=str(port))

            async def seen() -> bool:
                return [sms["code"] for sms in await shown(hub)] == ["042917"]

            await until(seen)
            assert 'hub_outbox_waiting{kind="sms"} 0.0' in (await http.get("/metrics")).text
            told = (await http.get(f"http://127.0.0.1:{port}/metrics")).text
            assert 'hub_outbox_sent_total{kind="sms",provider="console"} 1.0' in told
    finally:
        hub.stop()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_worker_leaves_in_order(store: Store, database_url: str, start_worker: Start) -> None:
    """On SIGTERM it ends what it has begun: a message whose provider hangs is given back; the exit is 0."""
    provider = Aliyun()
    provider.fail("slow")
    with served(provider):
        worker = start_worker(database_url, **ALIYUN, ALIYUN_SMS_URL=provider.url)
        await enqueue(store, make_outbox(store), code_for(store))
        await until(lambda: _called(provider))
        worker.terminate()
        assert worker.wait() == 0
    (row,) = await rows(database_url, "SELECT * FROM outbox")
    assert (row["sent_at"], row["error"], row["attempts"]) == (None, "unreachable", 1)


async def test_a_killed_workers_message_is_sent_by_another(
    store: Store, database_url: str, start_worker: Start
) -> None:
    """SIGKILL in the middle of a try: once the lease is over the next worker sends it."""
    provider = Aliyun()
    provider.fail("slow", 1)
    with served(provider):
        worker = start_worker(database_url, **ALIYUN, ALIYUN_SMS_URL=provider.url)
        await enqueue(store, make_outbox(store), code_for(store))
        await until(lambda: _called(provider))
        worker.kill()
        over = store.now() - timedelta(seconds=1)
        await execute(database_url, "UPDATE outbox SET next_attempt_at = :over", over=over)
        start_worker(database_url, **ALIYUN, ALIYUN_SMS_URL=provider.url)

        async def sent() -> bool:
            (row,) = await rows(database_url, "SELECT * FROM outbox")
            return row["sent_at"] is not None and row["attempts"] == 2

        await until(sent)
    assert len(provider.taken) == 1


async def test_a_worker_cleans_and_archives(
    store: Store, database_url: str, tmp_path: Path, start_worker: Start
) -> None:
    """From its first minute: an old code is gone, an old login log is in its month's file."""
    old = months_before(store.now(), 7)
    await execute(
        database_url,
        "INSERT INTO verification_codes (channel, address, purpose, code_hash, expires_at, created_at)"
        " VALUES ('email', 'li@example.com', 'login', 'h', :at, :at)",
        at=old,
    )
    await execute(
        database_url,
        "INSERT INTO login_logs (account, login_method, login_status, created_at)"
        " VALUES ('li@example.com', 'email_code', 'success', :at)",
        at=old,
    )
    worker = start_worker(database_url, ARCHIVE_DIR=str(tmp_path / "archive"))

    async def done() -> bool:
        codes = await rows(database_url, "SELECT id FROM verification_codes")
        return not codes and not await rows(database_url, "SELECT id FROM login_logs")

    await until(done)
    worker.terminate()
    assert worker.wait() == 0
    lines = gzip.decompress((tmp_path / "archive" / f"login_logs-{old:%Y-%m}.jsonl.gz").read_bytes())
    assert [json.loads(line)["account"] for line in lines.splitlines()] == ["li@example.com"]


async def test_a_worker_without_database_says_so(tmp_path: Path, start_worker: Start) -> None:
    """It does not start, and its last line names the setting."""
    with pytest.raises(pytest.fail.Exception, match="DATABASE_URL"):
        start_worker("mysql://hub:secret@127.0.0.1:9/hub")


async def _called(provider: Aliyun) -> bool:
    return provider.calls > 0
