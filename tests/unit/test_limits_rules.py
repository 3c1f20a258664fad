"""The rule of the limits, and how a counter is named."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.limits.rules import Limit, counter, judge

LIMIT = Limit("code", 3, 60)


@pytest.mark.parametrize(
    ("used", "cost", "allowed", "remaining"),
    [
        (0, 1, True, 2),
        (2, 1, True, 0),
        (3, 1, False, 0),
        (1, 2, True, 0),
        (2, 2, False, 1),
        (0, 4, False, 3),
        (3, 0, True, 0),
        (5, 1, False, 0),
    ],
)
def test_a_hit_is_allowed_while_all_of_it_fits(used: int, cost: int, allowed: bool, remaining: int) -> None:
    """A hit that does not fit is refused whole, and takes nothing of what is left."""
    verdict = judge(LIMIT, used, 12.5, cost)
    assert (verdict.allowed, verdict.remaining) == (allowed, remaining)


def test_the_verdict_carries_the_limit_and_the_reset() -> None:
    """All four numbers of the RateLimit header fields are there."""
    verdict = judge(LIMIT, 1, 12.5, 1)
    assert (verdict.limit.quota, verdict.limit.window, verdict.remaining, verdict.reset_after) == (
        3,
        60,
        1,
        12.5,
    )


def test_the_reset_is_never_further_away_than_the_window() -> None:
    """A rounding error of the clock does not become a second too many in a header."""
    assert judge(LIMIT, 0, 60.000000001, 1).reset_after == 60


@pytest.mark.parametrize(("used", "remaining"), [(3, 1), (1, 3), (0, 3)])
def test_a_negative_cost_gives_back(used: int, remaining: int) -> None:
    """A hit that came to nothing is returned, but never more than the quota."""
    assert judge(LIMIT, used, 12.5, -1).remaining == remaining


@given(st.integers(0, 10), st.lists(st.integers(0, 5)))
def test_the_quota_is_never_exceeded(quota: int, costs: list[int]) -> None:
    """Whatever is asked for in whatever order, what was allowed fits into the quota."""
    used = 0
    for cost in costs:
        verdict = judge(Limit("x", quota, 1), used, 1.0, cost)
        used += cost if verdict.allowed else 0
        assert verdict.remaining == quota - used
    assert used <= quota


def test_counters_are_apart_by_limit_and_by_key() -> None:
    """Neither another limit nor another key shares a counter."""
    names = {counter(Limit(name, 1, 1), key) for name in ("a", "b") for key in ("x", "y")}
    assert len(names) == 4


def test_a_counter_s_name_is_short_and_does_not_tell_the_key() -> None:
    """A phone number does not end up in Redis, nor does a megabyte that a client sent."""
    name = counter(LIMIT, "+8613800138000" * 10_000)
    assert re.fullmatch("code:[0-9a-f]{32}", name)
