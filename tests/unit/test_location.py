"""DATABASE_URL: which forms are read, and what is said of the others."""

from pathlib import Path

import pytest

from hub.store.location import Location


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///hub.db", "hub.db"),
        ("sqlite:///var/hub.db", "var/hub.db"),
        ("sqlite:////var/lib/hub/hub.db", "/var/lib/hub/hub.db"),
        ("sqlite+aiosqlite:///hub.db", "hub.db"),
        ("sqlite:///a%20b/100%25.db", "a b/100%.db"),
    ],
)
def test_sqlite_names_a_file(url: str, path: str) -> None:
    """Three slashes begin a relative path, four an absolute one."""
    location = Location.parse(url)
    assert (location.engine, location.path) == ("sqlite", Path(path))


@pytest.mark.parametrize(
    "url",
    [
        "mysql://hub:secret@db:3306/hub",
        "mysql://hub:p%40ss%2Fword@db/hub",
        "mysql://hub@db/hub",
        "mysql+aiomysql://hub:secret@db/hub",
        "mysql://hub:secret@/hub?unix_socket=/run/mysqld/mysqld.sock",
        "mysql://hub:secret@db/hub?ssl=true",
        "mysql://hub:secret@db/hub?charset=utf8mb4",
        "mysql://hub:secret@[::1]:3306/hub",
    ],
)
def test_mysql_is_a_server_or_a_socket(url: str) -> None:
    """Host and port, or a socket; the charset everybody writes is understood."""
    location = Location.parse(url)
    assert (location.engine, location.path) == ("mysql", None)
    assert location.url.startswith("mysql://hub")
    assert "charset" not in location.url


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("", "must be sqlite:///path or mysql://"),
        ("postgres://hub:secret@db/hub", "must be sqlite:///path or mysql://"),
        ("mysql://hub:secret@db:port/hub", "must be sqlite:///path or mysql://"),
        ("mysql://hub:sec#ret@db/hub", "must "),
        ("mysql://hub:secret@db", "must name a database"),
        ("mysql://hub:secret@db/a/b", "must name a database"),
        ("mysql:///hub", "must have a host or"),
        ("mysql://hub:secret@db/hub?charset=latin1", "the only charset is utf8mb4"),
        ("mysql://hub:secret@db/hub?ssl=maybe", "ssl is true or false"),
        ("mysql://hub:secret@db/hub?max_size=5", "unknown option max_size"),
        ("sqlite://hub.db", "sqlite takes a path"),
        ("sqlite:///hub.db?mode=ro", "sqlite takes a path"),
        ("sqlite://", "SQLite needs a file"),
        ("sqlite:///:memory:", "SQLite needs a file"),
        ("sqlite:///file::memory:", "SQLite needs a file"),
    ],
)
def test_anything_else_is_refused_in_one_line_without_the_password(url: str, complaint: str) -> None:
    """The error names the setting and what is wrong with it, and nothing secret."""
    with pytest.raises(ValueError, match=f"^DATABASE_URL.*{complaint}") as caught:
        Location.parse(url)
    assert "sec" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_the_repr_holds_no_password() -> None:
    """A traceback or a log line may show a Location."""
    assert "secret" not in repr(Location.parse("mysql://hub:secret@db/hub"))
