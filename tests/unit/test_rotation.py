"""Refresh tokens: their spelling, and every cell of the decision table."""

from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.tokens.keys import RefreshKeys
from hub.tokens.rotation import (
    PREFIX,
    REUSE_WINDOW,
    Lineage,
    RefreshToken,
    Verdict,
    build,
    decide,
    parse,
    presenter,
)
from tests.unit.key_files import OTHER_SECRET, SECRET

KEYS = RefreshKeys([SECRET])
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SID = "AAECAwQFBgcICQoLDA0ODw"
SALT = "a-salt-of-22-characters"
SAME, OTHER = presenter("192.0.2.7", "Firefox", SALT), presenter("198.51.100.7", "Firefox", SALT)
FRESH = NOW - REUSE_WINDOW
LATE = FRESH - timedelta(milliseconds=1)
TICK = timedelta(milliseconds=1)

sids = st.binary(min_size=16, max_size=16).map(lambda raw: urlsafe_b64encode(raw)[:22].decode())


def lineage(
    rotated_at: datetime | None = FRESH,
    *,
    generation: int = 5,
    is_active: bool = True,
    idle_until: datetime = NOW + TICK,
    expires_at: datetime = NOW + TICK,
) -> Lineage:
    """Return a session's row that SAME rotated last."""
    by = SAME if rotated_at else None
    return Lineage(SID, generation, SALT, rotated_at, by, is_active, idle_until, expires_at)


def present(generation: int, keys: RefreshKeys = KEYS, salt: str = SALT, sid: str = SID) -> RefreshToken:
    """Return the token of *generation*, taken apart."""
    presented = parse(build(keys, sid, generation, salt))
    assert presented is not None
    return presented


@pytest.mark.parametrize(
    ("generation", "rotated_at", "by", "verdict"),
    [
        (5, FRESH, SAME, Verdict.ROTATE),
        (5, FRESH, OTHER, Verdict.ROTATE),
        (5, LATE, OTHER, Verdict.ROTATE),
        (4, FRESH, SAME, Verdict.REPEAT),
        (4, NOW, SAME, Verdict.REPEAT),
        (4, FRESH, OTHER, Verdict.THEFT),
        (4, LATE, SAME, Verdict.THEFT),
        (4, LATE, OTHER, Verdict.THEFT),
        (3, FRESH, SAME, Verdict.STALE),
        (3, FRESH, OTHER, Verdict.STALE),
        (0, FRESH, SAME, Verdict.STALE),
        (3, LATE, SAME, Verdict.THEFT),
        (0, LATE, OTHER, Verdict.THEFT),
        (6, FRESH, SAME, Verdict.STALE),
        (6, LATE, OTHER, Verdict.STALE),
    ],
)
def test_running_session(generation: int, rotated_at: datetime, by: str, verdict: Verdict) -> None:
    """Every cell of the column of running sessions, on both sides of the ten seconds."""
    assert decide(KEYS, present(generation), lineage(rotated_at), by, NOW) is verdict


@pytest.mark.parametrize(
    "over",
    [
        lineage(is_active=False),
        lineage(idle_until=NOW),
        lineage(expires_at=NOW),
        lineage(LATE, is_active=False),
    ],
)
@pytest.mark.parametrize("generation", [0, 3, 4, 5, 6])
def test_ended_session(over: Lineage, generation: int) -> None:
    """A session that was revoked, idle too long or over its absolute life refuses every authentic token."""
    assert decide(KEYS, present(generation), over, SAME, NOW) is Verdict.ENDED


@pytest.mark.parametrize("row", [lineage(), lineage(LATE), lineage(is_active=False), lineage(expires_at=NOW)])
@pytest.mark.parametrize("generation", [3, 4, 5, 6])
def test_forged_token(row: Lineage, generation: int) -> None:
    """A MAC of another key, another salt or another session is forged, whatever the row says."""
    for presented in (
        present(generation, keys=RefreshKeys([OTHER_SECRET])),
        present(generation, salt="another-salt"),
        present(generation, sid="AAECAwQFBgcICQoLDA0OEA"),
        present(generation)._replace(generation=generation + 1),
    ):
        assert decide(KEYS, presented, row, SAME, NOW) is Verdict.FORGED


def test_first_token_rotates() -> None:
    """A session that was never rotated takes its first token."""
    assert decide(KEYS, present(0), lineage(None, generation=0), SAME, NOW) is Verdict.ROTATE


def test_older_key_still_counts() -> None:
    """After a new secret was put in front, tokens of the former one rotate."""
    ring = RefreshKeys([OTHER_SECRET, SECRET])
    assert decide(ring, present(5), lineage(), SAME, NOW) is Verdict.ROTATE


def test_same_generation_same_token() -> None:
    """The current token can be made again, and differs from those before and after it."""
    assert build(KEYS, SID, 5, SALT) == build(KEYS, SID, 5, SALT)
    assert len({build(KEYS, SID, generation, SALT) for generation in range(5)}) == 5


@given(sids, st.integers(0, 2**32 - 1), st.text(max_size=32))
def test_what_is_built_is_parsed(sid: str, generation: int, salt: str) -> None:
    """A token comes apart into what it was made of."""
    token = build(KEYS, sid, generation, salt)
    presented = parse(token)
    assert presented is not None
    assert (presented.sid, presented.generation) == (sid, generation)
    assert token.startswith(PREFIX)


@given(st.text() | st.text().map(PREFIX.__add__) | st.binary().map(lambda raw: PREFIX + raw.hex()))
def test_garbage_is_no_token(text: str) -> None:
    """Whatever is not a token parses to None and raises nothing."""
    assert parse(text) is None


@pytest.mark.parametrize("spoil", [
    lambda token: token + "=",
    lambda token: token + "==",
    lambda token: token + "\n",
    lambda token: " " + token,
    lambda token: token.upper(),
    lambda token: token[:-1],
    lambda token: token + "A",
    lambda token: token[:-1] + chr(ord(token[-1]) + 1),  # bits that base64 would throw away
    lambda token: token.removeprefix(PREFIX),
    lambda token: PREFIX + token,
])  # fmt: skip
def test_one_token_has_one_spelling(spoil: object) -> None:
    """Padding, spaces, other cases and unused bits make it another text, not the same token."""
    assert callable(spoil)
    assert parse(spoil(build(KEYS, SID, 5, SALT))) is None


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.7", "192.0.2.200", True),
        ("192.0.2.7", "192.0.3.7", False),
        ("2001:db8:0:1::7", "2001:db8:0:1:ffff::1", True),
        ("2001:db8:0:1::7", "2001:db8:0:2::7", False),
        ("unknown", "unknown", True),
        ("unknown", "192.0.2.7", False),
    ],
)
def test_presenter_is_a_network(one: str, other: str, same: bool) -> None:
    """Addresses of one /24, or of one /64, are one presenter."""
    assert (presenter(one, "Firefox", SALT) == presenter(other, "Firefox", SALT)) is same


def test_presenter_is_a_user_agent_and_a_session() -> None:
    """Another user agent is another presenter, and two sessions' values cannot be compared."""
    assert presenter("192.0.2.7", "Firefox", SALT) != presenter("192.0.2.7", "Chrome", SALT)
    assert presenter("192.0.2.7", "Firefox", SALT) != presenter("192.0.2.7", "Firefox", "another-salt")
