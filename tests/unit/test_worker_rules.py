"""The worker's pure decisions: when to try again, and which month an archive reaches back to."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.codes.dispatch import pause
from hub.ops.archive import months_before


@given(st.integers(1, 50), st.floats(0, 1))
def test_pauses_grow_and_stay_bounded(tries: int, chance: float) -> None:
    """At least a second, at most five minutes, and half to all of what the try's turn allows."""
    longest = pause(tries, 1)
    assert 1 <= longest / 2 <= pause(tries, chance) <= longest <= 300
    assert longest <= pause(tries + 1, 1)


def test_first_pauses() -> None:
    """A code lives five minutes: the first tries come quickly."""
    assert [pause(tries, 1) for tries in (1, 2, 3, 8, 9)] == [2, 4, 8, 256, 300]


@pytest.mark.parametrize(
    ("now", "before"),
    [
        ("2026-08-31", "2026-02-28"),
        ("2024-08-31", "2024-02-29"),
        ("2026-08-28", "2026-02-28"),
        ("2026-06-15", "2025-12-15"),
        ("2026-01-31", "2025-07-31"),
        ("2026-12-31", "2026-06-30"),
    ],
)
def test_six_months_before(now: str, before: str) -> None:
    """Across the turn of a year, and from a day that the month does not have."""
    moment = datetime.fromisoformat(f"{now}T10:20:30+00:00")
    assert months_before(moment, 6) == datetime.fromisoformat(f"{before}T10:20:30+00:00").astimezone(UTC)
