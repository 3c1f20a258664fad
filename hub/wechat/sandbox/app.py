"""Puts the sandbox together."""

from collections import deque
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Mount

from hub.web.assets import Assets
from hub.wechat.sandbox import push_crypto
from hub.wechat.sandbox.access_tokens import AccessTokens
from hub.wechat.sandbox.account_control import AccountControl, MiniProgramControl
from hub.wechat.sandbox.account_screens import AccountScreens
from hub.wechat.sandbox.apps import Apps, OfficialAccount, RegisteredApp
from hub.wechat.sandbox.calls import addresses
from hub.wechat.sandbox.cgi import CgiRoutes
from hub.wechat.sandbox.chats import Chats
from hub.wechat.sandbox.clock import Clock
from hub.wechat.sandbox.consent import ConsentRoutes
from hub.wechat.sandbox.control import ControlRoutes
from hub.wechat.sandbox.faults import Faults
from hub.wechat.sandbox.followers import Followers
from hub.wechat.sandbox.grants import Grants
from hub.wechat.sandbox.messages import Messages, messages_route
from hub.wechat.sandbox.mini_program import MiniProgramCodes, MiniProgramRoutes
from hub.wechat.sandbox.mini_screens import MiniScreens
from hub.wechat.sandbox.pages import FOLDER, Pages
from hub.wechat.sandbox.phone import PhoneRoutes
from hub.wechat.sandbox.pushes import Pushes
from hub.wechat.sandbox.qr_logins import QrLogins
from hub.wechat.sandbox.quotas import Quotas
from hub.wechat.sandbox.recorded import Recorded
from hub.wechat.sandbox.sns import SnsRoutes
from hub.wechat.sandbox.tickets import Tickets
from hub.wechat.sandbox.unionids import Unionids
from hub.wechat.sandbox.website import WebsiteRoutes

_REQUESTS_KEPT: Final = 1000


def create_sandbox(
    apps: Mapping[str, str] | None = None,
    *,
    websites: Mapping[str, str] | None = None,
    mini_programs: Mapping[str, str] | None = None,
    official_account: OfficialAccount | None = None,
    app_name: str = "Login Hub",
    callback_hosts: Collection[str] = (),
    messages: Messages | None = None,
    public_url: str = "",
    hub_url: str = "",
    poll_hold: float = 25.0,
    push_patience: float = 5.0,
) -> Starlette:
    """Return the sandbox, to be mounted below a prefix or served alone.

    *apps*, *websites* and *mini_programs* (app id → secret) are what is registered with it; *apps* are the
    official accounts that only have H5 pages, *official_account* is the one that codes with a scene and
    pushes belong to. *app_name* is what the consent pages call the app; *callback_hosts* are the callback
    domains (host, and port where there is one) that may be sent a code, any when empty; *messages* returns
    what the console senders of the hub have sent, as `{to, code, text, sent_at}`. *public_url* is the
    sandbox's own address as people reach it, that of each request when empty; *hub_url* is the back end of
    the mini programs, which their screen on the phone calls. *poll_hold* is how long the website's poll waits
    and *push_patience* how long a push does, in seconds.

    All other state is in this process and gone with it; `app.state.release()` ends the polls that wait, for a
    shutdown. For development and tests only: whoever reaches it can sign in as anybody it knows. Raises
    ValueError for a sealed mode without a good AES key.
    """
    registered = Apps(_registered(apps or {}, websites or {}, mini_programs or {}, official_account))
    clock = Clock()
    address = addresses(public_url)
    quotas = Quotas(clock)
    unionids = Unionids()
    grants = Grants(clock, unionids)
    tokens = AccessTokens(clock, quotas)
    tickets = Tickets(clock)
    followers = Followers(clock)
    codes = MiniProgramCodes(clock)
    chats = Chats(clock)
    logins = QrLogins(clock, grants, hold=poll_hold)
    faults = Faults()
    requests: deque[dict[str, Any]] = deque(maxlen=_REQUESTS_KEPT)
    pages = Pages(clock, app_name)
    pushes = None
    if official_account is not None:
        if official_account.mode != "plain":
            push_crypto.key(official_account.aes_key)
        pushes = Pushes(official_account, clock, followers, unionids, chats, patience=push_patience)
    routes: list[BaseRoute] = [
        *SnsRoutes(registered, grants, quotas, address).routes(),
        *CgiRoutes(registered, tokens, tickets, followers, unionids, quotas, address).routes(),
        *MiniProgramRoutes(registered, tokens, codes, unionids, quotas, clock, address).routes(),
        *ConsentRoutes(registered, grants, clock, pages, callback_hosts=frozenset(callback_hosts)).routes(),
        *WebsiteRoutes(
            registered,
            grants,
            logins,
            pages,
            address,
            callback_hosts=frozenset(callback_hosts),
        ).routes(),
        *PhoneRoutes(pages, address, has_account=official_account is not None, messages=messages).routes(),
        *MiniScreens(registered, codes, pages, hub_url=hub_url).routes(),
        *ControlRoutes(faults, quotas, clock, requests).routes(),
        *(AccountControl(pushes, tickets).routes() if pushes else ()),
        *(AccountScreens(pushes, tickets, followers, chats, pages).routes() if pushes else ()),
        *MiniProgramControl(registered, codes).routes(),
        *([messages_route(messages)] if messages else ()),
        Mount("/static", Assets(directory=FOLDER / "static")),
        Mount("/avatars", Assets(directory=FOLDER / "avatars")),
    ]
    app = Starlette(
        routes=routes, middleware=[Middleware(Recorded, faults=faults, requests=requests, clock=clock)]
    )
    app.state.release = logins.release
    return app


def _registered(
    apps: Mapping[str, str],
    websites: Mapping[str, str],
    mini_programs: Mapping[str, str],
    official_account: OfficialAccount | None,
) -> Iterable[RegisteredApp]:
    yield from (RegisteredApp("account", *app) for app in apps.items())
    yield from (RegisteredApp("website", *app) for app in websites.items())
    yield from (RegisteredApp("mini_program", *app) for app in mini_programs.items())
    if official_account is not None:
        yield RegisteredApp("account", official_account.appid, official_account.secret)
