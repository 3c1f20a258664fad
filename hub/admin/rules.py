"""From readings of the metrics to the figures of the dashboard. Pure: no I/O, no clock.

A reading is what the metrics say at one time, under (name, label values …) of what the dashboard needs,
summed over all other labels. Counters only grow, so their difference is what happened in between.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, NamedTuple

from prometheus_client import Metric

from hub.admin.figures import Bar, Bars, Results

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
    DEAD: ("kind", "reason"),
    SOCKETS: (),
    WAITING: ("kind",),
    OLDEST: ("kind",),
    SPENT: ("scope",),
    BUDGET: ("scope",),
}
"""The samples that the dashboard is made of, and the labels by which they are kept apart."""

MOST_ERRORS: Final = 10
_FEW_LEFT: Final = 0.8  # of a budget

Tone = Literal["neutral", "success", "warning", "danger"]
_TONES: Final[Mapping[str, Tone]] = {
    "success": "success",
    "failed": "warning",
    "blocked": "danger",
    "idle": "neutral",
    "ok": "success",
    "failing": "danger",
}


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

    def results(self) -> Results:
        """Return the tries to sign in by result."""
        tries = self.by_labels(SIGN_INS)
        ended = Counter[str]()
        for (_, status), count in tries.items():
            ended[status] += count
        return {"success": ended["success"], "failed": ended["failed"], "blocked": ended["blocked"]}


def bars(grown: Increase, newest: Reading) -> Bars:
    """Return the counts that the dashboard shows."""
    return {
        "funnel": _funnel(grown),
        "sign_ins": [
            _bar(labels, count, tone=_TONES.get(labels[1], "neutral"))
            for labels, count in grown.by_labels(SIGN_INS).items()
        ],
        "latency": _latency(grown, newest),
        "errors": _errors(grown),
        "senders": _senders(grown, newest),
        "queues": [
            _bar(
                (kind, f"{newest.get((OLDEST, kind), 0):.0f} s"), round(newest[WAITING, kind]), tone="warning"
            )
            for kind in _labels(newest, WAITING)
        ],
        "budgets": [_budget(newest, scope) for scope in _labels(newest, BUDGET)],
    }


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


def answers(grown: Increase, newest: Reading) -> list[tuple[float, int]]:
    """Return how many answers took at most so many milliseconds, for each bound, the smallest first."""
    bounds = sorted((float(bound), bound) for bound in _labels(newest, SECONDS))
    return [(1000 * seconds, grown.of(SECONDS, bound)) for seconds, bound in bounds]


def _bar(names: Iterable[str], count: int, whole: int | None = None, tone: Tone = "neutral") -> Bar:
    return {"names": list(names), "count": count, "whole": whole, "tone": tone}


def _labels(newest: Reading, name: str) -> list[str]:
    return sorted({key[1] for key in newest if key[0] == name}, key=lambda label: (label != "all", label))


def _funnel(grown: Increase) -> list[Bar]:
    created = grown.of(CREATED)
    steps = {
        "created": created,
        "scanned": grown.of(MOVES, "scanned"),
        "confirmed": grown.of(MOVES, "confirmed"),
        "redeemed": grown.of(REDEEMED, "success"),
    }
    return [_bar([step], count, created) for step, count in steps.items()]


def _latency(grown: Increase, newest: Reading) -> list[Bar]:
    found, below, longest = [], 0, 0.0
    for bound, count in answers(grown, newest):  # each bucket of Prometheus counts all shorter ones too
        name = f"≤ {bound:g} ms" if math.isfinite(bound) else f"> {longest:g} ms"
        found.append(_bar([name], count - below))
        below, longest = count, bound
    return found


def _errors(grown: Increase) -> list[Bar]:
    found = [
        _bar((source, *labels), count, tone="danger")
        for source, name in (("wechat", ERRORS), ("hub", ANSWERS), ("outbox", DEAD))
        for labels, count in grown.by_labels(name).items()
    ]
    return sorted(found, key=lambda bar: -bar["count"])[:MOST_ERRORS]


def _senders(grown: Increase, newest: Reading) -> list[Bar]:
    tries = grown.by_labels(TRIES)
    found = []
    for provider in _labels(newest, TRIES):
        ok = tries.get((provider, "ok"), 0)
        tried = sum(count for labels, count in tries.items() if labels[0] == provider)
        health = "idle" if not tried else "ok" if 2 * ok >= tried else "failing"
        found.append(_bar((provider, health), ok, tried, _TONES[health]))
    return found


def _budget(newest: Reading, scope: str) -> Bar:
    spent, budget = round(newest.get((SPENT, scope), 0)), round(newest[BUDGET, scope])
    return _bar([scope], spent, budget, "success" if spent < _FEW_LEFT * budget else "danger")
