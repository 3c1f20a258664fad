"""Consents that come back, on both engines, with WeChat's sandbox behind them."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from hub.accounts.identities import Identity
from hub.audit.rules import REPORTERS
from hub.qr.attempt import Attempt
from hub.qr.callback.service import Answer, Callback
from hub.qr.consent import Consent, ConsentState, Kind
from hub.qr.follow import Follower
from hub.qr.h5 import H5
from hub.qr.identifiers import hashed
from hub.qr.new_attempt import Initiator, NewAttempt
from hub.qr.open_platform.service import OpenPlatform
from hub.qr.phone import Answer as Say
from hub.qr.redemption import cookie_binding
from hub.qr.states import Status
from hub.realtime.memory import MemoryBroker
from hub.realtime.watch import Message
from hub.store.database import Store
from hub.store.encryption import DataKeys
from hub.wechat.client import App, WeChatClient
from hub.wechat.doors import WebConsent, WebsiteConsent
from hub.wechat.sandbox import create_sandbox
from hub.wechat.transport import Transport
from tests.scanning import KEYS, LIVES, Desk, Stopped
from tests.servers.uvicorn_app import serve
from tests.servers.waiting import until
from tests.signing_in import make_user, rows

SECRET = "the-browser's-binding-secret"
IN_APP, WEBSITE = App("wxcallback00000h5", "h5-secret"), App("wxcallback0website", "website-secret")
BACK = "https://hub.example/api/auth/wechat/callback"


class Listener:
    """A watcher that notes sequence number and status of all it hears."""

    def __init__(self, channel: str) -> None:
        self.channel = channel
        self.heard: list[tuple[int, str]] = []

    def offer(self, message: Message) -> None:
        """Note it."""
        self.heard.append((message.seq, json.loads(message.body)["status"]))

    def read_again(self) -> None:
        """Nothing was sent before."""


class Gate(NamedTuple):
    """The callback over one store, and the WeChat behind it."""

    desk: Desk
    callback: Callback
    h5: H5
    window: OpenPlatform
    wechat: httpx2.AsyncClient

    async def begin(self, door: str = "open_platform", initiator: Initiator | None = None) -> Attempt:
        """Begin an attempt whose browser carries SECRET."""
        return await self.desk.attempts.begin(
            NewAttempt(
                door,
                cookie_binding(SECRET),
                "192.0.2.7",
                "Firefox",
                initiator=initiator or Initiator(),
                cookie_hash=hashed(SECRET),
            )
        )

    async def led_back(self, attempt: Attempt, person: str = "alice", **headers: str) -> dict[str, str]:
        """Let *person* consent, and return what WeChat leads back with."""
        way = self.h5.consent_url(attempt, SECRET)
        if attempt.door == "open_platform":
            way = self.window.authorize_url(attempt, SECRET) or ""
        answer = await self.wechat.get(way, headers={"x-sandbox-person": person, **headers})
        query = parse_qs(urlsplit(answer.headers["location"]).query)
        return {name: values[0] for name, values in query.items()}

    async def hit(self, back: dict[str, str], secret: str | None = SECRET) -> Answer:
        """Hit the callback."""
        return await self.callback.receive(back["state"], back.get("code"), secret, "en")

    async def now(self, attempt: Attempt) -> Attempt:
        """The attempt as it is now."""
        return await self.desk.attempts.by_id(attempt.id)

    async def exchanges(self) -> int:
        """How many codes WeChat has got."""
        calls = (await self.wechat.get("/requests")).json()
        return sum(call["path"] == "/sns/oauth2/access_token" for call in calls)

    async def has_exchanged(self) -> bool:
        """Whether WeChat has got a code."""
        return await self.exchanges() > 0

    async def spoil(self, **fault: object) -> None:
        """Have WeChat's next exchange spoilt."""
        spoilt = {"path": "/sns/oauth2/access_token", "count": 1, **fault}
        assert (await self.wechat.post("/faults", json=spoilt)).status_code == 200


@pytest.fixture(scope="module")
def wechat() -> Iterator[str]:
    """WeChat."""
    sandbox = create_sandbox(dict([IN_APP]), websites=dict([WEBSITE]))
    with serve(Starlette(routes=[Mount("/sandbox", sandbox)])) as address:
        yield f"{address}/sandbox"


@asynccontextmanager
async def opened(store: Store, wechat: str, *, lease: float = 20.0) -> AsyncIterator[Gate]:
    """Open the callback, and forget what WeChat has been asked before."""
    transport = Transport(wechat)
    await transport.start()
    try:
        async with httpx2.AsyncClient(base_url=wechat) as http:
            await http.delete("/requests")
            await http.delete("/faults")
            desk = Desk(store, MemoryBroker())
            states, keys = ConsentState(KEYS), DataKeys(["data-key-" * 4])
            client = WeChatClient(transport, wechat)
            h5 = H5(
                desk.attempts, desk.phone, WebConsent(client, IN_APP, BACK, "snsapi_userinfo"), states, keys
            )
            website = WebsiteConsent(client, WEBSITE, BACK)
            window = OpenPlatform(desk.attempts, desk.phone, website, states, keys)
            consents: dict[Kind, Consent] = {Kind.H5: h5, Kind.OPEN_PLATFORM: window}
            callback = Callback(desk.attempts, desk.phone, states, consents, lease=lease)
            yield Gate(desk, callback, h5, window, http)
    finally:
        await transport.stop()


@pytest.fixture
async def gate(store: Store, wechat: str) -> AsyncIterator[Gate]:
    """The callback, on each engine in turn."""
    async with opened(store, wechat) as gate:
        yield gate


async def test_an_approval_is_two_moves(gate: Gate, database_url: str) -> None:
    """Scan and confirmation are written at once, and each is told; tokens stay with the identity alone."""
    attempt = await gate.begin()
    session_id = gate.desk.attempts.made.session_id(attempt.session_seed)
    listener = Listener(attempt.channel)
    gate.desk.broker.attach(listener)
    kind, outcome = await gate.hit(await gate.led_back(attempt))
    assert (kind, outcome.name) == (Kind.OPEN_PLATFORM, "confirmed")
    assert listener.heard == [(2, "scanned"), (3, "confirmed")]
    approved = await gate.now(attempt)
    assert (approved.status, approved.seq, approved.profile["tokens"]) == (Status.CONFIRMED, 3, None)
    async with Follower(gate.desk.attempts, session_id) as follower:
        snapshot = await follower.next()
    assert json.loads(snapshot.user_info)["user_id"] == approved.user_id
    (row,) = await rows(database_url, "SELECT scanned_at, confirmed_at FROM login_sessions")
    assert row["scanned_at"] == row["confirmed_at"] is not None
    (identity,) = await rows(database_url, "SELECT appid, uid FROM wechat_users")
    assert tuple(identity.values()) == (WEBSITE.appid, approved.user_id)


@pytest.mark.parametrize("door", ["h5", "open_platform"])
async def test_parallel_hits_are_one(gate: Gate, database_url: str, door: str) -> None:
    """Twenty hits at once: one exchange, one outcome."""
    attempt = await gate.begin(door)
    back = await gate.led_back(attempt)
    await gate.spoil(fault="slow", seconds=0.3)
    answers = await asyncio.gather(*(gate.hit(back) for _ in range(20)))
    name = "confirmed" if door == "open_platform" else "scanned"
    assert {answer.outcome.name for answer in answers} == {name}
    assert {answer.outcome.attempt and answer.outcome.attempt.scanned_by for answer in answers} == {
        (await gate.now(attempt)).scanned_by
    }
    assert await gate.exchanges() == 1
    assert len(await rows(database_url, "SELECT state_hash FROM provider_callbacks")) == 1


async def test_a_hit_that_is_given_up_approves_nothing(store: Store, database_url: str, wechat: str) -> None:
    """One that takes longer than its lease is ended by the next: when it comes to its end, it is too late."""
    async with opened(store, wechat, lease=0.2) as gate:
        attempt = await gate.begin()
        back = await gate.led_back(attempt)
        await gate.spoil(fault="slow", seconds=1)
        first = asyncio.create_task(gate.hit(back))
        await until(gate.has_exchanged)
        second = await gate.hit(back)
        assert second.outcome.name == (await first).outcome.name == "provider_away"
        assert (await gate.now(attempt)).reason == "provider_error"
        assert await rows(database_url, "SELECT id FROM users") == []


@pytest.mark.parametrize("door", ["h5", "open_platform"])
@pytest.mark.parametrize(
    ("spoilt", "logged"),
    [
        ({"fault": "broken_json"}, ("failed", "network_error")),
        ({"fault": "busy"}, ("failed", "network_error")),
        ({"fault": "errcode", "errcode": 40163}, ("failed", "invalid_code")),
        ({"fault": "errcode", "errcode": 50002}, ("blocked", "account_blocked")),
    ],
    ids=["away", "busy", "code", "person"],
)
async def test_the_login_log_tells_what_wechat_refused(
    gate: Gate, database_url: str, door: str, spoilt: dict[str, object], logged: tuple[str, str]
) -> None:
    """One row for a consent that failed, however often it comes back, and of nobody: none was named."""
    attempt = await gate.begin(door)
    back = await gate.led_back(attempt)
    await gate.spoil(**spoilt)
    for _ in range(2):
        await gate.hit(back)
    tries = await rows(
        database_url, "SELECT login_status, failure_reason, account, login_method, ip_address FROM login_logs"
    )
    assert [tuple(row.values()) for row in tries] == [(*logged, None, "wechat", "192.0.2.7")]


async def test_an_abandoned_consent_is_in_the_login_log(store: Store, database_url: str, wechat: str) -> None:
    """When the process that exchanged the code has died, who ends the consent puts it on record."""
    async with opened(store, wechat, lease=0.3) as gate:
        back = await gate.led_back(await gate.begin("h5"))
        await gate.spoil(fault="slow", seconds=1)
        first = asyncio.create_task(gate.hit(back))
        await until(gate.has_exchanged)
        assert (await gate.hit(back)).outcome.name == "provider_away"
        await first
    (row,) = await rows(database_url, "SELECT login_status, failure_reason FROM login_logs")
    assert tuple(row.values()) == ("failed", "network_error")


async def test_another_browser(gate: Gate) -> None:
    """Without the secret, or with another one, a hit is nobody's and spends nothing."""
    attempt = await gate.begin()
    back = await gate.led_back(attempt)
    for secret in (None, "", "another browser's"):
        kind, outcome = await gate.hit(back, secret)
        assert (kind, outcome.name) == (None, "neutral")
    assert await gate.exchanges() == 0
    assert (await gate.hit(back)).outcome.name == "confirmed"


async def test_a_kind_is_not_another(gate: Gate) -> None:
    """A code that was given for the app claims; it never approves."""
    attempt = await gate.begin("h5")
    kind, outcome = await gate.hit(await gate.led_back(attempt))
    assert (kind, outcome.name) == (Kind.H5, "scanned")
    assert (await gate.now(attempt)).status is Status.SCANNED


async def test_too_late(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the attempt's time is over the code is not even sent, and a page of WeChat's says nothing new."""
    clock = Stopped(gate.desk.store, monkeypatch.setattr)
    attempt = await gate.begin()
    back = await gate.led_back(attempt)
    clock.forward(LIVES.pending)
    assert (await gate.hit(back)).outcome.name == "expired"
    assert await gate.exchanges() == 0
    clock.forward(LIVES.whole)
    assert (await gate.hit(back)).outcome.name == "neutral"  # the state is over too


@pytest.mark.parametrize("door", ["h5", "open_platform"])
async def test_declining_twice(gate: Gate, door: str) -> None:
    """A person who declines reads the same each time; only WeChat's own page is used up by that."""
    attempt = await gate.begin(door)
    back = await gate.led_back(attempt, **{"x-sandbox-decision": "deny"})
    assert [(await gate.hit(back)).outcome.name for _ in range(2)] == ["provider_denied"] * 2
    ended = await gate.now(attempt)
    expected = ("failed", "cancelled") if door == "open_platform" else ("pending", None)
    assert (ended.status, ended.reason) == expected


async def test_declining_after_all(gate: Gate) -> None:
    """Of one state a code that follows a refusal is too late, and a refusal that follows a code is void."""
    attempt = await gate.begin()
    back = await gate.led_back(attempt)
    assert (await gate.hit(back)).outcome.name == "confirmed"
    assert (await gate.hit({"state": back["state"]})).outcome.name == "already_claimed"
    assert (await gate.now(attempt)).status is Status.CONFIRMED
    other = await gate.begin()
    back = await gate.led_back(other)
    assert (await gate.hit({"state": back["state"]})).outcome.name == "provider_denied"
    assert (await gate.hit(back)).outcome.name == "failed"


async def test_binding_marks_only(gate: Gate, database_url: str) -> None:
    """An approval to bind makes no account; an identity that is another account's ends the attempt."""
    owner = await make_user(gate.desk.store, "oOwner")
    asker = Initiator(owner["id"], "sid")
    free = await gate.begin(initiator=asker)
    assert (await gate.hit(await gate.led_back(free))).outcome.name == "confirmed"
    assert (await gate.now(free)).user_id is None
    assert len(await rows(database_url, "SELECT id FROM users")) == 1
    login = await gate.begin()
    await gate.hit(await gate.led_back(login, "bob"))
    taken = await gate.begin(initiator=asker)
    assert (await gate.hit(await gate.led_back(taken, "bob"))).outcome.name == "already_bound"
    ended = await gate.now(taken)
    assert (ended.status, ended.reason, ended.seq) == (Status.FAILED, "already_bound", 3)


async def test_a_browser_that_many_have_reported(gate: Gate, database_url: str) -> None:
    """Nobody is signed in at an address that several people did not know, whatever WeChat has asked them."""
    for openid in range(REPORTERS):
        waiting = await gate.desk.begin("192.0.2.7")
        await gate.desk.scan(waiting, f"reporter{openid}")
        await gate.desk.answer(waiting, f"reporter{openid}", Say.REPORT)
    attempt = await gate.begin()
    assert (await gate.hit(await gate.led_back(attempt))).outcome.name == "risk"
    ended = await gate.now(attempt)
    assert (ended.status, ended.reason, ended.seq) == (Status.FAILED, "risk", 3)
    assert ended.profile["tokens"] is None
    assert await rows(database_url, "SELECT id FROM users") == []


async def test_a_person_is_the_one_of_the_app(gate: Gate) -> None:
    """Website and account know a person by different openids; the unionid makes them one."""
    window, in_app = await gate.begin(), await gate.begin("h5")
    await gate.hit(await gate.led_back(window))
    await gate.hit(await gate.led_back(in_app))
    claimed = await gate.now(in_app)
    assert Identity.from_profile(claimed.profile).openid != (await gate.now(window)).profile["openid"]
    assert Identity.from_profile(claimed.profile).unionid == (await gate.now(window)).profile["unionid"]
