"""A run: the parts that are asked for, one after the other, on the same servers."""

import asyncio
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from hub.store.migrate import migrate
from tests.bench import codes, comparison, growth, machine, parts, pushes, storms, tables
from tests.bench.figures import Figure, aligned, table
from tests.bench.growth import QUICK_GROWTH, QUICK_SOAK, Growing, Soaking
from tests.bench.peers.peer import Peer
from tests.bench.rounds import (
    QUICK,
    Plan,
    access_tokens,
    add_people,
    measure,
    measure_codes,
    measure_pushes,
)
from tests.bench.servers import Servers, running
from tests.bench.waiting import LASTING, QUICK_CROWD, Crowding, Waiting

_PEOPLE = 2000


class Plans(NamedTuple):
    """How much is done in each part."""

    usual: Plan = Plan()
    crowding: Crowding = Crowding()
    growing: Growing = Growing()
    soaking: Soaking = Soaking()
    quick: bool = False
    """Whether one hub is to do for all parts."""

    def changed(
        self,
        *,
        rounds: int | None = None,
        rate: float | None = None,
        sockets: int | None = None,
        seconds: float | None = None,
    ) -> "Plans":
        """Return these plans with what is given in place of their own."""

        def given(**values: float | None) -> dict[str, Any]:
            return {name: value for name, value in values.items() if value is not None}

        return self._replace(
            usual=self.usual._replace(**given(rounds=rounds, rate=rate)),
            crowding=self.crowding._replace(**given(rounds=rounds, sockets=sockets)),
            soaking=self.soaking._replace(**given(sockets=sockets, seconds=seconds)),
        )


QUICK_PLANS = Plans(QUICK, QUICK_CROWD, QUICK_GROWTH, QUICK_SOAK, quick=True)


class Run:
    """Does the parts and prints what they came to. A part that fails is told, and the others go on."""

    def __init__(self, plans: Plans, peers: Sequence[type[Peer]], cache: Path) -> None:
        self._plans = plans
        self._plan = plans.usual
        self._peers = peers
        self._cache = cache
        self._begun = time.monotonic()
        self._complaints: list[str] = []

    def parts(self, names: Sequence[str]) -> dict[str, Any]:
        """Do the parts of these *names* and return the report."""
        began, load_before = datetime.now(UTC), os.getloadavg()
        report: dict[str, Any] = {
            "began": began.isoformat(timespec="seconds"),
            "command": " ".join(["python -m tests.bench", *sys.argv[1:]]),
            "plan": self._plan._asdict(),
            "failed": {},
            "figures": [],
        }
        with self._running() as servers:
            asyncio.run(migrate(servers.database_url))
            add_people(servers, _PEOPLE)
            report["machine"] = machine.description(servers.folder)
            for name in names:
                self._progress(name)
                try:
                    told, figures = _PARTS[name](self, servers)
                # Whatever it was, the others shall be measured; a server that does not start fails as a test.
                except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001
                    traceback.print_exc()
                    report["failed"][name] = repr(error)
                    continue
                report[name] = told
                report["figures"] += [figure.reply() for figure in figures]
                if figures:
                    print(f"\n{table(figures)}\n", flush=True)
        report["load_average"] = [load_before[0], os.getloadavg()[0]]
        report["realtime"] = os.sched_getscheduler(0) == os.SCHED_RR
        self._progress("done")
        self._close(report)
        return report

    @contextmanager
    def _running(self) -> Iterator[Servers]:
        with running() as servers:
            if not self._plans.quick:
                yield servers
                return
            wechat = pushes.settings(f"{servers.wechat.url}/sandbox")
            with servers.keeping(**LASTING, **codes.settings(), **wechat) as keeping:
                yield keeping

    def _close(self, report: dict[str, Any]) -> None:
        before, after = report["load_average"]
        print(
            f"median, lowest and highest of {self._plan.rounds} rounds; load average {before:.2f} before,"
            f" {after:.2f} after{', real-time' if report['realtime'] else ''}"
        )
        for line in self._complaints[:20]:
            print(line)
        for name, reason in report["failed"].items():
            print(f"{name} failed: {reason}")

    def _progress(self, line: str) -> None:
        print(f"{time.monotonic() - self._begun:6.0f} s  {line}", file=sys.stderr, flush=True)

    def _errors(self, of: str, rounds: Sequence[dict[str, Any]]) -> None:
        self._complaints += [f"{of} failed: {told['errors']}" for told in rounds if told["errors"]]

    # --- The parts: each returns what goes into the report, and its figures.

    def _costs(self, servers: Servers) -> tuple[Any, list[Figure]]:
        with machine.on_core(machine.HUB_CORE):
            checks = parts.check_access_tokens(self._plan.statements * 5)
            statements = parts.statements(servers.database_url, servers.folder, self._plan.statements)
            lost = storms.lost_connections(
                servers.database_url, self._plan.cancellations, self._plan.patience
            )
        flush = Figure(
            "small write made lasting, beside the database", "ms", [machine.flush_time(servers.folder)]
        )
        return {"checks": checks, "statements": statements, "lost": lost}, [
            *tables.part_figures(checks, statements),
            *tables.storm_figures(self._plan.cancellations, lost),
            flush,
        ]

    def _sign_ins(self, servers: Servers) -> tuple[Any, list[Figure]]:
        hub = servers.hub()
        tokens = access_tokens(servers, hub.url)
        rounds = []
        for number in range(self._plan.rounds):
            self._progress(f"sign-ins, round {number + 1} of {self._plan.rounds}")
            rounds.append(measure(servers, hub, self._plan, tokens))
        self._errors("sign-ins", [told["sign_ins"] for told in rounds])
        self._complaints += [
            f"hub: {line}" for line in hub.log().splitlines() if "[warning" in line or "[error" in line
        ]
        return rounds, tables.sign_in_figures(self._plan, rounds)

    def _codes(self, servers: Servers) -> tuple[Any, list[Figure]]:
        rounds = [measure_codes(servers, self._plan) for _ in range(self._plan.rounds)]
        self._errors("sign-ins by phone code", rounds)
        return rounds, tables.code_figures(rounds)

    def _pushes(self, servers: Servers) -> tuple[Any, list[Figure]]:
        rounds = [measure_pushes(servers, self._plan) for _ in range(self._plan.rounds)]
        self._errors("pushes", rounds)
        return rounds, tables.push_figures(self._plan, rounds)

    def _waiting(self, servers: Servers) -> tuple[Any, list[Figure]]:
        waiting = Waiting(servers, self._plans.crowding, self._cache)
        for line in waiting.all_rounds(self._peers):
            self._progress(line)
        report = waiting.report()
        lines = comparison.compare(report)
        print(f"\n{comparison.text(lines)}\n", flush=True)
        self._complaints += [
            f"missing in some round: {name}: {reason}" for name, reason in waiting.missing.items()
        ]
        return {**report, "comparison": [line.reply() for line in lines]}, []

    def _curve(self, servers: Servers) -> tuple[Any, list[Figure]]:
        sizes = []
        for told in growth.curve(servers, self._plans.growing):
            self._progress(f"curve: {told['sockets']} sockets")
            sizes.append(told)
        print(f"\n{aligned(growth.curve_columns(sizes), right=range(9))}\n", flush=True)
        return sizes, []

    def _soak(self, servers: Servers) -> tuple[Any, list[Figure]]:
        told = growth.soak(servers, self._plans.soaking, self._progress)
        self._errors("sign-ins", [told["sign_ins"]])
        return told, growth.soak_figures(told)


_PARTS: dict[str, Callable[[Run, Servers], tuple[Any, list[Figure]]]] = {
    "waiting": Run._waiting,
    "sign-ins": Run._sign_ins,
    "codes": Run._codes,
    "pushes": Run._pushes,
    "costs": Run._costs,
    "curve": Run._curve,
    "soak": Run._soak,
}
USUAL = ("waiting", "sign-ins", "codes", "pushes", "costs")
"""What is measured where nothing is asked for."""
ALL = tuple(_PARTS)
