"""Puts the sandbox together."""

from collections import deque
from collections.abc import Collection, Mapping
from typing import Any, Final

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from hub.wechat.sandbox.clock import Clock
from hub.wechat.sandbox.consent import ConsentRoutes
from hub.wechat.sandbox.control import ControlRoutes
from hub.wechat.sandbox.faults import Faults, Wire
from hub.wechat.sandbox.grants import Grants
from hub.wechat.sandbox.messages import Messages, messages_route
from hub.wechat.sandbox.pages import FOLDER, Pages
from hub.wechat.sandbox.phone import PhoneRoutes
from hub.wechat.sandbox.sns import SnsRoutes

_REQUESTS_KEPT: Final = 1000


def create_sandbox(
    apps: Mapping[str, str],
    *,
    app_name: str = "Login Hub",
    callback_hosts: Collection[str] = (),
    messages: Messages | None = None,
) -> Starlette:
    """Return the sandbox for *apps* (app id → secret), to be mounted below a prefix or served alone.

    *app_name* is what the consent page calls the app; *callback_hosts* are the callback domains (host, and
    port where there is one) that may be sent a code, any when empty; *messages* returns what the console
    senders of the hub have sent, as `{to, code, text, sent_at}`. All other state is in this process and gone
    with it. For development and tests only: whoever reaches it can sign in as anybody it knows.
    """
    clock = Clock()
    grants = Grants(clock)
    faults = Faults()
    requests: deque[dict[str, Any]] = deque(maxlen=_REQUESTS_KEPT)
    pages = Pages(clock)
    consent = ConsentRoutes(
        apps, grants, clock, pages, app_name=app_name, callback_hosts=frozenset(callback_hosts)
    )
    return Starlette(
        routes=[
            *SnsRoutes(apps, grants).routes(),
            *consent.routes(),
            *PhoneRoutes(pages).routes(),
            *ControlRoutes(faults, clock, requests).routes(),
            *([messages_route(messages)] if messages else []),
            Mount("/static", StaticFiles(directory=FOLDER / "static")),
            Mount("/avatars", StaticFiles(directory=FOLDER / "avatars")),
        ],
        middleware=[Middleware(Wire, faults=faults, requests=requests, clock=clock)],
    )
