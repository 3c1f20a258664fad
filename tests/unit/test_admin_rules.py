"""From readings of the metrics to the figures of the dashboard."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric

from hub.admin import rules
from hub.admin.dashboard import SLOT, SLOTS, Dashboard
from hub.admin.figures import Bar, Figures
from hub.admin.rules import Increase
from tests.unit.rendered import pages

START = datetime(2026, 1, 5, 8, tzinfo=UTC)


class House:
    """Metrics and a clock that are moved by hand, and a dashboard over them."""

    def __init__(self) -> None:
        self.metrics = CollectorRegistry()
        self.sign_ins = Counter("hub_sign_ins_total", "x", ["method", "status"], registry=self.metrics)
        self.seconds = Histogram(
            "hub_http_request_seconds", "x", ["route", "method"], buckets=(0.01, 0.1), registry=self.metrics
        )
        self.answers = Counter(
            "hub_http_answers_total", "x", ["route", "method", "status"], registry=self.metrics
        )
        self.tries = Counter("hub_sender_tries_total", "x", ["provider", "result"], registry=self.metrics)
        self.sockets = Gauge("hub_open_sockets", "x", registry=self.metrics)
        self.now = START
        self.measured = 0
        self.dashboard = Dashboard(self.metrics.collect, self.measure, lambda: self.now)

    async def measure(self) -> None:
        """Count how often the database was asked."""
        self.measured += 1

    def read(self) -> rules.Reading:
        """Read the metrics."""
        return rules.read(self.metrics.collect())

    async def after(self, seconds: float) -> Figures:
        """Let time go by, read, and return all that is known."""
        self.now += timedelta(seconds=seconds)
        await self.dashboard.take()
        return self.dashboard.snapshot()


@pytest.fixture
async def house() -> House:
    """Metrics at nothing, read once."""
    house = House()
    await house.dashboard.start()
    await house.dashboard.stop()
    return house


def named(bars: list[Bar]) -> dict[tuple[str, ...], int]:
    """The counts by their names."""
    return {tuple(bar["names"]): bar["count"] for bar in bars}


async def test_a_slot_holds_what_happened_in_it(house: House) -> None:
    """Tries count in the slot of the reading that has them first, and in the window."""
    tries = house.sign_ins.labels("wechat", "success")
    tries.inc(2)
    await house.after(1)
    tries.inc(3)
    told = await house.after(SLOT)
    assert [point["success"] for point in told["points"]] == [0] * (SLOTS - 2) + [2, 3]
    assert told["points"][-1]["at"] == "2026-01-05T08:00:15.000Z"
    assert told["results"]["success"] == 5


async def test_the_past_is_forgotten(house: House) -> None:
    """After the window has gone by nothing is left of what was counted, and the memory is bounded."""
    house.sign_ins.labels("wechat", "failed").inc()
    told = await house.after(1)
    assert told["results"]["failed"] == 1
    for _ in range(3 * SLOTS):
        told = await house.after(SLOT)
    assert told["results"]["failed"] == 0
    assert len(told["points"]) == SLOTS


async def test_a_leap_of_the_clock_stays_bounded(house: House) -> None:
    """Neither a leap forward makes endless points, nor one back two of one slot; `seq` grows on."""
    forward = await house.after(10 * 365 * 86400)
    assert len(forward["points"]) == SLOTS
    back = await house.after(-300)
    assert len({point["at"] for point in back["points"]}) == SLOTS
    assert back["seq"] > forward["seq"]


async def test_only_watched_deltas_ask_the_database(house: House) -> None:
    """Unwatched nothing is measured; a watcher is told the slots that changed, until it leaves."""
    told: list[Figures] = []
    await house.after(1)
    assert house.measured == 0
    house.dashboard.watch(told.append)
    await house.after(1)
    await house.after(SLOT)
    house.dashboard.leave(told.append)
    await house.after(1)
    assert house.measured == 2
    assert [len(delta["points"]) for delta in told] == [1, 2]
    assert {delta["type"] for delta in told} == {"delta"}


def test_a_counter_that_begins_anew() -> None:
    """What it has counted since is what is known; nothing goes below zero."""
    grown = Increase({("hub_qr_created_total",): 7}, {("hub_qr_created_total",): 2})
    assert grown.of("hub_qr_created_total") == 2


async def test_latency_is_that_of_the_api(house: House) -> None:
    """Each bucket holds its own answers alone, those beyond the last bound too; pages do not count."""
    for seconds in (0.005, 0.005, 0.05, 7):
        house.seconds.labels("/api/login", "POST").observe(seconds)
    house.seconds.labels("/", "GET").observe(0.005)
    told = await house.after(1)
    assert named(told["bars"]["latency"]) == {("≤ 10 ms",): 2, ("≤ 100 ms",): 1, ("> 100 ms",): 1}
    assert (told["p50"], told["p99"]) == (10, 100)


@pytest.mark.parametrize(
    ("up_to", "share", "expected"),
    [
        ([], 0.5, None),
        ([(10.0, 0)], 0.5, None),
        ([(10.0, 4)], 0.5, 5),
        ([(10.0, 2), (20.0, 4)], 0.75, 15),
        ([(10.0, 0), (20.0, 4)], 0.5, 15),
        ([(10.0, 4), (20.0, 4)], 1, 10),
        ([(10.0, 1), (float("inf"), 4)], 0.99, 10),
    ],
)
def test_quantile(up_to: list[tuple[float, int]], share: float, expected: float | None) -> None:
    """Linear within a bucket, and the last bound for what lies beyond."""
    assert rules.quantile(up_to, share) == expected


async def test_errors_are_the_most_frequent(house: House) -> None:
    """Answers from 500 on by route, the most frequent first, and no more than ten."""
    for number in range(12):
        house.answers.labels(f"/api/{number}", "GET", "503").inc(1 + number)
    house.answers.labels("/api/0", "GET", "404").inc(99)
    told = (await house.after(1))["bars"]["errors"]
    assert [bar["count"] for bar in told] == list(range(12, 2, -1))
    assert told[0]["names"] == ["hub", "/api/11", "503"]


@pytest.mark.parametrize(
    ("ok", "failed", "health", "tone"),
    [
        (0, 0, "idle", "neutral"),
        (1, 0, "ok", "success"),
        (1, 1, "ok", "success"),
        (1, 2, "failing", "danger"),
    ],
)
async def test_health_of_a_sender(house: House, ok: int, failed: int, health: str, tone: str) -> None:
    """A sender that fails more often than not is failing."""
    house.tries.labels("aliyun", "ok").inc(ok)
    house.tries.labels("aliyun", "temporary").inc(failed)
    [bar] = (await house.after(1))["bars"]["senders"]
    assert bar == {"names": ["aliyun", health], "count": ok, "whole": ok + failed, "tone": tone}


def test_processes_are_summed() -> None:
    """Samples that differ only in what the dashboard does not tell apart are one."""

    def families() -> Iterator[Metric]:
        metric = Metric("hub_qr_created", "x", "counter")
        for door in ("h5", "app"):
            metric.add_sample("hub_qr_created_total", {"door": door}, 2)
        yield metric

    assert rules.read(families()) == {("hub_qr_created_total",): 4}


def test_words_have_texts() -> None:
    """Each word that the server sends of itself has its text in the page."""
    words = {"created", "scanned", "confirmed", "redeemed", "idle", "ok", "failing", "all", "sms", "email"}
    words |= {"sms_code", "email_code", "password", "wechat", "success", "failed", "blocked"}
    for page in pages():
        if page.name == "admin.html":
            assert {word for word in words if f'data-text="page.admin.{word}"' not in page.html} == set()
