"""What makes a sign-in unusual, and what follows from it: pure rules over what is on record.

    signal              raised when                                                             weight
    ----------------------------------------------------------------------------------------------------
    new_device          the device is none of those that signed in before                       3
    new_network         its /24 (IPv6: /64) is none of theirs                                   1
    new_city            its city is none of theirs                                              3
    impossible_travel   over NEAR km from the last sign-in, at over FASTEST km/h                5
    many_failures       MANY_FAILURES refused tries for the account within WINDOW               3
    many_accounts       tries for MANY_ACCOUNTS accounts from the address within WINDOW         1
    reported            somebody said "this was not me" of the try, or of the browser's address 5

The first four compare with the account's last REMEMBERED sign-ins, and what is not known is never called new:
an account's first sign-in raises none of them, and without a city database there are no cities. The score is
the sum of the weights; from ALERT_SCORE on the person is told. So a phone that changes its network within
the city, or a busy office, is on record and nothing more.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import Enum, StrEnum
from typing import Final, NamedTuple

from typing_extensions import TypedDict

from hub.web.shapes import described


class Signal(StrEnum):
    """The names on record, the gravest first."""

    REPORTED = "reported"
    IMPOSSIBLE_TRAVEL = "impossible_travel"
    MANY_FAILURES = "many_failures"
    NEW_DEVICE = "new_device"
    NEW_CITY = "new_city"
    MANY_ACCOUNTS = "many_accounts"
    NEW_NETWORK = "new_network"


@described
class Risk(TypedDict):
    """What was unusual about a try to sign in."""

    signals: list[str]
    """Each sign, such as `new_device` or `impossible_travel`."""
    score: int
    """The sum of their weights."""


WEIGHTS: Final[Mapping[Signal, int]] = {
    Signal.REPORTED: 5,
    Signal.IMPOSSIBLE_TRAVEL: 5,
    Signal.MANY_FAILURES: 3,
    Signal.NEW_DEVICE: 3,
    Signal.NEW_CITY: 3,
    Signal.MANY_ACCOUNTS: 1,
    Signal.NEW_NETWORK: 1,
}
ALERT_SCORE: Final = 3

REMEMBERED: Final = 200  # sign-ins of an account
WINDOW: Final = timedelta(hours=1)
MANY_FAILURES: Final = 10
MANY_ACCOUNTS: Final = 20
COUNTED: Final = 100  # of the newest tries from an address; more are not looked at
NEAR: Final = 500.0  # km; city databases are not exact, least of all for mobile networks
FASTEST: Final = 1000.0  # km/h, a little more than an airliner

FAILURES_TOLD: Final = 3  # refused tries within WINDOW from which on the account's clients are told
FAILURES_GAP: Final = timedelta(minutes=1)  # between two such events of an account
MESSAGE_GAP: Final = timedelta(hours=3)  # between two messages to an account of one kind

REPORTS_KEPT: Final = timedelta(days=1)
REPORTERS: Final = 3  # different people within WINDOW whose reports refuse an address

_EARTH: Final = 6371.0  # km


class Coordinates(NamedTuple):
    """A place on earth, in degrees."""

    latitude: float
    longitude: float


class Sighting(NamedTuple):
    """A sign-in as the rules see it; *city* is its key in the city database."""

    device: str
    network: str
    city: str | None
    coordinates: Coordinates | None
    at: datetime


class Recent(NamedTuple):
    """Within WINDOW: refused tries for the account, and accounts that were tried from the address."""

    failures: int = 0
    accounts: int = 0


class Suspicion(NamedTuple):
    """Of a browser's address: who reported it, in all and within WINDOW, and the accounts tried from it."""

    reporters: int
    reporters_lately: int
    accounts: int


class Caution(Enum):
    """What a confirmation takes."""

    NONE = "none"
    ACKNOWLEDGE = "acknowledge"
    REFUSE = "refuse"


def signals(seen: Sighting, past: Sequence[Sighting], recent: Recent) -> tuple[Signal, ...]:
    """Return what is unusual about a sign-in, the gravest first; *past* are those before it, in any order."""
    raised = set(_counts(recent))
    if past:
        if seen.device not in {each.device for each in past}:
            raised.add(Signal.NEW_DEVICE)
        if seen.network not in {each.network for each in past}:
            raised.add(Signal.NEW_NETWORK)
        cities = {each.city for each in past if each.city is not None}
        if seen.city is not None and cities and seen.city not in cities:
            raised.add(Signal.NEW_CITY)
        if _too_fast(max(past, key=lambda each: each.at), seen):
            raised.add(Signal.IMPOSSIBLE_TRAVEL)
    return tuple(signal for signal in Signal if signal in raised)


def failure_signals(recent: Recent) -> tuple[Signal, ...]:
    """Return what is unusual about a refused try."""
    return tuple(_counts(recent))


def score(raised: Iterable[Signal]) -> int:
    """Return the sum of the weights."""
    return sum(WEIGHTS[signal] for signal in raised)


def risk(raised: Sequence[Signal]) -> Risk | None:
    """Return what is put on record, `{"signals": […], "score": n}`; None where nothing is unusual."""
    return {"signals": [str(signal) for signal in raised], "score": score(raised)} if raised else None


def alerting(raised: Sequence[Signal], past: Sequence[Sighting]) -> bool:
    """Tell whether the person is to be told; nobody is of the account's first sign-in."""
    return bool(past) and score(raised) >= ALERT_SCORE


def caution(suspicion: Suspicion) -> Caution:
    """Return what it takes to confirm a sign-in for a browser at an address.

    An address is refused once several people reported it within WINDOW, or one did and many accounts are
    tried from it; a single report wants a second step. Many accounts alone do not: that may as well be a
    company's proxy.
    """
    busy = suspicion.accounts >= MANY_ACCOUNTS
    if suspicion.reporters_lately >= REPORTERS or (suspicion.reporters and busy):
        return Caution.REFUSE
    return Caution.ACKNOWLEDGE if suspicion.reporters else Caution.NONE


def distance(here: Coordinates, there: Coordinates) -> float:
    """Return the kilometres between two places along a great circle (the haversine formula)."""
    one, other = math.radians(here.latitude), math.radians(there.latitude)
    half_way = math.radians(there.longitude - here.longitude) / 2
    chord = math.sin((other - one) / 2) ** 2 + math.cos(one) * math.cos(other) * math.sin(half_way) ** 2
    return 2 * _EARTH * math.asin(math.sqrt(min(1.0, chord)))


def _counts(recent: Recent) -> Iterable[Signal]:
    if recent.failures >= MANY_FAILURES:
        yield Signal.MANY_FAILURES
    if recent.accounts >= MANY_ACCOUNTS:
        yield Signal.MANY_ACCOUNTS


def _too_fast(last: Sighting, seen: Sighting) -> bool:
    if last.coordinates is None or seen.coordinates is None:
        return False
    kilometres = distance(last.coordinates, seen.coordinates)
    hours = max(0.0, (seen.at - last.at).total_seconds()) / 3600
    return kilometres > NEAR and kilometres > FASTEST * hours
