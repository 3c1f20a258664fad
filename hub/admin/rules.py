"""From readings of the metrics to the figures of the dashboard. Pure: no I/O, no clock.

A reading is what the metrics say at one time, under (name, label values …) of what the dashboard needs,
summed over all other labels. Counters only grow, so their difference is what happened in between.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, NamedTuple

from prometheus_client import Metric

from hub.admin.figures import Bucket, Budget, Failure, Funnel, Latency, Queue, SenderHealth, SignIns

Key = tuple[str, ...]
Reading = Mapping[Key, float]

CREATED: Final = "hub_qr_created_total"
MOVES: Final = "hub_qr_moves_total"
REDEEMED: Final = "hub_qr_redemptions_total"
SIGN_INS: Final = "hub_sign_ins_total"
SECONDS: Final = "hub_http_request_seconds_bucket"
ANSWERS: Final = "hub_http_answers_total"
ERRORS: Final = "hub_wechat_errors_total"
TRIES: Final = "hub_sender_tries_total"
DEAD: Final = "hub_outbox_dead_total"
SOCKETS: Final = "hub_open_sockets"
WAITING: Final = "hub_outbox_waiting"
OLDEST: Final = "hub_outbox_oldest_seconds"
SPENT: Final = "hub_sms_budget_spent"
BUDGET: Final = "hub_sms_budget"

LABELS: Final[Mapping[str, tuple[str, ...]]] = {
    CREATED: (),
    MOVES: ("status",),
    REDEEMED: ("result",),
    SIGN_INS: ("method", "status"),
    SECONDS: ("le",),
    ANSWERS: ("route", "status"),
    ERRORS: ("call", "errcode"),
    TRIES: ("provider", "result"),
    DEAD: ("kind",),
    SOCKETS: (),
    WAITING: ("kind",),
    OLDEST: ("kind",),
    SPENT: ("scope",),
    BUDGET: ("scope",),
}
"""The samples that the dashboard is made of, and the labels by which they are kept apart."""

MOST_ERRORS: Final = 10
RESULTS: Final = ("success", "failed", "blocked")
_SOURCES: Final[tuple[tuple[Literal["wechat", "hub"], str], ...]] = (("wechat", ERRORS), ("hub", ANSWERS))


class End(NamedTuple):
    """The last reading of a slot; *slot* counts from 1970."""

    slot: int
    reading: Reading


def read(families: Iterable[Metric]) -> Reading:
    """Return what the dashboard needs of all metrics."""
    found: dict[Key, float] = {}
    for family in families:
        for sample in family.samples:
            labels = LABELS.get(sample.name)
            if labels is None or not _told(sample.name, sample.labels):
                continue
            key = (sample.name, *(sample.labels[label] for label in labels))
            found[key] = found.get(key, 0) + sample.value
    return found


def _told(name: str, labels: Mapping[str, str]) -> bool:
    if name == SECONDS:  # pages and their files would hide how the API does
        return labels["route"].startswith(("/api/", "/oauth/"))
    return name != ANSWERS or labels["status"] >= "500"


class Increase:
    """What happened from one reading to a later one."""

    def __init__(self, older: Reading, newer: Reading) -> None:
        # One that is smaller has begun anew: what it counted since then is all that is known.
        self._grown = {
            key: value - older.get(key, 0) if value >= older.get(key, 0) else value
            for key, value in newer.items()
        }

    def of(self, *key: str) -> int:
        """Return how often something happened."""
        return round(self._grown.get(key, 0))

    def by_labels(self, name: str) -> dict[tuple[str, ...], int]:
        """Return how often what *name* counts happened, by its labels, what did not left out."""
        grown = {key[1:]: round(value) for key, value in self._grown.items() if key[0] == name}
        return {labels: count for labels, count in sorted(grown.items()) if count}

    def results(self) -> dict[str, int]:
        """Return the tries to sign in by result."""
        tries = self.by_labels(SIGN_INS)
        return {
            result: sum(count for labels, count in tries.items() if labels[1] == result) for result in RESULTS
        }


def funnel(grown: Increase) -> Funnel:
    """Return how far the QR sign-ins got."""
    return {
        "created": grown.of(CREATED),
        "scanned": grown.of(MOVES, "scanned"),
        "confirmed": grown.of(MOVES, "confirmed"),
        "redeemed": grown.of(REDEEMED, "success"),
    }


def sign_ins(grown: Increase) -> list[SignIns]:
    """Return the tries to sign in by method and result."""
    return [
        {"method": method, "status": status, "count": count}
        for (method, status), count in grown.by_labels(SIGN_INS).items()
    ]


def latency(grown: Increase, newest: Reading) -> Latency:
    """Return the times of answers; the buckets of a Prometheus histogram count all shorter ones too."""
    bounds = sorted({float(key[1]): key for key in newest if key[0] == SECONDS}.items())
    up_to = [(bound, grown.of(*key)) for bound, key in bounds]
    buckets: list[Bucket] = []
    below = 0
    for bound, count in up_to:
        buckets.append({"up_to": bound if math.isfinite(bound) else None, "count": count - below})
        below = count
    return {"buckets": buckets, "p50": quantile(up_to, 0.5), "p99": quantile(up_to, 0.99)}


def quantile(up_to: Sequence[tuple[float, int]], share: float) -> float | None:
    """Return the value that *share* of all stay below: *up_to* has (bound, how many), in order.

    Within a bucket they are taken to lie evenly, and beyond the last bound on it, as Prometheus'
    `histogram_quantile` does.
    """
    if not up_to or not up_to[-1][1]:
        return None
    rank = share * up_to[-1][1]
    low, below = 0.0, 0
    for bound, count in up_to:
        if count >= rank and count > below:
            return low + (bound - low) * (rank - below) / (count - below) if math.isfinite(bound) else low
        low, below = bound if math.isfinite(bound) else low, count
    return low


def senders(grown: Increase, newest: Reading) -> list[SenderHealth]:
    """Return how each provider does."""
    found: list[SenderHealth] = []
    tries = grown.by_labels(TRIES)
    for provider in sorted({key[1] for key in newest if key[0] == TRIES}):
        ok = tries.get((provider, "ok"), 0)
        failed = sum(count for labels, count in tries.items() if labels[0] == provider) - ok
        health: Literal["idle", "ok", "failing"] = "failing" if failed > ok else "ok" if ok else "idle"
        found.append({"provider": provider, "ok": ok, "failed": failed, "health": health})
    return found


def queues(grown: Increase, newest: Reading) -> list[Queue]:
    """Return what waits to be sent."""
    return [
        {
            "kind": kind,
            "waiting": round(newest[WAITING, kind]),
            "oldest": round(newest.get((OLDEST, kind), 0), 1),
            "dead": grown.of(DEAD, kind),
        }
        for kind in sorted(key[1] for key in newest if key[0] == WAITING)
    ]


def budgets(newest: Reading) -> list[Budget]:
    """Return what the day's SMS have used up, the whole hub's first."""
    scopes = sorted((key[1] for key in newest if key[0] == BUDGET), key=lambda scope: (scope != "all", scope))
    return [
        {
            "scope": scope,
            "spent": round(newest.get((SPENT, scope), 0)),
            "budget": round(newest[BUDGET, scope]),
        }
        for scope in scopes
    ]


def errors(grown: Increase) -> list[Failure]:
    """Return the most frequent errors."""
    found: list[Failure] = [
        {"source": source, "call": call, "code": code, "count": count}
        for source, name in _SOURCES
        for (call, code), count in grown.by_labels(name).items()
    ]
    return sorted(found, key=lambda failure: -failure["count"])[:MOST_ERRORS]
