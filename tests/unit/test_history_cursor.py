"""Cursors of the login history: what they say comes back, and nothing else is read."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.audit.history import FIRST, Cursor

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@given(
    st.integers(0, (FIRST.created_at - EPOCH) // timedelta(milliseconds=1)),
    st.integers(0, 2**63 - 1),
)
def test_round_trip(milliseconds: int, row_id: int) -> None:
    """A cursor is read as it was written, to the millisecond."""
    cursor = Cursor(EPOCH + timedelta(milliseconds=milliseconds), row_id)
    assert Cursor.parse(cursor.text()) == cursor


@given(st.text(max_size=30))
def test_garbage_raises_only_a_value_error(text: str) -> None:
    """Whatever is sent is a cursor of ours or refused."""
    try:
        cursor = Cursor.parse(text)
    except ValueError:
        return
    assert cursor.text() == text


@pytest.mark.parametrize(
    "text",
    ["", "A", FIRST.text() + "=", FIRST.text()[:-1], "_" * 21 + "w", "f" + "_" * 20 + "w", "é" * 22],
    ids=["empty", "short", "padded", "cut", "negative", "beyond the calendar", "not ascii"],
)
def test_refused(text: str) -> None:
    """Other lengths, other letters and impossible times are refused."""
    with pytest.raises(ValueError, match="not a cursor"):
        Cursor.parse(text)


def test_two_spellings_are_not_one() -> None:
    """The bits that the last letter has to spare must be as we write them."""
    text = Cursor(datetime(2026, 1, 1, tzinfo=UTC), 4).text()
    with pytest.raises(ValueError, match="not a cursor"):
        Cursor.parse(text[:-1] + chr(ord(text[-1]) + 1))
