"""What makes a sign-in unusual, and what follows from it."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.audit.devices import called, device_key
from hub.audit.rules import (
    ALERT_SCORE,
    FASTEST,
    MANY_ACCOUNTS,
    MANY_FAILURES,
    NEAR,
    REPORTERS,
    WEIGHTS,
    Caution,
    Coordinates,
    Recent,
    Sighting,
    Signal,
    Suspicion,
    alerting,
    caution,
    distance,
    failure_signals,
    risk,
    score,
    signals,
)
from hub.tokens.service import Device
from tests.people import DESKTOP, IN_WECHAT

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
HANGZHOU = Coordinates(30.29, 120.16)
SHANGHAI = Coordinates(31.22, 121.47)
BERLIN = Coordinates(52.52, 13.40)
LONDON = Coordinates(51.51, -0.13)
NEW_YORK = Coordinates(40.71, -74.01)
HOME = Sighting("laptop", "192.0.2.0/24", "hangzhou", HANGZHOU, NOW - timedelta(hours=1))
QUIET = Recent()


def seen(**members: object) -> Sighting:
    """A sign-in now that differs from HOME in *members*."""
    return HOME._replace(at=NOW, **members)  # type: ignore[arg-type]  # any column


def test_nothing_is_unusual_about_the_usual() -> None:
    """The same device in the same network raises nothing."""
    assert signals(seen(), [HOME], QUIET) == ()


@pytest.mark.parametrize(
    ("members", "raised"),
    [
        ({"device": "phone"}, {Signal.NEW_DEVICE}),
        ({"network": "198.51.100.0/24"}, {Signal.NEW_NETWORK}),
        ({"city": "shanghai", "coordinates": SHANGHAI}, {Signal.NEW_CITY}),
        ({"city": "berlin", "coordinates": BERLIN}, {Signal.NEW_CITY, Signal.IMPOSSIBLE_TRAVEL}),
        ({"city": None, "coordinates": None}, set()),
        ({"city": "hangzhou", "coordinates": BERLIN}, {Signal.IMPOSSIBLE_TRAVEL}),
    ],
)
def test_each_difference_has_its_signal(members: dict[str, object], raised: set[Signal]) -> None:
    """Device, network, city and speed are each looked at by themselves."""
    assert set(signals(seen(**members), [HOME], QUIET)) == raised


def test_whatever_was_seen_before_is_usual() -> None:
    """One of the former sign-ins is enough, whichever it was."""
    away = Sighting("phone", "198.51.100.0/24", "berlin", BERLIN, NOW - timedelta(days=30))
    mixed = seen(device="phone", network=HOME.network, city="berlin", coordinates=HANGZHOU)
    for past in itertools.permutations([HOME, away]):
        assert signals(mixed, past, QUIET) == ()


def test_a_first_sign_in_has_nothing_to_differ_from() -> None:
    """Without a past only the counts are looked at, and nobody is told."""
    raised = signals(seen(), [], Recent(failures=MANY_FAILURES, accounts=MANY_ACCOUNTS))
    assert set(raised) == {Signal.MANY_FAILURES, Signal.MANY_ACCOUNTS}
    assert not alerting(raised, [])
    assert alerting(raised, [HOME])


def test_cities_that_nobody_knew_are_not_compared() -> None:
    """The first city that is known at all, as after the operator adds a database, is not a new one."""
    past = [HOME._replace(city=None, coordinates=None)]
    assert signals(seen(city="berlin", coordinates=BERLIN), past, QUIET) == ()


@pytest.mark.parametrize(
    ("recent", "raised"),
    [
        (Recent(failures=MANY_FAILURES - 1, accounts=MANY_ACCOUNTS - 1), ()),
        (Recent(failures=MANY_FAILURES), (Signal.MANY_FAILURES,)),
        (Recent(accounts=MANY_ACCOUNTS), (Signal.MANY_ACCOUNTS,)),
        (Recent(MANY_FAILURES, MANY_ACCOUNTS), (Signal.MANY_FAILURES, Signal.MANY_ACCOUNTS)),
    ],
)
def test_counts_from_their_threshold_on(recent: Recent, raised: tuple[Signal, ...]) -> None:
    """One below is nothing, and a refused try is judged by the counts alone."""
    assert signals(seen(), [HOME], recent) == raised
    assert failure_signals(recent) == raised


def test_travel_is_measured_from_the_last_sign_in() -> None:
    """Who was at home a month ago and in Berlin an hour ago is not fast in Berlin."""
    month = HOME._replace(at=NOW - timedelta(days=30))
    berlin = HOME._replace(city="berlin", coordinates=BERLIN)
    there = seen(city="berlin", coordinates=BERLIN)
    assert signals(there, [month, berlin], QUIET) == ()
    assert Signal.IMPOSSIBLE_TRAVEL in signals(seen(), [month, berlin], QUIET)


def test_travel_takes_its_time() -> None:
    """At FASTEST it is possible, a little above it is not."""
    hours = distance(HANGZHOU, BERLIN) / FASTEST
    for spare, raised in ((60.0, False), (-60.0, True)):
        last = HOME._replace(at=NOW - timedelta(hours=hours, seconds=spare))
        found = signals(seen(coordinates=BERLIN), [last], QUIET)
        assert (Signal.IMPOSSIBLE_TRAVEL in found) is raised


def test_near_places_are_never_too_far() -> None:
    """Within NEAR even the same second is possible: a city database is not exact."""
    same = HOME._replace(at=NOW)
    north = Coordinates(HANGZHOU.latitude + NEAR / 111.2 - 0.1, HANGZHOU.longitude)
    far = Coordinates(HANGZHOU.latitude + NEAR / 111.2 + 0.1, HANGZHOU.longitude)
    assert signals(seen(coordinates=north), [same], QUIET) == ()
    assert signals(seen(coordinates=far), [same], QUIET) == (Signal.IMPOSSIBLE_TRAVEL,)


def test_a_clock_set_back_is_no_travel_back_in_time() -> None:
    """A past sign-in with a later time counts as one of this moment."""
    later = HOME._replace(at=NOW + timedelta(minutes=5))
    assert signals(seen(), [later], QUIET) == ()
    assert Signal.IMPOSSIBLE_TRAVEL in signals(seen(coordinates=BERLIN), [later], QUIET)


PLACES = st.builds(Coordinates, st.floats(-90, 90), st.floats(-180, 180))


@given(PLACES, PLACES)
def test_a_distance_is_one(here: Coordinates, there: Coordinates) -> None:
    """It is symmetric, never negative, and at most half the earth's girth."""
    kilometres = distance(here, there)
    assert 0 <= kilometres <= 20_016
    assert kilometres == pytest.approx(distance(there, here), abs=1e-6)


@pytest.mark.parametrize(
    ("here", "there", "kilometres"),
    [(HANGZHOU, HANGZHOU, 0), (HANGZHOU, SHANGHAI, 163), (LONDON, NEW_YORK, 5570)],
)
def test_known_distances(here: Coordinates, there: Coordinates, kilometres: float) -> None:
    """As an atlas has them."""
    assert distance(here, there) == pytest.approx(kilometres, abs=max(1, kilometres * 0.01))


def test_only_grave_signals_reach_a_person() -> None:
    """A new network, many accounts, and both at once are on record and nothing more; any other is told."""
    quiet = {Signal.NEW_NETWORK, Signal.MANY_ACCOUNTS}
    for count in range(len(Signal) + 1):
        for raised in itertools.combinations(Signal, count):
            assert alerting(raised, [HOME]) is bool(set(raised) - quiet)


def test_the_risk_on_record() -> None:
    """The signals by name, the gravest first, and their sum; nothing where nothing is unusual."""
    raised = signals(seen(device="phone", network="x"), [HOME], Recent(failures=MANY_FAILURES))
    assert risk(raised) == {"signals": ["many_failures", "new_device", "new_network"], "score": 7}
    assert risk(()) is None
    assert [WEIGHTS[signal] for signal in Signal] == sorted(WEIGHTS.values(), reverse=True)
    assert score(Signal) == sum(WEIGHTS.values()) > ALERT_SCORE


@pytest.mark.parametrize(
    ("reporters", "lately", "accounts", "wanted"),
    [
        (0, 0, 0, Caution.NONE),
        (0, 0, MANY_ACCOUNTS, Caution.NONE),
        (1, 0, 0, Caution.ACKNOWLEDGE),
        (REPORTERS, REPORTERS - 1, MANY_ACCOUNTS - 1, Caution.ACKNOWLEDGE),
        (REPORTERS, REPORTERS, 0, Caution.REFUSE),
        (1, 0, MANY_ACCOUNTS, Caution.REFUSE),
    ],
)
def test_what_a_confirmation_takes(reporters: int, lately: int, accounts: int, wanted: Caution) -> None:
    """A busy address alone demands nothing, one report a second step, several an end."""
    assert caution(Suspicion(reporters, lately, accounts)) is wanted


def device(**members: str | None) -> Device:
    """A device that tells only *members* of itself."""
    return Device(None, None, None, "192.0.2.7", DESKTOP, None)._replace(**members)  # type: ignore[arg-type]


def test_a_device_is_known_by_its_own_id() -> None:
    """With an id neither browser, type nor name matter."""
    one = device_key(device(id="a"))
    assert device_key(device(id="a", type="ios", name="Mine", user_agent=IN_WECHAT)) == one
    assert device_key(device(id="b")) != one


def test_a_browser_is_known_by_its_kind() -> None:
    """Without an id: family, system and type, and not the version, which changes by itself."""
    one = device_key(device())
    assert device_key(device(user_agent=DESKTOP.replace("150.0", "151.0"), name="Mine")) == one
    assert device_key(device(type="web")) != one
    assert device_key(device(user_agent=DESKTOP.replace("X11; Linux x86_64", "Windows NT 10.0"))) != one
    assert device_key(device(user_agent="Shop/1.2")) == device_key(device(user_agent="Shop/1.3"))
    assert device_key(device(user_agent="Shop/1.2")) != device_key(device(user_agent="Mall/1.2"))
    assert device_key(device(id="agent")) not in {device_key(device(user_agent="")), one}


def test_what_a_device_is_called() -> None:
    """Its own name, else browser and system, else nothing."""
    assert called(device(name="Mine")) == "Mine"
    assert called(device()) == "Chrome, Linux"
    assert called(device(user_agent="")) == ""


@pytest.mark.parametrize("name", ["Li Na's iPhone (2)", "小米 14", "K-9 + case", "x" * 40])
def test_a_name_is_told(name: str) -> None:
    """As people name their devices."""
    assert called(device(name=name)) == name


@pytest.mark.parametrize("name", ["evil.example", "//evil", "call: 123", "a\nb", "x" * 41, "@bank", "<b>"])
def test_a_letter_is_no_name(name: str) -> None:
    """Whoever signs in with a stolen password cannot put a link into the warning."""
    assert called(device(name=name)) == "Chrome, Linux"
    assert called(device(name=name, user_agent="evil.example/1.0 " * 9)).find("/") == -1
