"""The archive of the login log: `login_logs-YYYY-MM.jsonl.gz`, one gzip member per batch.

A batch is appended and synced first, and only then removed from the table, in one transaction. A journal
beside the files says what was under way, so that a batch whose rows were not removed is cut off again after a
crash: each row is in the table or in the archive, once. Of the workers that share the folder one archives at
a time; of those that do not, the removal decides whose batch it was.
"""

import asyncio
import fcntl
import gzip
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import structlog
from prometheus_client import Counter

from hub.store.database import Connection, Row, Store

log = structlog.stdlib.get_logger("hub.worker")

ARCHIVED = Counter("hub_worker_archived_total", "Rows of the login log that were archived.")

BATCH: Final = 1000
MONTHS: Final = 6
_STATUSES: Final = ("success", "failed", "blocked")

T = TypeVar("T")


class _Overtaken(Exception):
    """Another worker has removed some of these rows."""


class _Entry(NamedTuple):
    """What the journal says: the file, its size before the batch, and one row of the batch."""

    file: str
    size: int
    row: int


class LoginLogArchive:
    """Moves the login log's rows that are older than MONTHS months to files in *folder*."""

    def __init__(self, store: Store, folder: Path) -> None:
        self._store = store
        self._folder = folder
        self._journal = folder / "login_logs.journal"

    async def run(self, stopping: Callable[[], bool]) -> int:
        """Archive what is due, until *stopping* says so, and return how many rows that were."""
        before = months_before(self._store.now(), MONTHS)
        if not await self._due(before, 1):
            return 0
        moved = 0
        with self._alone() as alone:
            if not alone:
                return 0
            await self._recover()
            while not stopping() and (rows := await self._due(before, BATCH)):
                for month, batch in groupby(rows, key=_month):
                    moved += await self._move(month, list(batch))
        if moved:
            log.info("login_log_archived", rows=moved)
        return moved

    async def _due(self, before: datetime, limit: int) -> list[Row]:
        for status in _STATUSES:
            rows = await self._store.all(
                "worker.old_logs", login_status=status, created_at=before, limit=limit
            )
            if rows:
                return rows
        return []

    async def _move(self, month: str, rows: Sequence[Row]) -> int:
        """Append, sync, remove. Without the removal, the file is as before."""
        file = self._folder / f"login_logs-{month}.jsonl.gz"
        ids = [row["id"] for row in rows]
        size = file.stat().st_size if file.exists() else 0
        await _in_thread(lambda: self._note(_Entry(file.name, size, ids[0])))
        await _in_thread(lambda: _append(file, rows))

        async def removal(tx: Connection) -> None:
            if await tx.changed("worker.remove_logs", id=ids) != len(ids):
                raise _Overtaken

        moved = len(ids)
        try:
            await self._store.write(removal)
        except _Overtaken:
            await _in_thread(lambda: _cut(file, size))
            moved = 0
        await _in_thread(self._forget)
        ARCHIVED.inc(moved)
        return moved

    async def _recover(self) -> None:
        """End what a worker that died had begun."""
        if not self._journal.exists():
            return
        entry = _Entry(**json.loads(self._journal.read_text("utf-8")))
        if await self._store.one("worker.log_exists", id=entry.row):
            await _in_thread(lambda: _cut(self._folder / entry.file, entry.size))
        await _in_thread(self._forget)
        log.warning("archive_recovered", file=entry.file)

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        """Hold the folder's lock; False where another worker has it."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # full numbers and addresses are in it
        with (self._folder / "login_logs.lock").open("ab") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True

    def _note(self, entry: _Entry) -> None:
        new = self._journal.with_suffix(".new")
        with new.open("w", encoding="utf-8") as file:
            json.dump(entry._asdict(), file)
            _sync(file.fileno())
        new.replace(self._journal)
        self._sync_folder()

    def _forget(self) -> None:
        self._journal.unlink()
        self._sync_folder()

    def _sync_folder(self) -> None:
        descriptor = os.open(self._folder, os.O_RDONLY)
        try:
            _sync(descriptor)
        finally:
            os.close(descriptor)


def months_before(now: datetime, months: int) -> datetime:
    """Return the same moment *months* earlier, on the month's last day where it has no such day."""
    year, month = divmod(now.year * 12 + now.month - 1 - months, 12)
    for day in range(now.day, 27, -1):
        try:
            return now.replace(year=year, month=month + 1, day=day)
        except ValueError:
            continue
    return now.replace(year=year, month=month + 1)


def _month(row: Row) -> str:
    return f"{row['created_at']:%Y-%m}"


def _line(row: Row) -> str:
    risk: Any = json.loads(row["risk"]) if row["risk"] is not None else None
    at = row["created_at"].isoformat(timespec="milliseconds")
    return json.dumps({**row, "risk": risk, "created_at": at}, ensure_ascii=False)


def _append(path: Path, rows: Sequence[Row]) -> None:
    text = "".join(f"{_line(row)}\n" for row in rows)
    with path.open("ab") as file:
        file.write(gzip.compress(text.encode()))
        file.flush()
        _sync(file.fileno())


def _cut(path: Path, size: int) -> None:
    if path.exists():
        with path.open("r+b") as file:
            file.truncate(min(size, path.stat().st_size))
            _sync(file.fileno())


def _sync(descriptor: int) -> None:
    os.fsync(descriptor)


async def _in_thread(work: Callable[[], T]) -> T:
    """Run *work* off the loop and to its end: a cancelled caller must not give the lock back before."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
