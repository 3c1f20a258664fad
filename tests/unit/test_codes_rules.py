"""The rules of one-time codes, without clock and database."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.codes.rules import BUDGETS, GAP, TRIES, Asker, Channel, Peppers, Target, burnt, draw, wait

NOW = datetime(2026, 1, 5, 8, tzinfo=UTC)
TARGET = Target("phone", "+8613800138000", "login")
ASKER = Asker("192.0.2.7", "192.0.2.0/24", None, None, "Firefox")
OLD, NEW = "old-pepper-" * 3, "new-pepper-" * 3


def ago(*seconds: float) -> list[datetime]:
    """The moments that many seconds before NOW."""
    return [NOW - timedelta(seconds=each) for each in seconds]


@pytest.mark.parametrize("channel", ["phone", "email"])
@pytest.mark.parametrize("length", [4, 5, 6])
def test_codes_have_their_length(channel: Channel, length: int) -> None:
    """A code is that many ASCII digits; one for e-mail does not begin with 0."""
    for _ in range(300):
        code = draw(channel, length)
        assert len(code) == length
        assert code.isascii()
        assert code.isdecimal()
        assert channel == "phone" or code[0] != "0"


def test_codes_by_sms_use_every_digit_everywhere() -> None:
    """No place of 3,000 codes lacks a digit, so nothing narrows what a guesser has to try."""
    drawn = [draw("phone", 6) for _ in range(3000)]
    for place in range(6):
        assert len(Counter(code[place] for code in drawn)) == 10


def test_a_hash_matches_its_own_code_alone() -> None:
    """Only the same code for the same channel, address and purpose matches."""
    peppers = Peppers([NEW])
    kept = peppers.hash(TARGET, "012345")
    assert peppers.match(kept, TARGET, "012345")
    assert not peppers.match(kept, TARGET, "012346")
    assert not peppers.match(kept, TARGET._replace(channel="email"), "012345")
    assert not peppers.match(kept, TARGET._replace(address="+8613800138001"), "012345")
    assert not peppers.match(kept, TARGET._replace(purpose="bind"), "012345")


def test_a_hash_tells_nothing_without_the_pepper() -> None:
    """Two peppers make two hashes of one code, and neither holds the code."""
    hashes = {Peppers([pepper]).hash(TARGET, "012345") for pepper in (OLD, NEW)}
    assert len(hashes) == 2
    assert not any("012345" in kept for kept in hashes)


def test_peppers_rotate() -> None:
    """The first pepper of the ring makes, all recognise; what one that is gone made is refused."""
    before, during, after = Peppers([OLD]), Peppers([NEW, OLD]), Peppers([NEW])
    kept = before.hash(TARGET, "012345")
    assert during.match(kept, TARGET, "012345")
    assert during.hash(TARGET, "012345") == after.hash(TARGET, "012345") != kept
    assert not after.match(kept, TARGET, "012345")


@pytest.mark.parametrize("ring", [[], ["short"], [NEW, "short"]])
def test_weak_peppers_are_refused(ring: list[str]) -> None:
    """No pepper, or one under 32 bytes, is no protection."""
    with pytest.raises(ValueError, match="pepper"):
        Peppers(ring)


@pytest.mark.parametrize(
    ("sent", "seconds"),
    [
        ([], 0),
        ([0], 60),
        ([18], 42),
        ([59.999], 0.001),
        ([60], 0),
        ([600, 500, 400, 300, 200], 3000),
        ([3600, 500, 400, 300, 200], 0),
        ([3599, 500, 400, 300, 10], 50),
        ([80000, 70000, 60000, 50000, 40000, 30000, 20000, 15000, 10000, 5000], 6400),
        ([86400, 70000, 60000, 50000, 40000, 30000, 20000, 15000, 10000, 5000], 0),
    ],
)
def test_an_address_waits_for_its_next_code(sent: list[float], seconds: float) -> None:
    """One a minute, five an hour, ten a day; the wait is that of the budget that frees last."""
    assert wait(ago(*sent), NOW) == pytest.approx(seconds)


@given(st.lists(st.floats(0, 2 * 86400), max_size=30))
def test_after_the_wait_a_code_fits_every_budget(sent: list[float]) -> None:
    """Once the wait is over, one more code breaks no budget, and the order of the history does not matter."""
    history = ago(*sent)
    pause = wait(history, NOW)
    assert pause == wait(history[::-1], NOW)
    then = NOW + timedelta(seconds=pause)
    assert wait(history, then) == 0
    for quota, window in BUDGETS:
        assert sum(moment + window > then for moment in history) < quota


def test_one_asker_burns_a_code() -> None:
    """Whoever has made all the tries is locked out, once they are used up."""
    assert burnt(TRIES, ASKER.name, ASKER)
    assert not burnt(TRIES - 1, ASKER.name, ASKER)


@pytest.mark.parametrize("tried_by", ["", None, "network:198.51.100.0/24"])
def test_a_strangers_tries_lock_nobody_else_out(tried_by: str | None) -> None:
    """When others have tried the code too, who made the last try is not locked out."""
    assert not burnt(TRIES, tried_by, ASKER)


def test_an_asker_is_the_device_before_the_network() -> None:
    """A device with a cookie answers for itself; without one all of a network are one asker."""
    neighbour = ASKER._replace(ip="192.0.2.99", user_agent="Chrome")
    assert ASKER.name == neighbour.name
    assert ASKER._replace(device="d" * 64).name != ASKER.name
    assert len(ASKER._replace(device="d" * 64).name) <= 128


def test_the_gap_is_what_clients_are_told() -> None:
    """The answer to a send promises the next one in the shortest budget's window."""
    assert timedelta(seconds=60) == GAP
