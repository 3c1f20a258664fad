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
_HEADER = 4  # bytes of a packet: its length in three, and its number


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


@lru_cache(maxsize=512)
def _columns(packets: bytes) -> tuple[_Column, ...]:
    columns, rest = [], packets
    while rest:
        end = _HEADER + int.from_bytes(rest[:3], "little")
        columns.append(_column(rest[_HEADER:end]))
        rest = rest[end:]
    return tuple(columns)


def _received(buffer: bytearray, count: int) -> bytes | None:
    """Return the first *count* packets as they were received, None where they have not all arrived yet."""
    end = 0
    for _ in range(count):
        end += _HEADER + int.from_bytes(buffer[end : end + 3], "little")
    return bytes(buffer[:end]) if len(buffer) >= end else None


class Result(MySQLResult):  # type: ignore[misc]  # aiomysql has no types
    """One answer: `columns` and `rows` of a SELECT, else `affected_rows` and `insert_id`."""

    columns: tuple[str, ...] | None = None

    async def _get_descriptions(self) -> None:
        connection, count = self.connection, self.field_count
        reader, read = connection._reader, connection._read_packet
        # They are the same bytes every time: to take them packet by packet is most of the work of a wide row.
        packets = _received(reader._buffer, count)
        if packets is not None and packets[3] == connection._next_seq_id:
            await reader.readexactly(len(packets))
            connection._next_seq_id = (connection._next_seq_id + count) % 256
            columns: Sequence[_Column] = _columns(packets)
        else:
            columns = [_column((await read()).get_all_data()) for _ in range(count)]
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
