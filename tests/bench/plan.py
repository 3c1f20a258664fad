"""The plan past one machine: what many more browsers need, reckoned from the figures of a run."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tests.bench.figures import short
from tests.bench.rounds import VISIBLE
from tests.bench.waiting import HUB

BROWSERS = 1_000_000  # that wait
SIGN_INS = 10_000  # a second
_BUSY = 0.6  # of a core, at most: the rest is for what comes at once
_PRIMARY = 32  # cores of a large database server


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
    turns = sockets / VISIBLE

    def a_turn(what: str, beside: float = 0.0) -> float:
        rates = [each["idle"][what] / each["idle"]["seconds"] for each in report["sign-ins"]]
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
    processes, shards = hub.servers, redis.servers
    each = BROWSERS / processes
    primary = _PRIMARY * _BUSY
    alone = primary / (one.sign_in_mariadb + one.turn_mariadb * BROWSERS / SIGN_INS / VISIBLE)
    untold = primary / one.sign_in_mariadb
    rows: Sequence[Sequence[str]] = [
        ("", "one of them", "hub", "MariaDB", "Redis"),
        ("---",) * 5,
        (f"{BROWSERS:,} browsers wait", f"{one.idle * 1e6:.2g} µs a second", *_cores(hub.wait)),
        (
            f"their codes turn each {VISIBLE} s: {turns:,.0f} a second",
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
            f"at {_BUSY:.0%} of a core each",
            "",
            f"{processes} processes",
            f"{math.ceil(mariadb.all / _BUSY)} cores",
            f"{shards} shard{'s' if shards > 1 else ''}",
        ),
    ]
    return "\n".join(
        [
            f"A million browsers that wait and {SIGN_INS:,} sign-ins a second are the same load where one waits"
            f" {BROWSERS / SIGN_INS:.0f} s on average. Reckoned from the figures above, in CPU time of one such core"
            " (hub + MariaDB + Redis):\n",
            "".join(f"| {' | '.join(row)} |\n" for row in rows),
            f"- **Memory.** {short(one.memory / 1024)} KiB a socket: {one.memory * BROWSERS / 2**30:.1f} GiB for all,"
            f" {one.memory * each / 2**20:.0f} MiB in each of {processes} processes, with {each:,.0f} sockets each; the"
            " kernel's own share of a connection comes on top, here and in whatever stands before the hub.",
            f"- **Redis.** {one.commands:.0f} commands a sign-in, {one.commands * SIGN_INS:,.0f} a second. Each attempt"
            " has a channel of its own and one key, so a cluster spreads them over its shards (sharded pub/sub), and no"
            " shard hears of what another one tells.",
            f"- **SQL.** {one.statements:.0f} statements a sign-in, {one.statements * SIGN_INS:,.0f} a second, all on one"
            " primary, for every move is a conditional UPDATE.",
            f"- **The first wall** is that primary. With {_PRIMARY} such cores, {_BUSY:.0%} of each used, it carries"
            f" {alone:,.0f} sign-ins a second with the codes of those who wait, {untold:,.0f} where nobody's code turns;"
            " hub processes and Redis shards are added as they are needed.",
            "- **What moves it.** First a longer `QR_ROTATE_SECONDS`, or doors whose codes do not turn; then a disk that"
            " makes many commits last at once. After that attempts want a database of their own: their rows live for"
            " minutes, and are found by `session_id` or code. That is not built; hubs side by side, each with a database"
            " and a Redis of its own for one site or region, are, for they share nothing.",
            f"- **When a process goes**, its {each:,.0f} browsers come back to the others, spread over 15 s:"
            f" {one.handshake * each:.1f} s of CPU, {one.handshake * each / 15 / max(1, processes - 1):.1%} of each"
            " remaining core meanwhile.\n",
        ]
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
