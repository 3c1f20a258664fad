"""Attempts on both engines: what each one takes in each state, and that a refusal changes nothing."""

import asyncio
import gc
import json
import weakref
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

import pytest

from hub.accounts.identities import SealedTokens
from hub.errors import (
    AccountBlocked,
    AlreadyClaimed,
    AlreadyRedeemed,
    AttemptExpired,
    AttemptFailed,
    AttemptNotFound,
    BindingMismatch,
    GrantRequired,
    HubError,
    NotConfirmed,
    WrongState,
)
from hub.qr.attempt import Attempt
from hub.qr.follow import Follower
from hub.qr.phone import Answer
from hub.qr.redemption import SignedIn
from hub.realtime.memory import MemoryBroker
from hub.realtime.watch import Message
from hub.store.database import Store
from hub.tokens.clients import Client
from hub.tokens.errors import InvalidGrant
from tests.scanning import LIVES, Desk, Stopped, Waiting, person, row
from tests.signing_in import LAPTOP, execute, rows

RETURN = "https://shop.example.com/return"

Prepare = Callable[[Desk, Stopped], Awaitable[Waiting]]
Act = Callable[[Desk, Waiting], Awaitable[Attempt | SignedIn]]


@pytest.fixture
def desk(store: Store) -> Desk:
    """The services on each engine in turn."""
    return Desk(store, MemoryBroker())


@pytest.fixture
def clock(store: Store, monkeypatch: pytest.MonkeyPatch) -> Stopped:
    """The store's clock, to be moved by hand."""
    return Stopped(store, monkeypatch.setattr)


# ── the states an attempt can be in, and how it got there ────────────────────────────────────────────


async def pending(desk: Desk, clock: Stopped) -> Waiting:
    return await desk.begin()


async def scanned(desk: Desk, clock: Stopped) -> Waiting:
    waiting = await pending(desk, clock)
    await desk.scan(waiting)
    return waiting


async def confirmed(desk: Desk, clock: Stopped) -> Waiting:
    return await desk.confirmed()


async def redeemed(desk: Desk, clock: Stopped) -> Waiting:
    waiting = await confirmed(desk, clock)
    await desk.redeem(waiting)
    return waiting


async def pending_overdue(desk: Desk, clock: Stopped) -> Waiting:
    waiting = await pending(desk, clock)
    clock.forward(LIVES.pending)
    return waiting


async def scanned_overdue(desk: Desk, clock: Stopped) -> Waiting:
    waiting = await scanned(desk, clock)
    clock.forward(LIVES.scanned)
    return waiting


async def confirmed_overdue(desk: Desk, clock: Stopped) -> Waiting:
    waiting = await confirmed(desk, clock)
    clock.forward(LIVES.confirmed)
    return waiting


async def redeemed_overdue(desk: Desk, clock: Stopped) -> Waiting:
    waiting = await redeemed(desk, clock)
    clock.forward(LIVES.confirmed)
    return waiting


async def expired(desk: Desk, clock: Stopped) -> Waiting:
    waiting = await scanned_overdue(desk, clock)
    await desk.attempts.snapshot(waiting.session_id)
    return waiting


async def declined(desk: Desk, clock: Stopped) -> Waiting:
    waiting = await scanned(desk, clock)
    await desk.answer(waiting, answer=Answer.CANCEL)
    return waiting


async def burnt(desk: Desk, clock: Stopped) -> Waiting:
    waiting = await scanned(desk, clock)
    with pytest.raises(AlreadyClaimed):
        await desk.scan(waiting, "mallory")
    return waiting


# ── what browsers and people try; Alice is who scanned, Mallory is anyone else ───────────────────────

ACTS: dict[str, Act] = {
    "alice_scans": lambda desk, waiting: claim(desk, waiting, "alice"),
    "mallory_scans": lambda desk, waiting: claim(desk, waiting, "mallory"),
    "alice_confirms": lambda desk, waiting: desk.answer(waiting),
    "alice_declines": lambda desk, waiting: desk.answer(waiting, answer=Answer.CANCEL),
    "alice_reports": lambda desk, waiting: desk.answer(waiting, answer=Answer.REPORT),
    "mallory_confirms": lambda desk, waiting: desk.answer(waiting, "mallory"),
    "mallory_declines": lambda desk, waiting: desk.answer(waiting, "mallory", Answer.CANCEL),
    "browser_cancels": lambda desk, waiting: desk.cancel(waiting),
    "browser_redeems": lambda desk, waiting: desk.redeem(waiting),
    "stranger_redeems": lambda desk, waiting: desk.redeem(waiting, "x" * 43),
    "browser_renews": lambda desk, waiting: desk.renew(waiting),
}


async def claim(desk: Desk, waiting: Waiting, openid: str) -> Attempt:
    # As after a consent: the signed state names the attempt, whatever has become of its code.
    return await desk.claim(await desk.attempts.by_session(waiting.session_id), openid)


class Outcome(NamedTuple):
    """What an act comes to: the error it raises, and the status, reason and growth of `seq` it makes."""

    error: type[HubError] | None = None
    move: tuple[str, str | None, int] | None = None


def moves(status: str, reason: str | None = None, steps: int = 1) -> Outcome:
    return Outcome(move=(status, reason, steps))


def every_act(error: type[HubError], *, claimed: bool = True, **but: Outcome) -> dict[str, Outcome]:
    """What all acts come to, *but* some; who has not claimed may not answer, in whichever state."""
    outcomes = dict.fromkeys(ACTS, Outcome(error))
    strangers = [act for act in ACTS if act.startswith("mallory") and act != "mallory_scans"]
    if not claimed:
        strangers += ["alice_confirms", "alice_declines", "alice_reports"]
    outcomes |= dict.fromkeys(strangers, Outcome(GrantRequired))
    return outcomes | {"stranger_redeems": Outcome(BindingMismatch)} | but


# Written down beside the code, and not derived from it.
OUTCOMES: dict[Prepare, dict[str, Outcome]] = {
    pending: every_act(
        WrongState,
        claimed=False,
        alice_scans=moves("scanned"),
        mallory_scans=moves("scanned"),
        browser_cancels=moves("failed", "cancelled"),
        browser_redeems=Outcome(NotConfirmed),
    ),
    scanned: every_act(
        WrongState,
        alice_scans=moves("scanned", steps=0),
        mallory_scans=Outcome(AlreadyClaimed, ("failed", "already_claimed", 1)),
        alice_confirms=moves("confirmed"),
        alice_declines=moves("failed", "declined"),
        alice_reports=moves("failed", "reported"),
        browser_cancels=moves("failed", "cancelled"),
        browser_redeems=Outcome(NotConfirmed),
    ),
    confirmed: every_act(WrongState, browser_redeems=moves("confirmed", steps=0)),
    redeemed: every_act(WrongState, browser_redeems=Outcome(AlreadyRedeemed)),
    pending_overdue: every_act(AttemptExpired, claimed=False, browser_renews=moves("expired")),
    scanned_overdue: every_act(AttemptExpired, browser_renews=moves("expired")),
    confirmed_overdue: every_act(AttemptExpired, browser_renews=Outcome(WrongState)),
    redeemed_overdue: every_act(
        AttemptExpired, browser_redeems=Outcome(AlreadyRedeemed), browser_renews=Outcome(WrongState)
    ),
    expired: every_act(AttemptExpired, browser_renews=moves("expired", steps=0)),
    declined: every_act(AttemptFailed, browser_renews=moves("failed", "declined", 0)),
    burnt: every_act(
        AlreadyClaimed,
        browser_redeems=Outcome(AttemptFailed),
        browser_renews=moves("failed", "already_claimed", 0),
    ),
}


@pytest.mark.parametrize("prepare", OUTCOMES, ids=lambda prepare: prepare.__name__)
async def test_every_act_in_every_state(
    desk: Desk, clock: Stopped, database_url: str, prepare: Prepare
) -> None:
    """Each act makes the move of the table, or raises its error and leaves the row as it was."""
    for act, expected in OUTCOMES[prepare].items():
        waiting = await prepare(desk, clock)
        before = await row(database_url, waiting)
        error = None
        try:
            await ACTS[act](desk, waiting)
        except HubError as raised:
            error = type(raised)
        after = await row(database_url, waiting)
        assert (act, error) == (act, expected.error)
        if expected.move is None:
            assert after == before, act
        else:
            assert (after["status"], after["reason"], after["seq"] - before["seq"]) == expected.move, act


async def test_sign_in_is_written_once(desk: Desk, clock: Stopped, database_url: str) -> None:
    """A redemption marks the attempt, opens one session of the confirming person, and is put on record."""
    waiting = await desk.confirmed()
    signed_in = await desk.redeem(waiting)
    attempt = await row(database_url, waiting)
    (session,) = await rows(database_url, "SELECT * FROM user_sessions")
    (entry,) = await rows(database_url, "SELECT * FROM login_logs")
    assert attempt["redeemed_at"] == clock.now()
    assert session["sid"] == signed_in.tokens.session_id
    assert {attempt["user_id"], session["user_id"], entry["user_id"]} == {signed_in.user["id"]}
    assert (entry["login_method"], entry["login_status"]) == ("wechat", "success")


async def test_wrong_verifier_consumes_nothing(desk: Desk) -> None:
    """After a wrong one the right verifier still redeems."""
    waiting = await desk.confirmed()
    with pytest.raises(BindingMismatch):
        await desk.redeem(waiting, "x" * 43)
    assert (await desk.redeem(waiting)).user["nickname"] == "Alice"


async def test_blocked_account_fails_the_attempt(desk: Desk, database_url: str) -> None:
    """Who was blocked before the confirmation is refused, the attempt fails, and it is put on record."""
    await desk.confirmed()
    await execute(database_url, "UPDATE users SET status = 'banned'")
    waiting = await desk.begin()
    await desk.scan(waiting)
    with pytest.raises(AccountBlocked):
        await desk.answer(waiting)
    attempt = await row(database_url, waiting)
    assert (attempt["status"], attempt["reason"], attempt["user_id"]) == ("failed", "account_blocked", None)
    (entry,) = await rows(database_url, "SELECT * FROM login_logs")
    assert (entry["login_status"], entry["failure_reason"]) == ("blocked", "account_blocked")


@pytest.mark.parametrize("sql", ["UPDATE users SET status = 'inactive'", "DELETE FROM users"])
async def test_blocked_account_redeems_nothing(desk: Desk, database_url: str, sql: str) -> None:
    """Who was blocked or deleted since the confirmation gets no session; the offence is put on record."""
    waiting = await desk.confirmed()
    before = await row(database_url, waiting)
    await execute(database_url, sql)
    with pytest.raises(AccountBlocked):
        await desk.redeem(waiting)
    assert await row(database_url, waiting) == before
    assert await rows(database_url, "SELECT * FROM user_sessions") == []
    (entry,) = await rows(database_url, "SELECT * FROM login_logs")
    assert (entry["login_status"], entry["failure_reason"]) == ("blocked", "account_blocked")


async def test_burning_can_be_switched_off(store: Store, database_url: str) -> None:
    """Then a second person is refused, and the first one goes on."""
    desk = Desk(store, MemoryBroker(), burn=False)
    waiting = await desk.begin()
    await desk.scan(waiting)
    before = await row(database_url, waiting)
    with pytest.raises(AlreadyClaimed):
        await desk.scan(waiting, "mallory")
    assert await row(database_url, waiting) == before
    assert (await desk.answer(waiting)).status == "confirmed"


async def test_browser_is_burnt_twice_at_most(desk: Desk) -> None:
    """Whoever photographs every code of a screen cannot keep its owner out: the third one only refuses."""
    statuses = []
    for _ in range(3):
        waiting = await desk.begin("198.51.100.9")
        await desk.scan(waiting)
        with pytest.raises(AlreadyClaimed):
            await desk.scan(waiting, "mallory")
        statuses.append((await desk.attempts.by_session(waiting.session_id)).status)
    assert statuses == ["failed", "failed", "scanned"]
    assert (await desk.answer(waiting)).status == "confirmed"


@pytest.mark.parametrize(
    ("late", "accepted"), [(0, True), (9.9, True), (10, False), (69, False), (130, False)]
)
async def test_former_code(desk: Desk, clock: Stopped, late: float, accepted: bool) -> None:
    """After a rotation the former code is good for ten seconds."""
    waiting = await desk.begin()
    clock.forward(LIVES.visible)
    rotated = await desk.attempts.snapshot(waiting.session_id)
    assert rotated.qr_code not in (None, waiting.qr_code)
    assert rotated.seq == 2
    clock.forward(late)
    if accepted:
        assert (await desk.scan(waiting)).status == "scanned"
    else:
        with pytest.raises(AttemptNotFound):
            await desk.scan(waiting)


async def test_rotation_during_the_consent_does_no_harm(desk: Desk, clock: Stopped) -> None:
    """A phone that landed in time claims, however often the code has rotated meanwhile."""
    waiting = await desk.begin()
    landed = await desk.phone.land(waiting.qr_code)
    for _ in range(2):
        clock.forward(LIVES.visible)
        await desk.attempts.snapshot(waiting.session_id)
    claimed = await desk.claim(landed)
    assert (claimed.status, claimed.seq) == ("scanned", 4)


async def test_deadlines_of_each_state(desk: Desk, clock: Stopped) -> None:
    """An attempt waits 300 s for a scan, then 120 s for an answer, then 60 s for its redemption."""

    async def left() -> float:
        attempt = await desk.attempts.by_id(waiting.id)
        return (attempt.expires_at - clock.now()).total_seconds()

    waiting = await desk.begin()
    assert await left() == 300
    clock.forward(50)
    await desk.scan(waiting)
    assert await left() == 120
    clock.forward(50)
    await desk.scan(waiting)
    assert await left() == 70
    await desk.answer(waiting)
    assert await left() == 60


async def test_expiry_is_written_when_looked_at(desk: Desk, clock: Stopped, database_url: str) -> None:
    """A poll after the deadline makes the move, once."""
    waiting = await pending_overdue(desk, clock)
    told = [await desk.attempts.snapshot(waiting.session_id) for _ in range(2)]
    assert [(snapshot.status, snapshot.seq) for snapshot in told] == [("expired", 2)] * 2
    assert (await row(database_url, waiting))["status"] == "expired"


@pytest.mark.parametrize("end", ["cancel", "report", "second", "deadline"])
async def test_tokens_end_with_the_attempt(desk: Desk, clock: Stopped, database_url: str, end: str) -> None:
    """WeChat's tokens of a person who did not confirm are kept no longer, but the name is still told."""
    waiting = await desk.begin()
    tokens = SealedTokens("v1.access", "v1.refresh", desk.store.now(), "v1.session")
    identity = replace(person("alice"), nickname="李", tokens=tokens)
    claimed = await desk.phone.claim(
        await desk.phone.land(waiting.qr_code), identity.subject, identity.profile()
    )
    match end:
        case "second":
            with pytest.raises(AlreadyClaimed):
                await desk.claim(claimed, "bob")
        case "deadline":
            clock.forward(LIVES.whole)
            await desk.attempts.tick(claimed)
        case _:
            await desk.answer(waiting, "alice", Answer(end))
    (kept,) = await rows(database_url, "SELECT status, provider_profile FROM login_sessions")
    assert kept["status"] == ("expired" if end == "deadline" else "failed")
    assert "v1." not in kept["provider_profile"]
    told = (await desk.attempts.by_id(waiting.id)).snapshot()
    assert json.loads(told.user_info)["nickname"] == "李"


async def test_successor_keeps_what_the_browser_asked_for(desk: Desk) -> None:
    """It has the same binding, door, redirect and state, its own names, and is the only one."""
    waiting = await desk.begin(redirect_uri=RETURN, state="xyz")
    await desk.cancel(waiting)
    first = await desk.renew(waiting)
    assert (await desk.renew(waiting)).id == first.id
    before = await desk.attempts.by_id(waiting.id)
    for name in ("binding", "door", "redirect_uri", "state", "purpose", "ip_address", "user_agent"):
        assert getattr(first, name) == getattr(before, name)
    assert (first.status, first.seq, first.scanned_by) == ("pending", 1, None)
    assert first.qr_code != before.qr_code
    assert first.key != before.key


@pytest.mark.parametrize("session_id", ["", "x", "x" * 43, "é" * 43, "x" * 44, "'; --"])
async def test_unknown_session(desk: Desk, session_id: str) -> None:
    """Whatever is no session_id of an attempt is not found, by whichever way it is asked for."""
    unknown = Waiting(0, session_id, "", "x" * 43)
    for act in (desk.cancel, desk.answer, desk.redeem, desk.renew):
        with pytest.raises(AttemptNotFound):
            await act(unknown)
    with pytest.raises(AttemptNotFound):
        await desk.attempts.snapshot(session_id)


@pytest.mark.parametrize("qr_code", ["", "x", "x" * 22, "é" * 22, "x" * 23])
async def test_unknown_code(desk: Desk, qr_code: str) -> None:
    """Whatever is no code of an attempt is not found."""
    with pytest.raises(AttemptNotFound):
        await desk.phone.land(qr_code)


SHOP = Client(client_id="shop", secret_sha256=("0" * 64,), redirect_uris=(RETURN,))
OTHER = Client(client_id="other", secret_sha256=("0" * 64,), redirect_uris=("https://other.example/",))


async def code_of(desk: Desk, waiting: Waiting) -> str:
    """The code with which a confirmed attempt sends its browser back."""
    url = await desk.redemption.redirect_url(waiting.session_id, None)
    assert url is not None
    assert await desk.redemption.redirect_url(waiting.session_id, None) == url
    members = parse_qs(urlsplit(url).query)
    assert members["state"] == ["xyz"]
    return members["code"][0]


async def with_redirect(desk: Desk) -> Waiting:
    """A confirmed attempt whose browser is to go back to the shop."""
    waiting = await desk.begin(redirect_uri=RETURN, state="xyz")
    await desk.scan(waiting)
    assert await desk.redemption.redirect_url(waiting.session_id, None) is None
    await desk.answer(waiting)
    return waiting


async def test_code_redeems_once(desk: Desk) -> None:
    """The redirect's code and the session_id share one redemption."""
    waiting = await with_redirect(desk)
    code = await code_of(desk, waiting)
    redeem = partial(desk.redemption.by_code, code, RETURN, LAPTOP, verifier=waiting.verifier, client=None)
    assert (await redeem()).user["nickname"] == "Alice"
    with pytest.raises(InvalidGrant):
        await redeem()
    with pytest.raises(AlreadyRedeemed):
        await desk.redeem(waiting)


async def test_code_is_refused_and_kept(desk: Desk, database_url: str) -> None:
    """A wrong code, redirect, verifier or client is one and the same error, and consumes nothing."""
    waiting = await with_redirect(desk)
    before = await row(database_url, waiting)
    code, verifier = await code_of(desk, waiting), waiting.verifier
    for wrong in (
        ("x" * 43, RETURN, verifier, None),
        (code, f"{RETURN}/", verifier, None),
        (code, RETURN, "x" * 43, None),
        (code, RETURN, None, None),
        (code, RETURN, None, SHOP),
        (code, RETURN, verifier, OTHER),
    ):
        with pytest.raises(InvalidGrant):
            await desk.redemption.by_code(*wrong[:2], LAPTOP, verifier=wrong[2], client=wrong[3])
    assert await row(database_url, waiting) == before
    assert (await desk.redeem(waiting)).user["nickname"] == "Alice"


async def test_code_ends_with_the_attempt(desk: Desk, clock: Stopped) -> None:
    """After a minute no redirect is due any more, and the code is refused."""
    waiting = await with_redirect(desk)
    code = await code_of(desk, waiting)
    clock.forward(LIVES.confirmed)
    assert await desk.redemption.redirect_url(waiting.session_id, None) is None
    with pytest.raises(InvalidGrant):
        await desk.redemption.by_code(code, RETURN, LAPTOP, verifier=waiting.verifier, client=None)


async def test_telling_of_another_version(desk: Desk) -> None:
    """What a process of another version tells is not read; that it tells is enough to read SQL."""
    waiting = await desk.begin()
    elsewhere = Desk(desk.store, MemoryBroker())
    async with Follower(desk.attempts, waiting.session_id) as follower:
        assert (await follower.next()).seq == 1
        scanned = await elsewhere.scan(waiting)
        for body in (b"", b"[]", b"{}", b'{"status":"unheard-of"}'):
            await desk.broker.publish(scanned.channel, Message(2, body), ttl=60)
            assert (await desk.attempts.snapshot(waiting.session_id)).status == "scanned"
        async with asyncio.timeout(10):
            assert (await follower.next()).status == "scanned"


async def test_following_leaves_no_cycle(desk: Desk) -> None:
    """Whoever stops following is gone at once, and not only when garbage is collected."""
    waiting = await desk.begin()
    gc.disable()
    try:
        async with Follower(desk.attempts, waiting.session_id) as follower:
            assert (await follower.next()).seq == 1
        left = weakref.ref(follower)
        del follower
        assert left() is None
    finally:
        gc.enable()


async def test_lasting_code_ends_with_the_attempt(desk: Desk, clock: Stopped) -> None:
    """Where the code does not rotate nothing is due before the deadline."""
    waiting = await desk.begin(door="official_account")
    snapshot = await desk.attempts.snapshot(waiting.session_id)
    assert snapshot.due_in(clock.now()) == LIVES.pending
    clock.forward(LIVES.pending - 1)
    assert (await desk.attempts.snapshot(waiting.session_id)).seq == 1
