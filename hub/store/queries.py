"""Named queries: `sql/queries/<noun>.sql`, translated once to what the driver takes.

A file holds statements under `-- name: scan` lines; `-- name: scan (mysql)` and `-- name: scan (sqlite)` are
two dialects of one. Values are `:name`; a list or tuple for `IN (:name)` expands. The query is `<noun>.scan`.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple, TypeGuard, cast

from pymysql.converters import escape_string

Engine = Literal["sqlite", "mysql"]
_ENGINES = ("sqlite", "mysql")

_NAME = re.compile(r"^--\s*name:\s*(?P<name>\S+)(?:\s+\((?P<engine>\w+)\))?\s*$", re.MULTILINE)
_TOKEN = re.compile(
    r"""(?P<quoted>'(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`)
      | (?P<comment>--[^\n]*|/\*.*?\*/)
      | ::
      | :(?P<value>[A-Za-z_]\w*)
      | (?P<end>;)
      | (?P<mark>\?)""",
    re.VERBOSE | re.DOTALL,
)


class Bound(NamedTuple):
    """A statement with its values, ready for the driver; `name` is for error texts."""

    name: str
    sql: str
    values: tuple[object, ...]


class Statement:
    """One named query of one dialect; `bind` is the hot path and does no parsing."""

    __slots__ = ("_encode", "_inline", "_names", "_parts", "_sql", "_wanted", "name", "reads")

    def __init__(self, name: str, sql: str, engine: Engine) -> None:
        self.name = name
        self._inline = engine == "mysql"
        self._encode: Mapping[type, Callable[..., object]] = _LITERALS if self._inline else _NATIVE
        self._parts, self._names = _parse(name, sql)
        self._wanted = frozenset(self._names)
        self.reads = self._parts[0].split(None, 1)[0].upper() in ("SELECT", "WITH")
        if self._inline:
            self._sql = "%s".join(part.replace("%", "%%") for part in self._parts)
        else:
            self._sql = "?".join(self._parts)

    def bind(self, values: Mapping[str, object]) -> Bound:
        """Put *values* in their places. Raises TypeError for one missing, left over or of no stored type."""
        if len(values) != len(self._wanted):
            raise TypeError(self._complaint(values))
        encode = self._encode
        try:
            encoded = [encode[type(value)](value) for value in [values[name] for name in self._names]]
        except KeyError:
            return self._bind_slowly(values)
        if self._inline:
            return Bound(self.name, self._sql % tuple(encoded), ())
        return Bound(self.name, self._sql, tuple(encoded))

    def _bind_slowly(self, values: Mapping[str, object]) -> Bound:
        """Lists, subclasses such as StrEnum, and everything that is refused."""
        if values.keys() != self._wanted:
            raise TypeError(self._complaint(values))
        sql: list[str] = [self._parts[0]]
        flat: list[object] = []
        for name, part in zip(self._names, self._parts[1:], strict=True):
            value = values[name]
            items = value if isinstance(value, list | tuple) else [value]
            if not items:
                raise ValueError(f"{self.name}: the list for :{name} is empty")
            if not self._inline:
                sql.append(",".join("?" * len(items)))
                flat.extend(self._one(name, item) for item in items)
            elif _harmless(items):
                sql.append("'" + "','".join(items) + "'")
            else:
                sql.append(",".join(str(self._one(name, item)) for item in items))
            sql.append(part)
        return Bound(self.name, "".join(sql), tuple(flat))

    def _one(self, name: str, value: object) -> object:
        for kind in (type(value), str, int, bytes, datetime):
            if isinstance(value, kind) and kind in self._encode:
                return self._encode[kind](value)
        raise TypeError(f"{self.name}: :{name} cannot be a {type(value).__name__}")

    def _complaint(self, values: Mapping[str, object]) -> str:
        missing = ", ".join(sorted(self._wanted - values.keys())) or "nothing"
        extra = ", ".join(sorted(values.keys() - self._wanted)) or "nothing"
        return f"{self.name}: missing {missing}; left over {extra}"


class Queries:
    """All named queries of one engine."""

    def __init__(self, statements: Mapping[str, Statement]) -> None:
        self._statements = statements

    @classmethod
    def load(cls, folder: Path, engine: Engine) -> "Queries":
        """Read every `*.sql` of *folder*. Raises ValueError for a file that breaks the rules above."""
        found: dict[str, Statement] = {}
        for path in sorted(folder.glob("*.sql")):
            texts: dict[tuple[str, str | None], str] = {}
            for name, dialect, sql in _statements(path):
                if (name, dialect) in texts:
                    raise ValueError(f"{path.name}: {name} is there twice")
                texts[name, dialect] = sql
            for name in {name for name, _ in texts}:
                if (name, None) in texts and any((name, one) in texts for one in _ENGINES):
                    raise ValueError(f"{path.name}: {name} is there for all engines and for one")
                text = texts.get((name, engine)) or texts.get((name, None))
                if text is None:
                    raise ValueError(f"{path.name}: {name} has no form for {engine}")
                found[f"{path.stem}.{name}"] = Statement(f"{path.stem}.{name}", text, engine)
        return cls(found)

    def __getitem__(self, name: str) -> Statement:
        try:
            return self._statements[name]
        except KeyError:
            raise KeyError(f"there is no query {name}") from None

    def reading(self, name: str, values: Mapping[str, object]) -> Bound:
        """Bind a SELECT. Raises TypeError for a statement that is none."""
        statement = self[name]
        if not statement.reads:
            raise TypeError(f"{name} answers no rows")
        return statement.bind(values)

    def writing(self, name: str, values: Mapping[str, object]) -> Bound:
        """Bind an INSERT, UPDATE or DELETE. Raises TypeError for a SELECT."""
        statement = self[name]
        if statement.reads:
            raise TypeError(f"{name} changes nothing")
        return statement.bind(values)

    def __iter__(self) -> Iterator[str]:
        return iter(self._statements)

    def __len__(self) -> int:
        return len(self._statements)


def split(script: str) -> list[str]:
    """Cut a script at the semicolons outside quotes and comments; comments and empty statements fall away."""
    statements, current, last = [], "", 0
    for token in _TOKEN.finditer(script):
        if token["comment"] is not None or token["end"] is not None:
            current += script[last : token.start()]
            last = token.end()
        if token["end"] is not None:
            statements.append(current.strip())
            current = ""
    statements.append((current + script[last:]).strip())
    return [statement for statement in statements if statement]


def _statements(path: Path) -> Iterator[tuple[str, str | None, str]]:
    text = path.read_text("utf-8")
    heads = list(_NAME.finditer(text))
    for head, following in zip(heads, [*heads[1:], None], strict=True):
        if head["engine"] not in (None, *_ENGINES):
            raise ValueError(f"{path.name}: {head['name']} is for an unknown engine {head['engine']}")
        yield head["name"], head["engine"], text[head.end() : following.start() if following else len(text)]


def _parse(name: str, sql: str) -> tuple[list[str], list[str]]:
    """Cut *sql* at its values: n + 1 parts and n names."""
    whole = split(sql)
    if len(whole) != 1:
        raise ValueError(f"{name}: {len(whole)} statements under one name")
    text = whole[0]
    parts, names, last = [], [], 0
    for token in _TOKEN.finditer(text):
        if token["mark"] or "\\" in (token["quoted"] or ""):
            # A bare ? would be taken for a value, and only MySQL reads a backslash as an escape.
            raise ValueError(f"{name}: write {token[0]} as a :value")
        if token["value"]:
            parts.append(text[last : token.start()])
            names.append(token["value"])
            last = token.end()
    return [*parts, text[last:]], names


def stored_time(moment: datetime) -> str:
    """Write an aware *moment* as both engines keep it: UTC, milliseconds, cut and not rounded."""
    if moment.tzinfo is not UTC:
        if moment.tzinfo is None:
            raise TypeError("a time without its zone cannot be stored")
        moment = moment.astimezone(UTC)
    return moment.isoformat(" ", "milliseconds")[:23]


def read_time(text: str) -> datetime:
    """Read what `stored_time` wrote."""
    return datetime.fromisoformat(text + "+00:00")


def _harmless(items: Sequence[object]) -> TypeGuard[Sequence[str]]:
    """Tell whether these are texts without quote or backslash: to escape hundreds of hashes is slow."""
    if {*map(type, items)} != {str}:
        return False
    text = "".join(cast("Sequence[str]", items))
    return "'" not in text and "\\" not in text


_NATIVE: Mapping[type, Callable[..., object]] = {
    str: str.__str__,
    int: int,
    bytes: bytes,
    bool: int,
    type(None): lambda _: None,
    datetime: stored_time,
}
_LITERALS: Mapping[type, Callable[..., object]] = {
    str: lambda value: f"'{escape_string(value)}'",
    int: str,
    bytes: lambda value: f"_binary X'{value.hex()}'",
    bool: lambda value: "1" if value else "0",
    type(None): lambda _: "NULL",
    datetime: lambda value: f"'{stored_time(value)}'",
}
