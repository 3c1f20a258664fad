"""Every page in every variant, rendered as the hub renders it, for tests that read the pages."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, get_args

from markupsafe import Markup
from starlette.requests import Request

from hub.accounts.admin import ROLES, STATUSES
from hub.app import BESIDE, create_app
from hub.assets import folder
from hub.audit.log import Method, Reason, Status
from hub.audit.rules import Signal
from hub.docs.guide import NAMES, guide
from hub.docs.routes import DocsRoutes
from hub.errors import kinds
from hub.qr.states import TABLE
from hub.settings import Settings
from hub.web.assets import Assets
from hub.web.language import LANGUAGES
from hub.web.pages import Pages
from hub.web.ways import Country, Ways

OUTCOMES = (
    "account_blocked",
    "already_bound",
    "already_claimed",
    "approved",
    "busy",
    "cancelled",
    "confirmed",
    "dead_link",
    "declined",
    "expired",
    "failed",
    "neutral",
    "not_found",
    "open_in_app",
    "open_in_wechat",
    "provider_away",
    "provider_denied",
    "reported",
    "risk",
    "snapshot_user",
)
METHODS = ("scan", "phone", "email", "password")
DOORS = ("h5", "official_account", "open_platform", "mini_program", "app")
METHODS = ("scan", "phone", "email", "password")
WAYS = Ways(6, 6, (Country("+86", "CN"), Country("+800", "")))
REASONS = sorted({move.reason for events in TABLE.values() for move in events.values() if move.reason})

_SIGN_IN = {
    "site": "Example",
    "browser": "Chrome",
    "os": None,
    "ip": "203.0.113.7",
    "city": None,
    "requested_at": "2026-01-05T08:00:00+00:00",
}
_PAGES = Pages("Example")
_NASTY = '"><script>alert(1)</script>'


class Page(NamedTuple):
    """One rendered page."""

    name: str
    language: str
    html: str


def asset(name: str) -> str:
    """Return the text of a script or style sheet as browsers are given it."""
    path, found = Assets(directory=folder("static"), packages=BESIDE).lookup_path(name)
    assert found, name
    return Path(path).read_text("utf-8")


def pages() -> Iterator[Page]:
    """Yield every page, in each language and variant; what people type in is hostile."""
    for language in LANGUAGES:
        for name, context in _variants():
            request = Request({"type": "http", "query_string": f"lang={language}".encode(), "headers": []})
            html = bytes(_PAGES.render(request, name, **context).body).decode()
            yield Page(name, language, html)


def _variants() -> Iterator[tuple[str, dict[str, Any]]]:
    card: dict[str, Any] = {"ways": WAYS, "methods": METHODS, "leads_to": None, "leads_back": False}
    card |= {"scan_confirms": False, "framed": False, "finishing": None}
    page: dict[str, Any] = {"doors": DOORS, "phone_url": None, "asked": {}}
    for door in DOORS:
        for phone_url in (None, "/sandbox/phone"):
            yield "sign_in.html", {**card, **page, "door": door, "phone_url": phone_url}
            led = {"methods": ["scan"], "leads_back": True, "scan_confirms": True}
            asked = {"redirect_uri": "https://shop.example", "state": _NASTY}
            yield (
                "sign_in.html",
                {**card, **page, **led, "door": door, "phone_url": phone_url, "asked": asked},
            )
    yield (
        "sign_in.html",
        {**card, **page, "door": "h5", "ways": Ways(0, 0, ()), "methods": ["scan", "password"]},
    )
    for methods in (METHODS, ["phone"]):
        yield "card.html", {**card, "door": "h5", "methods": methods}
    led = {"methods": ["scan"], "leads_back": True, "leads_to": f"/?state={_NASTY}"}
    yield "card.html", {**card, **led, "door": "open_platform"}
    for bound in (None, "s" * 43):
        yield "account.html", {"ways": WAYS, "bound": bound}
    for content in _contents():
        yield "account_content.html", content
    yield "admin.html", {}
    for people in _people():
        yield "admin_content.html", people
    for by in ("phone", "email"):
        yield "reset.html", {"ways": WAYS, "by": by}
    for by_cookie in (False, True):
        finishing = {"session_id": "s" * 43, "by_cookie": by_cookie, "home": f"/?state={_NASTY}"}
        window = {"door": "open_platform", "methods": ["scan"], "framed": by_cookie, "finishing": finishing}
        yield "sign_in.html", {**card, **page, **window}
    for mismatch in (False, True):
        for purpose in ("login", "bind"):
            yield (
                "confirm.html",
                {
                    "session_id": "s" * 43,
                    "csrf_token": "c",
                    "person": {"nickname": _NASTY, "avatar_url": _NASTY if mismatch else None},
                    "sign_in": {**_SIGN_IN, "mismatch": mismatch},
                    "expires_in": 120,
                    "purpose": purpose,
                    "account_name": _NASTY,
                },
            )
    for outcome in OUTCOMES:
        for again in (None, f"/?state={_NASTY}"):
            picture = "/api/auth/wechat/qr-code/x.svg" if outcome == "open_in_wechat" else None
            yield "outcome.html", {"outcome": outcome, "again": again, "picture": picture}
    for slug, kind in kinds().items():
        yield "problem.html", {"slug": slug, "error_status": kind.status}
    yield "api.html", _api()
    listed = [guide(name, language) for language in LANGUAGES for name in NAMES]
    yield "guides.html", {"guides": listed}
    for each in listed:
        yield "guide.html", {"guide": each, "html": Markup(each.html)}  # noqa: S704 - our own files


def _people() -> Iterator[dict[str, Any]]:
    """What the dashboard shows of nobody, and of each kind of account, with sessions and without."""
    nobody = {"people": [], "opened": 0, "own": 2, "sessions": [], "next_cursor": None}
    session = {
        "id": "s",
        "name": "",
        "place": _NASTY,
        "address": "203.0.113.7",
        "last_active_at": "2026-01-05T08:00:00.000Z",
    }
    named = dict.fromkeys(("nickname", "username", "phone", "email"), _NASTY)
    yield nobody
    for status in STATUSES:
        for role in ROLES:
            person = {
                "id": 1,
                "status": status,
                "role": role,
                **(named if role == "user" else dict.fromkeys(named)),
            }
            sessions = [session] if role == "user" else []
            yield {**nobody, "people": [person], "opened": 1, "sessions": sessions, "next_cursor": 7}


def _contents() -> Iterator[dict[str, Any]]:
    """What the account page shows of an account that has everything, and of one that has little."""
    origin = {"name": _NASTY, "handheld": True, "place": None, "address": "203.0.113.7"}
    device = {"id": "s", "current": False, "active": False, "last_active_at": "2026-01-05T08:00:00.000Z"}
    profile: dict[str, Any] = {
        "avatar_url": _NASTY,
        "role": "admin",
        "created_at": "2026-01-05T08:00:00.000Z",
    }
    empty: dict[str, Any] = {"nickname": None, "username": None, "phone": "", "email": None}
    tried = {"reason": None, "signals": list(map(str, Signal)), "created_at": "2026-01-05T08:00:00.000Z"}
    yield {
        "profile": {
            **profile,
            **dict.fromkeys(empty, _NASTY),
            "login_methods": METHODS[1:],
            "wechat_info": {"nickname": _NASTY},
        },
        "devices": [device | origin, {**device, **origin, "current": True, "active": True, "name": ""}],
        "tries": [
            *({**tried, **origin, "method": method, "status": "unusual"} for method in get_args(Method)),
            *({**tried, **origin, "method": "wechat", "status": status} for status in get_args(Status)),
            *(
                {**tried, **origin, "method": "wechat", "status": "failed", "reason": reason}
                for reason in get_args(Reason)
            ),
        ],
        "next_cursor": "c",
        "chosen": "unusual=true",
        "proof": {"channel": "phone", "address": "+8613800138000", "digits": 6},
        "ways": WAYS,
    }
    for proof in (None, {"channel": "email", "address": "li@example.com", "digits": 6}):
        yield {
            "profile": {**profile, **empty, "login_methods": [], "wechat_info": proof and {"nickname": None}},
            "devices": [device | origin],
            "tries": [],
            "next_cursor": None,
            "chosen": "",
            "proof": proof,
            "ways": Ways(0, 6, ()),
        }


def _api() -> dict[str, Any]:
    """What the page of the API shows of the whole hub."""
    routes = create_app(Settings()).routes
    return DocsRoutes(routes, _PAGES, title="Example", base_url="https://hub.example", cookie=str).shown
