"""The command: measure, print a table, and write the figures to a JSON file."""

import argparse
import asyncio
import json
import os
import platform
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hub.ops import logs
from hub.store.migrate import migrate
from tests.bench import machine, parts
from tests.bench.figures import Figure, table
from tests.bench.rounds import QUICK, Plan, add_people, measure, measure_codes, measure_pushes
from tests.bench.servers import running

_PEOPLE = 2000


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round, to see that it works")
    parser.add_argument("--rounds", type=int, help="rounds of sign-ins")
    parser.add_argument("--rate", type=float, help="sign-ins a second")
    parser.add_argument("--sockets", type=int, help="idle sockets")
    parser.add_argument("--json", type=Path, default=Path("var/bench.json"), help="file for the figures")
    parser.add_argument(
        "--realtime",
        action="store_true",
        help="run before all other work of a busy machine (root); writes to the disk may then stall",
    )
    asked = parser.parse_args()
    logs.configure("warning", json=False)
    given = {name: getattr(asked, name) for name in ("rounds", "rate", "sockets")}
    plan = (QUICK if asked.quick else Plan())._replace(**{k: v for k, v in given.items() if v is not None})
    if asked.realtime:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything started is stopped
    try:
        report = run(plan)
    except KeyboardInterrupt:
        sys.exit(130)
    asked.json.parent.mkdir(parents=True, exist_ok=True)
    asked.json.write_text(json.dumps(report, indent=1) + "\n")


def run(plan: Plan) -> dict[str, Any]:
    """Measure by *plan*, print the table and return the report."""
    began, load_before = datetime.now(UTC), os.getloadavg()
    rounds = []
    with running() as servers:
        flush = machine.flush_time(servers.folder)
        asyncio.run(migrate(servers.database_url))
        with machine.on_core(machine.HUB_CORE):
            checks = parts.check_access_tokens(plan.statements * 5)
            statements = parts.statements(servers.database_url, servers.folder, plan.statements)
        hub = servers.hub()
        tokens = add_people(servers, hub.url, _PEOPLE)
        for number in range(plan.rounds):
            _progress(f"round {number + 1} of {plan.rounds}: {plan.rate:g} sign-ins a second …")
            rounds.append(measure(servers, hub, plan, tokens))
        _progress("sign-ins by phone codes …")
        codes = [measure_codes(servers, plan) for _ in range(plan.rounds)]
        _progress(f"{plan.pushes:g} pushes a second …")
        pushes = [measure_pushes(servers, plan) for _ in range(plan.rounds)]
        complaints = [line for line in hub.log().splitlines() if "[warning" in line or "[error" in line]
    _progress("")
    figures = [
        *_sign_in_figures(plan, rounds),
        *_code_figures(codes),
        *_push_figures(plan, pushes),
        *_part_figures(checks, statements),
        Figure("small write made lasting, beside the database", "ms", [flush]),
    ]
    print(table(figures))
    realtime = os.sched_getscheduler(0) == os.SCHED_RR
    print(
        f"\nmedian, lowest and highest of {plan.rounds} rounds; load average {load_before[0]:.2f} before,"
        f" {os.getloadavg()[0]:.2f} after{', real-time' if realtime else ''}"
    )
    for told in (each["sign_ins"] for each in rounds):
        if told["errors"]:
            print(f"failed: {told['errors']}")
    for told in codes:
        if told["errors"]:
            print(f"sign-ins by phone code failed: {told['errors']}")
    for told in pushes:
        if told["errors"]:
            print(f"pushes failed: {told['errors']}")
    for line in complaints[:10]:
        print(f"hub: {line}")
    return {
        "began": began.isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "processor": machine.processor(),
        "cores": {"hub": machine.HUB_CORE, "others": machine.OTHER_CORE},
        "load_average": [load_before[0], os.getloadavg()[0]],
        "realtime": realtime,
        "plan": plan._asdict(),
        "figures": [figure.reply() for figure in figures],
        "rounds": rounds,
        "codes": codes,
        "pushes": pushes,
    }


def _sign_in_figures(plan: Plan, rounds: list[dict[str, Any]]) -> list[Figure]:
    def figure(name: str, unit: str, of: Callable[[dict[str, Any]], float], target: str = "") -> Figure:
        return Figure(name, unit, [of(each) for each in rounds], target)

    def step(name: str, part: str) -> Callable[[dict[str, Any]], float]:
        return lambda each: float(each["sign_ins"]["steps"][name][part])

    def over_idle(what: str) -> Callable[[dict[str, Any]], float]:
        def per_sign_in(each: dict[str, Any]) -> float:
            idle = each["idle"][what] / each["idle"]["seconds"] * each["load"]["seconds"]
            return float((each["load"][what] - idle) / each["sign_ins"]["done"])

        return per_sign_in

    cpu = over_idle("cpu")
    frame = "confirm on the phone to frame in the browser"
    return [
        figure(f"{frame}, median", "ms", step("confirm to frame", "p50"), "< 10"),
        figure(f"{frame}, p99", "ms", step("confirm to frame", "p99"), "< 25"),
        figure(f"{frame}, worst", "ms", step("confirm to frame", "max")),
        *(
            figure(f"{name}, {part}", "ms", step(name, part))
            for name in ("create", "socket", "scan", "scan to frame", "confirm", "redeem", "whole")
            for part in ("p50", "p99")
        ),
        figure("sign-ins", "1/s", lambda each: each["sign_ins"]["rate"], f"{plan.rate:g}"),
        figure("sign-ins that failed", "", lambda each: sum(each["sign_ins"]["errors"].values()), "0"),
        figure("generator late, p99", "ms", lambda each: each["sign_ins"]["late"]["p99"]),
        figure("hub CPU", "%", lambda each: 100 * each["load"]["cpu"] / each["load"]["seconds"]),
        figure("hub CPU per sign-in, over idle", "ms", lambda each: 1000 * cpu(each), "< 5"),
        figure("statements per sign-in", "", over_idle("statements")),
        figure("Redis commands per sign-in", "", over_idle("commands")),
        figure(
            f"hub CPU with {plan.sockets} idle sockets",
            "%",
            lambda each: 100 * each["idle"]["cpu"] / each["idle"]["seconds"],
        ),
        figure("memory per idle socket", "KiB", lambda each: each["memory_per_socket"] / 1024),
        figure("handshake, hub CPU", "µs", lambda each: 1e6 * each["open"]["cpu"] / plan.sockets),
        figure("refreshes", "1/s", lambda each: each["refreshes"]["done"] / each["refreshes"]["seconds"]),
        figure(
            "refreshes per second of hub CPU",
            "1/s",
            lambda each: each["refreshes"]["done"] / max(0.01, each["refreshes"]["cpu"]),
        ),
    ]


def _code_figures(rounds: list[dict[str, Any]]) -> list[Figure]:
    def figure(name: str, unit: str, of: Callable[[dict[str, Any]], float], target: str = "") -> Figure:
        return Figure(f"phone-code sign-ins{name}", unit, [of(each) for each in rounds], target)

    return [
        figure("", "1/s", lambda each: each["done"] / each["seconds"]),
        figure(" per second of hub CPU", "1/s", lambda each: each["done"] / max(0.01, each["cpu"]), "≥ 300"),
        figure(", 16 at once, p50", "ms", lambda each: float(each["taken"]["p50"])),
        figure(", 16 at once, p99", "ms", lambda each: float(each["taken"]["p99"])),
        figure(", statements each", "", lambda each: each["statements"] / max(1, each["done"])),
        figure(" that failed", "", lambda each: float(sum(each["errors"].values())), "0"),
    ]


def _push_figures(plan: Plan, rounds: list[dict[str, Any]]) -> list[Figure]:
    at = f"{plan.pushes:g} pushes/s"
    return [
        *(
            Figure(
                f"{at}, answer to {of}, {part}",
                "ms",
                [each[of][part] for each in rounds],
                "< 50" if (of, part) == ("all", "p99") else "",
            )
            for of in ("all", "scans")
            for part in ("p50", "p99", "max")
        ),
        Figure(f"{at}, hub CPU", "%", [100 * each["cpu"] for each in rounds]),
        Figure(f"{at}, that failed", "", [sum(each["errors"].values()) for each in rounds], "0"),
    ]


def _part_figures(
    checks: dict[str, list[float]], statements: dict[str, dict[str, list[float]]]
) -> list[Figure]:
    figures = [Figure(f"access token check, {name}", "µs", rounds) for name, rounds in checks.items()]
    for engine, taken in statements.items():
        for what in ("read", "unit"):
            store, driver = taken[f"store {what}"], taken[f"driver {what}"]
            ratio = [ours / bare for ours, bare in zip(store, driver, strict=True)]
            figures += [
                Figure(f"{engine} {what}, store", "µs", store),
                Figure(f"{engine} {what}, bare driver", "µs", driver),
                Figure(f"{engine} {what}, store to driver", "×", ratio, "≤ 2"),
            ]
    return figures


def _progress(line: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
