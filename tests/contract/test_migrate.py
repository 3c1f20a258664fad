"""Migrations: each file once, in order, by one process at a time, and never a changed one."""

import asyncio
import sys
from pathlib import Path

import pytest

from hub.assets import folder
from hub.store import migrate as migrations
from hub.store.database import Store
from hub.store.migrate import MigrationFailed, migrate, pending
from tests.servers.mariadb import MariaDB

FIRST = "CREATE TABLE one (id INTEGER);\nINSERT INTO one VALUES (1);\n"
SECOND = "CREATE TABLE two (id INTEGER);\nINSERT INTO two VALUES (2);\n"
FILES = sorted(path.name for path in (folder("sql") / "mysql").glob("*.sql"))


@pytest.fixture(params=["sqlite", "mariadb"])
def empty_url(request: pytest.FixtureRequest) -> str:
    """DATABASE_URL of an empty database, on each engine in turn."""
    if request.param == "sqlite":
        folder: Path = request.getfixturevalue("tmp_path")
        return f"sqlite:///{folder / 'new' / 'hub.db'}"
    url: str = request.getfixturevalue("mariadb_empty_url")
    return url


@pytest.fixture
def sql(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of migrations in place of the hub's own, with one file in it."""
    for engine in ("sqlite", "mysql"):
        (tmp_path / "sql" / engine).mkdir(parents=True)
    monkeypatch.setattr(migrations, "folder", tmp_path.joinpath)
    write(tmp_path / "sql", "0001_first.sql", FIRST)
    return tmp_path / "sql"


def write(folder: Path, name: str, text: str) -> None:
    """Write a migration for both engines."""
    for engine in ("sqlite", "mysql"):
        (folder / engine / name).write_text(text, "utf-8")


async def test_an_empty_database_gets_every_file_once(empty_url: str) -> None:
    """The hub's own files apply, are pending before and nothing is afterwards; the store then starts."""
    assert await pending(empty_url) == FILES
    assert await migrate(empty_url) == FILES
    assert await pending(empty_url) == []
    assert await migrate(empty_url) == []
    store = Store(empty_url)
    await store.start()
    await store.stop()


async def test_only_new_files_are_applied(empty_url: str, sql: Path) -> None:
    """A release adds a file and leaves the old ones alone."""
    assert await migrate(empty_url) == ["0001_first.sql"]
    write(sql, "0002_second.sql", SECOND)
    assert await pending(empty_url) == ["0002_second.sql"]
    assert await migrate(empty_url) == ["0002_second.sql"]


async def test_a_changed_old_file_is_refused(empty_url: str, sql: Path) -> None:
    """Nobody can know what an edited file would have to do to a database that has the old one."""
    await migrate(empty_url)
    write(sql, "0001_first.sql", FIRST + "-- one more word")
    write(sql, "0002_second.sql", SECOND)
    for call in (migrate, pending):
        with pytest.raises(MigrationFailed, match=r"0001_first\.sql is not the file that was applied"):
            await call(empty_url)
    write(sql, "0001_first.sql", FIRST)
    assert await pending(empty_url) == ["0002_second.sql"]


async def test_sqlite_takes_back_a_broken_file(tmp_path: Path, sql: Path) -> None:
    """Everything that was pending is undone, and applies once the file is mended."""
    url = f"sqlite:///{tmp_path / 'hub.db'}"
    write(sql, "0002_second.sql", "CREATE TABLE two (id INTEGER);\nINSERT INTO three VALUES (2);\n")
    with pytest.raises(MigrationFailed, match=r"statement 2 of 2 failed: .*; nothing was changed"):
        await migrate(url)
    assert await pending(url) == ["0001_first.sql", "0002_second.sql"]
    write(sql, "0002_second.sql", SECOND)
    assert await migrate(url) == ["0001_first.sql", "0002_second.sql"]


async def test_mysql_goes_on_after_a_broken_statement(
    mariadb_empty_url: str, mariadb_server: MariaDB, sql: Path
) -> None:
    """It cannot take back DDL: it says what is in place and does the rest once the cause is mended."""
    write(sql, "0002_second.sql", "CREATE TABLE two (id INTEGER);\nINSERT INTO three VALUES (2);\n")
    with pytest.raises(MigrationFailed, match=r"statement 2 of 2 failed: .*; the 1 before it are in place"):
        await migrate(mariadb_empty_url)
    assert await pending(mariadb_empty_url) == ["0002_second.sql"]
    use = f"USE {mariadb_empty_url.rpartition('/')[2]}"
    mariadb_server.execute(use, "CREATE TABLE three (id INTEGER)")
    assert await migrate(mariadb_empty_url) == ["0002_second.sql"]
    assert mariadb_server.execute(use, "SELECT id FROM three") == [["2"]]


@pytest.mark.timeout(60)
async def test_racing_migrators_apply_each_file_once(empty_url: str) -> None:
    """Six releases that start at once, in processes of their own: one applies, the others find it done."""
    code = (
        "import asyncio, sys; from hub.store.migrate import migrate; print(asyncio.run(migrate(sys.argv[1])))"
    )
    racers = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            code,
            empty_url,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        for _ in range(6)
    ]
    answers = await asyncio.gather(*(racer.communicate() for racer in racers))
    assert [racer.returncode for racer in racers] == [0] * 6, answers
    lists = sorted(out.decode().splitlines()[-1] for out, _ in answers)
    assert lists == [str(FILES)] + ["[]"] * 5


async def test_an_unreachable_server_is_told(mariadb_server: MariaDB) -> None:
    """The error says what the server said, without the password."""
    with pytest.raises(MigrationFailed, match="Access denied") as caught:
        await migrate(mariadb_server.url("hub_none", password="not the one"))
    assert "not the one" not in str(caught.value)


async def test_a_read_only_server_is_told(own_mariadb: MariaDB) -> None:
    """What is there can be read; nothing can be applied, and that says why."""
    own_mariadb.execute("CREATE DATABASE hub_kept", "SET GLOBAL read_only = ON")
    with pytest.raises(MigrationFailed, match="read-only"):
        await migrate(own_mariadb.url("hub_kept"))
    assert await pending(own_mariadb.url("hub_kept"))


async def test_a_folded_identifier_stops_the_start(mariadb_url: str, mariadb_server: MariaDB) -> None:
    """A column whose collation takes oABC for oabc is named when the store starts."""
    name = mariadb_url.rpartition("/")[2]
    mariadb_server.execute(
        f"ALTER TABLE {name}.wechat_users MODIFY openid VARCHAR(64) COLLATE utf8mb4_unicode_ci NOT NULL"
    )
    with pytest.raises(RuntimeError, match=r"utf8mb4_bin: wechat_users\.openid$"):
        await Store(mariadb_url).start()
