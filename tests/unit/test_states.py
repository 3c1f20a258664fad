"""The state machine's table: every cell, every deadline, every code."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from hub.qr.states import (
    FINAL,
    TABLE,
    Event,
    Lifetimes,
    Move,
    Status,
    code_accepted,
    deadline,
    decide,
    rotation_due,
)

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
LIVES = Lifetimes()


@dataclass(frozen=True)
class Attempt:
    """The facts the machine looks at."""

    status: Status = Status.PENDING
    door: str = "h5"
    created_at: datetime = BEGAN
    expires_at: datetime = BEGAN + timedelta(seconds=300)
    qr_code: str = "visible"
    qr_expires_at: datetime = BEGAN + timedelta(seconds=60)


def at(seconds: float) -> datetime:
    """The moment *seconds* after the attempt began."""
    return BEGAN + timedelta(seconds=seconds)


# What the specification's table says, written down a second time and not derived from the code.
ALLOWED: dict[tuple[str, str], tuple[str, str | None, int]] = {
    ("pending", "scan"): ("scanned", None, 1),
    ("pending", "cancel"): ("failed", "cancelled", 1),
    ("scanned", "confirm"): ("confirmed", None, 1),
    ("scanned", "rescan"): ("scanned", None, 0),
    ("scanned", "decline"): ("failed", "declined", 1),
    ("scanned", "report"): ("failed", "reported", 1),
    ("scanned", "cancel"): ("failed", "cancelled", 1),
    ("scanned", "provider_error"): ("failed", "provider_error", 1),
    ("scanned", "second_scan"): ("failed", "already_claimed", 1),
    ("scanned", "account_blocked"): ("failed", "account_blocked", 1),
    ("scanned", "already_bound"): ("failed", "already_bound", 1),
    ("scanned", "risk"): ("failed", "risk", 1),
}
AT_PROVIDER = {
    ("pending", "approve"): ("confirmed", None, 2),
    ("pending", "provider_error"): ("failed", "provider_error", 1),
    ("pending", "account_blocked"): ("failed", "account_blocked", 1),
}
CELLS = [(status, event) for status in Status for event in Event]


def expected(cells: dict[tuple[str, str], tuple[str, str | None, int]], cell: tuple[str, str]) -> Move | None:
    """The move that the written-down table gives, None for a refusal."""
    found = cells.get(cell)
    return Move(Status(found[0]), found[1], found[2]) if found else None


@pytest.mark.parametrize(("status", "event"), CELLS)
def test_every_cell_in_time(status: Status, event: Event) -> None:
    """Before its deadline an attempt at a door of ours takes exactly the events of the table."""
    assert decide(Attempt(status), event, at(10)) == expected(ALLOWED, (status, event))


@pytest.mark.parametrize(("status", "event"), CELLS)
def test_every_cell_at_the_provider(status: Status, event: Event) -> None:
    """At WeChat's own page an attempt can also be approved, and an error ends it."""
    assert decide(Attempt(status, "open_platform"), event, at(10)) == expected(
        ALLOWED | AT_PROVIDER, (status, event)
    )


@pytest.mark.parametrize(("status", "event"), CELLS)
def test_every_cell_past_the_deadline(status: Status, event: Event) -> None:
    """From its deadline on an attempt takes nothing but expiry, whoever has or has not written that down."""
    expires = event is Event.DEADLINE and status in (Status.PENDING, Status.SCANNED)
    assert decide(Attempt(status), event, at(300)) == (Move(Status.EXPIRED) if expires else None)


def test_final_states_are_those_of_the_wire() -> None:
    """Confirmed, expired and failed are final, and nothing else is."""
    assert {Status.CONFIRMED, Status.EXPIRED, Status.FAILED} == FINAL


def test_a_scan_gives_two_minutes() -> None:
    """A claimed attempt waits 120 s for its answer."""
    scan = TABLE[Status.PENDING][Event.SCAN]
    assert deadline(scan, Attempt(), at(50), LIVES) == at(170)


def test_a_late_scan_is_bound_by_the_whole_life() -> None:
    """No answer is waited for beyond the whole life of the attempt."""
    scan = TABLE[Status.PENDING][Event.SCAN]
    lives = Lifetimes(pending=590)
    assert deadline(scan, Attempt(expires_at=at(590)), at(580), lives) == at(600)


def test_a_confirmation_gives_one_minute() -> None:
    """A confirmed attempt waits 60 s for its redemption."""
    confirm = TABLE[Status.SCANNED][Event.CONFIRM]
    assert deadline(confirm, Attempt(Status.SCANNED), at(100), LIVES) == at(160)


def test_a_failure_keeps_the_deadline() -> None:
    """A final state without redemption keeps the deadline it had."""
    decline = TABLE[Status.SCANNED][Event.DECLINE]
    assert deadline(decline, Attempt(Status.SCANNED), at(100), LIVES) == at(300)


@pytest.mark.parametrize(
    ("attempt", "moment", "due"),
    [
        (Attempt(), 59.9, False),
        (Attempt(), 60, True),
        (Attempt(), 300, False),
        (Attempt(Status.SCANNED), 60, False),
        (Attempt(door="app"), 60, True),
        (Attempt(door="mini_program"), 60, False),
    ],
)
def test_rotation(attempt: Attempt, moment: float, due: bool) -> None:
    """The visible code of a pending attempt is replaced each minute, at the doors whose code we draw."""
    assert rotation_due(attempt, at(moment)) is due


@pytest.mark.parametrize(
    ("code", "moment", "accepted"),
    [
        ("visible", 61, True),
        ("visible", 119.9, True),
        ("visible", 129.9, True),
        ("visible", 130, False),
        ("former", 69.9, True),
        ("former", 70, False),
    ],
)
def test_codes_after_a_rotation(code: str, moment: float, accepted: bool) -> None:
    """After a rotation the former code is good for 10 s more, the new one for its own life and 10 s."""
    rotated = replace(Attempt(), qr_expires_at=at(120))
    assert code_accepted(rotated, code, at(moment), LIVES) is accepted


def test_a_lasting_code_has_no_former() -> None:
    """At a door that does not rotate only the one code is accepted, as long as the attempt lives."""
    lasting = Attempt(door="official_account")
    assert code_accepted(lasting, "visible", at(299), LIVES)
    assert not code_accepted(lasting, "former", at(1), LIVES)
