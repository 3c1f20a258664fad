"""One round: a fresh hub, a thousand idle sockets, and sign-ins on top of them."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from hub.tokens.claims import AccessTokens
from hub.tokens.keys import KeyRing, secret_key
from tests.bench import codes, pushes
from tests.bench.machine import OTHER_CORE, cpu_seconds, memory
from tests.bench.orders import LoadProcess
from tests.bench.servers import DATABASE, Servers, serving
from tests.servers.hub import SECRET, HubProcess

VISIBLE = 60
"""Seconds a code is shown, the hub's default."""


class Plan(NamedTuple):
    """How much is done in a round; times in seconds, *rate* in sign-ins a second."""

    rounds: int = 3
    sockets: int = 1000
    rate: float = 100.0
    warm_up: float = 3.0
    idle: float = 10.0
    load: float = 15.0
    refresh: float = 4.0
    rush: float = 6.0
    statements: int = 400
    cancellations: int = 10_000
    patience: float = 2.0
    pushes: float = 1000.0
    push_warm_up: float = 1.0
    push_seconds: float = 8.0
    people: int = 2000


QUICK = Plan(
    1,
    50,
    20.0,
    warm_up=0.2,
    idle=0.2,
    load=1.0,
    refresh=0.2,
    rush=0.3,
    statements=20,
    cancellations=100,
    patience=0.5,
    pushes=50.0,
    push_warm_up=0.2,
    push_seconds=0.5,
    people=20,
)


class _Meter:
    """What the hub and its servers have spent since it was made."""

    def __init__(self, servers: Servers, hub: HubProcess) -> None:
        self._servers, self._hub = servers, hub
        self._statements, self._commands = servers.statements(), servers.commands()
        self._beside = servers.cpu()
        self._cpu, self._at = cpu_seconds(hub.pid), time.monotonic()

    def read(self) -> dict[str, float]:
        return {
            "seconds": time.monotonic() - self._at,
            "cpu": cpu_seconds(self._hub.pid) - self._cpu,
            **{name: cpu - self._beside[name] for name, cpu in self._servers.cpu().items()},
            "statements": self._servers.statements() - self._statements,
            "commands": self._servers.commands() - self._commands,
        }


def add_people(servers: Servers, count: int) -> None:
    """Insert accounts."""
    servers.mariadb.execute(
        f"USE {DATABASE}",
        "INSERT INTO users (nickname, created_at, updated_at)"  # noqa: S608 - two numbers
        f" SELECT CONCAT('Person ', seq), UTC_TIMESTAMP(3), UTC_TIMESTAMP(3) FROM seq_1_to_{count:d}",
    )


def access_tokens(servers: Servers, url: str) -> list[str]:
    """Return an access token of the hub at *url* for each account."""
    rows = servers.mariadb.execute(f"USE {DATABASE}", "SELECT id FROM users")
    access = AccessTokens(KeyRing([secret_key(f"jwt-{SECRET}")]), issuer=url)
    now = datetime.now(UTC)
    return [
        access.issue(
            user_id=int(row[0]),
            sid=f"bench-{row[0]}",
            role="user",
            email=None,
            amr=("wechat",),
            auth_time=now,
            now=now,
            until=now + timedelta(hours=2),
        )[0]
        for row in rows
    ]


def measure(servers: Servers, hub: HubProcess, plan: Plan, tokens: list[str]) -> dict[str, Any]:
    """Run one round and return what it came to."""
    with serving(hub), LoadProcess(hub.url) as load:
        load.order("sign_ins", rate=plan.rate, seconds=plan.warm_up, tokens=tokens)
        load.order("begin", count=plan.sockets)
        _spread_ages(servers)
        before, meter = memory(hub.pid), _Meter(servers, hub)
        load.order("open")
        opened, after = meter.read(), memory(hub.pid)
        meter = _Meter(servers, hub)
        time.sleep(plan.idle)
        idle = meter.read()
        meter = _Meter(servers, hub)
        told = load.order("sign_ins", rate=plan.rate, seconds=plan.load, tokens=tokens)
        loaded = meter.read()
        if not told["done"]:
            raise RuntimeError(f"no sign-in succeeded: {told['errors']}")
        meter = _Meter(servers, hub)
        refreshed = load.order("refresh", seconds=plan.refresh)
        refreshing = meter.read()
        meter = _Meter(servers, hub)
        rushed = load.order("rush", seconds=plan.rush, tokens=tokens)
        rushing = meter.read()
        load.order("end")
    return {
        "memory_per_socket": (after - before) / plan.sockets,
        "open": opened,
        "idle": idle,
        "load": loaded,
        "sign_ins": told,
        "refreshes": {**refreshed, "cpu": refreshing["cpu"]},
        "rush": {**rushed, **{name: rushing[name] for name in ("cpu", "mariadb", "redis")}},
    }


def measure_codes(servers: Servers, plan: Plan) -> dict[str, Any]:
    """Run one round of sign-ins by phone codes: the people's first ones make their accounts, and warm up."""
    people = codes.numbers(plan.people)
    with serving(servers.hub(**codes.settings())) as hub, LoadProcess(hub.url) as load:
        servers.mariadb.execute(f"USE {DATABASE}", *codes.sent(people))
        load.order("code_sign_ins", people=people)
        servers.mariadb.execute(f"USE {DATABASE}", *codes.sent(people))
        meter = _Meter(servers, hub)
        told = load.order("code_sign_ins", people=people)
        spent = meter.read()
        load.order("end")
    return {**told, "cpu": spent["cpu"], "statements": spent["statements"]}


def measure_pushes(servers: Servers, plan: Plan) -> dict[str, Any]:
    """Run one round of pushes, on a hub of their own with WeChat beside it; the first ones warm up."""
    hub = servers.hub(**pushes.settings(f"{servers.wechat.url}/sandbox"))
    with serving(servers.wechat, OTHER_CORE), serving(hub), LoadProcess(hub.url) as load:
        for seconds in (plan.push_warm_up, plan.push_seconds):
            load.order("show", count=int(plan.pushes * seconds / pushes.ONE_SCAN_IN))
            meter = _Meter(servers, hub)
            told = load.order("push", rate=plan.pushes, seconds=seconds)
            spent = meter.read()
        load.order("end")
    return {**told, "cpu": spent["cpu"] / spent["seconds"]}


def _spread_ages(servers: Servers) -> None:
    """Let the codes of the idle attempts end one after another, as those of people who came one by one."""
    servers.mariadb.execute(
        f"USE {DATABASE}",
        "UPDATE login_sessions SET qr_expires_at = qr_expires_at"  # noqa: S608 - a number
        f" - INTERVAL FLOOR(RAND() * {VISIBLE * 1000:d}) * 1000 MICROSECOND WHERE status = 'pending'",
    )
