"""The worker as a part of a process, on both engines: it goes on whatever a part of its work meets."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from hub.codes.dispatch import Dispatcher
from hub.codes.outbox import Outbox
from hub.codes.senders.console import ConsoleSender
from hub.ops.archive import LoginLogArchive, months_before
from hub.ops.worker import Worker
from hub.store.database import Store
from tests.outgoing import code_for, enqueue, make_outbox
from tests.servers.waiting import until
from tests.signing_in import execute, rows

Start = Callable[[], AsyncExitStack]
OLD_CODE = (
    "INSERT INTO verification_codes (channel, address, purpose, code_hash, expires_at, created_at)"
    " VALUES ('email', 'li@example.com', 'login', 'h', :at, :at)"
)
OLD_LOG = (
    "INSERT INTO login_logs (account, login_method, login_status, created_at)"
    " VALUES ('li@example.com', 'email_code', 'success', :at)"
)


@pytest.fixture
def outbox(store: Store) -> Outbox:
    """An outbox of both kinds."""
    return make_outbox(store)


@pytest.fixture
async def worker(store: Store, outbox: Outbox, tmp_path: Path) -> AsyncIterator[Worker]:
    """A worker with the console, not yet started; stopped with the test."""
    dispatcher = Dispatcher(store, outbox, {"sms": [ConsoleSender()], "email": [ConsoleSender()]})
    worker = Worker(store, outbox, dispatcher, LoginLogArchive(store, tmp_path / "archive"))
    yield worker
    await worker.stop()


async def test_it_sends_cleans_and_archives(
    store: Store, database_url: str, outbox: Outbox, worker: Worker, tmp_path: Path
) -> None:
    """All of it begins at once, and stops in order."""
    for sql in (OLD_CODE, OLD_LOG):
        await execute(database_url, sql, at=months_before(store.now(), 7))
    await enqueue(store, outbox, code_for(store))
    await worker.start()

    async def done() -> bool:
        left = "SELECT id FROM verification_codes UNION ALL SELECT id FROM login_logs"
        return bool(await outbox.kept("console")) and not await rows(database_url, left)

    await until(done)
    await worker.stop()
    assert _files(tmp_path / "archive") == 1


async def test_a_folder_that_cannot_be_written_stops_nothing(
    store: Store, database_url: str, outbox: Outbox, worker: Worker, tmp_path: Path
) -> None:
    """The login log stays in the table, the error is told, and messages go out."""
    _occupy(tmp_path / "archive")
    await execute(database_url, OLD_LOG, at=months_before(store.now(), 7))
    with capture_logs() as lines:
        await worker.start()
        await enqueue(store, outbox, code_for(store))

        async def done() -> bool:
            told = any(line["event"] == "housekeeping_failed" for line in lines)
            return told and bool(await outbox.kept("console"))

        await until(done)
    assert len(await rows(database_url, "SELECT id FROM login_logs")) == 1


async def test_it_goes_on_when_the_database_is_back(store: Store, outbox: Outbox, worker: Worker) -> None:
    """While there is none it says so and waits; what was queued before then goes out."""
    await enqueue(store, outbox, code_for(store), code_for(store, "li@example.com"))
    await store.stop()
    with capture_logs() as lines:
        await worker.start()

        async def told() -> bool:
            return {"outbox_not_read", "outbox_not_measured", "housekeeping_failed"} <= {
                line["event"] for line in lines
            }

        await until(told)
    await store.start()

    async def sent() -> bool:
        return len(await outbox.kept("console")) == 2

    await until(sent)


def _files(folder: Path) -> int:
    return len(list(folder.glob("*.jsonl.gz")))


def _occupy(path: Path) -> None:
    path.write_text("not a folder")
