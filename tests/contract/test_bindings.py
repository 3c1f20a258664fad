"""Binding a number or an e-mail address, and parting from WeChat, on both engines."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest

from hub.accounts.bindings import Bindings
from hub.accounts.contacts import Contact
from hub.accounts.profile import Profiles
from hub.codes.changes.contact_binding import ContactBinding
from hub.errors import (
    AlreadyBound,
    InvalidCode,
    LastSignInMethod,
    NotFound,
    ReauthRequired,
    Unauthorized,
)
from hub.realtime.memory import MemoryBroker
from hub.store.database import Row, Store
from hub.tokens.claims import Claims
from hub.tokens.events import AccountEvents
from hub.tokens.service import TokenPair
from tests.code_sign_in import EMAIL, NUMBER, OWNER, Entry, another, ask, make_entry
from tests.signing_in import Clock, execute, make_user, rows, sign_in, warm

PHONE = Contact("phone", NUMBER)
MAIL = Contact("email", EMAIL)


class House(NamedTuple):
    """The services, over one store."""

    store: Store
    entry: Entry
    bindings: Bindings
    contacts: ContactBinding

    async def enter(self, user: Row) -> TokenPair:
        """Open a session of an account."""
        return await sign_in(self.store, self.entry.sessions, user)

    async def claims(self, tokens: TokenPair) -> Claims:
        """The claims of a session. Raises Unauthorized once it has ended."""
        return await self.entry.sessions.verify(tokens.access_token)

    async def bind(self, claims: Claims, contact: Contact, code: str | None = None) -> None:
        """Bind a contact, with a fresh code where none is given."""
        code = code or await ask(self.store, self.entry.codes, contact.address, "bind")
        await self.contacts.bind(claims, contact, code, OWNER)


@pytest.fixture
async def house(store: Store) -> AsyncIterator[House]:
    """The services, started."""
    entry = make_entry(store)
    bindings = Bindings(store, entry.sessions, AccountEvents(store, MemoryBroker()))
    await entry.sessions.start()
    yield House(store, entry, bindings, ContactBinding(store, entry.codes, bindings))
    await entry.sessions.stop()


@pytest.fixture
def clock(store: Store, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The store's clock, to be moved by hand."""
    return Clock(store, monkeypatch.setattr)


async def login_type(database_url: str) -> tuple[str, bool]:
    """The only account's login type, and whether it names a WeChat identity."""
    (row,) = await rows(database_url, "SELECT login_type, wechat_user_id FROM user_login_types")
    return row["login_type"], row["wechat_user_id"] is not None


async def changes(database_url: str) -> list[dict[str, object]]:
    """What the account's clients were told of bindings."""
    told = await rows(
        database_url, "SELECT payload FROM account_events WHERE type = 'binding.changed' ORDER BY seq"
    )
    return [json.loads(row["payload"]) for row in told]


@pytest.mark.parametrize(("contact", "kind"), [(PHONE, "both"), (MAIL, "wechat")])
async def test_a_contact_is_bound(house: House, database_url: str, contact: Contact, kind: str) -> None:
    """It is verified, signs in to this account, is told, and ends no session."""
    user = await make_user(house.store)
    here, there = await house.enter(user), await house.enter(user)
    await house.bind(await house.claims(here), contact)
    await house.claims(there)
    assert await login_type(database_url) == (kind, True)
    assert await changes(database_url) == [{"provider": contact.channel, "bound": True}]
    profile = await Profiles(house.store).read(user["id"])
    assert profile[contact.channel] == contact.address
    assert profile["is_phone_verified" if contact.channel == "phone" else "email_verified"]
    assert set(profile["login_methods"]) == {"wechat", contact.channel}
    signed_in = await house.entry.sign_in(contact.address)
    assert (signed_in.user["id"], signed_in.is_new_user) == (user["id"], False)


async def test_a_new_number_takes_the_place_of_the_old(house: House, database_url: str) -> None:
    """The old one signs in no more, and other sessions end."""
    first = await house.entry.sign_in("+8613900139000")
    there = await house.entry.sign_in("+8613900139000")
    await house.bind(await house.claims(first.tokens), PHONE)
    await house.claims(first.tokens)
    with pytest.raises(Unauthorized):
        await house.claims(there.tokens)
    assert (await house.entry.sign_in(NUMBER)).user["id"] == first.user["id"]
    assert (await house.entry.sign_in("+8613900139000")).is_new_user


@pytest.mark.parametrize("contact", [PHONE, MAIL])
async def test_what_belongs_to_another_account_is_refused(
    house: House, database_url: str, contact: Contact
) -> None:
    """Nothing changes, and the code stays good for its own person."""
    owner = await house.entry.sign_in(contact.address)
    claims = await house.claims(await house.enter(await make_user(house.store)))
    with pytest.raises(AlreadyBound):
        await house.bind(claims, contact)
    assert await changes(database_url) == []
    assert (await house.entry.sign_in(contact.address)).user["id"] == owner.user["id"]


async def test_a_wrong_code_binds_nothing(house: House, database_url: str) -> None:
    """Nor does one for another purpose."""
    claims = await house.claims(await house.enter(await make_user(house.store)))
    login = await ask(house.store, house.entry.codes, NUMBER, "login")
    with pytest.raises(InvalidCode):
        await house.bind(claims, PHONE, login)
    right = await ask(house.store, house.entry.codes, NUMBER, "bind")
    with pytest.raises(InvalidCode):
        await house.bind(claims, PHONE, another(right))
    assert await login_type(database_url) == ("wechat", True)


async def test_binding_its_own_contact_again_changes_nothing(house: House) -> None:
    """A repeated request is no error and ends no session."""
    first = await house.entry.sign_in(NUMBER)
    there = await house.entry.sign_in(NUMBER)
    await house.bind(await house.claims(first.tokens), PHONE)
    await house.claims(there.tokens)


async def test_the_first_proof_drops_what_was_set_before(house: House, database_url: str) -> None:
    """The own address that nobody had proved: older passwords and other sessions go."""
    user = await make_user(house.store)
    await execute(
        database_url, "UPDATE users SET email = :email, password_hash = '$argon2id$squatter'", email=EMAIL
    )
    here, there = await house.enter(user), await house.enter(user)
    await house.bind(await house.claims(here), MAIL)
    await house.claims(here)
    with pytest.raises(Unauthorized):
        await house.claims(there)
    (row,) = await rows(database_url, "SELECT email_verified, password_hash FROM users")
    assert (row["email_verified"], row["password_hash"]) == (1, None)


@pytest.mark.parametrize(("contact", "kind"), [(PHONE, "phone"), (MAIL, "email")])
async def test_wechat_is_unbound(house: House, database_url: str, contact: Contact, kind: str) -> None:
    """The identity goes, other sessions end, and the person of that WeChat gets another account."""
    user = await make_user(house.store)
    here, there = await house.enter(user), await house.enter(user)
    claims = await house.claims(here)
    await house.bind(claims, contact)
    await house.bindings.unbind_wechat(claims)
    await house.claims(here)
    with pytest.raises(Unauthorized):
        await house.claims(there)
    assert await login_type(database_url) == (kind, False)
    assert (await changes(database_url))[-1] == {"provider": "wechat", "bound": False}
    assert await rows(database_url, "SELECT id FROM wechat_users") == []
    assert (await Profiles(house.store).read(user["id"]))["wechat_info"] is None
    with pytest.raises(NotFound):
        await house.bindings.unbind_wechat(claims)
    assert (await make_user(house.store))["id"] != user["id"]


async def test_all_identities_of_a_person_are_unbound(house: House, database_url: str) -> None:
    """One person in two apps of one company is bound twice; both go."""
    user = await make_user(house.store, "oOne", unionid="u1")
    assert (await make_user(house.store, "oTwo", unionid="u1"))["id"] == user["id"]
    claims = await house.claims(await house.enter(user))
    await house.bind(claims, PHONE)
    await house.bindings.unbind_wechat(claims)
    assert await rows(database_url, "SELECT id FROM wechat_users") == []


async def test_an_account_keeps_its_name_without_wechat(house: House, database_url: str) -> None:
    """What it shows is its own by now: only the identity, with what WeChat told of it, goes."""
    user = await make_user(house.store)
    await execute(database_url, "UPDATE users SET phone = '+8613800138000'")
    before = await rows(database_url, "SELECT nickname, avatar_url FROM users")
    await house.bindings.unbind_wechat(await house.claims(await house.enter(user)))
    assert await rows(database_url, "SELECT nickname, avatar_url FROM users") == before
    assert before[0]["nickname"]


@pytest.mark.parametrize("left", ["", "username = 'lina'", "password_hash = '$argon2id$x'"])
async def test_the_last_way_in_stays(house: House, database_url: str, left: str) -> None:
    """Without number, address or a username with its password, WeChat cannot go."""
    user = await make_user(house.store)
    if left:
        await execute(database_url, f"UPDATE users SET {left}")  # noqa: S608 - our texts
    claims = await house.claims(await house.enter(user))
    with pytest.raises(LastSignInMethod):
        await house.bindings.unbind_wechat(claims)
    assert await login_type(database_url) == ("wechat", True)
    assert (await make_user(house.store))["id"] == user["id"]


async def test_a_username_with_its_password_is_a_way_in(house: House, database_url: str) -> None:
    """With both WeChat may go."""
    user = await make_user(house.store)
    await execute(database_url, "UPDATE users SET username = 'lina', password_hash = '$argon2id$x'")
    await house.bindings.unbind_wechat(await house.claims(await house.enter(user)))
    assert (await make_user(house.store))["id"] != user["id"]


async def test_changes_demand_a_recent_sign_in(house: House, clock: Clock) -> None:
    """A stolen access token neither binds nor unbinds, not even with a code."""
    claims = await house.claims(await house.enter(await make_user(house.store)))
    clock.forward(601)
    with pytest.raises(ReauthRequired):
        await house.bind(claims, PHONE)
    with pytest.raises(ReauthRequired):
        await house.bindings.unbind_wechat(claims)


async def test_one_of_parallel_bindings_gets_the_number(house: House, database_url: str) -> None:
    """Several accounts with one code for one number: one is bound, and the others change nothing."""
    people = [await make_user(house.store, f"oPerson{number}") for number in range(6)]
    claims = [await house.claims(await house.enter(user)) for user in people]
    code = await ask(house.store, house.entry.codes, NUMBER, "bind")
    await warm(house.store)
    outcomes = await asyncio.gather(*(house.bind(own, PHONE, code) for own in claims), return_exceptions=True)
    assert outcomes.count(None) == 1
    assert all(outcome is None or isinstance(outcome, InvalidCode | AlreadyBound) for outcome in outcomes)
    kinds = await rows(database_url, "SELECT login_type FROM user_login_types")
    assert sorted(row["login_type"] for row in kinds) == ["both", *["wechat"] * 5]
    assert len(await changes(database_url)) == 1


async def test_one_of_parallel_unbindings_counts(house: House, database_url: str) -> None:
    """The others find nothing bound, and the account's clients are told once."""
    user = await make_user(house.store)
    claims = await house.claims(await house.enter(user))
    await house.bind(claims, PHONE)
    await warm(house.store)
    outcomes = await asyncio.gather(
        *(house.bindings.unbind_wechat(claims) for _ in range(8)), return_exceptions=True
    )
    assert outcomes.count(None) == 1
    assert all(outcome is None or isinstance(outcome, NotFound) for outcome in outcomes)
    assert await changes(database_url) == [
        {"provider": "phone", "bound": True},
        {"provider": "wechat", "bound": False},
    ]
