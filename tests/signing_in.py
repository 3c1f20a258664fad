"""Accounts and sessions made straight through the services, for the tests of tokens and accounts."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from hub.accounts.identities import Identity, find_or_create
from hub.audit.alerts import Alerts
from hub.audit.failures import Failures
from hub.audit.log import LoginLog
from hub.audit.places import Places
from hub.audit.reports import Reports
from hub.audit.signals import Signals
from hub.codes.outbox import Kind, Outbox
from hub.codes.security_alert import SecurityAlert
from hub.codes.sms_budget import SmsBudget
from hub.realtime.broker import Broker
from hub.store.database import Connection, Row, Store, connect
from hub.store.encryption import DataKeys
from hub.store.location import Location
from hub.store.queries import Bound, Statement
from hub.tokens.claims import AccessTokens
from hub.tokens.events import AccountEvents
from hub.tokens.keys import KeyRing, RefreshKeys, secret_key
from hub.tokens.service import Device, Sessions, TokenPair

LAPTOP = Device("Laptop", "web", "laptop-1", "192.0.2.7", "Firefox", "Hangzhou")
NOWHERE = Places()
DATA_KEY = "a-data-key-of-more-than-thirty-two-bytes"
PHONE = Device("Phone", "ios", "phone-1", "198.51.100.7", "App", None)


class Clock:
    """The store's clock, to be moved by hand."""

    def __init__(self, store: Store, setattr_: Callable[[object, str, object], None]) -> None:
        self._real = store.now
        self._ahead = timedelta(0)
        setattr_(store, "now", self.now)

    def now(self) -> datetime:
        """Return the database's time plus what was added."""
        return self._real() + self._ahead

    def forward(self, seconds: float) -> None:
        """Move it on."""
        self._ahead += timedelta(seconds=seconds)


def make_sessions(store: Store, broker: Broker, **options: Any) -> Sessions:
    """Return sessions over *store* and *broker*."""
    access = AccessTokens(KeyRing([secret_key("access-secret-" * 3)]), issuer="https://hub.example")
    refresh_keys = RefreshKeys(["refresh-secret-" * 3])
    log = LoginLog(NOWHERE)
    events = AccountEvents(store, broker)
    return Sessions(
        store, broker, access, refresh_keys, log, events, make_alerts(store, events, NOWHERE), **options
    )


def make_alerts(
    store: Store,
    events: AccountEvents,
    places: Places,
    kinds: tuple[Kind, ...] = ("sms", "email"),
    daily_budget: int = 1000,
) -> Alerts:
    """Return what warns people, over a queue of messages that nobody works on."""
    outbox = Outbox(store, DataKeys([DATA_KEY]), kinds)
    budget = SmsBudget({"+86": None}, daily_budget)
    return Alerts(events, SecurityAlert(outbox, places.name, budget), places)


class Watching(NamedTuple):
    """What looks at tries to sign in, over one store; `failures` has to be started."""

    signals: Signals
    reports: Reports
    failures: Failures


def make_watching(
    store: Store,
    broker: Broker,
    places: Places = NOWHERE,
    kinds: tuple[Kind, ...] = ("sms", "email"),
    daily_budget: int = 1000,
) -> Watching:
    """Return the login log with its signals, over a queue of messages that nobody works on."""
    events = AccountEvents(store, broker)
    log = LoginLog(places)
    alerts = make_alerts(store, events, places, kinds, daily_budget)
    failures = Failures(store, alerts)
    return Watching(Signals(store, log, places, alerts, failures), Reports(store, log, alerts), failures)


async def make_user(store: Store, openid: str = "oAbC", **members: Any) -> Row:
    """Return the account of a person of this openid, made where need be."""
    identity = Identity(appid="wx1", openid=openid, nickname="李", **members)

    async def work(tx: Connection) -> Row:
        return await find_or_create(tx, identity, store.now())

    return await store.write(work)


async def sign_in(
    store: Store, sessions: Sessions, user: Row, device: Device = LAPTOP, client_id: str | None = None
) -> TokenPair:
    """Open a session, as a redemption does."""

    async def work(tx: Connection) -> TokenPair:
        return await sessions.open(tx, user, device, amr=("wechat",), now=store.now(), client_id=client_id)

    pair = await store.write(work)
    await sessions.announce(pair)
    return pair


async def warm(store: Store) -> None:
    """Open all connections: racers that first have to dial arrive one after the other."""
    await asyncio.gather(*(store.ping() for _ in range(20)))


async def rows(url: str, sql: str) -> list[Row]:
    """Return the rows of a SELECT, read beside the store."""
    link = await connect(Location.parse(url))
    try:
        return await link.fetch(Bound("test", sql, ()))
    finally:
        await link.close()


async def execute(url: str, sql: str, **values: object) -> None:
    """Run one statement beside the store, as an administrator would."""
    location = Location.parse(url)
    link = await connect(location)
    try:
        await link.execute(Statement("test", sql, location.engine).bind(values))
    finally:
        await link.close()


def record_statements(setattr_: Callable[[object, str, object], None]) -> list[str]:
    """Return a list that grows by the name of each statement of a unit of work."""
    names: list[str] = []

    def recorded(method: Callable[..., Any]) -> Callable[..., Any]:
        async def run(self: Connection, query: str, /, **values: object) -> Any:
            names.append(query)
            return await method(self, query, **values)

        return run

    for name in ("all", "changed", "insert", "post"):  # `one` goes through `all`
        setattr_(Connection, name, recorded(getattr(Connection, name)))
    return names
