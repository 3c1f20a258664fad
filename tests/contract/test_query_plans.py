"""Every named query finds its rows by an index, on both engines, over tables of 10,000 rows.

The values come from rows that are there, by the parameter's name. A query that may scan says why in a
comment: `-- full scan: the table holds one row per country`.
"""

import functools
import re
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest

from hub.assets import folder
from hub.store.queries import Bound, Engine, Queries, stored_time
from tests.servers.mariadb import MariaDB

ROWS = 10_000
START = datetime(2025, 1, 1, tzinfo=UTC)
SQL = folder("sql")
SCHEMA = "\n".join(path.read_text("utf-8") for path in sorted((SQL / "sqlite").glob("*.sql")))

Mysql = Callable[[str], list[list[str]]]


class Seeds(NamedTuple):
    """The rows of one table."""

    kinds: dict[str, str]  # column → declared type
    rows: list[list[object]]


@functools.cache
def seeds() -> dict[str, Seeds]:
    """Make up ROWS rows for each table, in an order that keeps references valid."""
    link = sqlite3.connect(":memory:")
    link.executescript(SCHEMA)
    found = {}
    tables = (
        "SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY rowid"
    )
    for table, text in link.execute(tables):
        kinds = {row[1]: row[2] for row in link.execute(f"PRAGMA table_info({table})")}
        choices = {
            name: re.findall(r"'(\w+)'", values)
            for name, values in re.findall(r"(?s)CHECK \((\w+) IN \((.*?)\)\)", text)
        }
        rows = [
            [cell(table, name, kind, choices.get(name, []), row) for name, kind in kinds.items()]
            for row in range(1, ROWS + 1)
        ]
        found[table] = Seeds(kinds, rows)
    link.close()
    return found


def cell(table: str, column: str, kind: str, choices: list[str], row: int) -> object:
    """Make up the value of one column in row number *row* (from 1); most rows are old and done with."""
    rare = row % 100 == 0
    made: object = f"{column[:6]}{row}"
    if (table, column) == ("outbox", "dead_at") or (column == "sent_at" and rare):
        made = None
    elif column == "id" or column in ("uid", "successor_id") or column.endswith(("user_id", "attempt_id")):
        made = f"subject{row}" if column == "provider_user_id" else row
    elif (table, column) == ("wechat_account_tokens", "appid"):
        made = f"wx{row}"
    elif kind == "BOOLEAN":
        made = row % 2
    elif choices:
        made = choices[0] if rare else choices[1 + row % (len(choices) - 1)]
    elif kind == "DATETIME":
        made = stored_time(START + timedelta(minutes=row))
    elif kind == "INTEGER":
        made = row % 10
    elif column in ("profile", "provider_profile", "device_info", "risk", "payload", "detail"):
        made = "{}"
    elif column == "birth_date":
        made = "2000-01-01"
    elif column == "phone":
        made = f"+86138{row:08d}"
    elif column in ("country_code", "language", "token_type", "appid"):
        made = f"{column[:2]}{row % 5}"
    return made


def inserts() -> Iterator[str]:
    """The seeds as statements that both engines read."""
    for table, (kinds, rows) in seeds().items():
        values = (
            ",".join("NULL" if v is None else str(v) if isinstance(v, int) else f"'{v}'" for v in row)
            for row in rows
        )
        yield " ".join(
            ["INSERT INTO", table, f"({','.join(kinds)})", "VALUES", ",".join(f"({row})" for row in values)]
        )


@pytest.fixture(scope="module")
def full_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    """SQLite with every table full."""
    link = sqlite3.connect(tmp_path_factory.mktemp("plans") / "hub.db")
    link.executescript(SCHEMA)
    for statement in inserts():
        link.execute(statement)
    link.commit()
    yield link
    link.close()


@pytest.fixture(scope="module")
def full_mariadb(mariadb_server: MariaDB, mariadb_schema: str) -> Iterator[Mysql]:
    """MariaDB with every table full and its statistics fresh: a function that runs a statement."""
    mariadb_server.execute("CREATE DATABASE hub_plans", "USE hub_plans", mariadb_schema, *inserts())
    mariadb_server.execute("USE hub_plans", *(f"ANALYZE TABLE {table}" for table in seeds()))
    yield lambda sql: mariadb_server.execute("USE hub_plans", sql)
    mariadb_server.execute("DROP DATABASE hub_plans")


def scans_in_sqlite(link: sqlite3.Connection, bound: Bound) -> list[str]:
    """The steps of the plan that read a whole table or a whole index."""
    plan = [row[3] for row in link.execute(f"EXPLAIN QUERY PLAN {bound.sql}", bound.values)]
    derived = {step.split()[1] for step in plan if step.startswith(("CO-ROUTINE", "MATERIALIZE"))}
    scans = [step for step in plan if re.match(r"SCAN (?!CONSTANT ROW|json_each |\()", step)]
    return [step for step in scans if step.split()[1] not in derived]  # those have their own steps


def scans_in_mariadb(query: Mysql, bound: Bound) -> list[list[str]]:
    """The steps of the plan that read a whole table or a whole index."""
    plan = query(f"EXPLAIN {bound.sql}")
    assert plan
    # id, select_type, table, type, possible_keys, key, key_len, ref, rows, Extra
    read = [row for row in plan if row[3] in ("ALL", "index") and row[1] != "INSERT" and row[2][0] != "<"]
    return [row for row in read if "json_table" not in row[-1]]


@functools.cache
def texts(engine: Engine) -> dict[str, str]:
    """The queries as they are written, by name."""
    found = {}
    for path in (SQL / "queries").glob("*.sql"):
        for part in re.split(r"(?m)^-- name: ", path.read_text("utf-8"))[1:]:
            head, _, body = part.partition("\n")
            name, _, dialect = head.strip().partition(" ")
            if dialect in ("", f"({engine})"):
                found[f"{path.stem}.{name}"] = body
    return found


@functools.cache
def queries(engine: Engine) -> Queries:
    """The queries as the store loads them."""
    return Queries.load(SQL / "queries", engine)


def searching(engine: Engine) -> list[str]:
    """Every query but plain INSERTs and those that may scan."""
    return [
        name
        for name, text in texts(engine).items()
        if re.search(r"(?i)\b(SELECT|WHERE|DELETE|JOIN)\b", text)
        and not re.search(r"(?im)^--\s*full scan: \S", text)
    ]


def sample(name: str, text: str) -> dict[str, object]:
    """Values for a query: of an early row where it asks for less, of a late one for more, else in between."""
    code = re.sub(r"--[^\n]*", "", text)
    named = re.findall(r"(?i)\b(?:FROM|JOIN|UPDATE|INTO)\s+(\w+)", code)
    tables = [seeds()[table] for table in named if table in seeds()]
    values: dict[str, object] = {}
    for parameter in set(re.findall(r"(?<!:):(\w+)", code)):
        if parameter in ("limit", "remembered", "score"):
            values[parameter] = 10
            continue
        if parameter == "turns":
            values[parameter] = f'[[{ROWS // 2}, 1, "now", "next"]]'
            continue
        less, more = (re.search(rf"{sign}=?\s*:{parameter}\b", code) for sign in "<>")
        row = ROWS // 100 if less else ROWS - ROWS // 100 if more else ROWS // 2
        names = (parameter, re.sub(r"_(before|after|next|now)$", "", parameter))
        found = [
            value_of(table, column, row) for column in names for table in tables if column in table.kinds
        ]
        assert found, f"{name}: :{parameter} is named after no column of its tables"
        values[parameter] = found[:1] if re.search(rf"\bIN\s*\(\s*:{parameter}\s*\)", code) else found[0]
    return values


def value_of(table: Seeds, column: str, row: int) -> object:
    """The value that the store would have been given for this cell."""
    value = table.rows[row - 1][list(table.kinds).index(column)]
    if table.kinds[column] == "DATETIME" and value is not None:
        return datetime.fromisoformat(f"{value}+00:00")
    return value


@pytest.mark.parametrize("name", searching("sqlite"))
def test_no_query_scans_a_table_of_sqlite(full_sqlite: sqlite3.Connection, name: str) -> None:
    """EXPLAIN QUERY PLAN tells of no scan."""
    bound = queries("sqlite")[name].bind(sample(name, texts("sqlite")[name]))
    assert not scans_in_sqlite(full_sqlite, bound)


@pytest.mark.parametrize("name", searching("mysql"))
def test_no_query_scans_a_table_of_mariadb(full_mariadb: Mysql, name: str) -> None:
    """EXPLAIN tells of no step of type ALL or index."""
    bound = queries("mysql")[name].bind(sample(name, texts("mysql")[name]))
    assert not scans_in_mariadb(full_mariadb, bound)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT id FROM users WHERE bio = 'bio5000'",
        "SELECT u.id FROM users u JOIN wechat_users w ON w.uid = u.id WHERE w.nickname = 'nickna5000'",
        "UPDATE users SET bio = 'x' WHERE avatar_url = 'avatar5000'",
        "DELETE FROM login_logs WHERE location = 'locati5000'",
        "SELECT count(*) FROM admin_log",
    ],
)
def test_the_check_sees_a_scan(full_sqlite: sqlite3.Connection, full_mariadb: Mysql, sql: str) -> None:
    """A condition without an index is found on both engines, else the tests above prove nothing."""
    assert scans_in_sqlite(full_sqlite, Bound("scan", sql, ()))
    assert scans_in_mariadb(full_mariadb, Bound("scan", sql, ()))
