"""The schema is the same in both dialects, and says what it is."""

import sqlite3
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from hub.assets import folder
from tests.servers.mariadb import MariaDB

TABLES = {
    "account_events", "admin_log", "code_locks", "email_subscribers", "login_logs", "login_sessions",
    "oauth_connections", "outbox", "provider_callbacks", "user_login_types", "user_sessions", "users",
    "verification_codes", "wechat_users",
}  # fmt: skip


class Schema(NamedTuple):
    """What two dialects must agree on; keys and references are sets of column tuples."""

    columns: dict[tuple[str, str], bool]  # (table, column) → may be null
    unique: set[tuple[str, frozenset[str]]]
    indexes: set[tuple[str, tuple[str, ...]]]
    foreign: set[tuple[str, str, str, str, str]]


@pytest.fixture(scope="module")
def sqlite_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    """The SQLite dialect in a database of its own."""
    link = sqlite3.connect(tmp_path_factory.mktemp("schema") / "hub.db")
    for path in sorted((folder("sql") / "sqlite").glob("*.sql")):
        link.executescript(path.read_text("utf-8"))
    yield link
    link.close()


@pytest.fixture(scope="module")
def mariadb_tables(
    mariadb_server: MariaDB, mariadb_schema: str
) -> Iterator[Callable[[str], list[list[str]]]]:
    """The MySQL dialect in a database of its own: a function that runs a script and returns the rows."""
    mariadb_server.execute("CREATE DATABASE hub_schema", "USE hub_schema", mariadb_schema)
    yield lambda sql: mariadb_server.execute("USE hub_schema", sql)
    mariadb_server.execute("DROP DATABASE hub_schema")


def sqlite_schema(link: sqlite3.Connection) -> Schema:
    schema = Schema({}, set(), set(), set())
    tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    for (table,) in link.execute(tables).fetchall():
        key = []
        for _, column, _, required, _, part in link.execute(f"PRAGMA table_info({table})"):
            schema.columns[table, column] = not required
            if part:
                key.append(column)
        schema.unique.add((table, frozenset(key)))
        for _, index, unique, *_ in link.execute(f"PRAGMA index_list({table})").fetchall():
            parts = tuple(row[2] for row in link.execute(f"PRAGMA index_info({index})"))
            schema.indexes.add((table, parts))
            if unique:
                schema.unique.add((table, frozenset(parts)))
        for row in link.execute(f"PRAGMA foreign_key_list({table})"):
            schema.foreign.add((table, row[3], row[2], row[4], row[6]))
    return schema


def mysql_schema(query: Callable[[str], list[list[str]]]) -> Schema:
    schema = Schema({}, set(), set(), set())
    for table, column, null in query(
        "SELECT table_name, column_name, is_nullable FROM information_schema.columns"
        " WHERE table_schema = DATABASE() AND table_name <> 'schema_migrations'"
    ):
        schema.columns[table, column] = null == "YES"
    for table, index, other, parts in query(
        "SELECT table_name, index_name, non_unique, GROUP_CONCAT(column_name ORDER BY seq_in_index)"
        " FROM information_schema.statistics"
        " WHERE table_schema = DATABASE() AND table_name <> 'schema_migrations'"
        " GROUP BY table_name, index_name, non_unique"
    ):
        if other == "0":
            schema.unique.add((table, frozenset(parts.split(","))))
        if index != "PRIMARY" or parts != "id":
            schema.indexes.add((table, tuple(parts.split(","))))
    for row in query(
        "SELECT k.table_name, k.column_name, k.referenced_table_name, k.referenced_column_name, r.delete_rule"
        " FROM information_schema.key_column_usage k JOIN information_schema.referential_constraints r"
        " ON r.constraint_schema = k.table_schema AND r.constraint_name = k.constraint_name"
        " WHERE k.table_schema = DATABASE() AND k.referenced_table_name IS NOT NULL"
    ):
        schema.foreign.add((row[0], row[1], row[2], row[3], row[4]))
    return schema


def test_both_dialects_have_the_same_files() -> None:
    """A migration has one name and two dialects."""
    names = [{path.name for path in (folder("sql") / engine).glob("*.sql")} for engine in ("sqlite", "mysql")]
    assert names[0] == names[1]


def test_both_dialects_have_the_same_tables_and_keys(
    sqlite_file: sqlite3.Connection, mariadb_tables: Callable[[str], list[list[str]]]
) -> None:
    """Tables, columns, nullability, unique keys, indexes and foreign keys are equal."""
    lite, mysql = sqlite_schema(sqlite_file), mysql_schema(mariadb_tables)
    assert len({table for table, _ in lite.columns}) >= 18
    assert lite.columns == mysql.columns
    assert lite.unique == mysql.unique
    assert lite.indexes == mysql.indexes
    assert lite.foreign == mysql.foreign


def test_every_column_of_mysql_says_what_it_is(mariadb_tables: Callable[[str], list[list[str]]]) -> None:
    """Each has a COMMENT."""
    silent = mariadb_tables(
        "SELECT table_name, column_name FROM information_schema.columns"
        " WHERE table_schema = DATABASE() AND column_comment = ''"
    )
    assert silent == []


def test_only_human_text_is_compared_as_people_do(mariadb_tables: Callable[[str], list[list[str]]]) -> None:
    """Every other text column is utf8mb4_bin; the list of the exceptions is short and stands here."""
    folded = mariadb_tables(
        "SELECT DISTINCT column_name FROM information_schema.columns WHERE table_schema = DATABASE()"
        " AND collation_name = 'utf8mb4_unicode_ci' ORDER BY column_name"
    )
    assert [row[0] for row in folded] == [
        "bio", "city", "country", "device_name", "location", "nickname", "province", "user_agent",
    ]  # fmt: skip
    other = mariadb_tables(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = DATABASE()"
        " AND collation_name NOT IN ('utf8mb4_unicode_ci', 'utf8mb4_bin')"
    )
    assert other == []


def test_unique_keys_are_named_alike(mariadb_tables: Callable[[str], list[list[str]]]) -> None:
    """A unique key is named <table>_<columns>, which is what UniqueViolation tells on SQLite."""
    for table, index, parts in mariadb_tables(
        "SELECT table_name, index_name, GROUP_CONCAT(column_name ORDER BY seq_in_index SEPARATOR '_')"
        " FROM information_schema.statistics WHERE table_schema = DATABASE() AND non_unique = 0"
        " AND index_name <> 'PRIMARY' GROUP BY table_name, index_name"
    ):
        assert index == f"{table}_{parts}"
