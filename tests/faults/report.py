"""The report of the fault runs: what each case has measured, as JSON and as tables of markdown.

A test notes what it finds by `record_property`; those with a `table` are reported, where HUB_FAULT_REPORT
names a folder.
"""

import json
import os
from collections import defaultdict
from pathlib import Path

import pytest

FOLDER = "HUB_FAULT_REPORT"


class Report:
    """A pytest plugin that gathers the notes and writes them at the end."""

    def __init__(self) -> None:
        self._cases: list[dict[str, object]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take one test's notes; where its set-up or its end fails, the result tells."""
        notes = dict(report.user_properties)
        if "table" not in notes or (report.when != "call" and report.passed):
            return
        name = report.nodeid.rpartition("::")[2]
        found = next((case for case in self._cases if case["test"] == name), None)
        if found is None:
            self._cases.append({"test": name, **notes, "result": report.outcome})
        elif report.failed:
            found["result"] = report.outcome

    def pytest_sessionfinish(self) -> None:
        """Write `faults.json` and `faults.md`."""
        if not self._cases or FOLDER not in os.environ:
            return
        folder = Path(os.environ[FOLDER])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "faults.json").write_text(json.dumps(self._cases, indent=2) + "\n", "utf-8")
        (folder / "faults.md").write_text("\n".join(self._tables()), "utf-8")

    def _tables(self) -> list[str]:
        tables: defaultdict[object, list[dict[str, object]]] = defaultdict(list)
        for case in self._cases:
            tables[case["table"]].append(case)
        lines = []
        for title, cases in tables.items():
            names = list(dict.fromkeys(name for case in cases for name in case))
            names = [name for name in names if name not in ("table", "test", "result")]
            names.append("result")
            lines += [f"## {title}", "", _row(names), _row(["---"] * len(names))]
            lines += [_row([str(case.get(name, "")) for name in names]) for case in cases]
            lines.append("")
        return lines


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
