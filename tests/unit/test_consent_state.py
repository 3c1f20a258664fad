"""The `state` of a consent: whose it is, for how long, and in which one spelling."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.qr.consent import STATE_LIFE, ConsentState, Kind, Stated

OLD, NEW = "old-key-" * 4, "new-key-" * 4
NOW = datetime(2026, 1, 2, tzinfo=UTC)
STATES = ConsentState([NEW])
MADE = STATES.make(Kind.H5, 7, "secret", NOW)


def test_it_names_its_attempt() -> None:
    """The browser it was made for reads the attempt from it, until it ends."""
    assert STATES.read(MADE, "secret", NOW) == Stated(Kind.H5, 7)
    assert STATES.read(MADE, "secret", NOW + timedelta(seconds=STATE_LIFE - 1)) == Stated(Kind.H5, 7)
    assert STATES.read(MADE, "secret", NOW + timedelta(seconds=STATE_LIFE)) is None


@pytest.mark.parametrize("kind", Kind)
def test_it_names_its_kind(kind: Kind) -> None:
    """A code is only good for what its consent was asked for."""
    assert STATES.read(STATES.make(kind, 7, "secret", NOW), "secret", NOW) == Stated(kind, 7)


def test_it_fits_wechat() -> None:
    """WeChat allows letters and digits, 128 bytes at most."""
    assert len(MADE) == 82
    assert MADE.isascii()
    assert MADE.isalnum()


def test_it_is_worth_nothing_in_another_browser() -> None:
    """The secret of the browser that landed is under the signature."""
    assert STATES.read(MADE, "other", NOW) is None
    assert STATES.read(MADE, "", NOW) is None


def test_no_two_are_the_same() -> None:
    """Two consents of one browser for one attempt are two."""
    assert STATES.make(Kind.H5, 7, "secret", NOW) != MADE


def test_a_ring_reads_what_any_key_signed() -> None:
    """After a rotation the consents under way go on."""
    old = ConsentState([OLD]).make(Kind.H5, 7, "secret", NOW)
    assert ConsentState([NEW, OLD]).read(old, "secret", NOW) == Stated(Kind.H5, 7)
    assert STATES.read(old, "secret", NOW) is None
    assert STATES.read(ConsentState([NEW, OLD]).make(Kind.H5, 7, "secret", NOW), "secret", NOW) == Stated(
        Kind.H5, 7
    )


def test_every_digit_counts() -> None:
    """Changing any one digit breaks it."""
    for place, digit in enumerate(MADE):
        changed = MADE[:place] + ("1" if digit == "0" else "0") + MADE[place + 1 :]
        assert STATES.read(changed, "secret", NOW) is None, place


@pytest.mark.parametrize(
    "spelling",
    [MADE.upper(), f" {MADE}", f"{MADE}\n", f"{MADE[:2]} {MADE[2:]}", f"{MADE}00", MADE[:-2], "", "zz" * 40],
    ids=["upper case", "space", "line feed", "space within", "longer", "shorter", "empty", "no digits"],
)
def test_it_has_one_spelling(spelling: str) -> None:
    """A second spelling of the same bytes would pass for a fresh state, and be used twice."""
    assert STATES.read(spelling, "secret", NOW) is None


@given(st.text(max_size=100), st.text(max_size=20))
def test_no_text_breaks_it(state: str, secret: str) -> None:
    """Whatever comes in a query is read as nobody's."""
    assert STATES.read(state, secret, NOW) is None
