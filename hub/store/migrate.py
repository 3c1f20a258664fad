"""Migrations: `sql/<engine>/NNNN_name.sql`, applied in order, each once, by one process at a time.

On SQLite all that is pending is one transaction. MySQL commits each DDL statement by itself, so there
`schema_migrations` counts the statements of a file that are in place, and a run goes on after the last one.
"""

import asyncio
import hashlib
from datetime import UTC, datetime
from typing import NamedTuple

import structlog

from hub.assets import folder
from hub.store.database import connect
from hub.store.failures import Contended, LinkLost, QueryFailed, Refused, UniqueViolation
from hub.store.links import Link, Row
from hub.store.location import Location
from hub.store.queries import Bound, Statement, split

log = structlog.stdlib.get_logger("hub.store")

_LOCK_SECONDS = 60
_TABLES = {
    "mysql": """
        CREATE TABLE IF NOT EXISTS schema_migrations (
            name VARCHAR(100) COLLATE utf8mb4_bin NOT NULL COMMENT 'File',
            checksum VARCHAR(64) COLLATE utf8mb4_bin NOT NULL COMMENT 'SHA-256 of the file, hexadecimal',
            statements INT NOT NULL COMMENT 'How many the file has',
            done INT NOT NULL COMMENT 'How many are in place',
            applied_at DATETIME(3) NOT NULL COMMENT 'When it was begun, UTC',
            PRIMARY KEY (name)
        ) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci COMMENT = 'Applied files'
    """,
    "sqlite": """
        CREATE TABLE IF NOT EXISTS schema_migrations (
            name TEXT NOT NULL PRIMARY KEY,
            checksum TEXT NOT NULL,
            statements INTEGER NOT NULL,
            done INTEGER NOT NULL,
            applied_at DATETIME NOT NULL
        )
    """,
}

_EXISTS = {
    "mysql": "SELECT 1 AS found FROM information_schema.tables"
    " WHERE table_schema = DATABASE() AND table_name = 'schema_migrations'",
    "sqlite": "SELECT 1 AS found FROM sqlite_schema WHERE name = 'schema_migrations'",
}
_LOCK = "SELECT GET_LOCK(CONCAT('hub_migrate:', LEFT(SHA2(DATABASE(), 256), 40)), 1) AS locked"
_BEGIN = """
    INSERT INTO schema_migrations (name, checksum, statements, done, applied_at)
    VALUES (:name, :checksum, :statements, 0, :applied_at)
"""
_PROGRESS = "UPDATE schema_migrations SET done = :done WHERE name = :name"


class MigrationFailed(Exception):
    """The schema is not what this release needs; the text says what to do."""


class _Migration(NamedTuple):
    name: str
    checksum: str
    statements: list[str]


async def migrate(url: str) -> list[str]:
    """Apply what is pending at *url* and return the names. Raises MigrationFailed."""
    location = Location.parse(url)
    if location.path:
        location.path.parent.mkdir(parents=True, exist_ok=True)
    link = await _locked(location)
    try:
        await _execute(link, location, _TABLES[location.engine])
        names = []
        for migration, done in _open(location, await _recorded(link)):
            await _apply(link, location, migration, done)
            names.append(migration.name)
        if location.engine == "sqlite":
            await link.commit()
    except LinkLost as error:
        raise MigrationFailed(f"the connection was lost, run it again: {error}") from error
    except (Refused, Contended) as error:
        raise MigrationFailed(str(error)) from error
    finally:
        await link.close()  # gives back the lock; on SQLite whatever is not committed is undone
    return names


async def pending(url: str) -> list[str]:
    """Return the names that `migrate` would apply, and change nothing. Raises MigrationFailed."""
    location = Location.parse(url)
    rows: list[Row] = []
    if location.path is None or location.path.exists():
        try:
            link = await connect(location)
            try:
                if await link.fetch(Bound("migrations", _EXISTS[location.engine], ())):
                    rows = await _recorded(link)
            finally:
                await link.close()
        except (LinkLost, Refused, Contended) as error:
            raise MigrationFailed(str(error)) from error
    return [migration.name for migration, _ in _open(location, rows)]


async def _locked(location: Location) -> Link:
    """Connect and take the place of the only migrator; another one may need its time."""
    end = asyncio.get_running_loop().time() + _LOCK_SECONDS
    while True:
        link = None
        try:
            link = await connect(location)
            if location.engine == "sqlite":
                await link.begin()
            elif not (await link.fetch(Bound("lock", _LOCK, ())))[0]["locked"]:
                raise Contended("lock: another migration holds it")
        except (LinkLost, Refused, Contended) as error:
            if link:
                await link.close()
            if isinstance(error, Contended) and asyncio.get_running_loop().time() < end:
                await asyncio.sleep(0.1)
                continue
            raise MigrationFailed(str(error)) from error
        return link


async def _apply(link: Link, location: Location, migration: _Migration, done: int) -> None:
    total = len(migration.statements)
    log.info("migration_begins", name=migration.name, statements=total, done=done)
    if not done:
        await _execute(
            link, location, _BEGIN,
            name=migration.name, checksum=migration.checksum, statements=total, applied_at=datetime.now(UTC),
        )  # fmt: skip
    for number, statement in enumerate(migration.statements[done:], done + 1):
        try:
            await link.execute(Bound(migration.name, statement, ()))
        except (QueryFailed, UniqueViolation, Contended, Refused) as error:
            undone = (
                "nothing was changed"
                if location.engine == "sqlite"
                else f"the {number - 1} before it are in place, and MySQL cannot take them back; "
                "mend the cause and migrate again, it goes on from there"
            )
            raise MigrationFailed(f"statement {number} of {total} failed: {error}; {undone}") from error
        await _execute(link, location, _PROGRESS, name=migration.name, done=number)


def _open(location: Location, recorded: list[Row]) -> list[tuple[_Migration, int]]:
    """Say which files are still to be applied, each with the number of its statements that are in place."""
    known = {row["name"]: row for row in recorded}
    found = []
    for path in sorted((folder("sql") / location.engine).glob("[0-9]*.sql")):
        content = path.read_bytes()
        migration = _Migration(path.name, hashlib.sha256(content).hexdigest(), split(content.decode()))
        row = known.get(path.name)
        if row is None:
            found.append((migration, 0))
            continue
        if row["checksum"] != migration.checksum:
            raise MigrationFailed(
                f"{path.name} is not the file that was applied; put the old one back and add a new file"
            )
        if row["done"] < row["statements"]:
            found.append((migration, row["done"]))
    return found


async def _recorded(link: Link) -> list[Row]:
    return await link.fetch(Bound("migrations", "SELECT * FROM schema_migrations", ()))


async def _execute(link: Link, location: Location, sql: str, **values: object) -> None:
    await link.execute(Statement("schema_migrations", sql, location.engine).bind(values))
