"""Figures: quantiles, the median of rounds with its spread, and the table they are printed in."""

import statistics
from collections.abc import Container, Iterable, Sequence
from typing import Any, NamedTuple


class Figure(NamedTuple):
    """One line of the table: what was measured in each round; *target* is what is to be reached."""

    name: str
    unit: str
    rounds: Sequence[float]
    target: str = ""

    @property
    def median(self) -> float:
        """The middle of the rounds."""
        return statistics.median(self.rounds)

    def reply(self) -> dict[str, Any]:
        """Return it as JSON members."""
        return {
            "name": self.name,
            "unit": self.unit,
            "median": self.median,
            "low": min(self.rounds),
            "high": max(self.rounds),
            "rounds": list(self.rounds),
            "target": self.target,
        }


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return the value below which *share* of the *ordered* values lie, by nearest rank."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def summary(values: Iterable[float]) -> dict[str, float]:
    """Return `p50`, `p99` and `max` of *values*; empty where there are none."""
    ordered = sorted(values)
    if not ordered:
        return {}
    return {"p50": quantile(ordered, 0.5), "p99": quantile(ordered, 0.99), "max": ordered[-1]}


def table(figures: Sequence[Figure]) -> str:
    """Return the figures as text, one line each."""
    return aligned(rows(figures), right=range(2, 5))


def rows(figures: Sequence[Figure]) -> list[tuple[str, ...]]:
    """Return the figures as rows of cells, their head first."""
    return [
        ("", "", "median", "low", "high", "target"),
        *(
            (
                figure.name,
                figure.unit,
                *map(short, (figure.median, min(figure.rounds), max(figure.rounds))),
                figure.target,
            )
            for figure in figures
        ),
    ]


def aligned(lines: Sequence[Sequence[str]], *, right: Container[int]) -> str:
    """Return rows of cells as text, the columns *right* flush right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if place in right else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def spread(figure: Figure) -> str:
    """Return the median, with the lowest and the highest where the rounds differ."""
    low, middle, high = map(short, (min(figure.rounds), figure.median, max(figure.rounds)))
    return middle if low == high else f"{middle} ({low}–{high})"


def short(value: float) -> str:
    """Return *value* with three digits."""
    return f"{value:.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"
