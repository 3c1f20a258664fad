"""The README's figures: `python -m tests.bench.readme REPORT…` keeps the reports and writes their tables."""

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tests.bench import comparison, growth, plan
from tests.bench.figures import Figure, spread

README = Path(__file__).parents[2] / "README.md"
RESULTS = Path(__file__).parent / "results"
"""Where the reports are kept: `bench.json`, and `soak.json` of the parts that take longer."""

# Parts of the names of figures that have no target.
_TOLD_TOO = ("plain databases", "refreshes per second", "access token check", "memory per idle")

_NOTHING = "Nothing has been measured yet.\n"


def main(files: Sequence[Path]) -> None:
    """Keep the reports *files* in place of those before, and bring the README up to date."""
    RESULTS.mkdir(exist_ok=True)
    for file in files:
        report = json.loads(file.read_text("utf-8"))
        name = "soak" if "soak" in report or "curve" in report else "bench"
        (RESULTS / f"{name}.json").write_text(file.read_text("utf-8"), "utf-8")
    text = README.read_text("utf-8")
    for name, content in rendered().items():
        before, begin, rest = text.partition(f"<!-- {name} -->\n")
        _, end, after = rest.partition(f"<!-- end of {name} -->\n")
        text = f"{before}{begin}{content}{end}{after}"
    README.write_text(text, "utf-8")


def rendered() -> dict[str, str]:
    """Return what stands between each pair of markers in the README, from the reports that are kept."""
    reports = {file.stem: json.loads(file.read_text("utf-8")) for file in sorted(RESULTS.glob("*.json"))}
    figures = "\n".join(map(_report, reports.values())) or _NOTHING
    try:
        reckoned = plan.rendered(reports["bench"])
    except KeyError:  # there was no run, or one without a part that the plan rests on
        reckoned = _NOTHING
    return {"figures": figures, "plan": reckoned}


def _report(report: dict[str, Any]) -> str:
    parts = [_origin(report)]
    if waiting := report.get("waiting"):
        parts.append(_table(comparison.columns(comparison.compare(waiting))))
        parts.append("; ".join(f"{name}: {said}" for name, said in waiting["versions"].items()) + ".\n")
        parts += [
            f"{name} could not be measured in every round: {reason}\n"
            for name, reason in waiting["missing"].items()
        ]
    figures = [
        Figure(told["name"], told["unit"], told["rounds"], told["target"]) for told in report["figures"]
    ]
    if told := [figure for figure in figures if "soak" in report or _matters(figure)]:
        parts.append(_table([("", "", "to reach", ""), *map(_line, told)]))
    if curve := report.get("curve"):
        parts.append(_table(growth.curve_columns(curve)))
    return "\n".join(parts)


def _origin(report: dict[str, Any]) -> str:
    machine = report["machine"]
    versions = ", ".join(_version(said) for said in machine["versions"].values())
    before, after = report["load_average"]
    return (
        f"Measured on {report['began'][:10]} by `{report['command']}`, {_rounds(report)}:"
        f" {machine['processor']}, {machine['cores']['usable']} cores, {machine['memory_gib']:g} GiB,"
        f" Linux {machine['kernel']}, Python {machine['python']}, {versions}."
        f" Load average {before:.2f} before and {after:.2f} after.\n"
    )


def _rounds(report: dict[str, Any]) -> str:
    rounds = report["plan"]["rounds"]
    return "one round" if rounds == 1 or "soak" in report or "curve" in report else f"{rounds} rounds"


def _version(said: str) -> str:
    """Return a program's name and version from the line in which it tells them."""
    words = said.replace("v=", "Ver ").split()
    if "Ver" in words:
        return f"{Path(words[0]).name.removesuffix('-server')} {words[words.index('Ver') + 1].split('-')[0]}"
    return f"Node {words[0].removeprefix('v')}"


def _matters(figure: Figure) -> bool:
    return bool(figure.target) or any(part in figure.name for part in _TOLD_TOO)


def _line(figure: Figure) -> tuple[str, ...]:
    return figure.name, figure.unit, figure.target, spread(figure)


def _table(lines: Iterable[Sequence[str]]) -> str:
    head, *rest = lines
    rows = [head, ["---"] * len(head), *rest]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]])
