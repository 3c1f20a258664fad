"""The application: every part made, joined and routed here, and nowhere else.

Making the application does no I/O; the lifespan opens the database, the broker and the clients.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import BaseRoute, Mount

from hub.accounts.bindings import Bindings
from hub.accounts.deletion import Deletion
from hub.accounts.password_change import PasswordChange
from hub.accounts.password_check import PasswordCheck
from hub.accounts.password_sign_in import PasswordSignIn
from hub.accounts.passwords import Passwords
from hub.accounts.profile import OWN, Profiles
from hub.accounts.profile_schema import ProfileSchema
from hub.accounts.routes import AccountRoutes
from hub.accounts.tries import Tries
from hub.assets import folder
from hub.audit.alerts import Alerts
from hub.audit.failures import Failures
from hub.audit.history import LoginHistory
from hub.audit.log import LoginLog
from hub.audit.places import Places
from hub.audit.reports import Reports
from hub.audit.routes import AuditRoutes
from hub.audit.signals import Signals
from hub.background import create_background
from hub.codes import addresses
from hub.codes.challenge import Challenge
from hub.codes.changes.contact_binding import ContactBinding
from hub.codes.changes.password_reset import PasswordReset
from hub.codes.changes.routes import ChangeRoutes
from hub.codes.console import ConsoleMessages
from hub.codes.reauthentication import CodeReauthentication
from hub.codes.routes import CodeRoutes
from hub.codes.rules import Peppers
from hub.codes.security_alert import SecurityAlert
from hub.codes.senders.console import CONSOLE
from hub.codes.service import Codes
from hub.codes.sign_in import CodeSignIn
from hub.codes.verification import EmailVerification
from hub.doors import create_account, create_doors
from hub.limits.concurrency import OpenStreams
from hub.limits.guard import Guard
from hub.limits.memory import MemoryLimiter
from hub.limits.redis import RedisLimiter
from hub.limits.rules import Limiter
from hub.ops.routes import OpsRoutes
from hub.qr.attempts import Attempts, Content
from hub.qr.bind import BindRoutes
from hub.qr.binding import Binding
from hub.qr.callback.pages import CallbackPages, Way
from hub.qr.callback.service import Callback
from hub.qr.consent import Consent, ConsentState, Kind
from hub.qr.follow import Sweep
from hub.qr.grants import Grants
from hub.qr.identifiers import Identifiers
from hub.qr.mini.routes import MiniRoutes
from hub.qr.official_account.pages import LinkPages
from hub.qr.official_account.tickets import Tickets
from hub.qr.open_platform.pages import OpenPlatformPages
from hub.qr.pages import QrPages
from hub.qr.phone import Phone
from hub.qr.precautions import Precautions
from hub.qr.redemption import Redemption
from hub.qr.request_info import RequestInfo
from hub.qr.routes import QrRoutes
from hub.qr.sockets import QrSockets
from hub.qr.states import Lifetimes
from hub.realtime.broker import Broker
from hub.realtime.memory import MemoryBroker
from hub.realtime.redis import RedisBroker
from hub.sandbox import sandbox_for
from hub.settings import SANDBOX_PATH, Settings, SettingsError
from hub.store.database import Store
from hub.store.encryption import DataKeys
from hub.tokens.claims import AccessTokens
from hub.tokens.clients import Clients
from hub.tokens.events import AccountEvents
from hub.tokens.follow import Followers
from hub.tokens.keys import KeyRing, RefreshKeys, pem_key, secret_key
from hub.tokens.oauth.routes import OAuthRoutes
from hub.tokens.routes import TokenRoutes
from hub.tokens.service import Sessions
from hub.tokens.stream import AccountStream
from hub.web.assets import Assets
from hub.web.context import RequestContext
from hub.web.cookies import Cookies
from hub.web.origins import Origins
from hub.web.outcomes import Outcomes
from hub.web.pages import Pages
from hub.web.problems import HANDLERS
from hub.web.sockets import OpenSockets
from hub.wechat.account_token import AccountTokens
from hub.wechat.sandbox.messages import messages_route
from hub.wechat.transport import Transport


def create_app(settings: Settings) -> Starlette:
    """Return the hub as an ASGI application; `app.state.drain(seconds)` sends its sockets away."""
    store = Store(settings.database_url, connections=settings.database_connections)
    broker: Broker = (
        RedisBroker(settings.redis, settings.redis_key_prefix) if settings.redis else MemoryBroker()
    )
    limiter: Limiter = (
        RedisLimiter(settings.redis, settings.redis_key_prefix, MemoryLimiter())
        if settings.redis
        else MemoryLimiter()
    )
    limited = settings.hub_limits == "on"
    guard = Guard(limiter, enabled=limited)
    streams = OpenStreams(enabled=limited)
    cookie_keys = settings.secrets("cookie_secret")
    cookies = Cookies(cookie_keys, secure=settings.base_url.startswith("https:"))
    origins = Origins(settings.origins)
    pages = Pages(settings.site_name)
    outcomes = Outcomes(pages)
    grants = Grants(cookies)
    clients = Clients.load(settings.oauth_clients)
    try:
        places = Places(*map(Path, settings.geoip_db))
    except (OSError, ValueError) as error:
        raise SettingsError([f"GEOIP_DB: {error}"]) from None
    info = RequestInfo(settings.site_name, places)

    data_keys = DataKeys(settings.secrets("data_keys"))
    background = create_background(settings, store, data_keys)
    events = AccountEvents(store, broker)
    login_log = LoginLog(places)
    alerts = Alerts(events, SecurityAlert(background.outbox, places.name), places)
    failures = Failures(store, alerts)
    signals = Signals(store, login_log, places, alerts, failures)
    reports = Reports(store, login_log, alerts)
    sessions = Sessions(
        store,
        broker,
        AccessTokens(
            key_ring(settings),
            issuer=settings.jwt_issuer or settings.base_url,
            audience=settings.jwt_audience or None,
            ttl=settings.access_ttl,
        ),
        RefreshKeys(settings.secrets("refresh_keys")),
        login_log,
        events,
        absolute_ttl=settings.refresh_ttl,
        idle_ttl=settings.refresh_idle_ttl,
        cap=settings.max_sessions,
        single_per_type=settings.single_session_per_device_type,
        place=lambda address: places.name(address, "zh-CN"),
    )
    lives = Lifetimes(
        pending=settings.wechat_qr_expires_in,
        whole=settings.wechat_session_expires_in,
        visible=settings.qr_rotate_seconds,
    )
    transport = Transport(settings.wechat_urls[0])
    account_tokens = AccountTokens(store, transport, data_keys)
    account = create_account(settings, transport, account_tokens)
    contents: dict[str, Content] = {"official_account": Tickets(account)} if account else {}
    attempts = Attempts(store, broker, Identifiers(cookie_keys), lives, contents)
    sweep = Sweep(attempts)
    precautions = Precautions(reports, info.mismatch, limited=limited)
    phone = Phone(attempts, signals, reports, precautions, limiter, burn=settings.qr_burn_on_second_scan)
    redemption = Redemption(attempts, sessions, signals)

    try:
        profiles = Profiles(store, ProfileSchema.load(settings.profile_schema, OWN))
    except (OSError, ValueError) as error:
        raise SettingsError([f"PROFILE_SCHEMA: {error}"]) from None
    passwords = Passwords()
    codes = Codes(
        store,
        background.outbox,
        Peppers(settings.secrets("code_peppers")),
        lengths={"phone": settings.code_length_phone, "email": settings.code_length_email},
        countries=settings.sms_budgets,
        daily_budget=settings.sms_daily_budget,
        limited=limited,
    )
    challenge = None
    if settings.code_challenge_url:
        challenge = Challenge(
            settings.code_challenge_url,
            settings.code_challenge_secret.get_secret_value(),
            settings.code_challenge_when_away,
        )
    code_routes = CodeRoutes(
        codes,
        CodeSignIn(store, codes, sessions, profiles, signals, passwords),
        EmailVerification(store, codes, sessions),
        CodeReauthentication(store, codes, signals),
        sessions,
        guard,
        cookies,
        origins,
        challenge,
    )
    tries = Tries(store, limited=limited)
    check = PasswordCheck(store, passwords, tries)
    change = PasswordChange(store, passwords, check, tries, sessions, events, signals)
    bindings = Bindings(store, sessions, events)
    binding = Binding(attempts, bindings, sessions)
    accounts = AccountRoutes(
        sessions,
        profiles,
        PasswordSignIn(store, check, sessions, profiles, signals, addresses.contact),
        change,
        bindings,
        Deletion(store, sessions),
        guard,
        cookies,
        origins,
    )
    changes = ChangeRoutes(
        PasswordReset(store, codes, passwords, change, signals),
        ContactBinding(store, codes, bindings),
        sessions,
        profiles,
        guard,
        cookies,
        origins,
    )

    states = ConsentState(cookie_keys)
    doors = create_doors(
        settings, transport, attempts, phone, bindings, states, data_keys, account_tokens, account
    )
    door_names = doors.names(settings.default_door)

    mini = None
    if doors.mini_program:
        mini = MiniRoutes(attempts, doors.mini_program, binding, grants, guard, info)

    sockets = OpenSockets()
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
        redemption=redemption,
        open_platform=doors.open_platform,
        binding=binding,
        sessions=sessions,
        clients=clients,
        guard=guard,
        streams=streams,
        cookies=cookies,
        grants=grants,
        origins=origins,
        base_url=settings.base_url,
        info=info,
        doors=door_names,
        redirect_uris=frozenset(settings.redirect_uris),
        picture=doors.mini_program.picture if doors.mini_program else None,
        confirm_in_mini=mini.confirm if mini else None,
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
        info=info,
        doors=door_names,
        frame_origin=doors.frame_origin,
        phone_url=settings.phone_url,
        wechat_only=settings.phone_url is None,
    )
    consents: dict[Kind, Consent] = {}
    ways: dict[Kind, Way] = {}
    if doors.h5:
        consents[Kind.H5], ways[Kind.H5] = doors.h5, qr_pages.claimed
    if doors.open_platform:
        window = OpenPlatformPages(attempts, redemption, cookies, outcomes, qr_pages.show_sign_in)
        consents[Kind.OPEN_PLATFORM], ways[Kind.OPEN_PLATFORM] = doors.open_platform, window.returned
    pushed: list[BaseRoute] = []
    if door := doors.official_account:
        consents[Kind.OFFICIAL_ACCOUNT], ways[Kind.OFFICIAL_ACCOUNT] = door.consent, qr_pages.claimed
        links = LinkPages(
            door.consent, grants, guard, cookies, outcomes, wechat_only=settings.phone_url is None
        )
        pushed = [*door.push.routes(), *links.routes()]
    callback = CallbackPages(Callback(attempts, states, consents), ways, guard, cookies, outcomes)
    followers = Followers(events, sessions)
    account_stream = AccountStream(
        sessions=sessions, followers=followers, streams=streams, sockets=sockets, origins=origins
    )
    tokens = TokenRoutes(sessions, cookies, origins, guard, places.name, code_routes.prove, accounts.prove)
    oauth = OAuthRoutes(sessions, clients, redemption.by_code, guard)
    routes: list[BaseRoute] = [
        *qr.routes(),
        *qr_sockets.routes(),
        *qr_pages.routes(),
        *callback.routes(),
        *pushed,
        *(mini.routes() if mini else ()),
        *account_stream.routes(),
        *tokens.routes(),
        *oauth.routes(),
        *code_routes.routes(),
        *changes.routes(),
        *accounts.routes(),
        *BindRoutes(binding, sessions, profiles, guard).routes(),
        *AuditRoutes(LoginHistory(store), sessions.verify, places.name).routes(),
        *OpsRoutes(store, broker, background.outbox).routes(),
        Mount("/static", Assets(directory=folder("static"))),
    ]
    messages = ConsoleMessages(background.outbox, settings.site_name).listed
    sandbox = None
    if settings.sandbox:
        sandbox = sandbox_for(settings, public_url=f"{settings.base_url}{SANDBOX_PATH}", messages=messages)
        routes.append(Mount(SANDBOX_PATH, sandbox))
    elif CONSOLE in (*settings.sms_senders, *settings.email_senders):
        routes.append(messages_route(messages, SANDBOX_PATH))

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            worker = (background.http, background.worker) if settings.hub_worker == "in-process" else ()
            for part in (
                store,
                broker,
                limiter,
                transport,
                sessions,
                passwords,
                failures,
                sweep,
                followers,
                account_tokens,
                *doors.parts,
                *([challenge] if challenge else []),
                *worker,
            ):
                await part.start()
                stack.push_async_callback(part.stop)
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
        qr.release()
        if sandbox:
            sandbox.state.release()

    app.router.redirect_slashes = False  # it would lead to whatever the Host header says
    app.state.drain = drain
    return app


def key_ring(settings: Settings) -> KeyRing:
    """Return the keys of access tokens. Raises SettingsError for a file that holds none."""
    if settings.jwt_alg == "HS256":
        return KeyRing([secret_key(settings.jwt_key)])
    keys = []
    for path in settings.jwt_keys:
        try:
            keys.append(pem_key(Path(path).read_bytes(), settings.jwt_alg))
        except (OSError, ValueError) as error:
            raise SettingsError([f"JWT_KEYS: {path}: {error}"]) from None
    try:
        return KeyRing(keys)
    except ValueError as error:
        raise SettingsError([f"JWT_KEYS: {error}"]) from None
