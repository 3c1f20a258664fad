"""The plan past one machine: what many more browsers need, reckoned from the figures of a run."""

import math
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tests.bench.figures import short
from tests.bench.rounds import VISIBLE
from tests.bench.waiting import HUB

BROWSERS = 1_000_000  # that wait
SIGN_INS = 10_000  # a second
_BUSY = 0.6  # of a core, at most: the rest is for what comes at once
_PRIMARY = 32  # cores of a large database server
_RETURN = 15.0  # seconds over which those come back whom a process has sent away
_TEXT = Path(__file__).parent / "plan.md"


class Measured(NamedTuple):
    """What one core has been seen to do; times in seconds of CPU."""

    memory: float
    """Of a waiting socket, bytes."""
    handshake: float
    idle: float
    """Of a waiting socket, a second."""
    sign_in: float
    """At the hub, its socket included."""
    sign_in_mariadb: float
    sign_in_redis: float
    statements: float
    """Of a sign-in."""
    commands: float
    """Of a sign-in, at Redis."""
    turn: float
    """Of a code that is replaced by the next one, at the hub."""
    turn_mariadb: float
    turn_redis: float


def measured(report: Mapping[str, Any]) -> Measured:
    """Return what *report* tells of one core. Raises KeyError where it lacks a part."""
    waiting = {
        row["name"]: row["servers"][HUB]["median"]
        for row in report["waiting"]["comparison"]
        if HUB in row["servers"]
    }
    figures = {figure["name"]: figure["median"] for figure in report["figures"]}
    idle = waiting["idle sockets, CPU"] / 100 / report["waiting"]["plan"]["sockets"]
    sockets = report["plan"]["sockets"]
    turns = float(sockets / VISIBLE)

    def a_turn(what: str, beside: float = 0.0) -> float:
        rates = [float(each["idle"][what] / each["idle"]["seconds"]) for each in report["sign-ins"]]
        return max(0.0, statistics.median(rates) - beside) / turns

    return Measured(
        memory=1024 * waiting["memory per waiting socket (PSS)"],
        handshake=waiting["handshake with all checks, CPU"] / 1e6,
        idle=idle,
        sign_in=1 / figures["whole sign-ins per second of hub CPU, as many as it can"],
        sign_in_mariadb=figures["MariaDB's CPU per sign-in"] / 1000,
        sign_in_redis=figures["Redis' CPU per sign-in"] / 1000,
        statements=figures["statements per sign-in"],
        commands=figures["Redis commands per sign-in"],
        turn=a_turn("cpu", idle * sockets),
        turn_mariadb=a_turn("mariadb"),
        turn_redis=a_turn("redis"),
    )


def rendered(report: Mapping[str, Any]) -> str:
    """Return the plan in Markdown."""
    one = measured(report)
    turns = BROWSERS / VISIBLE
    hub = _Share(one.idle * BROWSERS, one.turn * turns, one.sign_in * SIGN_INS)
    mariadb = _Share(0.0, one.turn_mariadb * turns, one.sign_in_mariadb * SIGN_INS)
    redis = _Share(0.0, one.turn_redis * turns, one.sign_in_redis * SIGN_INS)
    each = BROWSERS / hub.servers
    back = one.handshake * each
    primary = _PRIMARY * _BUSY
    rows = [
        ("", "CPU of one: hub, MariaDB, Redis", "hub", "MariaDB", "Redis"),
        ("---",) * 5,
        (f"{BROWSERS:,} browsers wait", f"{1e6 * one.idle:.2g} µs a second", *_cores(hub.wait)),
        (
            f"their codes turn every {VISIBLE} s, {turns:,.0f} a second",
            _times(one.turn, one.turn_mariadb, one.turn_redis),
            *_cores(hub.turn, mariadb.turn, redis.turn),
        ),
        (
            f"{SIGN_INS:,} sign-ins a second",
            _times(one.sign_in, one.sign_in_mariadb, one.sign_in_redis),
            *_cores(hub.sign_in, mariadb.sign_in, redis.sign_in),
        ),
        ("cores in all", "", *_cores(hub.all, mariadb.all, redis.all)),
        (
            f"where each is {_BUSY:.0%} busy",
            "",
            f"{hub.servers} processes",
            f"{mariadb.servers} cores",
            f"{redis.servers} shards",
        ),
    ]
    return _TEXT.read_text("utf-8").format(
        browsers=BROWSERS,
        sign_ins=SIGN_INS,
        wait=BROWSERS / SIGN_INS,
        table="".join(f"| {' | '.join(row)} |\n" for row in rows),
        socket=one.memory / 1024,
        memory=one.memory * BROWSERS / 2**30,
        memory_each=one.memory * each / 2**20,
        processes=hub.servers,
        each=each,
        commands=one.commands,
        all_commands=one.commands * SIGN_INS,
        statements=one.statements,
        all_statements=one.statements * SIGN_INS,
        primary=_PRIMARY,
        busy=_BUSY,
        alone=primary * SIGN_INS / mariadb.all,
        untold=primary * SIGN_INS / mariadb.sign_in,
        handshakes=back,
        meanwhile=back / _RETURN / max(1, hub.servers - 1),
    )


class _Share(NamedTuple):
    """Cores of one kind of server: for those who wait, for codes that turn, and for sign-ins."""

    wait: float
    turn: float
    sign_in: float

    @property
    def all(self) -> float:
        return sum(self)

    @property
    def servers(self) -> int:
        """How many of one core each it takes."""
        return max(1, math.ceil(self.all / _BUSY))


def _times(*seconds: float) -> str:
    return " + ".join(short(1000 * each) for each in seconds) + " ms"


def _cores(*cores: float) -> tuple[str, ...]:
    told = [short(each) for each in cores]
    return (*told, *["–"] * (3 - len(told)))
