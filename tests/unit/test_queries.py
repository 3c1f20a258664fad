"""Named queries: how files are read and how values get into statements."""

import enum
import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from hub.assets import folder
from hub.store.queries import Engine, Queries, Statement, read_time, split, stored_time

ENGINES: tuple[Engine, ...] = ("sqlite", "mysql")
MOMENT = datetime(2025, 3, 4, 5, 6, 7, 89_999, tzinfo=UTC)


class Colour(enum.StrEnum):
    RED = "red"


def written(tmp_path: Path, text: str) -> Path:
    (tmp_path / "qr.sql").write_text(text, "utf-8")
    return tmp_path


def test_sqlite_gets_marks_and_the_values_in_their_order() -> None:
    """Each :name becomes a ?, a repeated one is given twice."""
    bound = Statement("t.x", "SELECT :b, a FROM t WHERE b = :b AND c = :a", "sqlite").bind({"a": 1, "b": "x"})
    assert bound.sql == "SELECT ?, a FROM t WHERE b = ? AND c = ?"
    assert bound.values == ("x", "x", 1)


def test_mysql_gets_literals() -> None:
    """Values become quoted literals of MySQL in the text itself."""
    sql = "UPDATE t SET a = :a, b = :b, c = :c, d = :d, e = :e WHERE f = :f"
    values = {"a": "it's \\ 100 %", "b": None, "c": True, "d": 7, "e": b"\x00\xff", "f": MOMENT}
    assert Statement("t.x", sql, "mysql").bind(values).sql == (
        r"UPDATE t SET a = 'it\'s \\ 100 %', b = NULL, c = 1, d = 7, e = _binary X'00ff' "
        r"WHERE f = '2025-03-04 05:06:07.089'"
    )


@pytest.mark.parametrize("engine", ENGINES)
def test_a_percent_sign_of_the_statement_survives(engine: Engine) -> None:
    """A % in the text is no place for a value."""
    bound = Statement("t.x", "SELECT '%s', 7 % 4 FROM t WHERE a LIKE 'x%' AND b = :b", engine).bind({"b": 1})
    assert bound.sql.startswith("SELECT '%s', 7 % 4 FROM t WHERE a LIKE 'x%' AND b = ")


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("text", ["':a'", '":a"', "`:a`", "'it''s :a'", "b::a"])
def test_a_colon_in_quotes_or_doubled_is_no_value(engine: Engine, text: str) -> None:
    """Only a bare :name asks for a value."""
    assert Statement("t.x", f"SELECT {text}", engine).bind({}).sql == f"SELECT {text}"


def test_comments_fall_away_with_the_values_they_mention() -> None:
    """A comment costs nothing on the wire and asks for nothing."""
    bound = Statement("t.x", "SELECT 1 -- of :a; or it's\n/* :b */ FROM t;", "sqlite").bind({})
    assert bound.sql.split() == ["SELECT", "1", "FROM", "t"]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_value_is_never_read_again(engine: Engine) -> None:
    """What stands in a value is no :name, no %s, no ?."""
    bound = Statement("t.x", "SELECT :a, :b", engine).bind({"a": ":b %s ? %(b)s", "b": "y"})
    assert (bound.sql, bound.values) in [
        ("SELECT ?, ?", (":b %s ? %(b)s", "y")),
        ("SELECT ':b %s ? %(b)s', 'y'", ()),
    ]


def test_a_list_expands() -> None:
    """IN (:ids) takes as many as there are; other values keep their places."""
    sql = "SELECT 1 FROM t WHERE a = :a AND id IN (:ids) AND b LIKE '%' AND b = :a"
    lite = Statement("t.x", sql, "sqlite").bind({"ids": [1, 2, 3], "a": "x"})
    assert lite.sql == "SELECT 1 FROM t WHERE a = ? AND id IN (?,?,?) AND b LIKE '%' AND b = ?"
    assert lite.values == ("x", 1, 2, 3, "x")


@pytest.mark.parametrize(
    ("items", "literals"),
    [
        (("p", "q"), "'p','q'"),
        (("p", "q'"), r"'p','q\''"),
        (("p\\", "q"), r"'p\\','q'"),
        (("p", ""), "'p',''"),
        (("p", 7), "'p',7"),
        ((b"p", "q"), "_binary X'70','q'"),
    ],
)
def test_each_of_a_list_is_escaped(items: tuple[object, ...], literals: str) -> None:
    """Where values are part of the statement, nothing in a list of them ends its literal early."""
    sql = "SELECT 1 FROM t WHERE id IN (:ids) AND b LIKE '%'"
    bound = Statement("t.x", sql, "mysql").bind({"ids": items})
    assert bound.sql == sql.replace(":ids", literals)


@pytest.mark.parametrize("engine", ENGINES)
def test_an_empty_list_is_refused(engine: Engine) -> None:
    """IN () means different things on the two engines, so nobody may ask for it."""
    with pytest.raises(ValueError, match=r"t\.x: the list for :ids is empty"):
        Statement("t.x", "SELECT 1 FROM t WHERE id IN (:ids)", engine).bind({"ids": []})


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("values", [{}, {"a": 1, "b": 2}, {"b": 1}])
def test_missing_and_left_over_values_are_named(engine: Engine, values: dict[str, object]) -> None:
    """A wrong set of values fails before it reaches the database."""
    with pytest.raises(TypeError, match=r"t\.x: missing (a|nothing); left over (b|nothing)"):
        Statement("t.x", "SELECT :a", engine).bind(values)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("value", [1.5, {"a": 1}, object(), datetime(2025, 1, 1)])  # noqa: DTZ001 - must fail
def test_a_value_of_no_stored_type_is_refused(engine: Engine, value: object) -> None:
    """The same types go into both engines; a time without its zone is none of them."""
    with pytest.raises(TypeError):
        Statement("t.x", "SELECT :a", engine).bind({"a": value})


def test_an_enum_of_strings_is_its_string() -> None:
    """A StrEnum needs no .value."""
    assert Statement("t.x", "SELECT :a", "sqlite").bind({"a": Colour.RED}).values == ("red",)
    assert Statement("t.x", "SELECT :a", "mysql").bind({"a": Colour.RED}).sql == "SELECT 'red'"


def test_times_are_cut_to_milliseconds_in_utc() -> None:
    """A time of any zone is stored as UTC, cut and not rounded, and comes back as it was stored."""
    moment = MOMENT.astimezone(timezone(timedelta(hours=8)))
    assert stored_time(moment) == "2025-03-04 05:06:07.089"
    assert read_time(stored_time(moment)) == MOMENT.replace(microsecond=89_000)


def test_queries_are_named_after_file_and_line(tmp_path: Path) -> None:
    """The statement under `-- name: scan` of qr.sql is qr.scan."""
    queries = Queries.load(
        written(tmp_path, "-- Head.\n\n-- name: scan\nSELECT 1;\n-- name: by_id\nSELECT 2"), "sqlite"
    )
    assert sorted(queries) == ["qr.by_id", "qr.scan"]
    assert queries["qr.scan"].bind({}).sql == "SELECT 1"


def test_an_unknown_query_is_named(tmp_path: Path) -> None:
    """A misspelt name is told, not a bare key."""
    with pytest.raises(KeyError, match=r"there is no query qr\.scann"):
        Queries.load(tmp_path, "sqlite")["qr.scann"]


@pytest.mark.parametrize(("engine", "sql"), [("sqlite", "SELECT 1"), ("mysql", "SELECT 2")])
def test_a_dialect_has_its_own_form(tmp_path: Path, engine: Engine, sql: str) -> None:
    """Where the engines differ, each loads its own statement."""
    text = "-- name: scan (sqlite)\nSELECT 1;\n-- name: scan (mysql)\nSELECT 2;"
    assert Queries.load(written(tmp_path, text), engine)["qr.scan"].bind({}).sql == sql


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("-- name: a\nSELECT 1;\n-- name: a\nSELECT 2;", "there twice"),
        ("-- name: a (mysql)\nSELECT 1;", "no form for sqlite"),
        ("-- name: a\nSELECT 1;\n-- name: a (mysql)\nSELECT 2;", "for all engines and for one"),
        ("-- name: a (oracle)\nSELECT 1;", "unknown engine oracle"),
        ("-- name: a\nSELECT 1; SELECT 2;", "2 statements"),
        ("-- name: a\n-- nothing\n", "0 statements"),
        ("-- name: a\nSELECT ?", "as a :value"),
        ("-- name: a\nSELECT 'a\\b'", "as a :value"),
    ],
)
def test_a_file_that_breaks_the_rules_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    """Every mistake in a file stops the start and is told."""
    with pytest.raises(ValueError, match=complaint):
        Queries.load(written(tmp_path, text), "sqlite")


def test_scripts_are_cut_outside_quotes_and_comments() -> None:
    """A semicolon in a string or a comment ends no statement."""
    script = "-- it's; one\nINSERT INTO t VALUES ('a;b');\n\n/* x; */ SELECT `;` ;; UPDATE t"
    assert split(script) == ["INSERT INTO t VALUES ('a;b')", "SELECT `;`", "UPDATE t"]


@pytest.mark.parametrize("engine", ENGINES)
def test_the_hubs_own_queries_load(engine: Engine) -> None:
    """Every statement of sql/queries is well formed for both engines."""
    assert len(Queries.load(folder("sql") / "queries", engine)) > 0


@pytest.mark.parametrize(
    "path", sorted((folder("sql") / "queries").glob("*.sql")), ids=lambda path: path.name
)
def test_no_query_asks_the_engine_for_the_time(path: Path) -> None:
    """The time is a value: the two engines write it differently, and tests set it."""
    code = ";".join(split(path.read_text("utf-8")))
    assert not re.findall(r"(?i)\b(now\s*\(|current_timestamp|utc_timestamp|datetime\s*\(|strftime)", code)
