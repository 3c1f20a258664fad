"""The store: named queries and units of work on SQLite or MySQL, safe under cancellation and outages.

A unit of work is a function that gets a `Connection`; it is run by a worker that owns the connection, never
by the caller. Services change state by one conditional UPDATE, first in its transaction, and look at
`changed()`.
"""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeVar

import databases
import structlog

from hub.assets import folder
from hub.errors import StoreUnavailable
from hub.resolver import resolve
from hub.store import mysql, sqlite
from hub.store.connection import Connection, in_transaction, reading
from hub.store.failures import QueryFailed, Refused, UniqueViolation
from hub.store.links import Link, Outcome, Row
from hub.store.location import Location
from hub.store.queries import Bound, Engine, Queries
from hub.store.workers import Lane
from hub.ticks import until_tick

__all__ = ["Connection", "QueryFailed", "Row", "Store", "UniqueViolation", "connect"]

log = structlog.stdlib.get_logger("hub.store")
logging.getLogger("databases").setLevel(logging.WARNING)  # it tells of each connection it opens

_SQLITE_READERS = 4
_HOUSEKEEPING = 5.0
_IDLE = 600.0
_SET_BY = 1.0  # seconds; a clock that is set right by less goes as it should
_SET_LATELY = 60.0
_TICK = 0.001  # seconds that the database's answer leaves out
_FOLDED = """
    SELECT DISTINCT c.table_name AS table_name, c.column_name AS column_name
    FROM information_schema.columns c
    JOIN information_schema.statistics s
      ON s.table_schema = c.table_schema AND s.table_name = c.table_name AND s.column_name = c.column_name
    WHERE c.table_schema = DATABASE() AND c.collation_name IS NOT NULL AND c.collation_name NOT LIKE '%\\_bin'
    AND c.column_name <> 'nickname'
"""

T = TypeVar("T")


async def connect(location: Location, *, writes: bool = True, statement_limit: float | None = None) -> Link:
    """Open one connection. Raises LinkLost or Refused."""
    if location.path and not location.path.parent.is_dir():
        raise Refused(f"the folder {location.path.parent} does not exist")
    driver = mysql if location.engine == "mysql" else sqlite
    options = mysql.options(statement_limit) if location.engine == "mysql" else sqlite.OPTIONS
    # One object per connection: a pool that several share would let one stuck connection hold up the others.
    database = databases.Database(location.url, **options)
    try:
        if location.host:
            await resolve(location.host)
        await database.connect()
        connection = await database.connection().__aenter__()
    except driver.ERRORS as error:
        failure = driver.failure_of(error, "connect")
        raise (Refused(str(failure)) if isinstance(failure, QueryFailed) else failure) from error
    raw = connection.raw_connection
    if location.engine == "sqlite":
        return await sqlite.SQLiteLink.of(raw, writes=writes)

    async def release() -> None:
        await connection.__aexit__()
        await database.disconnect()

    return mysql.MySQLLink(raw, release)


class Store:
    """The database at *url*: `sqlite:///path` or `mysql://user:password@host:port/name`.

    *connections* is the most it opens (SQLite: one writer and up to four readers), *wait* the seconds a unit
    waits for one, *statement_limit* the seconds a unit may hold it. Its methods raise StoreUnavailable when
    the database is away; the caller's cancellation never cancels a unit that has begun. Raises ValueError for
    a wrong *url*.
    """

    def __init__(
        self, url: str, *, connections: int = 20, wait: float = 3.0, statement_limit: float = 10.0
    ) -> None:
        self._location = Location.parse(url)
        self.engine: Engine = self._location.engine

        def lane(name: str, size: int, *, writes: bool) -> Lane:
            open_link = partial(connect, self._location, writes=writes, statement_limit=statement_limit)
            return Lane(name, open_link, size=size, wait=wait, limit=statement_limit)

        if self.engine == "mysql":
            self._writing = self._reading = lane("all", connections, writes=True)
        else:
            self._writing = lane("write", 1, writes=True)
            self._reading = lane("read", min(connections, _SQLITE_READERS), writes=False)
        self._queries = Queries({})
        self._ahead = time.time() - time.monotonic()  # of the database's clock, before our monotonic one
        self._uncertain = math.inf  # seconds by which that may be wrong
        self._set_by = timedelta(0)
        self._set_at = -_SET_LATELY  # by our monotonic one
        self._housekeeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Load the queries, connect and read the database's clock.

        Raises StoreUnavailable, or RuntimeError where what is looked up does not compare by its bytes.
        """
        self._queries = Queries.load(folder("sql") / "queries", self.engine)
        for lane in {self._writing, self._reading}:
            lane.start()
        try:
            self._ahead, self._uncertain = await self._measure_clock()
            await self._reading.submit(self._check_collations, repeatable=True)
        except BaseException:
            await self.stop()
            raise
        self._housekeeper = asyncio.create_task(self._keep_house())

    async def stop(self) -> None:
        """Let the units that have begun end, then close every connection."""
        if self._housekeeper:
            self._housekeeper.cancel()
            await asyncio.wait([self._housekeeper])
            self._housekeeper = None
        for lane in {self._writing, self._reading}:
            await lane.stop()

    def now(self) -> datetime:
        """Return the database's time, to the millisecond; sampled now and then, so it costs no I/O."""
        return datetime.fromtimestamp(int(self.clock() * 1000) / 1000, UTC)

    def clock(self) -> float:
        """Return the database's time in seconds since 1970, for timers."""
        return self._ahead + time.monotonic()

    def times(self) -> tuple[datetime, ...]:
        """Return the database's time, and where its clock was set lately, also what it would be without that.

        What another process has written may be of either.
        """
        now = self.now()
        lately = time.monotonic() < self._set_at + _SET_LATELY
        return (now, now - self._set_by) if lately else (now,)

    async def read_clock(self) -> None:
        """Sample the database's time now. Raises StoreUnavailable."""
        ahead, uncertain = await self._measure_clock()
        off = ahead - self._ahead
        if uncertain >= self._uncertain and abs(off) <= uncertain + self._uncertain:
            return  # it says the same, and no better
        self._ahead, self._uncertain = ahead, uncertain
        if abs(off) > _SET_BY:
            self._set_by, self._set_at = timedelta(seconds=off), time.monotonic()
            log.warning("database_clock_set", seconds=round(off, 3))

    async def write(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Run *work* in one transaction: commit when it returns, roll back when it raises.

        It is run again after a deadlock (up to five times) or a lost connection (once), so it must have no
        other effect.
        """
        return await self._writing.submit(
            lambda link: in_transaction(link, self._queries, work), repeatable=True
        )

    async def read(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Run *work*, several reads on one connection, each of which sees what is committed by then."""
        return await self._reading.submit(lambda link: reading(link, self._queries, work), repeatable=True)

    async def one(self, query: str, /, **values: object) -> Row | None:
        """Run one SELECT and return its first row, or None."""
        rows = await self.all(query, **values)
        return rows[0] if rows else None

    async def all(self, query: str, /, **values: object) -> list[Row]:
        """Run one SELECT and return its rows."""
        bound = self._queries.reading(query, values)
        return await self._reading.submit(lambda link: link.fetch(bound), repeatable=True)

    async def changed(self, query: str, /, **values: object) -> int:
        """Run one UPDATE, DELETE or INSERT as its own transaction; otherwise as `Connection.changed`."""
        return (await self._execute(query, values)).changed

    async def insert(self, query: str, /, **values: object) -> int:
        """Run one INSERT as its own transaction; otherwise as `Connection.insert`."""
        return (await self._execute(query, values)).inserted_id

    async def ping(self) -> None:
        """Ask the database for a sign of life. Raises StoreUnavailable."""
        await self._reading.submit(lambda link: link.ping(), repeatable=True)

    async def _execute(self, query: str, values: dict[str, object]) -> Outcome:
        bound = self._queries.writing(query, values)
        # A lost connection leaves it open whether this one was committed.
        return await self._writing.submit(lambda link: link.execute(bound), repeatable=False)

    async def _measure_clock(self) -> tuple[float, float]:
        """Return how far the database's clock is ahead, and by how many seconds that may be wrong."""
        if self.engine == "sqlite":
            await self.ping()
            return time.time() - time.monotonic(), 0.0

        async def ask(link: Link) -> tuple[float, float]:
            asked = time.monotonic()
            rows = await link.fetch(Bound("clock", "SELECT UTC_TIMESTAMP(3) AS now", ()))
            moment: datetime = rows[0]["now"]
            taken = time.monotonic() - asked
            return moment.timestamp() - asked - taken / 2, taken / 2 + _TICK

        return await self._reading.submit(ask, repeatable=True)

    async def _check_collations(self, link: Link) -> None:
        """What an index looks up, but for names, must compare by its bytes: openids differ by case."""
        if self.engine == "sqlite":
            return
        rows = await link.fetch(Bound("collations", _FOLDED, ()))
        if rows:
            columns = ", ".join(f"{row['table_name']}.{row['column_name']}" for row in rows)
            raise RuntimeError(f"these columns must have the collation utf8mb4_bin: {columns}")

    async def _keep_house(self) -> None:
        read = True
        while True:
            await asyncio.sleep(until_tick(_HOUSEKEEPING))
            for lane in {self._writing, self._reading}:
                lane.recycle(_IDLE)
            try:
                await self.read_clock()
                read = True
            except StoreUnavailable as error:
                if read:
                    log.warning("clock_not_read", reason=error.reason)
                read = False
