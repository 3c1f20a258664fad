"""MySQL and MariaDB through aiomysql: options, statements, and what its errors mean."""

import re
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

from pymysql import err
from pymysql.constants import CLIENT, CR, ER

from hub.store.failures import Contended, LinkLost, PostFailed, QueryFailed, Refused, UniqueViolation
from hub.store.links import Outcome, Row
from hub.store.queries import Bound
from hub.store.results import Result, StatementFailed, ask


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
        # Of whole tables too, which backups and changes of the schema lock; by default a day.
        session.append("lock_wait_timeout = 3")
        # A statement that nobody waits for keeps its locks. Each comment is code to one of the two servers.
        session[-1] += f" /*M!100500 , max_statement_time = {statement_limit:g} */"
        session[-1] += f" /*!80000 , max_execution_time = {statement_limit * 1000:.0f} */"
    return {
        "min_size": 1,
        "max_size": 1,
        "charset": "utf8mb4",
        "client_flag": CLIENT.FOUND_ROWS,  # an UPDATE counts the rows it matched, as on SQLite
        "init_command": f"SET {', '.join(session)}; SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
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
    ER.TABLEACCESS_DENIED_ERROR,
    ER.COLUMNACCESS_DENIED_ERROR,
    ER.BAD_DB_ERROR,
    ER.UNKNOWN_COM_ERROR,  # Galera: the node is not ready for queries
    ER.SERVER_SHUTDOWN,
    ER.NORMAL_SHUTDOWN,
    ER.DISK_FULL,
    ER.RECORD_FILE_FULL,
    ER.ERROR_ON_WRITE,
    ER.ERROR_DURING_COMMIT,
    ER.GET_ERRNO,  # the storage engine's own: the file system has said no
    ER.LOCK_TABLE_FULL,
    ER.OUTOFMEMORY,
    ER.OUT_OF_RESOURCES,
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


_BEGIN, _COMMIT = Bound("BEGIN", "BEGIN", ()), Bound("COMMIT", "COMMIT", ())


class MySQLLink:
    """One aiomysql connection; *release* gives it back to where it came from."""

    def __init__(self, raw: Any, release: Callable[[], Awaitable[None]]) -> None:
        self._raw = raw
        self._release = release
        self._released = False
        self._posted: list[Bound] = []  # they travel with the next statement, BEGIN too

    @property
    def alive(self) -> bool:
        # aiomysql's own pool looks at its reader too: a server that hung up has sent end-of-file by now.
        raw = self._raw
        return not (raw.closed or raw._reader.at_eof() or raw._reader.exception())

    async def fetch(self, bound: Bound) -> list[Row]:
        result = await self._ask(bound)
        columns = result.columns or ()
        return [dict(zip(columns, row, strict=True)) for row in result.rows]

    async def execute(self, bound: Bound) -> Outcome:
        result = await self._ask(bound)
        return Outcome(result.affected_rows, result.insert_id)

    async def post(self, bound: Bound) -> None:
        bound.sql.encode()  # raises for half a surrogate pair, before anything is sent
        self._posted.append(bound)

    async def begin(self) -> None:
        self._posted = [_BEGIN]

    async def commit(self) -> None:
        if self._posted == [_BEGIN]:
            self._posted = []  # nothing was done
        else:
            await self._ask(_COMMIT)

    async def rollback(self) -> None:
        posted, self._posted = self._posted, []
        if _BEGIN not in posted:
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

    async def _ask(self, bound: Bound) -> Result:
        encoded = [statement.sql.encode() for statement in (*self._posted, bound)]  # may raise, as in `post`
        statements, self._posted = [*self._posted, bound], []
        try:
            return await ask(self._raw, encoded)
        except StatementFailed as failed:
            try:
                self._fail(failed.error, statements[failed.number].name)
            except (UniqueViolation, QueryFailed) as failure:
                if statements[failed.number] is bound:
                    raise
                raise PostFailed(failure) from None
        except ERRORS as error:
            self._fail(error, bound.name)

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
