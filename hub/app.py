"""The application: the services behind their edges, routed here and nowhere else.

Making the application does no I/O; the lifespan opens the database, the broker and the clients.
"""

from asyncio import CancelledError
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import BaseRoute, Mount

from hub.accounts.routes import AccountRoutes
from hub.admin.dashboard import Dashboard
from hub.admin.operators import Operators
from hub.admin.pages import AdminPages
from hub.admin.routes import AdminRoutes
from hub.admin.stream import MetricsStream
from hub.admin.users import Users
from hub.assets import folder
from hub.audit.devices import agent_name
from hub.audit.history import LoginHistory
from hub.audit.routes import AuditRoutes
from hub.codes.addresses import region
from hub.codes.changes.routes import ChangeRoutes
from hub.codes.console import ConsoleMessages
from hub.codes.routes import CodeRoutes
from hub.codes.senders.console import CONSOLE
from hub.docs.routes import DocsRoutes
from hub.limits.concurrency import OpenStreams
from hub.ops import registry
from hub.ops.routes import OpsRoutes
from hub.portal.pages import PortalPages
from hub.qr.bind import BindRoutes
from hub.qr.callback.pages import CallbackPages, Way
from hub.qr.callback.service import Callback
from hub.qr.consent import Consent, Kind
from hub.qr.grants import Grants
from hub.qr.mini.routes import MiniRoutes
from hub.qr.official_account.pages import LinkPages
from hub.qr.open_platform.pages import OpenPlatformPages
from hub.qr.pages import QrPages
from hub.qr.routes import QrRoutes
from hub.qr.sign_in.pages import SignInPages
from hub.qr.sockets import QrSockets
from hub.qr.watching import WatchRoutes
from hub.sandbox import sandbox_for
from hub.services import create_services
from hub.settings import SANDBOX_PATH, Settings
from hub.tokens.follow import Followers
from hub.tokens.oauth.routes import OAuthRoutes
from hub.tokens.routes import TokenRoutes
from hub.tokens.sockets import SignedInSockets
from hub.tokens.stream import AccountStream
from hub.web.assets import Assets
from hub.web.context import RequestContext
from hub.web.cookies import Cookies
from hub.web.origins import Origins
from hub.web.outcomes import Outcomes
from hub.web.pages import Pages
from hub.web.problems import HANDLERS
from hub.web.sockets import OpenSockets
from hub.web.ways import Country, Ways
from hub.wechat.sandbox.messages import messages_route

BESIDE: list[str | tuple[str, str]] = [("hub.admin", "static"), ("hub.docs", "static")]
"""The packages that have files of their own for browsers, of pages that few people see."""


def create_app(settings: Settings) -> Starlette:
    """Return the hub as an ASGI application; `app.state.drain(seconds)` sends its sockets away."""
    services = create_services(settings)
    sessions, attempts, phone = services.sessions, services.attempts, services.phone
    binding, guard, doors = services.binding, services.guard, services.doors
    cookies = Cookies(settings.secrets("cookie_secret"), secure=settings.base_url.startswith("https:"))
    origins = Origins(settings.origins)
    streams = OpenStreams(enabled=settings.hub_limits == "on")
    sockets = OpenSockets()
    pages = Pages(settings.site_name)
    outcomes = Outcomes(pages)
    grants = Grants(cookies)
    clients = services.clients
    door_names = doors.names(settings.default_door)
    wechat_only = settings.phone_url is None
    asks_human = services.challenge is not None  # which our own pages cannot
    ways = Ways(
        settings.code_length_phone if settings.sms_senders and not asks_human else 0,
        settings.code_length_email if settings.email_senders and not asks_human else 0,
        [Country(code, region(code)) for code in settings.sms_budgets],
    )

    code_routes = CodeRoutes(
        services.codes,
        services.code_sign_in,
        services.verification,
        services.code_proof,
        sessions,
        guard,
        cookies,
        origins,
        services.challenge,
    )
    accounts = AccountRoutes(
        sessions,
        services.profiles,
        services.password_sign_in,
        services.password_change,
        services.bindings,
        services.deletion,
        guard,
        cookies,
        origins,
    )
    changes = ChangeRoutes(
        services.password_reset,
        services.contact_binding,
        sessions,
        services.profiles,
        guard,
        cookies,
        origins,
    )

    mini = None
    if doors.mini_program:
        mini = MiniRoutes(attempts, doors.mini_program, binding, grants, guard, services.info)

    qr_sockets = QrSockets(
        attempts=attempts,
        phone=phone,
        guard=guard,
        streams=streams,
        sockets=sockets,
        origins=origins,
        base_url=settings.base_url,
    )
    qr = QrRoutes(
        attempts=attempts,
        phone=phone,
        redemption=services.redemption,
        open_platform=doors.open_platform,
        binding=binding,
        sessions=sessions,
        clients=clients,
        guard=guard,
        cookies=cookies,
        grants=grants,
        origins=origins,
        base_url=settings.base_url,
        info=services.info,
        doors=door_names,
        redirect_uris=frozenset(settings.redirect_uris),
        picture=doors.mini_program.picture if doors.mini_program else None,
        confirm_in_mini=mini.confirm if mini else None,
    )
    watching = WatchRoutes(
        attempts=attempts,
        redemption=services.redemption,
        open_platform=doors.open_platform,
        streams=streams,
        cookies=cookies,
        origins=origins,
        base_url=settings.base_url,
    )
    qr_pages = QrPages(
        attempts=attempts,
        phone=phone,
        binding=binding,
        h5=doors.h5,
        grants=grants,
        guard=guard,
        cookies=cookies,
        pages=pages,
        outcomes=outcomes,
        info=services.info,
        wechat_only=wechat_only,
        ways=ways,
    )
    sign_in = SignInPages(
        pages=pages,
        origins=origins,
        doors=door_names,
        frame_origin=doors.frame_origin,
        phone_url=settings.phone_url,
        scan_confirms=settings.wechat_oa_confirm == "auto",
        ways=ways,
    )
    consents: dict[Kind, Consent] = {}
    returns: dict[Kind, Way] = {}
    if doors.h5:
        consents[Kind.H5], returns[Kind.H5] = doors.h5, qr_pages.claimed
    if doors.open_platform:
        window = OpenPlatformPages(
            attempts, services.redemption, cookies, outcomes, sign_in.show, qr_pages.show_account
        )
        consents[Kind.OPEN_PLATFORM], returns[Kind.OPEN_PLATFORM] = doors.open_platform, window.returned
    pushed: list[BaseRoute] = []
    if door := doors.official_account:
        consents[Kind.OFFICIAL_ACCOUNT], returns[Kind.OFFICIAL_ACCOUNT] = door.consent, qr_pages.claimed
        links = LinkPages(
            door.consent,
            grants,
            guard,
            cookies,
            outcomes,
            base_url=settings.base_url,
            wechat_only=wechat_only,
        )
        pushed = [*door.push.routes(), *links.routes()]
    callback = CallbackPages(
        Callback(attempts, phone, services.states, consents), returns, guard, cookies, outcomes
    )
    history = LoginHistory(services.store)
    portal = PortalPages(
        sessions=sessions,
        profiles=services.profiles,
        history=history,
        place=services.places.name,
        now=services.store.now,
        pages=pages,
        ways=ways,
    )
    followers = Followers(services.events, sessions)
    signed_in = SignedInSockets(sessions=sessions, streams=streams, sockets=sockets, origins=origins)
    account_stream = AccountStream(signed_in, followers)
    operators = Operators(services.store, sessions)
    dashboard = Dashboard(registry.collect, services.measuring.measure, services.store.now)
    metrics_stream = MetricsStream(signed_in, operators, dashboard)
    users = Users(services.store)
    admin = AdminRoutes(operators, users, services.administer, services.places.name)
    admin_pages = AdminPages(
        operators=operators,
        users=users,
        administer=services.administer,
        place=services.places.name,
        called=agent_name,
        pages=pages,
    )
    tokens = TokenRoutes(
        sessions, cookies, origins, guard, services.places.name, code_routes.prove, accounts.prove
    )
    oauth = OAuthRoutes(sessions, clients, services.redemption.by_code, guard)
    routes: list[BaseRoute] = [
        *qr.routes(),
        *watching.routes(),
        *qr_sockets.routes(),
        *sign_in.routes(),
        *qr_pages.routes(),
        *callback.routes(),
        *pushed,
        *(mini.routes() if mini else ()),
        *account_stream.routes(),
        *metrics_stream.routes(),
        *admin.routes(),
        *admin_pages.routes(),
        *tokens.routes(),
        *oauth.routes(),
        *code_routes.routes(),
        *changes.routes(),
        *accounts.routes(),
        *BindRoutes(binding, sessions, services.profiles, guard).routes(),
        *AuditRoutes(history, sessions.verify, services.places.name).routes(),
        *portal.routes(),
        *OpsRoutes(services.store, services.broker, services.measuring).routes(),
    ]
    docs = DocsRoutes(
        routes, pages, title=settings.site_name, base_url=settings.base_url, cookie=cookies.name
    )
    routes += [*docs.routes(), Mount("/static", Assets(directory=folder("static"), packages=BESIDE))]
    messages = ConsoleMessages(services.background.outbox, settings.site_name).listed
    sandbox = None
    if settings.sandbox:
        sandbox = sandbox_for(settings, public_url=f"{settings.base_url}{SANDBOX_PATH}", messages=messages)
        routes.append(Mount(SANDBOX_PATH, sandbox))
    elif CONSOLE in (*settings.sms_senders, *settings.email_senders):
        routes.append(messages_route(messages, SANDBOX_PATH))

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for part in (*services.parts, followers, dashboard):
                await part.start()
                stack.push_async_callback(part.stop)
            with suppress(CancelledError):  # whoever asks twice for the end gets it so, and it is no failure
                yield

    app = Starlette(
        routes=routes,
        middleware=[
            Middleware(RequestContext, hsts=settings.base_url.startswith("https:")),
            Middleware(
                CORSMiddleware,
                allow_origins=sorted(settings.allowed_origins),
                allow_methods=["GET", "POST", "PATCH", "DELETE"],
                allow_headers=[
                    "authorization",
                    "content-type",
                    "if-none-match",
                    "last-event-id",
                    "x-request-id",
                ],
                expose_headers=["etag", "ratelimit", "ratelimit-policy", "retry-after", "x-request-id"],
                max_age=600,
            ),
        ],
        exception_handlers=HANDLERS,
        lifespan=lifespan,
    )

    async def drain(seconds: float) -> None:
        await sockets.drain(seconds)
        watching.release()
        if sandbox:
            sandbox.state.release()

    app.router.redirect_slashes = False  # it would lead to whatever the Host header says
    app.state.drain = drain
    return app
