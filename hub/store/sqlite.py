"""SQLite through aiosqlite: options, statements, and what its errors mean.

Each statement outside `begin` commits by itself, and each costs one hop to the connection's thread.
"""

import contextlib
import sqlite3
from typing import Any, NoReturn

from hub.store.failures import Contended, LinkLost, PostFailed, QueryFailed, Refused, UniqueViolation
from hub.store.links import Outcome, Row
from hub.store.queries import Bound, read_time

OPTIONS: dict[str, Any] = {
    "timeout": 2.0,  # seconds it waits for another process by itself; the store tries again after that
    "detect_types": sqlite3.PARSE_DECLTYPES,
    "cached_statements": 512,
}
sqlite3.register_converter("DATETIME", lambda text: read_time(text.decode()))

ERRORS = (sqlite3.Error, ValueError)
_UNIQUE = {sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY}
_CONTENDED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_REFUSED = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_AUTH,
}


class SQLiteLink:
    """One connection with its thread."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self.alive = True

    @classmethod
    async def of(cls, raw: Any, *, writes: bool) -> "SQLiteLink":
        """Wrap an open aiosqlite connection and set it up; one that does not write cannot."""
        raw.row_factory = _row
        link = cls(raw)
        try:
            for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON"):
                await link.fetch(Bound("pragma", f"PRAGMA {pragma}", ()))
            if not writes:
                await link.fetch(Bound("pragma", "PRAGMA query_only = ON", ()))
        except BaseException:
            await link.abandon()
            raise
        return link

    async def fetch(self, bound: Bound) -> list[Row]:
        try:
            rows: list[Row] = await self._raw.execute_fetchall(bound.sql, bound.values)
        except ERRORS as error:
            self._fail(error, bound.name)
        return rows

    async def execute(self, bound: Bound) -> Outcome:
        try:
            cursor = await self._raw.execute(bound.sql, bound.values)
        except ERRORS as error:
            self._fail(error, bound.name)
        # lastrowid keeps the id of an earlier INSERT when this one was ignored.
        return Outcome(cursor.rowcount, cursor.lastrowid if cursor.rowcount else 0)

    async def post(self, bound: Bound) -> None:
        try:
            await self.execute(bound)
        except (UniqueViolation, QueryFailed) as failure:
            raise PostFailed(failure) from None

    async def begin(self) -> None:
        # IMMEDIATE takes the writer's place at once; a later upgrade of a reader could only fail.
        await self._command("BEGIN IMMEDIATE")

    async def commit(self) -> None:
        await self._command("COMMIT")

    async def rollback(self) -> None:
        # SQLite has rolled back by itself after some errors, a full disk for one.
        if self._raw.in_transaction:
            await self._command("ROLLBACK")

    async def ping(self) -> None:
        await self._command("SELECT 1")

    async def close(self) -> None:
        if self.alive:
            self.alive = False
            await self._raw.close()

    async def abandon(self) -> None:
        if not self.alive:
            return
        self.alive = False
        with contextlib.suppress(ValueError):  # it is closed
            await self._raw.interrupt()
        # An interrupted statement ends at once, one that waits for another process when its time is over.
        await self._raw.stop()

    async def _command(self, sql: str) -> None:
        try:
            await self._raw.execute_fetchall(sql)
        except ERRORS as error:
            self._fail(error, sql)

    def _fail(self, error: Exception, name: str) -> NoReturn:
        failure = failure_of(error, name)
        if failure is error or isinstance(failure, UniqueViolation):
            raise failure from None
        raise failure from error


def failure_of(error: Exception, name: str) -> Exception:
    """Say what an error of the driver means; *name* is the statement it met."""
    if isinstance(error, UnicodeError):
        return error
    text = f"{name}: {error}"
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return LinkLost(text)  # "no active connection", "cannot operate on a closed database"
    if code in _UNIQUE:
        # "UNIQUE constraint failed: users.phone, users.email"
        columns = [column.split(".") for column in str(error).partition(": ")[2].split(", ")]
        return UniqueViolation("_".join([columns[0][0], *(column[-1] for column in columns)]))
    if code & 0xFF in _CONTENDED:
        return Contended(text)
    if code & 0xFF in _REFUSED:
        return Refused(text)
    return QueryFailed(text)


def _row(cursor: sqlite3.Cursor, values: tuple[Any, ...]) -> Row:
    return {column[0]: value for column, value in zip(cursor.description, values, strict=True)}
