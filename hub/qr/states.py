"""The QR sign-in's state machine: one table, no I/O; `now` is an argument.

    pending ──scan──▶ scanned ──confirm──▶ confirmed
       │ ╲               │
       │  ╲──approve─────┼───────────────▶ confirmed   (WeChat itself asked the person: two moves at once)
       ├──deadline──▶ expired ◀──deadline──┤
       └──▶ failed ◀─────────────────────┘

An attempt is pending until a phone claims it, scanned until that phone answers, and then final. What the
table does not name is refused and changes nothing. A deadline that has passed refuses every other event,
whether or not somebody has come round to writing `expired`. `seq` grows with every move and with every
rotation of the visible code. Redemption is no state: it is a one-time mark beside `confirmed`.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple, Protocol


class Status(StrEnum):
    """The statuses of the wire."""

    PENDING = "pending"
    SCANNED = "scanned"
    CONFIRMED = "confirmed"
    EXPIRED = "expired"
    FAILED = "failed"


class Event(StrEnum):
    """What can happen to an attempt."""

    SCAN = "scan"
    RESCAN = "rescan"  # the person who scanned first scans again
    SECOND_SCAN = "second_scan"  # another person scans
    APPROVE = "approve"
    CONFIRM = "confirm"
    DECLINE = "decline"
    REPORT = "report"
    CANCEL = "cancel"
    PROVIDER_ERROR = "provider_error"
    ACCOUNT_BLOCKED = "account_blocked"
    ALREADY_BOUND = "already_bound"
    RISK = "risk"
    DEADLINE = "deadline"


class Move(NamedTuple):
    """Where an event leads: the next status, why it failed, and by how much `seq` grows."""

    to: Status
    reason: str | None = None
    steps: int = 1


def _failed(reason: str) -> Move:
    return Move(Status.FAILED, reason)


_EXPIRED = Move(Status.EXPIRED)

TABLE: Mapping[Status, Mapping[Event, Move]] = {
    Status.PENDING: {
        Event.SCAN: Move(Status.SCANNED),
        Event.APPROVE: Move(Status.CONFIRMED, steps=2),
        Event.CANCEL: _failed("cancelled"),
        Event.PROVIDER_ERROR: _failed("provider_error"),
        Event.ACCOUNT_BLOCKED: _failed("account_blocked"),
        Event.DEADLINE: _EXPIRED,
    },
    Status.SCANNED: {
        Event.CONFIRM: Move(Status.CONFIRMED),
        Event.RESCAN: Move(Status.SCANNED, steps=0),
        Event.DECLINE: _failed("declined"),
        Event.REPORT: _failed("reported"),
        Event.CANCEL: _failed("cancelled"),
        Event.PROVIDER_ERROR: _failed("provider_error"),
        Event.SECOND_SCAN: _failed("already_claimed"),
        Event.ACCOUNT_BLOCKED: _failed("account_blocked"),
        Event.ALREADY_BOUND: _failed("already_bound"),
        Event.RISK: _failed("risk"),
        Event.DEADLINE: _EXPIRED,
    },
    Status.CONFIRMED: {},
    Status.EXPIRED: {},
    Status.FAILED: {},
}

FINAL = frozenset(status for status, moves in TABLE.items() if not moves)

# At these doors WeChat shows the code itself and asks the person itself: only they know an approval,
# and only they cannot simply be scanned again after an error.
PROVIDER_DOORS = frozenset({"open_platform"})
_THEIRS = frozenset({Event.APPROVE, Event.PROVIDER_ERROR, Event.ACCOUNT_BLOCKED})  # while pending
ROTATING_DOORS = frozenset({"h5", "app"})


class Lifetimes(NamedTuple):
    """How long each state lasts, in seconds."""

    pending: float = 300
    whole: float = 600
    scanned: float = 120
    confirmed: float = 60
    visible: float = 60
    former: float = 10


class Facts(Protocol):
    """What the machine needs to know of an attempt."""

    @property
    def status(self) -> Status: ...
    @property
    def door(self) -> str: ...
    @property
    def created_at(self) -> datetime: ...
    @property
    def expires_at(self) -> datetime: ...
    @property
    def qr_code(self) -> str: ...
    @property
    def qr_expires_at(self) -> datetime: ...


def decide(attempt: Facts, event: Event, now: datetime) -> Move | None:
    """Return the move that *event* makes at *now*, or None where it is refused."""
    if (now >= attempt.expires_at) != (event is Event.DEADLINE):
        return None
    elsewhere = attempt.status is Status.PENDING and attempt.door not in PROVIDER_DOORS
    if elsewhere and event in _THEIRS:
        return None  # the person may scan again after an error, and nobody but WeChat approves unseen
    return TABLE[attempt.status].get(event)


def deadline(move: Move, attempt: Facts, now: datetime, lives: Lifetimes) -> datetime:
    """Return the deadline of the state that *move* leads to; a final state keeps the one it had."""
    if move.to is Status.CONFIRMED:
        return now + timedelta(seconds=lives.confirmed)
    if move.to is Status.SCANNED and attempt.status is Status.PENDING:
        whole = attempt.created_at + timedelta(seconds=lives.whole)
        return min(whole, now + timedelta(seconds=lives.scanned))
    return attempt.expires_at


def rotation_due(attempt: Facts, now: datetime) -> bool:
    """Tell whether the visible code is to be replaced by a new one."""
    return (
        attempt.status is Status.PENDING
        and attempt.door in ROTATING_DOORS
        and attempt.qr_expires_at <= now < attempt.expires_at
    )


def code_accepted(attempt: Facts, code: str, now: datetime, lives: Lifetimes) -> bool:
    """Tell whether a phone that lands with *code* at *now* is in time.

    The former code is accepted for a short grace. So is the visible one beyond its own end, for it
    stands there only because nobody has watched, and so nobody has rotated it.
    """
    if attempt.door not in ROTATING_DOORS:
        return code == attempt.qr_code
    grace = timedelta(seconds=lives.former)
    if code == attempt.qr_code:
        return now < attempt.qr_expires_at + grace
    # The former code ended when the visible one began.
    return now < attempt.qr_expires_at - timedelta(seconds=lives.visible) + grace
