"""The picture of the house holds: imports point one way, and each library has its room."""

import ast
import functools
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

HUB = Path(__file__).parents[2] / "hub"

FLOOR = {"store", "realtime", "limits", "web"}
ROOT = {"errors", "assets", "resolver", "ticks", "__init__"}
NOUNS = {
    "accounts": {"tokens"},
    "admin": {"accounts", "codes", "tokens"},
    "audit": set(),
    "codes": {"audit", "tokens", "accounts"},
    "docs": set(),
    "ops": {"audit", "codes", "tokens", "wechat"},
    "portal": {"accounts", "audit", "tokens"},
    "qr": {"accounts", "audit", "tokens", "wechat"},
    "tokens": set(),
    "wechat": set(),
}
TOP = {
    "app": FLOOR | set(NOUNS) | ROOT | {"sandbox", "services", "settings"},
    "services": FLOOR | set(NOUNS) | ROOT | {"background", "doors", "settings"},
    "doors": {"accounts", "qr", "settings", "store", "wechat"} | ROOT,
    "background": {"codes", "ops", "settings", "store"} | ROOT,
    "cli": {
        "accounts",
        "app",
        "background",
        "cli",
        "loop",
        "ops",
        "realtime",
        "sandbox",
        "server",
        "services",
        "settings",
        "store",
        "supervisor",
        "tokens",
        "wechat",
    }
    | ROOT,
    "loop": ROOT,
    "sandbox": {"settings", "wechat"} | ROOT,
    "server": {"web"} | ROOT,
    "settings": {"settings"} | ROOT,
    "supervisor": ROOT,
}
EDGES = ("web/", "wechat/sandbox/", "app.py", "sandbox.py")
EDGE_NAMES = {
    "bind.py",
    "grants.py",
    "pages.py",
    "push.py",
    "routes.py",
    "sockets.py",
    "stream.py",
    "watching.py",
}


def modules() -> list[Path]:
    """Every module of the package."""
    return sorted(HUB.rglob("*.py"))


@functools.cache
def imported(path: Path) -> tuple[str, ...]:
    """The dotted names that a module imports, at its top or within."""
    return tuple(_imported(ast.parse(path.read_text("utf-8"))))


def _imported(module: ast.Module) -> Iterator[str]:
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "hub":
                yield from (f"hub.{alias.name}" for alias in node.names)
            else:
                yield node.module


def room(dotted: str) -> str:
    """The room of `hub.<room>…`."""
    parts = dotted.split(".")
    return "__init__" if len(parts) == 1 or parts[1].startswith("__") else parts[1]


def allowed(here: str) -> set[str]:
    """The rooms that room *here* may import from."""
    if here in TOP:
        return TOP[here]
    if here in NOUNS:
        return NOUNS[here] | FLOOR | ROOT | {here}
    return FLOOR | ROOT if here in FLOOR else ROOT


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(HUB)))
def test_arrows_point_one_way(path: Path) -> None:
    """A module imports only from the rooms below its own."""
    here = path.relative_to(HUB).parts[0].removesuffix(".py")
    found = {room(name) for name in imported(path) if name.split(".")[0] == "hub"}
    assert found - allowed(here) == set()


def test_no_cycle() -> None:
    """The rooms can be put in one order."""
    graph: dict[str, set[str]] = {}
    for path in modules():
        here = path.relative_to(HUB).parts[0].removesuffix(".py")
        found = {room(name) for name in imported(path) if name.split(".")[0] == "hub"}
        graph.setdefault(here, set()).update(found - {here})
    assert list(TopologicalSorter(graph).static_order())


@pytest.mark.parametrize(
    ("library", "rooms"),
    [
        ("databases", ("store/",)),
        ("aiomysql", ("store/",)),
        ("aiosqlite", ("store/",)),
        ("redis", ("realtime/", "limits/redis.py")),
        ("jwt", ("tokens/",)),
        ("itsdangerous", ("web/cookies.py",)),
        ("pydantic_settings", ("settings/table.py",)),
        ("phonenumbers", ("codes/addresses.py",)),
        ("defusedxml", ("wechat/messages.py",)),
        ("email_validator", ("codes/addresses.py",)),
        ("maxminddb", ("audit/places.py",)),
        ("ip2region", ("audit/ip2region.py",)),
        ("markdown_it", ("docs/guide.py",)),
        ("argon2", ("accounts/passwords.py",)),
        ("bcrypt", ("accounts/passwords.py",)),
        ("jsonschema", ("accounts/profile_schema.py",)),
        ("uvicorn", ("server.py", "web/connections.py", "web/parking/protocol.py")),
        ("websockets", ("web/parking/", "web/connections.py")),
        ("httpx2", ("wechat/transport.py", "wechat/sandbox/", "codes/senders/http.py")),
        ("aiosmtplib", ("codes/senders/smtp.py",)),
    ],
)
def test_a_library_has_its_room(library: str, rooms: tuple[str, ...]) -> None:
    """A library is imported only where the picture puts it."""
    for path in modules():
        name = str(path.relative_to(HUB))
        if not name.startswith(rooms):
            assert library not in {dotted.split(".")[0] for dotted in imported(path)}, name


def test_starlette_stays_at_the_edges() -> None:
    """Rules and services know nothing of HTTP."""
    for path in modules():
        name = str(path.relative_to(HUB))
        if not name.startswith(EDGES) and path.name not in EDGE_NAMES:
            assert "starlette" not in {dotted.split(".")[0] for dotted in imported(path)}, name


def test_only_settings_reads_the_environment() -> None:
    """No other module looks into the environment, but for the one name that prometheus_client prescribes."""
    for path in modules():
        text = path.read_text("utf-8")
        if path != HUB / "ops" / "registry.py":
            assert "os.environ" not in text, path
            assert "getenv" not in text, path
