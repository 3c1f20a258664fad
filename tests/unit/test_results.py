"""Reading MySQL's answers: the bytes of a row may come as they like."""

import asyncio

import pytest
from aiomysql.connection import Connection
from pymysql.constants import FIELD_TYPE

from hub.store.results import Result

LIMIT = 5.0
UTF8, BINARY = 45, 63


def packets(*bodies: bytes, first: int = 1) -> bytes:
    """Return *bodies* with their headers, numbered from *first*."""
    heads = (len(body).to_bytes(3, "little") + bytes([first + at]) for at, body in enumerate(bodies))
    return b"".join(head + body for head, body in zip(heads, bodies, strict=True))


def text(value: str) -> bytes:
    """Return a length-encoded string of up to 250 bytes."""
    return bytes([len(value.encode())]) + value.encode()


def described(name: str, kind: int, charset: int = BINARY) -> bytes:
    """Return the description of a column."""
    names = b"".join(map(text, ("def", "hub", "t", "t", name, name)))
    return names + b"\x0c" + charset.to_bytes(2, "little") + bytes([255, 0, 0, 0, kind, 0, 0, 0, 0, 0])


END = b"\xfe\x00\x00\x02\x00"
COLUMNS = (described("id", FIELD_TYPE.LONG), described("名字", FIELD_TYPE.VAR_STRING, UTF8))
ANSWER = packets(b"\x02", *COLUMNS, END, text("7") + text("王"), text("8") + text(""), END)


@pytest.mark.parametrize("piece", [1, 2, 3, 5, 20, 60, len(ANSWER)])
async def test_an_answer_in_pieces(piece: int) -> None:
    """However the bytes are cut on their way, columns and rows are the same, and nothing is left over."""
    connection = Connection()
    connection._next_seq_id = 1
    reader = connection._reader = asyncio.StreamReader()
    result = Result(connection)
    reading = asyncio.create_task(result.read())
    for begin in range(0, len(ANSWER), piece):
        reader.feed_data(ANSWER[begin : begin + piece])
        await asyncio.sleep(0)
    await asyncio.wait_for(reading, LIMIT)
    assert result.columns == ("id", "名字")
    assert result.rows == ((7, "王"), (8, ""))
    assert connection._next_seq_id == 8
    reader.feed_eof()
    assert await reader.read() == b""


async def test_wrong_numbers_end_the_connection() -> None:
    """Packets that are not numbered as they should be belong to another answer, which must not be taken."""
    connection = Connection()
    connection._next_seq_id = 1
    reader = connection._reader = asyncio.StreamReader()
    reader.feed_data(packets(b"\x02") + packets(*COLUMNS, END, END, first=5))
    with pytest.raises(Exception, match="Packet sequence number wrong"):
        await Result(connection).read()
