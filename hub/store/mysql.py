"""MySQL and MariaDB through aiomysql: options, statements, and what its errors mean."""

import re
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

from aiomysql import Cursor
from pymysql import err
from pymysql.constants import CLIENT, CR, ER, FIELD_TYPE
from pymysql.converters import decoders

from hub.store.failures import Contended, LinkLost, QueryFailed, Refused, UniqueViolation
from hub.store.links import Outcome, Row
from hub.store.queries import Bound, read_time


def _number(text: str) -> int | float:
    """SUM() of integers is a DECIMAL here and an integer on SQLite."""
    return float(text) if "." in text else int(text)


class _Cursor(Cursor):  # type: ignore[misc]  # aiomysql has no types
    """A cursor that does not fetch the server's warnings, which an INSERT IGNORE has by its nature."""

    async def _show_warnings(self, conn: object) -> None:
        return


def options(statement_limit: float | None) -> dict[str, Any]:
    """What `databases` hands on to aiomysql; the server too keeps to *statement_limit* (seconds)."""
    session = [
        "time_zone = '+00:00'",
        "sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,"
        "ONLY_FULL_GROUP_BY,NO_ENGINE_SUBSTITUTION'",
        "wait_timeout = 3600",  # the hub lets go of idle connections much earlier
        "innodb_lock_wait_timeout = 3",
    ]
    if statement_limit:
        # A statement that nobody waits for keeps its locks. Each comment is code to one of the two servers.
        session[-1] += f" /*M!100500 , max_statement_time = {statement_limit:g} */"
        session[-1] += f" /*!80000 , max_execution_time = {statement_limit * 1000:.0f} */"
    return {
        "min_size": 1,
        "max_size": 1,
        "charset": "utf8mb4",
        "client_flag": CLIENT.FOUND_ROWS,  # an UPDATE counts the rows it matched, as on SQLite
        "cursorclass": _Cursor,
        "init_command": f"SET {', '.join(session)}; SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
        "conv": _DECODERS,
    }


_DECODERS = decoders | {
    FIELD_TYPE.DATETIME: read_time,
    FIELD_TYPE.TIMESTAMP: read_time,
    FIELD_TYPE.DATE: None,
    FIELD_TYPE.DECIMAL: _number,
    FIELD_TYPE.NEWDECIMAL: _number,
}

# A closed transport shows as OSError, as RuntimeError (uvloop) or as a missing reader (AttributeError).
ERRORS = (err.MySQLError, OSError, EOFError, RuntimeError, AttributeError)
_CONTENDED = {ER.LOCK_DEADLOCK, ER.LOCK_WAIT_TIMEOUT, ER.CHECKREAD}
_LOST = {
    CR.CR_SERVER_GONE_ERROR,
    CR.CR_SERVER_LOST,
    CR.CR_SERVER_LOST_EXTENDED,
    1927,  # MariaDB: connection was killed
    4031,  # MySQL: disconnected by the server because of inactivity
}
_REFUSED = {
    CR.CR_CONNECTION_ERROR,
    CR.CR_CONN_HOST_ERROR,
    ER.CON_COUNT_ERROR,
    ER.DBACCESS_DENIED_ERROR,
    ER.ACCESS_DENIED_ERROR,
    ER.BAD_DB_ERROR,
    ER.UNKNOWN_COM_ERROR,  # Galera: the node is not ready for queries
    ER.SERVER_SHUTDOWN,
    ER.NORMAL_SHUTDOWN,
    ER.DISK_FULL,
    ER.RECORD_FILE_FULL,
    ER.TOO_MANY_USER_CONNECTIONS,
    ER.USER_LIMIT_REACHED,
    ER.OPTION_PREVENTS_STATEMENT,  # the server is read-only
    ER.QUERY_INTERRUPTED,
    1792,  # read-only transaction
    1836,  # MySQL: running in read-only mode
    1969,  # MariaDB: max_statement_time exceeded
    3024,  # MySQL: max_execution_time exceeded
}
_DUPLICATE_KEY = re.compile(r"for key '(?:.*\.)?([^'.]+)'")


class MySQLLink:
    """One connection and the cursor it keeps for its whole life."""

    def __init__(self, raw: Any, release: Callable[[], Awaitable[None]], cursor: Any) -> None:
        self._raw = raw
        self._release = release
        self._cursor = cursor
        self._begins = False
        self._released = False

    @classmethod
    async def of(cls, raw: Any, release: Callable[[], Awaitable[None]]) -> "MySQLLink":
        """Wrap an open aiomysql connection; *release* gives it back to where it came from."""
        return cls(raw, release, await raw.cursor())

    @property
    def alive(self) -> bool:
        # aiomysql's own pool looks at its reader too: a server that hung up has sent end-of-file by now.
        raw = self._raw
        return not (raw.closed or raw._reader.at_eof() or raw._reader.exception())

    async def fetch(self, bound: Bound) -> list[Row]:
        cursor = await self._send(bound)
        columns = [column[0] for column in cursor.description]
        return [dict(zip(columns, row, strict=True)) for row in await cursor.fetchall()]

    async def execute(self, bound: Bound) -> Outcome:
        cursor = await self._send(bound)
        return Outcome(cursor.rowcount, cursor.lastrowid)

    async def begin(self) -> None:
        self._begins = True  # BEGIN travels with the first statement

    async def commit(self) -> None:
        if self._begins:
            self._begins = False
        else:
            await self._command(self._raw.commit, "COMMIT")

    async def rollback(self) -> None:
        if self._begins:
            self._begins = False
        else:
            await self._command(self._raw.rollback, "ROLLBACK")

    async def ping(self) -> None:
        await self._command(lambda: self._raw.ping(reconnect=False), "ping")

    async def close(self) -> None:
        try:
            await self._raw.ensure_closed()
        except ERRORS as error:
            self._fail(error, "close")
        finally:
            await self.abandon()

    async def abandon(self) -> None:
        self._raw.close()
        if not self._released:
            self._released = True
            await self._release()

    async def _send(self, bound: Bound) -> Any:
        cursor, sql = self._cursor, bound.sql.encode()
        try:
            if self._begins:
                self._begins = False
                await cursor.execute(b"BEGIN;" + sql)
                await cursor.nextset()
            else:
                await cursor.execute(sql)
        except ERRORS as error:
            self._fail(error, bound.name)
        return cursor

    async def _command(self, send: Callable[[], Awaitable[None]], name: str) -> None:
        try:
            await send()
        except ERRORS as error:
            self._fail(error, name)

    def _fail(self, error: Exception, name: str) -> NoReturn:
        failure = failure_of(error, name)
        if isinstance(failure, LinkLost):
            self._raw.close()
        if isinstance(failure, UniqueViolation):
            raise failure from None  # the driver's text holds the number or the address
        raise failure from error


def failure_of(error: Exception, name: str) -> Exception:
    """Say what an error of the driver means; *name* is the statement it met."""
    if not isinstance(error, err.MySQLError):
        return LinkLost(f"{name}: {error!r}")
    code = error.args[0] if error.args else None
    text = f"{name}: {error}"
    if code == ER.DUP_ENTRY:
        key = _DUPLICATE_KEY.search(str(error.args[1]))
        return UniqueViolation(key[1] if key else "")
    if code in _CONTENDED:
        return Contended(text)
    if code in _REFUSED:
        return Refused(text)
    if code in _LOST or not isinstance(code, int) or isinstance(error, err.InterfaceError):
        return LinkLost(text)
    return QueryFailed(text)
