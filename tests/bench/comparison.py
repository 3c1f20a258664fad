"""The hub beside its peers: one row for each thing measured, one column for each server."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from tests.bench.figures import Figure, aligned, spread
from tests.bench.waiting import HUB

Round = Mapping[str, Any]


class _Row(NamedTuple):
    name: str
    unit: str
    target: str
    of: Callable[[Round, Mapping[str, float]], float]


def _cpu(told: Round, what: str) -> float:
    return float(told[what]["server"]["cpu"])


_ROWS = (
    _Row(
        "memory per waiting socket (PSS)",
        "KiB",
        "≤ 4",
        lambda told, plan: told["memory"] / plan["sockets"] / 1024,
    ),
    _Row(
        "the same after all of the below",
        "KiB",
        "",
        lambda told, plan: told["memory_after"] / plan["sockets"] / 1024,
    ),
    _Row(
        "handshake with all checks, CPU",
        "µs",
        "≤ 500",
        lambda told, plan: 1e6 * told["handshake"]["cpu"] / plan["sockets"],
    ),
    _Row(
        "idle sockets, CPU",
        "%",
        "≤ 1",
        lambda told, _: 100 * told["idle"]["cpu"] / told["idle"]["seconds"],
    ),
    _Row("Redis → the one socket", "events/s", "≥ 28000", lambda told, _: told["flood"]["rate"]),
    _Row(
        "Redis → the one socket, server CPU meanwhile",
        "%",
        "",
        lambda told, _: 100 * _cpu(told, "flood") / told["flood"]["server"]["seconds"],
    ),
    _Row(
        "Redis → the one socket, CPU per event",
        "µs",
        "≤ 20",
        lambda told, _: 1e6 * _cpu(told, "flood") / told["flood"]["done"],
    ),
    _Row("publish → frame at {rate:g}/s, p50", "ms", "≤ 0.4", lambda told, _: told["pace"]["p50"]),
    _Row("publish → frame at {rate:g}/s, p99", "ms", "≤ 1", lambda told, _: told["pace"]["p99"]),
    _Row("publish → frame at {rate:g}/s, longest", "ms", "≤ 50", lambda told, _: told["pace"]["max"]),
    _Row(
        "POST (the hub: a whole confirmation) → the one socket, per second of CPU",
        "1/s",
        "≥ 800",
        lambda told, _: told["post"]["done"] / _cpu(told, "post"),
    ),
    _Row(
        "events and sockets lost",
        "",
        "0",
        lambda told, _: (
            told["lost"] + sum(told[what]["lost"] for what in ("flood", "pace", "post") if what in told)
        ),
    ),
)


class Line(NamedTuple):
    """One row: the figure of each server that has one, by name."""

    name: str
    unit: str
    target: str
    servers: dict[str, Figure]

    def reply(self) -> dict[str, Any]:
        """Return it as JSON members."""
        servers = {name: figure.reply() for name, figure in self.servers.items()}
        return {"name": self.name, "unit": self.unit, "target": self.target, "servers": servers}


def compare(report: Mapping[str, Any]) -> list[Line]:
    """Return the rows of what `Waiting.report` tells; a server has none of what it was not asked."""
    plan = report["plan"]
    return [
        Line(
            row.name.format(**plan),
            row.unit,
            row.target,
            {
                name: Figure(row.name, row.unit, values, row.target)
                for name, rounds in report["rounds"].items()
                if (values := [value for told in rounds if (value := _value(row, told, plan)) is not None])
            },
        )
        for row in _ROWS
    ]


def _value(row: _Row, told: Round, plan: Mapping[str, float]) -> float | None:
    try:
        return row.of(told, plan)
    except (KeyError, ZeroDivisionError):  # it was not asked, or nothing came of it
        return None


def columns(lines: Sequence[Line]) -> list[tuple[str, ...]]:
    """Return the table as rows of cells, its head first: medians, with the lowest and the highest."""
    names = list(dict.fromkeys([HUB, *(name for line in lines for name in line.servers)]))
    return [
        ("", "", "to reach", *names),
        *(
            (line.name, line.unit, line.target, *(_cell(line.servers.get(name)) for name in names))
            for line in lines
        ),
    ]


def text(lines: Sequence[Line]) -> str:
    """Return the table as text."""
    return aligned(columns(lines), right=range(3, 100))


def _cell(figure: Figure | None) -> str:
    return "–" if figure is None else spread(figure)
