"""The use cases and what they rest on, joined from the settings; `hub.app` puts the edges before them."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from hub.accounts.admin import Administration
from hub.accounts.bindings import Bindings
from hub.accounts.deletion import Deletion
from hub.accounts.password_change import PasswordChange
from hub.accounts.password_check import PasswordCheck
from hub.accounts.password_sign_in import PasswordSignIn
from hub.accounts.passwords import Passwords
from hub.accounts.profile import OWN, Profiles
from hub.accounts.profile_schema import ProfileSchema
from hub.accounts.tries import Tries
from hub.audit.alerts import Alerts
from hub.audit.failures import Failures
from hub.audit.log import LoginLog
from hub.audit.places import Places
from hub.audit.reports import Reports
from hub.audit.signals import Signals
from hub.background import Background, create_background
from hub.codes import addresses
from hub.codes.challenge import Challenge
from hub.codes.changes.contact_binding import ContactBinding
from hub.codes.changes.password_reset import PasswordReset
from hub.codes.reauthentication import CodeReauthentication
from hub.codes.rules import Peppers
from hub.codes.security_alert import SecurityAlert
from hub.codes.service import Codes
from hub.codes.sign_in import CodeSignIn
from hub.codes.sms_budget import SmsBudget
from hub.codes.verification import EmailVerification
from hub.doors import Doors, create_account, create_doors
from hub.limits.guard import Guard
from hub.limits.memory import MemoryLimiter
from hub.limits.redis import RedisLimiter
from hub.limits.rules import Limiter
from hub.ops.measuring import Measuring
from hub.qr.attempts import Attempts
from hub.qr.binding import Binding
from hub.qr.consent import ConsentState
from hub.qr.follow import Sweep
from hub.qr.identifiers import Identifiers
from hub.qr.new_attempt import Content
from hub.qr.official_account.tickets import Tickets
from hub.qr.phone import Phone
from hub.qr.precautions import Precautions
from hub.qr.redemption import Redemption
from hub.qr.refusals import Refusals
from hub.qr.request_info import RequestInfo
from hub.qr.states import Lifetimes
from hub.realtime.broker import Broker
from hub.realtime.memory import MemoryBroker
from hub.realtime.redis import RedisBroker
from hub.settings import Settings, SettingsError
from hub.store.database import Store
from hub.store.encryption import DataKeys
from hub.tokens.claims import AccessTokens
from hub.tokens.clients import Clients
from hub.tokens.events import AccountEvents
from hub.tokens.keys import KeyRing, RefreshKeys, pem_key, secret_key
from hub.tokens.service import Sessions
from hub.wechat.account_token import AccountTokens
from hub.wechat.transport import Transport

# What a process queues wakes it, so it looks only for what others have left behind. Every second, that would
# cost an idle process as much as a thousand waiting sockets.
_IDLE_LOOK = 5.0  # seconds

T = TypeVar("T")


class Part(Protocol):
    """What is opened when the application starts, and closed when it ends."""

    async def start(self) -> None: ...
    async def stop(self) -> None: ...


class Services(NamedTuple):
    """Everything that an edge may call. Nothing is open before each of *parts* is started, in their order."""

    store: Store
    broker: Broker
    guard: Guard
    background: Background
    measuring: Measuring
    places: Places
    info: RequestInfo
    events: AccountEvents
    sessions: Sessions
    clients: Clients
    profiles: Profiles
    codes: Codes
    code_sign_in: CodeSignIn
    verification: EmailVerification
    code_proof: CodeReauthentication
    challenge: Challenge | None
    password_sign_in: PasswordSignIn
    password_change: PasswordChange
    password_reset: PasswordReset
    contact_binding: ContactBinding
    bindings: Bindings
    deletion: Deletion
    administer: Callable[[int], Administration]
    attempts: Attempts
    phone: Phone
    redemption: Redemption
    binding: Binding
    states: ConsentState
    doors: Doors
    parts: tuple[Part, ...]


def create_services(settings: Settings) -> Services:
    """Return the services of the settings. Raises SettingsError for a file that holds something else."""
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
    cookie_keys = settings.secrets("cookie_secret")
    data_keys = DataKeys(settings.secrets("data_keys"))
    places = _from_file("GEOIP_DB", lambda: Places(*map(Path, settings.geoip_db)))
    info = RequestInfo(settings.site_name, places)
    background = create_background(settings, store, data_keys, _IDLE_LOOK)

    events = AccountEvents(store, broker)
    login_log = LoginLog(places)
    budget = SmsBudget(settings.sms_budgets, settings.sms_daily_budget)
    alerts = Alerts(events, SecurityAlert(background.outbox, places.name, budget), places)
    failures = Failures(store, alerts)
    signals = Signals(store, login_log, places, alerts, failures)
    reports = Reports(store, login_log, alerts)
    sessions = _sessions(settings, store, broker, login_log, events, alerts, places)

    codes = Codes(
        store,
        background.outbox,
        Peppers(settings.secrets("code_peppers")),
        lengths={"phone": settings.code_length_phone, "email": settings.code_length_email},
        budget=budget,
        limited=limited,
    )
    challenge = _challenge(settings)
    profiles = _from_file(
        "PROFILE_SCHEMA", lambda: Profiles(store, ProfileSchema.load(settings.profile_schema, OWN))
    )
    passwords = Passwords()
    tries = Tries(store, limited=limited)
    check = PasswordCheck(store, passwords, tries)
    change = PasswordChange(store, passwords, check, tries, sessions, events, signals)
    bindings = Bindings(store, sessions, events)

    transport = Transport(settings.wechat_urls.api)
    account_tokens = AccountTokens(store, transport, data_keys)
    account = create_account(settings, transport, account_tokens)
    lives = Lifetimes(
        pending=settings.wechat_qr_expires_in,
        whole=settings.wechat_session_expires_in,
        visible=settings.qr_rotate_seconds,
    )
    contents: dict[str, Content] = {"official_account": Tickets(account)} if account else {}
    attempts = Attempts(store, broker, Identifiers(cookie_keys), lives, contents)
    precautions = Precautions(reports, info.mismatch, limited=limited)
    phone = Phone(
        attempts, Refusals(signals, reports), precautions, limiter, burn=settings.qr_burn_on_second_scan
    )
    states = ConsentState(cookie_keys)
    doors = create_doors(
        settings, transport, attempts, phone, bindings, states, data_keys, account_tokens, account
    )
    worker = (background.http, background.worker) if settings.hub_worker == "in-process" else ()
    return Services(
        store=store,
        broker=broker,
        guard=Guard(limiter, enabled=limited),
        background=background,
        measuring=Measuring(store, background.outbox, budget),
        places=places,
        info=info,
        events=events,
        sessions=sessions,
        clients=_from_file("OAUTH_CLIENTS", lambda: Clients.load(settings.oauth_clients)),
        profiles=profiles,
        codes=codes,
        code_sign_in=CodeSignIn(store, codes, sessions, profiles, signals, passwords),
        verification=EmailVerification(store, codes, sessions),
        code_proof=CodeReauthentication(store, codes, signals),
        challenge=challenge,
        password_sign_in=PasswordSignIn(store, check, sessions, profiles, signals, addresses.contact),
        password_change=change,
        password_reset=PasswordReset(store, codes, passwords, change, signals),
        contact_binding=ContactBinding(store, codes, bindings),
        bindings=bindings,
        deletion=Deletion(store, sessions),
        administer=lambda operator: Administration(
            store,
            sessions.endings,
            actor=f"user:{operator}",
            operator=operator,
            idle_ttl=settings.refresh_idle_ttl,
        ),
        attempts=attempts,
        phone=phone,
        redemption=Redemption(attempts, sessions, signals),
        binding=Binding(attempts, bindings, sessions),
        states=states,
        doors=doors,
        parts=(
            store,
            broker,
            limiter,
            transport,
            sessions,
            passwords,
            failures,
            Sweep(attempts),
            account_tokens,
            *doors.parts,
            *([challenge] if challenge else ()),
            *worker,
        ),
    )


def _sessions(
    settings: Settings,
    store: Store,
    broker: Broker,
    login_log: LoginLog,
    events: AccountEvents,
    alerts: Alerts,
    places: Places,
) -> Sessions:
    access_tokens = AccessTokens(
        key_ring(settings),
        issuer=settings.jwt_issuer or settings.base_url,
        audience=settings.jwt_audience or None,
        ttl=settings.access_ttl,
    )
    return Sessions(
        store,
        broker,
        access_tokens,
        RefreshKeys(settings.secrets("refresh_keys")),
        login_log,
        events,
        alerts,
        absolute_ttl=settings.refresh_ttl,
        idle_ttl=settings.refresh_idle_ttl,
        cap=settings.max_sessions,
        single_per_type=settings.single_session_per_device_type,
        place=lambda address: places.name(address, "zh-CN"),
    )


def _challenge(settings: Settings) -> Challenge | None:
    if not settings.code_challenge_url:
        return None
    return Challenge(
        settings.code_challenge_url,
        settings.code_challenge_secret.get_secret_value(),
        settings.code_challenge_when_away,
    )


def _from_file(setting: str, read: Callable[[], T]) -> T:
    """Return what *read* makes of the files of *setting*. Raises SettingsError where it refuses them."""
    try:
        return read()
    except (OSError, ValueError) as error:
        raise SettingsError([f"{setting}: {error}"]) from None


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
