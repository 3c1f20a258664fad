"""The growth curve: the same hub with more and more waiting sockets; and the soak, where they come and go."""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from tests.bench import machine
from tests.bench.figures import Figure, short
from tests.bench.orders import LoadProcess
from tests.bench.rounds import access_tokens
from tests.bench.servers import Servers
from tests.bench.waiting import LASTING, Meter, crowd, lasting_hub, warm_up


class Growing(NamedTuple):
    """What is done at each size of the crowd; times in seconds."""

    sizes: tuple[int, ...] = (1000, 2000, 4000, 7000, 10_000, 14_000, 18_000)
    idle: float = 20.0
    rate: float = 1000.0
    pace: float = 5.0
    settle: float = 0.5


class Soaking(NamedTuple):
    """What comes and goes for *seconds*, all of it a second, while *sockets* wait."""

    sockets: int = 10_000
    seconds: float = 600.0
    churn: float = 50.0
    events: float = 200.0
    sign_ins: float = 20.0
    sample: float = 15.0


QUICK_GROWTH = Growing((50, 100), idle=0.1, rate=50.0, pace=0.2, settle=0.05)
QUICK_SOAK = Soaking(50, 1.0, churn=20.0, events=20.0, sign_ins=5.0, sample=0.25)


def curve(servers: Servers, plan: Growing) -> Iterator[dict[str, float]]:
    """Yield what each size of the crowd comes to, as far as the limit of open files allows."""
    most = machine.most_sockets()
    hub = servers.hub(**LASTING)
    with lasting_hub(hub) as site, crowd(site) as load:
        attempts = load.order("begin", count=min(max(plan.sizes), most))
        way, opened = site.way(servers), 0
        warm_up(load, site, [name for name, _ in attempts], way, plan.settle)
        before = machine.memory_of(site.pid)
        for size in plan.sizes:
            if size > most:
                return
            meter = Meter(site.pid)
            load.order("open", names=[name for name, _ in attempts[opened:size]], **way)
            handshake = meter.read()["cpu"] / (size - opened)
            opened = size
            meter = Meter(site.pid)
            time.sleep(plan.idle)
            idle = meter.read()
            paced = load.order("pace", rate=plan.rate, seconds=plan.pace)
            yield {
                "sockets": size,
                "memory": (machine.memory_of(site.pid) - before) / size,
                "handshake": handshake,
                "idle": idle["cpu"] / idle["seconds"],
                **paced,
            }


def curve_columns(sizes: Sequence[Mapping[str, float]]) -> list[tuple[str, ...]]:
    """Return the curve as rows of cells, their head first."""
    return [
        ("sockets", "KiB each", "µs a handshake", "idle CPU, %", "p50, ms", "p99, ms", "lost"),
        *(
            tuple(
                short(value)
                for value in (
                    each["sockets"],
                    each["memory"] / 1024,
                    1e6 * each["handshake"],
                    100 * each["idle"],
                    each["p50"],
                    each["p99"],
                    each["lost"],
                )
            )
            for each in sizes
        ),
    ]


def soak(servers: Servers, plan: Soaking, progress: Callable[[str], None]) -> dict[str, Any]:
    """Let sockets come and go, events be told and people sign in, and watch the hub's memory."""
    hub = servers.hub(**LASTING)
    tokens = access_tokens(servers, hub.url)
    samples: list[dict[str, float]] = []
    with lasting_hub(hub) as site, crowd(site) as load, LoadProcess(site.url) as people:
        attempts = load.order("begin", count=plan.sockets)
        load.order("open", names=[name for name, _ in attempts], **site.way(servers))
        meter, begun = Meter(site.pid), time.monotonic()
        load.begin("churn", rate=plan.churn, events=plan.events, seconds=plan.seconds)
        people.begin("sign_ins", rate=plan.sign_ins, seconds=plan.seconds, tokens=tokens)
        while (passed := time.monotonic() - begun) < plan.seconds:
            time.sleep(min(plan.sample, plan.seconds - passed))
            samples.append(
                {
                    "at": time.monotonic() - begun,
                    "memory": machine.memory_of(site.pid),
                    "files": machine.files(site.pid),
                }
            )
            progress(f"soak: {samples[-1]['at']:.0f} s, {samples[-1]['memory'] / 2**20:.1f} MiB")
        churned, signed_in = load.answer(), people.answer()
        spent = meter.read()
        load.order("close")
        people.order("end")
    return {
        "plan": plan._asdict(),
        "samples": samples,
        "churn": churned,
        "sign_ins": signed_in,
        "cpu": spent["cpu"] / spent["seconds"],
    }


def soak_figures(told: dict[str, Any]) -> list[Figure]:
    """Return the figures of a soak; growth is from its third tenth on, for caches fill at first."""
    memory = [sample["memory"] / 2**20 for sample in told["samples"]]
    files = [sample["files"] for sample in told["samples"]]
    churned, signed_in = told["churn"], told["sign_ins"]
    return [
        Figure("memory of the hub", "MiB", memory),
        Figure("memory grown, from the third tenth to the last", "%", [_grown(memory)], "≤ 2"),
        Figure("open files grown, likewise", "%", [_grown(files)], "≤ 2"),
        Figure("sockets that left and came", "", [churned["turned"]]),
        Figure("sockets lost or refused", "", [churned["gone"] + churned["refused"]], "0"),
        Figure("events lost", "", [churned["lost"]], "0"),
        Figure("events told", "", [churned["done"]]),
        Figure("publish → frame, p99", "ms", [churned["p99"]]),
        Figure("publish → frame, longest", "ms", [churned["max"]], "≤ 50"),
        Figure("whole sign-ins", "", [signed_in["done"]]),
        Figure("sign-ins that failed", "", [sum(signed_in["errors"].values())], "0"),
        Figure("confirm to frame, p99", "ms", [signed_in["steps"]["confirm to frame"]["p99"]], "≤ 20"),
        Figure("hub CPU", "%", [100 * told["cpu"]]),
    ]


def _grown(values: Sequence[float]) -> float:
    """Return by how many percent the last tenth is above the third one."""
    tenth = max(1, len(values) // 10)
    early = statistics.median(values[2 * tenth : 3 * tenth] or values)
    return 100 * (statistics.median(values[-tenth:]) / early - 1)
