"""Ten thousand browsers that wait: what they cost a server, and how fast an event reaches one of them."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.bench import machine
from tests.bench.orders import LoadProcess
from tests.bench.peers.cache import Missing
from tests.bench.peers.peer import Peer
from tests.bench.rounds import access_tokens
from tests.bench.servers import Servers, serving
from tests.people import AT
from tests.servers.hub import HubProcess

HUB = "Login Hub"

_WARM = 200  # sockets
_IN_FLIGHT = 256  # events
# Nothing is to end or to turn during the run: what that costs is in the rounds of sign-ins.
LASTING = {
    "WECHAT_QR_EXPIRES_IN": "3600",
    "WECHAT_SESSION_EXPIRES_IN": "3600",
    "QR_ROTATE_SECONDS": "3600",
}


class Crowding(NamedTuple):
    """How much is done in a round, times in seconds; *idle* is a whole interval of pings."""

    rounds: int = 3
    sockets: int = 10_000
    idle: float = 20.0
    flood: float = 3.0
    rate: float = 1000.0
    pace: float = 4.0
    post: float = 2.0
    confirms: int = 1000
    settle: float = 0.5


QUICK_CROWD = Crowding(1, 100, idle=0.1, flood=0.1, rate=50.0, pace=0.2, post=0.1, confirms=20, settle=0.05)


class Site(NamedTuple):
    """A server under measurement, and the crowd's way to it: see `Peer`."""

    url: str
    pid: int
    path: str
    dialect: str
    greeted: bool = True
    publish: str = ""
    """The path where an event is posted; the hub has none, an attempt is confirmed there."""
    eventful: bool = True

    def way(self, servers: Servers) -> dict[str, Any]:
        """Return the arguments of the crowd's order `open`."""
        redis = servers.redis.port if self.dialect else None
        return {"path": self.path, "dialect": self.dialect, "greeted": self.greeted, "redis": redis}


def crowd(site: Site) -> LoadProcess:
    """Return a load process whose browsers wait at *site*."""
    return LoadProcess(site.url, "tests.bench.crowd")


@contextmanager
def lasting_hub(hub: HubProcess) -> Iterator[Site]:
    """Run a hub, made with LASTING, as a site."""
    with serving(hub):
        yield Site(hub.url, hub.pid, f"{AT}/ws/{{}}", "hub")


class Waiting:
    """The rounds of the hub and of its peers, on the same servers; *cache* is for what the peers need."""

    def __init__(self, servers: Servers, plan: Crowding, cache: Path) -> None:
        self._servers = servers
        self._plan = plan
        self._hub = servers.hub(**LASTING)
        self._tokens = access_tokens(servers, self._hub.url)[: plan.confirms]  # one for each who confirms
        self._cache = cache.resolve()
        self._attempts: list[list[str]] = []
        self.rounds: dict[str, list[dict[str, Any]]] = {}
        self.missing: dict[str, str] = {}
        self.versions: dict[str, str] = {}

    @contextmanager
    def _serving(self, peer: Peer) -> Iterator[Site]:
        """Run a peer. Raises Missing."""
        folder = self._servers.folder / "peers"
        with peer.serving(folder, self._servers.redis.port) as pid:
            yield Site(peer.url, pid, peer.path, peer.dialect, peer.greeted, peer.publish, peer.eventful)

    def all_rounds(self, peers: Sequence[type[Peer]]) -> Iterator[str]:
        """Do all rounds, every server once in each of them; yield what comes next."""
        rounds = self._plan.rounds
        yield f"waiting, {self._plan.sockets} sockets: attempts"
        self._prepare(rounds)
        for number in range(1, rounds + 1):
            yield f"waiting, round {number} of {rounds}: {HUB}"
            self._round_of_hub()
            for kind in peers:
                if kind.name not in self.missing and (kind.eventful or number == 1):
                    yield f"waiting, round {number} of {rounds}: {kind.name}"
                    self._round_of_peer(kind)

    def _prepare(self, rounds: int) -> None:
        """Begin the attempts that are waited for, and those that are confirmed in each of so many rounds."""
        count = self._plan.sockets + len(self._tokens) * (rounds - 1)
        with lasting_hub(self._hub) as site, crowd(site) as load:
            self._attempts = load.order("begin", count=count)

    def _round_of_hub(self) -> None:
        """Measure the hub once."""
        waiting = self._attempts[: self._plan.sockets]
        del self._attempts[: len(self._tokens)]  # they are used up
        with lasting_hub(self._hub) as site:
            self._note(HUB, self._measure(site, waiting, idle=True))

    def _round_of_peer(self, kind: type[Peer]) -> None:
        """Measure a peer once; its idle sockets in the first round only."""
        names = [[f"{number:043d}"] for number in range(self._plan.sockets)]
        peer = kind(self._cache)
        try:
            with self._serving(peer) as site:
                self._note(kind.name, self._measure(site, names, idle=kind.name not in self.rounds))
            self.versions[peer.name] = peer.versions
        except (Missing, RuntimeError) as error:
            self.missing[kind.name] = str(error)

    def report(self) -> dict[str, Any]:
        """Return all rounds and versions, by name of the server, and why peers are missing."""
        return {
            "plan": self._plan._asdict(),
            "rounds": self.rounds,
            "versions": self.versions,
            "missing": self.missing,
        }

    def _note(self, name: str, told: dict[str, Any]) -> None:
        self.rounds.setdefault(name, []).append(told)

    def _measure(self, site: Site, attempts: list[list[str]], *, idle: bool) -> dict[str, Any]:
        plan = self._plan
        names = [attempt[0] for attempt in attempts]
        way = site.way(self._servers)
        told: dict[str, Any] = {}
        with crowd(site) as load:
            warm_up(load, site, names, way, plan.settle)
            before, meter = machine.memory_of(site.pid), Meter(site.pid)
            load.order("open", names=names, **way)
            told["handshake"] = meter.read()
            time.sleep(plan.settle)
            told["memory"] = machine.memory_of(site.pid) - before
            if idle and site.eventful:
                meter = Meter(site.pid)
                time.sleep(plan.idle)
                told["idle"] = meter.read()
            if site.eventful:
                told |= self._events(load, site, attempts)
                told["memory_after"] = machine.memory_of(site.pid) - before
            told |= load.order("close")
        return told

    def _events(self, load: LoadProcess, site: Site, attempts: list[list[str]]) -> dict[str, Any]:
        plan = self._plan
        first = len(self._tokens)  # the sockets before are those whose attempts are confirmed
        told: dict[str, Any] = {}
        over: dict[str, object] = {"path": site.publish}
        if site.dialect:
            over = {}
            flood = {"seconds": plan.flood, "in_flight": _IN_FLIGHT}
            told["flood"] = _charged(load, site, "flood", first=first, **flood)
        told["pace"] = _charged(load, site, "pace", rate=plan.rate, seconds=plan.pace, first=first, **over)
        if site.publish:
            told["post"] = _charged(load, site, "post", path=site.publish, seconds=plan.post, first=first)
        else:
            codes = [code for _, code in attempts[:first]]
            load.order("scan", codes=codes, tokens=self._tokens)
            told["post"] = _charged(load, site, "confirm", tokens=self._tokens)
        return told


def warm_up(load: LoadProcess, site: Site, names: list[str], way: dict[str, Any], seconds: float) -> None:
    """Have a few sockets opened, told something and closed again: no server is measured before its first."""
    load.order("open", names=names[-_WARM:], **way)
    if site.dialect:
        load.order("flood", seconds=seconds, in_flight=_IN_FLIGHT)
    load.order("close")
    time.sleep(seconds)


class Meter:
    """The CPU time of a process and its children since this was made."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._cpu, self._at = machine.cpu_of(pid), time.monotonic()

    def read(self) -> dict[str, float]:
        """Return `cpu` and `seconds`."""
        return {"cpu": machine.cpu_of(self._pid) - self._cpu, "seconds": time.monotonic() - self._at}


def _charged(load: LoadProcess, site: Site, do: str, **arguments: object) -> dict[str, Any]:
    """Give an order and return its answer, with what the server spent meanwhile under `server`."""
    meter = Meter(site.pid)
    told = load.order(do, **arguments)
    return {**told, "server": meter.read()}
