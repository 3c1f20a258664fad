"""The figures of each part of a run, from what its rounds told."""

from collections.abc import Callable
from typing import Any

from tests.bench.figures import Figure
from tests.bench.rounds import Plan


def sign_in_figures(plan: Plan, rounds: list[dict[str, Any]]) -> list[Figure]:
    """Return the figures of whole sign-ins, and of what is measured on the same hub."""

    def figure(name: str, unit: str, of: Callable[[dict[str, Any]], float], target: str = "") -> Figure:
        return Figure(name, unit, [of(each) for each in rounds], target)

    def step(name: str, part: str) -> Callable[[dict[str, Any]], float]:
        return lambda each: float(each["sign_ins"]["steps"][name][part])

    def over_idle(what: str) -> Callable[[dict[str, Any]], float]:
        def per_sign_in(each: dict[str, Any]) -> float:
            idle = each["idle"][what] / each["idle"]["seconds"] * each["load"]["seconds"]
            return float((each["load"][what] - idle) / each["sign_ins"]["done"])

        return per_sign_in

    def of_a_rush(each: dict[str, Any], what: str) -> float:
        return float(each["rush"][what] / max(1, each["rush"]["done"]))

    cpu = over_idle("cpu")
    frame = "confirm on the phone to frame in the browser"
    return [
        figure(f"{frame}, median", "ms", step("confirm to frame", "p50"), "≤ 5"),
        figure(f"{frame}, p99", "ms", step("confirm to frame", "p99"), "≤ 20"),
        figure(f"{frame}, worst", "ms", step("confirm to frame", "max")),
        *(
            figure(f"{name}, {part}", "ms", step(name, part))
            for name in ("create", "socket", "scan", "scan to frame", "confirm", "redeem", "whole")
            for part in ("p50", "p99")
        ),
        figure(
            "whole sign-ins per second of hub CPU, as many as it can",
            "1/s",
            lambda each: each["rush"]["done"] / max(0.01, each["rush"]["cpu"]),
            "≥ 200",
        ),
        figure("the same by the clock", "1/s", lambda each: each["rush"]["done"] / each["rush"]["seconds"]),
        figure("sign-ins", "1/s", lambda each: each["sign_ins"]["rate"], f"{plan.rate:g}"),
        figure("sign-ins that failed", "", lambda each: sum(each["sign_ins"]["errors"].values()), "0"),
        figure("generator late, p99", "ms", lambda each: each["sign_ins"]["late"]["p99"]),
        figure("hub CPU", "%", lambda each: 100 * each["load"]["cpu"] / each["load"]["seconds"]),
        figure("hub CPU per sign-in, over idle", "ms", lambda each: 1000 * cpu(each), "< 5"),
        figure("statements per sign-in", "", over_idle("statements")),
        figure("Redis commands per sign-in", "", over_idle("commands")),
        figure("MariaDB's CPU per sign-in", "ms", lambda each: 1000 * of_a_rush(each, "mariadb")),
        figure("Redis' CPU per sign-in", "ms", lambda each: 1000 * of_a_rush(each, "redis")),
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


def code_figures(rounds: list[dict[str, Any]]) -> list[Figure]:
    """Return the figures of sign-ins by a code sent to a phone."""

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


def push_figures(plan: Plan, rounds: list[dict[str, Any]]) -> list[Figure]:
    """Return the figures of WeChat's pushes."""
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


def part_figures(
    checks: dict[str, list[float]], statements: dict[str, dict[str, list[float]]]
) -> list[Figure]:
    """Return the figures of parts: *checks* by algorithm, *statements* by engine and way."""
    figures = [Figure(f"access token check, {name}", "µs", rounds) for name, rounds in checks.items()]
    for engine, taken in statements.items():
        for what in ("read", "unit"):
            store, plain, driver = (taken[f"{way} {what}"] for way in ("store", "databases", "driver"))
            figures += [
                Figure(f"{engine} {what}, store", "µs", store),
                Figure(f"{engine} {what}, bare driver", "µs", driver),
                Figure(f"{engine} {what}, store to driver", "×", _ratio(store, driver), "≤ 2"),
                Figure(f"{engine} {what}, plain databases to driver", "×", _ratio(plain, driver)),
            ]
    return figures


def storm_figures(cancellations: int, lost: dict[str, int]) -> list[Figure]:
    """Return the figures of a storm of cancellations."""
    after = f"connections lost in {cancellations} random cancellations"
    return [
        Figure(f"{after}, store", "", [lost["store"]], "0"),
        Figure(f"{after}, plain databases", "", [lost["databases"]]),
    ]


def _ratio(values: list[float], bare: list[float]) -> list[float]:
    return [value / one for value, one in zip(values, bare, strict=True)]
