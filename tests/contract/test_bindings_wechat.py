"""Binding WeChat through the QR machine, on both engines."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable
from dataclasses import replace
from typing import NamedTuple

import pytest

from hub.accounts.bindings import Bindings
from hub.accounts.contacts import Choice, Contact, find_or_create, hinted
from hub.accounts.identities import Identity, SealedTokens
from hub.accounts.profile import Profiles
from hub.errors import (
    AccountBlocked,
    AlreadyBound,
    AlreadyRedeemed,
    AttemptExpired,
    AttemptFailed,
    AttemptNotFound,
    BindingMismatch,
    HubError,
    NotConfirmed,
    ReauthRequired,
    WechatBound,
    WechatNeeded,
    WrongState,
)
from hub.qr.attempt import Attempt
from hub.qr.binding import Binding
from hub.qr.identifiers import s256
from hub.qr.new_attempt import Initiator, NewAttempt
from hub.qr.phone import Answer
from hub.qr.redemption import challenge_binding, cookie_binding
from hub.qr.states import Status
from hub.realtime.memory import MemoryBroker
from hub.realtime.watch import Message
from hub.store.database import Connection, Row, Store
from hub.tokens.claims import Claims
from hub.tokens.errors import InvalidGrant
from hub.tokens.events import AccountEvents, channel
from hub.tokens.service import Sessions
from tests.scanning import Desk, Waiting
from tests.signing_in import LAPTOP, PHONE, Clock, execute, make_sessions, make_user, rows, sign_in, warm
from tests.watch import watch_of

NUMBER = "+8613800138000"
CAROL = Identity("wx1", "oCarol", nickname="Carol")
DAVE = Identity("wx1", "oDave", nickname="Dave")
VERIFIER = "v" * 43
SECRET = "the-browser's-binding-secret"
REDIRECT = "https://app.example/back"


class House(NamedTuple):
    """The services, over one store."""

    store: Store
    sessions: Sessions
    desk: Desk
    binding: Binding
    broker: MemoryBroker

    async def member(self, number: str = NUMBER) -> Row:
        """Return the account of a number."""

        async def work(tx: Connection) -> Row:
            return (await find_or_create(tx, Contact("phone", number), Choice(), self.store.now())).user

        return await self.store.write(work)

    async def claims(self, user: Row) -> Claims:
        """Sign an account in, and return what its access token says."""
        return await self.sessions.verify((await sign_in(self.store, self.sessions, user)).access_token)

    async def begin(self, claims: Claims, binding: str | None = None, redirect: str | None = None) -> Waiting:
        """Begin an attempt to bind."""
        initiator = Initiator(claims.user_id, claims.sid)
        proof = binding or challenge_binding(s256(VERIFIER))
        attempt = await self.desk.attempts.begin(
            NewAttempt("h5", proof, "192.0.2.7", "Firefox", redirect, initiator=initiator)
        )
        session_id = self.desk.attempts.made.session_id(attempt.session_seed)
        return Waiting(attempt.id, session_id, attempt.qr_code, VERIFIER)

    async def scan(self, waiting: Waiting, person: Identity = CAROL) -> Attempt:
        """Come back from the consent."""
        attempt = await self.desk.phone.land(waiting.qr_code)
        return await self.desk.phone.claim(attempt, person.subject, person.profile())

    async def answer(
        self, waiting: Waiting, person: Identity = CAROL, answer: Answer = Answer.CONFIRM
    ) -> Attempt:
        """Press a button of the confirm page."""
        return await self.desk.phone.answer(waiting.session_id, person.subject, answer, PHONE)

    async def confirmed(
        self, claims: Claims, person: Identity = CAROL, binding: str | None = None
    ) -> Waiting:
        """Return an attempt to bind that a person has confirmed."""
        waiting = await self.begin(claims, binding)
        await self.scan(waiting, person)
        await self.answer(waiting, person)
        return waiting


@pytest.fixture
async def house(store: Store) -> AsyncIterator[House]:
    """The services, started."""
    broker = MemoryBroker()
    sessions = make_sessions(store, broker)
    desk = Desk(store, broker)
    bindings = Bindings(store, sessions, AccountEvents(store, broker))
    await sessions.start()
    yield House(store, sessions, desk, Binding(desk.attempts, bindings, sessions), broker)
    await sessions.stop()


async def state(database_url: str) -> dict[str, list[Row]]:
    """All that bindings are made of."""
    return {
        table: await rows(database_url, f"SELECT * FROM {table} ORDER BY id")  # noqa: S608 - our names
        for table in ("users", "wechat_users", "user_login_types", "account_events")
    }


async def told(database_url: str) -> list[dict[str, object]]:
    """What clients were told of bindings."""
    events = await rows(database_url, "SELECT payload FROM account_events WHERE type = 'binding.changed'")
    return [json.loads(event["payload"]) for event in events]


async def test_wechat_is_bound(house: House, database_url: str) -> None:
    """The person then signs in to this account by WeChat; it is told, and no session ends."""
    user = await house.member()
    here, there = await house.claims(user), await house.claims(user)
    waiting = await house.confirmed(here)
    await house.binding.bind(here, waiting.session_id)
    profile = await Profiles(house.store).read(user["id"])
    assert profile["wechat_info"] is not None
    assert (profile["login_type"], profile["wechat_info"]["openid"]) == ("both", "oCarol")
    assert (profile["nickname"], profile["phone"]) == ("Carol", NUMBER)
    assert await told(database_url) == [{"provider": "wechat", "bound": True}]
    assert not await house.sessions.has_ended(there.sid)
    signed_in = await house.desk.redeem(await house.desk.confirmed("oCarol"))
    assert signed_in.user["id"] == user["id"]


async def test_other_devices_hear_of_it_at_once(house: House) -> None:
    """The account's streams are told that there is something new, and need not come and look."""
    user = await house.member()
    claims = await house.claims(user)
    waiting = await house.confirmed(claims)
    with watch_of(house.broker, channel(user["id"])) as watch:
        await watch.next(10)  # the subscription is confirmed
        await house.binding.bind(claims, waiting.session_id)
        assert await watch.next(10) == Message(2, b"")  # the first was the sign-in


async def test_a_name_of_the_own_stays(house: House, database_url: str) -> None:
    """Only what the account has not got is taken from WeChat."""
    claims = await house.claims(await house.member())
    await execute(database_url, "UPDATE users SET nickname = 'Li Na'")
    await house.binding.bind(claims, (await house.confirmed(claims)).session_id)
    (user,) = await rows(database_url, "SELECT nickname FROM users")
    assert user["nickname"] == "Li Na"


async def test_a_confirmation_alone_binds_nothing(house: House, database_url: str) -> None:
    """No account is found or made, and no frame names one; nobody tried to sign in."""
    claims = await house.claims(await house.member())
    before = await state(database_url)
    waiting = await house.begin(claims, redirect=REDIRECT)
    await house.scan(waiting)
    attempt = await house.answer(waiting)
    assert attempt.status is Status.CONFIRMED
    body = json.loads(attempt.message().body)
    assert body["user_info"] == {"user_id": None, "nickname": "Carol", "avatar_url": None}
    assert await state(database_url) == before
    assert await rows(database_url, "SELECT id FROM login_logs") == []


async def test_wechat_s_tokens_go_with_the_identity(house: House, database_url: str) -> None:
    """They are kept with it, no longer with the attempt, and go when it is unbound."""
    tokens = SealedTokens("v1.access", "v1.refresh", house.store.now())
    carol = replace(CAROL, tokens=tokens)
    claims = await house.claims(await house.member())
    waiting = await house.confirmed(claims, carol)
    (attempt,) = await rows(database_url, "SELECT provider_profile FROM login_sessions")
    assert "v1.access" in attempt["provider_profile"]
    await house.binding.bind(claims, waiting.session_id)
    (attempt,) = await rows(database_url, "SELECT provider_profile FROM login_sessions")
    assert "v1." not in attempt["provider_profile"]
    kept = "SELECT access_token, refresh_token, expires_at IS NOT NULL AS lives FROM wechat_users"
    assert await rows(database_url, kept) == [
        {"access_token": "v1.access", "refresh_token": "v1.refresh", "lives": 1}
    ]
    bindings = Bindings(house.store, house.sessions, AccountEvents(house.store, MemoryBroker()))
    await bindings.unbind_wechat(claims)
    assert await rows(database_url, "SELECT id FROM wechat_users") == []


async def test_an_attempt_to_bind_signs_nobody_in(house: House, database_url: str) -> None:
    """Neither by verifier, nor by cookie, nor by an authorization code, before and after it has bound."""
    claims = await house.claims(await house.member())
    by_verifier = await house.confirmed(claims)
    by_cookie = await house.confirmed(claims, binding=cookie_binding(SECRET))
    with_redirect = await house.begin(claims, redirect=REDIRECT)
    await house.scan(with_redirect)
    await house.answer(with_redirect)
    redemption = house.desk.redemption

    async def refused(kind: type[HubError]) -> None:
        for waiting, verifier, secret in ((by_verifier, VERIFIER, None), (by_cookie, None, SECRET)):
            with pytest.raises(kind):
                await redemption.by_session(waiting.session_id, LAPTOP, verifier=verifier, secret=secret)
        row = await house.desk.attempts.by_session(with_redirect.session_id)
        code = house.desk.attempts.made.authorization_code(row.session_seed)
        with pytest.raises(InvalidGrant):
            await redemption.by_code(code, REDIRECT, LAPTOP, verifier=VERIFIER, client=None)
        assert await redemption.redirect_url(with_redirect.session_id, None) is None

    await refused(WrongState)
    for waiting in (by_verifier, by_cookie, with_redirect):
        await house.binding.bind(claims, waiting.session_id)
    await refused(AlreadyRedeemed)
    assert len(await rows(database_url, "SELECT id FROM user_sessions")) == 1


async def test_only_who_began_it_binds(house: House) -> None:
    """Neither another account nor another session of the same one may, and nothing is consumed by that."""
    user = await house.member()
    claims, other_session = await house.claims(user), await house.claims(user)
    stranger = await house.claims(await house.member("+8613900139000"))
    waiting = await house.confirmed(claims)
    for other in (other_session, stranger):
        with pytest.raises(BindingMismatch):
            await house.binding.bind(other, waiting.session_id)
    await house.binding.bind(claims, waiting.session_id)


async def test_an_attempt_to_sign_in_binds_nothing(house: House, database_url: str) -> None:
    """The person's own account gets it, whoever posts the attempt."""
    claims = await house.claims(await house.member())
    waiting = await house.desk.confirmed("oCarol")
    before = await state(database_url)
    with pytest.raises(WrongState):
        await house.binding.bind(claims, waiting.session_id)
    with pytest.raises(AttemptNotFound):
        await house.binding.bind(claims, "x" * 43)
    assert await state(database_url) == before


async def test_an_attempt_binds_once_and_only_while_confirmed(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before, after and a second time it is refused as a redemption is."""
    clock = Clock(house.store, monkeypatch.setattr)
    claims = await house.claims(await house.member())

    async def refused(waiting: Waiting, kind: type[HubError]) -> None:
        with pytest.raises(kind):
            await house.binding.bind(claims, waiting.session_id)

    pending = await house.begin(claims)
    await refused(pending, NotConfirmed)
    await house.scan(pending)
    await refused(pending, NotConfirmed)
    await house.answer(pending, answer=Answer.CANCEL)
    await refused(pending, AttemptFailed)
    used = await house.confirmed(claims)
    await house.binding.bind(claims, used.session_id)
    await refused(used, AlreadyRedeemed)
    late = await house.confirmed(claims)
    clock.forward(61)
    await refused(late, AttemptExpired)


async def test_both_ends_demand_a_recent_sign_in(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stolen access token neither begins an attempt to bind nor binds."""
    clock = Clock(house.store, monkeypatch.setattr)
    tokens = await sign_in(house.store, house.sessions, await house.member())
    claims = await house.sessions.verify(tokens.access_token)
    assert await house.binding.initiator(tokens.access_token) == Initiator(claims.user_id, claims.sid)
    clock.forward(590)
    waiting = await house.confirmed(claims)
    clock.forward(11)
    with pytest.raises(ReauthRequired):
        await house.binding.initiator(tokens.access_token)
    with pytest.raises(ReauthRequired):
        await house.binding.bind(claims, waiting.session_id)


@pytest.mark.parametrize(
    "carol",
    [CAROL, replace(CAROL, appid="wx2", unionid="uCarol"), replace(CAROL, openid="oNew", unionid="uCarol")],
    ids=["by openid", "through another app", "by unionid"],
)
async def test_anothers_wechat_is_refused(house: House, database_url: str, carol: Identity) -> None:
    """The attempt fails when its person confirms, and binding it is refused as well."""
    await make_user(house.store, "oCarol", unionid="uCarol")
    claims = await house.claims(await house.member())
    waiting = await house.begin(claims)
    await house.scan(waiting, carol)
    before = await state(database_url)
    with pytest.raises(AlreadyBound):
        await house.answer(waiting, carol)
    attempt = await house.desk.attempts.by_id(waiting.id)
    assert (attempt.status, attempt.reason, attempt.user_id) == (Status.FAILED, "already_bound", None)
    with pytest.raises(AlreadyBound):
        await house.binding.bind(claims, waiting.session_id)
    assert await state(database_url) == before


async def test_an_openid_that_differs_by_case_is_another_person(house: House, database_url: str) -> None:
    """It is bound, though its like has an account."""
    await make_user(house.store, "oCAROL")
    user = await house.member()
    claims = await house.claims(user)
    await house.binding.bind(claims, (await house.confirmed(claims)).session_id)
    bound = await rows(database_url, "SELECT openid, uid FROM wechat_users ORDER BY id")
    assert [(row["openid"], row["uid"] == user["id"]) for row in bound] == [
        ("oCAROL", False),
        ("oCarol", True),
    ]


async def test_who_signed_in_meanwhile_is_not_bound(house: House, database_url: str) -> None:
    """The identity became another account's after the confirmation: nothing changes, the mark neither."""
    claims = await house.claims(await house.member())
    waiting = await house.confirmed(claims)
    await house.desk.confirmed("oCarol")
    before = await state(database_url)
    with pytest.raises(AlreadyBound):
        await house.binding.bind(claims, waiting.session_id)
    assert await state(database_url) == before
    assert (await house.desk.attempts.by_id(waiting.id)).redeemed_at is None


async def test_a_late_unionid_of_another_account_is_refused(house: House, database_url: str) -> None:
    """Not even the account's own WeChat is bound again when it turns out to be another account's person."""
    mine = await make_user(house.store, "oCarol")
    await make_user(house.store, "oOther", unionid="uCarol")
    claims = await house.claims(mine)
    waiting = await house.confirmed(claims)
    late = replace(CAROL, unionid="uCarol")
    before = await state(database_url)
    await execute(
        database_url,
        "UPDATE login_sessions SET provider_profile = :profile",
        profile=json.dumps(late.profile()),
    )
    with pytest.raises(AlreadyBound):
        await house.binding.bind(claims, waiting.session_id)
    assert await state(database_url) == before


async def test_an_account_has_one_wechat_of_an_app(house: House, database_url: str) -> None:
    """Another one is refused until the first is unbound; one of another app is welcome."""
    user = await make_user(house.store, "oCarol")
    claims = await house.claims(user)
    waiting = await house.confirmed(claims, DAVE)
    before = await state(database_url)
    with pytest.raises(WechatBound):
        await house.binding.bind(claims, waiting.session_id)
    assert await state(database_url) == before
    elsewhere = replace(DAVE, appid="wx2")
    await house.binding.bind(claims, (await house.confirmed(claims, elsewhere)).session_id)
    bound = await rows(database_url, "SELECT appid, uid FROM wechat_users ORDER BY appid")
    assert bound == [{"appid": "wx1", "uid": user["id"]}, {"appid": "wx2", "uid": user["id"]}]


async def test_the_own_wechat_again_is_no_error(house: House, database_url: str) -> None:
    """Nothing is told, for nothing changed."""
    claims = await house.claims(await house.member())
    for _ in range(2):
        await house.binding.bind(claims, (await house.confirmed(claims)).session_id)
    assert await told(database_url) == [{"provider": "wechat", "bound": True}]


async def test_an_unbound_identity_is_bound_again(house: House, database_url: str) -> None:
    """The row that is left of an account which an operator has deleted is taken, tokens and all."""
    first = await make_user(house.store, "oCarol")
    await execute(database_url, "DELETE FROM users WHERE id = :id", id=first["id"])
    user = await house.member()
    claims = await house.claims(user)
    await house.binding.bind(claims, (await house.confirmed(claims)).session_id)
    (known,) = await rows(database_url, "SELECT uid, bind_at IS NOT NULL AS bound FROM wechat_users")
    assert known == {"uid": user["id"], "bound": 1}


async def test_an_app_cannot_stand_in_for_wechat(house: House) -> None:
    """A signed-in app is refused, whoever it is, and the attempt goes on waiting."""
    user = await house.member()
    waiting = await house.begin(await house.claims(user))
    with pytest.raises(WechatNeeded):
        await house.desk.phone.scan_in_app(waiting.qr_code, user["id"])
    assert (await house.desk.attempts.by_id(waiting.id)).status is Status.PENDING


async def test_a_successor_is_to_bind_as_well(house: House) -> None:
    """It keeps purpose, initiator and binding, and binds for the same session."""
    claims = await house.claims(await house.member())
    first = await house.begin(claims)
    await house.desk.cancel(first)
    attempt = await house.desk.renew(first)
    assert (attempt.purpose, attempt.binding) == ("bind", challenge_binding(s256(VERIFIER)))
    assert (attempt.initiator_user_id, attempt.initiator_sid) == (claims.user_id, claims.sid)
    session_id = house.desk.attempts.made.session_id(attempt.session_seed)
    second = Waiting(attempt.id, session_id, attempt.qr_code, VERIFIER)
    await house.scan(second)
    await house.answer(second)
    await house.binding.bind(claims, session_id)


async def test_a_blocked_account_binds_nothing(house: House, database_url: str) -> None:
    """Blocked before the confirmation, the attempt fails; blocked after it, the binding is refused."""
    claims = await house.claims(await house.member())
    late = await house.confirmed(claims)
    early = await house.begin(claims)
    await house.scan(early)
    await execute(database_url, "UPDATE users SET status = 'banned'")
    with pytest.raises(AccountBlocked):
        await house.answer(early)
    assert (await house.desk.attempts.by_id(early.id)).reason == "account_blocked"
    with pytest.raises(AccountBlocked):
        await house.binding.bind(claims, late.session_id)
    assert await rows(database_url, "SELECT id FROM wechat_users") == []


async def test_the_account_is_named(house: House, database_url: str) -> None:
    """By its name and part of its contact, so that a name alone deceives nobody; by its id at the least."""
    user = await house.member()
    attempt = await house.desk.attempts.by_id((await house.begin(await house.claims(user))).id)
    assert await house.binding.account_name(attempt) == "+86138****8000"
    await execute(database_url, "UPDATE users SET nickname = '李娜'")
    assert await house.binding.account_name(attempt) == "李娜 · +86138****8000"
    await execute(database_url, "UPDATE users SET nickname = NULL, phone = NULL, email = 'li@example.com'")
    assert await house.binding.account_name(attempt) == "l***@example.com"
    await execute(database_url, "UPDATE users SET email = NULL")
    assert await house.binding.account_name(attempt) == f"#{user['id']}"
    login = await house.desk.attempts.by_id((await house.desk.begin()).id)
    assert await house.binding.account_name(login) is None


async def test_a_hint_is_too_little_to_use() -> None:
    """Even the shortest number shows its last four digits only."""
    assert hinted("+1234567") == "****4567"


async def outcomes(*racers: Awaitable[object]) -> list[object]:
    """What became of each racer."""
    return list(await asyncio.gather(*racers, return_exceptions=True))


def kinds(results: list[object]) -> set[type[object]]:
    """Of which kinds the results are."""
    return {type(result) for result in results}


async def test_an_attempt_binds_once_in_a_race(house: House, database_url: str) -> None:
    """Of twenty at once one binds."""
    claims = await house.claims(await house.member())
    waiting = await house.confirmed(claims)
    await warm(house.store)
    results = await outcomes(*(house.binding.bind(claims, waiting.session_id) for _ in range(20)))
    assert results.count(None) == 1
    assert kinds(results) == {type(None), AlreadyRedeemed}
    assert len(await told(database_url)) == 1


async def test_one_of_many_accounts_gets_a_person(house: House, database_url: str) -> None:
    """Ten accounts bind one person at once: one has them, the others nothing."""
    members = [await house.claims(await house.member(f"+86138001380{number:02d}")) for number in range(10)]
    waiting = [await house.confirmed(claims) for claims in members]
    await warm(house.store)
    racers = (
        house.binding.bind(claims, own.session_id) for claims, own in zip(members, waiting, strict=True)
    )
    results = await outcomes(*racers)
    assert results.count(None) == 1
    assert kinds(results) == {type(None), AlreadyBound}
    winner = members[results.index(None)].user_id
    (known,) = await rows(database_url, "SELECT id, uid FROM wechat_users")
    assert known["uid"] == winner
    types = await rows(database_url, "SELECT user_id FROM user_login_types WHERE login_type = 'both'")
    assert [row["user_id"] for row in types] == [winner]


async def test_one_of_many_people_gets_an_account(house: House, database_url: str) -> None:
    """Ten people of one app are bound to one account at once: one is."""
    claims = await house.claims(await house.member())
    people = [replace(CAROL, openid=f"oPerson{number}") for number in range(10)]
    waiting = [await house.confirmed(claims, person) for person in people]
    await warm(house.store)
    results = await outcomes(*(house.binding.bind(claims, own.session_id) for own in waiting))
    assert results.count(None) == 1
    assert kinds(results) == {type(None), WechatBound}
    assert len(await rows(database_url, "SELECT id FROM wechat_users")) == 1


@pytest.mark.parametrize("unionid", [None, "uCarol"])
async def test_binding_and_signing_in_meet(house: House, database_url: str, unionid: str | None) -> None:
    """A person who signs in while being bound has one account: whichever came first."""
    await warm(house.store)
    for number in range(8):
        user = await house.member(f"+86138001380{number:02d}")
        claims = await house.claims(user)
        carol = replace(CAROL, openid=f"oCarol{number}", unionid=unionid and f"{unionid}{number}")
        waiting = await house.confirmed(claims, carol)
        other = f"oOther{number}" if unionid else carol.openid  # through another door of the same owner
        bound, signed_in = await outcomes(
            house.binding.bind(claims, waiting.session_id),
            make_user(house.store, other, unionid=carol.unionid),
        )
        assert isinstance(signed_in, dict), signed_in
        owners = {
            row["uid"]
            for row in await rows(
                database_url,
                f"SELECT uid FROM wechat_users WHERE uid IS NOT NULL AND openid LIKE 'o%{number}'",  # noqa: S608
            )
        }
        if bound is None:
            assert owners == {user["id"]} == {signed_in["id"]}
        else:
            assert isinstance(bound, AlreadyBound), bound
            assert owners == {signed_in["id"]} != {user["id"]}
