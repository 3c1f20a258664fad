"""The archive of the login log, on both engines: each row is in the table or in a file, once."""

import asyncio
import errno
import gzip
import json
import os
from collections import Counter
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from hub.ops.archive import BATCH, LoginLogArchive, months_before
from hub.store.database import Store
from tests.signing_in import execute, make_user, rows

ROW = (
    "INSERT INTO login_logs (user_id, account, login_method, login_status, failure_reason, risk, ip_address,"
    " device_name, created_at) VALUES (:user_id, 'li@example.com', 'sms_code', :login_status,"
    " :failure_reason, :risk, '192.0.2.7', '小米', :created_at)"
)


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """A folder for archives that does not exist yet."""
    return tmp_path / "archive"


@pytest.fixture
def logs(store: Store, shelf: Path) -> LoginLogArchive:
    """The archive in that folder."""
    return LoginLogArchive(store, shelf)


def never() -> bool:
    """Nobody asks the worker to stop."""
    return False


async def log(store: Store, url: str, at: datetime, status: str = "success", user: int | None = None) -> None:
    """Add a row of the login log."""
    reason = None if status == "success" else "invalid_code"
    risk = json.dumps({"new_device": True}) if status == "failed" else None
    await execute(
        url, ROW, user_id=user, login_status=status, failure_reason=reason, risk=risk, created_at=at
    )


async def fill(url: str, at: datetime, doublings: int) -> None:
    """Add 2 to the power of *doublings* rows."""
    await execute(
        url, ROW, user_id=None, login_status="success", failure_reason=None, risk=None, created_at=at
    )
    for _ in range(doublings):
        await execute(
            url,
            "INSERT INTO login_logs (account, login_method, login_status, created_at)"
            " SELECT account, login_method, login_status, created_at FROM login_logs",
        )


def archived(shelf: Path) -> list[dict[str, Any]]:
    """All lines of all files."""
    lines = []
    for file in sorted(shelf.glob("*.jsonl.gz")):
        lines += [json.loads(line) for line in gzip.decompress(file.read_bytes()).decode().splitlines()]
    return lines


def names(shelf: Path) -> set[str]:
    """The names of all files."""
    return {file.name for file in shelf.glob("*")}


def mode(folder: Path) -> int:
    """Who may do what in the folder."""
    return folder.stat().st_mode & 0o777


async def left(url: str) -> list[int]:
    """The ids that are still in the table."""
    return [row["id"] for row in await rows(url, "SELECT id FROM login_logs ORDER BY id")]


async def test_the_folder_is_its_owners(
    store: Store, database_url: str, shelf: Path, logs: LoginLogArchive
) -> None:
    """The files hold whole numbers and addresses, which are not for everybody on the machine."""
    await log(store, database_url, store.now() - timedelta(days=400))
    assert await logs.run(never) == 1
    assert mode(shelf) == 0o700


async def test_rows_older_than_six_months_move_to_their_months_file(
    store: Store, database_url: str, logs: LoginLogArchive, shelf: Path
) -> None:
    """Every column is kept, readable without the hub; younger rows stay."""
    user = (await make_user(store))["id"]
    old = months_before(store.now(), 6) - timedelta(minutes=1)
    older = months_before(store.now(), 9)
    await log(store, database_url, old, "failed", user)
    await log(store, database_url, older, "blocked")
    await log(store, database_url, months_before(store.now(), 6) + timedelta(minutes=1))
    assert await logs.run(never) == 2
    assert await left(database_url) == [3]
    files = {f"login_logs-{at:%Y-%m}.jsonl.gz" for at in (old, older)}
    assert names(shelf) == files | {"login_logs.lock"}
    first = next(line for line in archived(shelf) if line["id"] == 1)
    assert first == {
        "id": 1,
        "user_id": user,
        "account": "li@example.com",
        "login_method": "sms_code",
        "login_status": "failed",
        "failure_reason": "invalid_code",
        "risk": {"new_device": True},
        "ip_address": "192.0.2.7",
        "device_type": None,
        "device_name": "小米",
        "user_agent": None,
        "location": None,
        "created_at": old.isoformat(timespec="milliseconds"),
    }


async def test_a_young_log_leaves_no_trace(
    store: Store, database_url: str, logs: LoginLogArchive, shelf: Path
) -> None:
    """Where nothing is due, not even the folder is made."""
    await log(store, database_url, store.now())
    assert await logs.run(never) == 0
    assert names(shelf) == set()


async def test_a_months_file_grows(
    store: Store, database_url: str, logs: LoginLogArchive, shelf: Path
) -> None:
    """What comes of age later is added to the same file."""
    at = months_before(store.now(), 7)
    for _ in range(2):
        await log(store, database_url, at)
        assert await logs.run(never) == 1
    assert [line["id"] for line in archived(shelf)] == [1, 2]
    assert names(shelf) == {f"login_logs-{at:%Y-%m}.jsonl.gz", "login_logs.lock"}


async def test_many_rows_move_in_batches(
    store: Store, database_url: str, logs: LoginLogArchive, shelf: Path
) -> None:
    """More than two batches: each row once, none left."""
    await fill(database_url, months_before(store.now(), 7), 11)
    assert await logs.run(never) == 2048 > 2 * BATCH
    assert await left(database_url) == []
    assert Counter(line["id"] for line in archived(shelf)).most_common(1)[0][1] == 1
    assert len(archived(shelf)) == 2048


async def test_a_worker_that_is_told_to_stop_ends_after_the_batch(
    store: Store, database_url: str, logs: LoginLogArchive, shelf: Path
) -> None:
    """The next run goes on where it ended."""
    await fill(database_url, months_before(store.now(), 7), 11)
    asked = iter([False, True])
    assert await logs.run(lambda: next(asked)) == BATCH
    assert len(await left(database_url)) == 2048 - BATCH == len(set(await left(database_url)))
    assert await logs.run(never) == 2048 - BATCH
    assert len({line["id"] for line in archived(shelf)}) == 2048 == len(archived(shelf))


@pytest.mark.parametrize("moment", range(1, 9))
async def test_a_failing_disk_loses_and_doubles_nothing(
    store: Store,
    database_url: str,
    logs: LoginLogArchive,
    shelf: Path,
    moment: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whichever sync fails, before, within or after the removal: the next worker puts it right."""
    await fill(database_url, months_before(store.now(), 7), 4)
    await log(store, database_url, months_before(store.now(), 8))
    ids = await left(database_url)
    calls = count(1)
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if next(calls) == moment:
            raise OSError(errno.ENOSPC, "no space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="no space"):
        await logs.run(never)
    await LoginLogArchive(store, shelf).run(never)
    assert await left(database_url) == []
    assert sorted(line["id"] for line in archived(shelf)) == ids
    assert "login_logs.journal" not in names(shelf)


async def test_a_worker_that_dies_after_the_removal_keeps_the_batch(
    store: Store, database_url: str, logs: LoginLogArchive, shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal is still there, the rows are gone: what was appended stays."""
    await fill(database_url, months_before(store.now(), 7), 4)
    await log(store, database_url, months_before(store.now(), 8))
    ids = await left(database_url)

    def unlink(path: Path, missing_ok: bool = False) -> None:
        raise OSError(errno.EROFS, "read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", unlink)
        with pytest.raises(OSError, match="read-only"):
            await logs.run(never)
    assert "login_logs.journal" in names(shelf)
    assert len(await left(database_url)) < len(ids)
    await LoginLogArchive(store, shelf).run(never)
    assert sorted(line["id"] for line in archived(shelf)) == ids


async def test_two_workers_with_one_folder_archive_each_row_once(
    store: Store, database_url: str, shelf: Path
) -> None:
    """One holds the folder, the other leaves it alone."""
    await fill(database_url, months_before(store.now(), 7), 11)
    moved = await asyncio.gather(*(LoginLogArchive(store, shelf).run(never) for _ in range(3)))
    assert sum(moved) == 2048
    assert await left(database_url) == []
    assert len({line["id"] for line in archived(shelf)}) == 2048 == len(archived(shelf))


async def test_two_workers_with_two_folders_archive_each_row_once(
    store: Store, database_url: str, tmp_path: Path
) -> None:
    """Machines that share no disk: whoever removes the rows keeps the batch, the other takes it back."""
    await fill(database_url, months_before(store.now(), 7), 11)
    folders = [tmp_path / name for name in ("one", "two", "three")]
    moved = await asyncio.gather(*(LoginLogArchive(store, folder).run(never) for folder in folders))
    assert sum(moved) == 2048
    lines = [line["id"] for folder in folders for line in archived(folder)]
    assert len(set(lines)) == 2048 == len(lines)
