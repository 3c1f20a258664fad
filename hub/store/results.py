"""Asking MySQL through aiomysql's own packets, without what a cursor repeats at each call.

The descriptions of a query's columns are the same every time; to decode them anew was half the cost of a wide
row. A cursor also fetches the server's warnings, which an INSERT IGNORE has by its nature.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from aiomysql.connection import MySQLResult
from pymysql import err
from pymysql.connections import TEXT_TYPES, FieldDescriptorPacket
from pymysql.constants import COMMAND, FIELD_TYPE
from pymysql.converters import decoders, through

from hub.store.queries import read_time

_ENCODING = "utf8"
_BINARY = 63


def _number(text: str) -> int | float:
    """SUM() of integers is a DECIMAL here and an integer on SQLite."""
    return float(text) if "." in text else int(text)


_DECODERS: dict[int, Callable[[Any], Any] | None] = decoders | {
    FIELD_TYPE.DATETIME: read_time,
    FIELD_TYPE.TIMESTAMP: read_time,
    FIELD_TYPE.DATE: None,
    FIELD_TYPE.DECIMAL: _number,
    FIELD_TYPE.NEWDECIMAL: _number,
}


class _Column(NamedTuple):
    name: str
    decode: tuple[str | None, Callable[[Any], Any] | None]  # encoding and converter, as aiomysql reads a row


@lru_cache(maxsize=4096)
def _column(description: bytes) -> _Column:
    field = FieldDescriptorPacket(description, _ENCODING)
    binary = field.type_code in TEXT_TYPES and field.charsetnr == _BINARY
    convert = _DECODERS.get(field.type_code)
    return _Column(field.name, (None if binary else _ENCODING, None if convert is through else convert))


class Result(MySQLResult):  # type: ignore[misc]  # aiomysql has no types
    """One answer: `columns` and `rows` of a SELECT, else `affected_rows` and `insert_id`."""

    columns: tuple[str, ...] | None = None

    async def _get_descriptions(self) -> None:
        read = self.connection._read_packet
        columns = [_column((await read()).get_all_data()) for _ in range(self.field_count)]
        await read()  # the end of the descriptions
        self.columns = tuple(column.name for column in columns)
        self.converters = [column.decode for column in columns]


class StatementFailed(Exception):
    """The statement *number* of several failed with the driver's *error*; none after it has run."""

    def __init__(self, number: int, error: err.MySQLError) -> None:
        super().__init__(f"statement {number}: {error}")
        self.number = number
        self.error = error


async def ask(raw: Any, statements: Sequence[bytes]) -> Result:
    """Send *statements* in one packet, and return the answer to the last one.

    Raises StatementFailed, or what a lost connection raises.
    """
    await raw._execute_command(COMMAND.COM_QUERY, b";".join(statements))
    for number in range(len(statements)):
        result = Result(raw)
        try:
            await result.read()
        except err.MySQLError as error:
            raise StatementFailed(number, error) from None
    return result
