"""Signing in by a password, resetting and changing it, on both engines."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import bcrypt
import pytest

from hub.accounts import password_check
from hub.accounts.contacts import Contact
from hub.accounts.password_change import PasswordChange
from hub.accounts.password_check import PasswordCheck
from hub.accounts.password_sign_in import PasswordSignIn, SignedIn
from hub.accounts.passwords import Passwords, accepted
from hub.accounts.profile import Profiles
from hub.accounts.tries import Asker, Tries
from hub.codes import addresses
from hub.codes.changes.password_reset import PasswordReset
from hub.errors import (
    AccountBlocked,
    HubError,
    InvalidCode,
    InvalidCredentials,
    InvalidRequest,
    PasswordLocked,
    RateLimited,
    ReauthRequired,
    Unauthorized,
)
from hub.realtime.memory import MemoryBroker
from hub.store.database import Store
from hub.tokens.claims import Claims
from hub.tokens.events import AccountEvents
from hub.tokens.service import TokenPair
from tests.code_sign_in import EMAIL, NUMBER, OWNER, Entry, another, ask, make_entry
from tests.signing_in import LAPTOP, Clock, execute, make_watching, rows, warm

GOOD = "correct horse battery"
OTHER = "another horse battery"
CONTACT = Contact("email", EMAIL)
HOME = Asker("home", "192.0.2.0/24")
ELSEWHERE = Asker("elsewhere", "198.51.100.0/24")


class House(NamedTuple):
    """All services that know of passwords, over one store."""

    entry: Entry
    sign_in: PasswordSignIn
    change: PasswordChange
    reset: PasswordReset

    async def register(self, address: str = EMAIL, password: str | None = GOOD, **options: Any) -> TokenPair:
        """Make an account with a password, and return its first session."""
        signed_in = await self.entry.sign_in(address, purpose="register", password=password, **options)
        return signed_in.tokens

    async def enter(self, account: str = EMAIL, password: str = GOOD, asker: Asker = HOME) -> SignedIn:
        """Sign in by password."""
        return await self.sign_in.sign_in(account, password, asker, LAPTOP)

    async def fail(self, account: str = EMAIL, password: str = OTHER, asker: Asker = ELSEWHERE) -> HubError:
        """Expect a sign-in to be refused, and return why."""
        with pytest.raises(HubError) as refused:
            await self.enter(account, password, asker)
        return refused.value

    async def claims(self, tokens: TokenPair) -> Claims:
        """The claims of a session."""
        return await self.entry.sessions.verify(tokens.access_token)

    async def runs(self, tokens: TokenPair) -> bool:
        """Tell whether a session's access token is still accepted."""
        try:
            await self.claims(tokens)
        except Unauthorized:
            return False
        return True


@pytest.fixture
async def house(store: Store, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    """The services, started; refusals take no longer than they must."""
    monkeypatch.setattr(password_check, "REFUSAL_TIME", 0.0)
    entry = make_entry(store)
    passwords = Passwords()
    tries = Tries(store, limited=True)
    check = PasswordCheck(store, passwords, tries)
    events = AccountEvents(store, MemoryBroker())
    signals = make_watching(store, MemoryBroker()).signals
    change = PasswordChange(store, passwords, check, tries, entry.sessions, events, signals)
    sign_in = PasswordSignIn(store, check, entry.sessions, Profiles(store), signals, addresses.contact)
    await entry.sessions.start()
    yield House(entry, sign_in, change, PasswordReset(store, entry.codes, passwords, change, signals))
    await entry.sessions.stop()
    await passwords.stop()


@pytest.fixture
def clock(store: Store, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The store's clock, to be moved by hand."""
    return Clock(store, monkeypatch.setattr)


@pytest.mark.parametrize("account", ["Li.Na@example.COM", "LiNa", "ｌｉｎａ"])
async def test_every_name_of_an_account_signs_in(house: House, account: str) -> None:
    """Address and username, however they are typed, lead to the one account."""
    first = await house.register(username="lina")
    signed_in = await house.enter(account)
    claims = await house.claims(signed_in.tokens)
    assert (claims.user_id, claims.amr) == (first.user_id, ("pwd",))
    assert signed_in.reply()["user"]["username"] == "lina"


@pytest.mark.parametrize("account", [NUMBER, "138 0013 8000", "13800138000"])
async def test_a_number_signs_in(house: House, account: str) -> None:
    """With its calling code or without."""
    first = await house.register(NUMBER)
    assert (await house.enter(account)).tokens.user_id == first.user_id


@pytest.mark.parametrize("account", ["nobody@example.com", "13900139000", "nobody", "no such thing!", "@"])
async def test_an_unknown_name_is_a_wrong_password(house: House, account: str) -> None:
    """The problem is the same as for a wrong password of an account."""
    await house.register()
    wrong, unknown = await house.fail(), await house.fail(account, GOOD)
    assert type(wrong) is type(unknown) is InvalidCredentials


async def test_an_account_without_password_has_no_right_one(house: House) -> None:
    """Not even the empty one."""
    await house.register(password=None)
    for password in ("", GOOD):
        assert isinstance(await house.fail(password=password), InvalidCredentials)


async def test_passwords_are_compared_in_one_form(house: House) -> None:
    """What two keyboards make of one letter is one password."""
    await house.register(password=accepted("cafe\u0301 au lait"))
    await house.enter(password="caf\u00e9 au lait")


@pytest.mark.parametrize("prefix", [b"$2b$", b"$2y$"])
async def test_bcrypt_is_taken_over(house: House, database_url: str, prefix: bytes) -> None:
    """A hash from elsewhere signs in, and is argon2id from then on, for the same password."""
    await house.register()
    kept = bcrypt.hashpw(GOOD.encode(), bcrypt.gensalt(4)).replace(b"$2b$", prefix).decode()
    await execute(database_url, "UPDATE users SET password_hash = :kept", kept=kept)
    assert isinstance(await house.fail(), InvalidCredentials)
    assert await rows(database_url, "SELECT password_hash FROM users") == [{"password_hash": kept}]
    await house.enter()
    (row,) = await rows(database_url, "SELECT password_hash FROM users")
    assert row["password_hash"].startswith("$argon2id$")
    await house.enter()


async def test_a_blocked_account_is_told_to_its_person_only(house: House, database_url: str) -> None:
    """With the right password that is said; with a wrong one nothing is."""
    await house.register()
    await execute(database_url, "UPDATE users SET status = 'banned'")
    assert isinstance(await house.fail(), InvalidCredentials)
    assert isinstance(await house.fail(password=GOOD), AccountBlocked)


async def test_every_try_is_on_record(house: House, database_url: str) -> None:
    """Right, wrong, unknown and early ones, each with its reason, and its account where there is one."""
    first = await house.register()
    await house.enter()
    await house.fail("nobody", GOOD)
    for _ in range(6):
        await house.fail()
    log = await rows(database_url, "SELECT * FROM login_logs WHERE login_method = 'password' ORDER BY id")
    assert [(row["login_status"], row["failure_reason"], row["account"]) for row in log] == [
        ("success", None, EMAIL),
        ("failed", "invalid_code", None),  # it might have been a password
        *[("failed", "invalid_code", EMAIL)] * 5,
        ("blocked", "rate_limit", EMAIL),
    ]
    assert [row["user_id"] for row in log] == [first.user_id, None, *[first.user_id] * 6]


async def test_wrong_passwords_cost_a_growing_wait(house: House, clock: Clock) -> None:
    """Five are free; then the wait doubles, and in it not even the right one is looked at."""
    await house.register()
    for _ in range(5):
        assert isinstance(await house.fail(), InvalidCredentials)
    for seconds in (1, 2, 4):
        refused = await house.fail(password=GOOD)
        assert isinstance(refused, RateLimited)
        assert refused.retry_after == pytest.approx(seconds, abs=0.9)
        clock.forward(seconds)
        assert isinstance(await house.fail(), InvalidCredentials)
    clock.forward(8)
    await house.enter(asker=ELSEWHERE)
    assert isinstance(await house.fail(), InvalidCredentials)


async def test_an_unknown_name_waits_as_an_account_does(house: House, clock: Clock) -> None:
    """The row of answers to a guesser does not tell whether there is an account."""
    await house.register()
    told = []
    for account in (EMAIL, "nobody@example.com"):
        told.append([(await house.fail(account)).slug for _ in range(7)])
        clock.forward(3601)
    assert told[0] == told[1]
    assert told[0][-1] == "rate-limited"


async def test_strangers_do_not_lock_out_a_known_device(
    house: House, clock: Clock, database_url: str
) -> None:
    """After 100 wrong ones strangers are refused for good; the own device signs in, and clears the count."""
    await house.register()
    await house.enter(asker=HOME)
    await execute(database_url, "UPDATE password_tries SET failures = 99 WHERE asker = '' AND account <> ''")
    assert isinstance(await house.fail(), InvalidCredentials)
    clock.forward(86400)
    assert isinstance(await house.fail(password=GOOD), PasswordLocked)
    await house.enter(asker=HOME)
    await house.enter(asker=ELSEWHERE)


async def test_a_known_device_has_a_count_too(house: House) -> None:
    """Who holds the owner's device cookie does not guess for ever, and makes nobody else wait."""
    await house.register()
    await house.enter(asker=HOME)
    for _ in range(5):
        await house.fail(asker=HOME)
    assert isinstance(await house.fail(asker=HOME), RateLimited)
    await house.enter(asker=ELSEWHERE)


async def test_a_network_waits_over_all_accounts(house: House, clock: Clock) -> None:
    """Twenty wrong ones over many names make the network wait, others not, and an hour of quiet ends it."""
    await house.register()
    for number in range(20):
        assert isinstance(await house.fail(f"nobody{number}"), InvalidCredentials)
    assert type(await house.fail("nobody20")) is RateLimited
    await house.enter()
    clock.forward(3601)
    for number in range(20):
        assert isinstance(await house.fail(f"nobody{number}"), InvalidCredentials)


async def test_right_passwords_do_not_fill_a_networks_count(house: House) -> None:
    """Thirty people behind one address sign in without a wait."""
    await house.register()
    for number in range(30):
        await house.enter(asker=Asker(f"device{number}", "203.0.113.0/24"))


async def test_parallel_guesses_get_no_more_tries(house: House, store: Store, database_url: str) -> None:
    """Of 40 guesses at once only the free ones are looked at, be there an account or not."""
    await house.register()
    await warm(store)
    for account in (EMAIL, "nobody"):
        asker = Asker("guesser", f"network of {account}")
        refusals = await asyncio.gather(*(house.fail(account, OTHER, asker) for _ in range(40)))
        compared = [refusal for refusal in refusals if isinstance(refusal, InvalidCredentials)]
        assert len(compared) == 5
        assert all(isinstance(refusal, InvalidCredentials | RateLimited) for refusal in refusals)
    counts = await rows(database_url, "SELECT failures FROM password_tries")
    assert [row["failures"] for row in counts] == [5] * 4


async def test_a_reset_ends_all_sessions(house: House, store: Store, database_url: str) -> None:
    """The new password counts, the old one not, nobody is signed in, and the streams are told."""
    tokens = await house.register()
    code = await ask(store, house.entry.codes, EMAIL, "reset_password")
    await house.reset.reset(CONTACT, code, OTHER, OWNER, LAPTOP)
    assert not await house.runs(tokens)
    assert isinstance(await house.fail(password=GOOD), InvalidCredentials)
    await house.enter(password=OTHER)
    events = await rows(database_url, "SELECT type FROM account_events ORDER BY seq")
    assert [row["type"] for row in events][1:3] == ["session.revoked", "security.alert"]


async def test_a_reset_unlocks_the_password(house: House, store: Store, database_url: str) -> None:
    """Whoever was locked out of every device comes back by a code."""
    await house.register()
    await house.fail()
    await execute(database_url, "UPDATE password_tries SET failures = 100 WHERE account <> ''")
    assert isinstance(await house.fail(password=GOOD), PasswordLocked)
    code = await ask(store, house.entry.codes, EMAIL, "reset_password")
    await house.reset.reset(CONTACT, code, OTHER, OWNER, LAPTOP)
    await house.enter(password=OTHER, asker=ELSEWHERE)


async def test_a_reset_takes_a_code_of_its_own_purpose(house: House, store: Store) -> None:
    """A code to sign in, a wrong one, and one for an address without account are all the same: wrong."""
    tokens = await house.register()
    nobodys = Contact("email", "nobody@example.com")
    login = await ask(store, house.entry.codes, EMAIL, "login")
    right = await ask(store, house.entry.codes, EMAIL, "reset_password")
    unused = await ask(store, house.entry.codes, nobodys.address, "reset_password")
    for given, code in ((CONTACT, another(right)), (nobodys, unused)):
        with pytest.raises(InvalidCode):
            await house.reset.reset(given, code, OTHER, OWNER, LAPTOP)
    if login != right:
        with pytest.raises(InvalidCode):
            await house.reset.reset(CONTACT, login, OTHER, OWNER, LAPTOP)
    assert await house.runs(tokens)
    await house.enter()


async def test_one_of_parallel_resets_wins(house: House, store: Store) -> None:
    """A code sets one password, whoever is first."""
    await house.register()
    code = await ask(store, house.entry.codes, EMAIL, "reset_password")
    await warm(store)
    outcomes = await asyncio.gather(
        *(house.reset.reset(CONTACT, code, f"horse number {n}", OWNER, LAPTOP) for n in range(3)),
        return_exceptions=True,
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == [
        "InvalidCode",
        "InvalidCode",
        "NoneType",
    ]
    await house.enter(password=f"horse number {outcomes.index(None)}")


@pytest.mark.parametrize("password", ["lina-1990", EMAIL, "li.na", "short", "password1"])
async def test_a_weak_new_password_changes_nothing(house: House, store: Store, password: str) -> None:
    """Neither reset nor change takes it, the code stays good, and the member is named."""
    tokens = await house.register(username="lina-1990")
    code = await ask(store, house.entry.codes, EMAIL, "reset_password")
    with pytest.raises(InvalidRequest) as refused:
        await house.reset.reset(CONTACT, code, password, OWNER, LAPTOP)
    assert refused.value.errors[0].field == "new_password"
    with pytest.raises(InvalidRequest):
        await house.change.change(await house.claims(tokens), GOOD, password, HOME, LAPTOP)
    assert await house.runs(tokens)
    await house.reset.reset(CONTACT, code, OTHER, OWNER, LAPTOP)


async def test_a_change_ends_the_other_sessions(house: House) -> None:
    """This one runs on, and only the new password signs in."""
    tokens = await house.register()
    elsewhere = (await house.enter()).tokens
    await house.change.change(await house.claims(tokens), GOOD, OTHER, HOME, LAPTOP)
    assert await house.runs(tokens)
    assert not await house.runs(elsewhere)
    assert isinstance(await house.fail(password=GOOD), InvalidCredentials)
    await house.enter(password=OTHER)


async def test_a_change_takes_the_current_password(house: House) -> None:
    """Without it, or with a wrong one, nothing changes; an account that has none sets its first."""
    tokens = await house.register()
    claims = await house.claims(tokens)
    with pytest.raises(InvalidRequest):
        await house.change.change(claims, None, OTHER, HOME, LAPTOP)
    with pytest.raises(InvalidCredentials):
        await house.change.change(claims, OTHER, OTHER, HOME, LAPTOP)
    await house.enter()
    first = await house.register(NUMBER, password=None)
    await house.change.change(await house.claims(first), None, OTHER, HOME, LAPTOP)
    await house.enter(NUMBER, OTHER)


async def test_a_change_demands_a_recent_sign_in(house: House, clock: Clock) -> None:
    """An access token that was stolen changes no password, even with the password."""
    claims = await house.claims(await house.register())
    clock.forward(601)
    with pytest.raises(ReauthRequired):
        await house.change.change(claims, GOOD, OTHER, HOME, LAPTOP)


async def test_one_of_parallel_changes_wins(house: House, store: Store) -> None:
    """Of changes that all checked the same password one is made, and the others are refused."""
    claims = await house.claims(await house.register())
    await warm(store)
    outcomes = await asyncio.gather(
        *(house.change.change(claims, GOOD, f"horse number {n}", HOME, LAPTOP) for n in range(4)),
        return_exceptions=True,
    )
    assert sum(outcome is None for outcome in outcomes) == 1
    assert all(outcome is None or isinstance(outcome, InvalidCredentials) for outcome in outcomes)
    await house.enter(password=f"horse number {outcomes.index(None)}")


async def test_a_password_reauthenticates(house: House, clock: Clock) -> None:
    """The same session gets a fresh `auth_time`; a wrong password gets nothing."""
    tokens = await house.register()
    claims = await house.claims(tokens)
    clock.forward(601)
    with pytest.raises(InvalidCredentials):
        await house.change.prove(claims, OTHER, HOME, LAPTOP)
    prove = await house.change.prove(claims, GOOD, HOME, LAPTOP)
    access_token, _ = await house.entry.sessions.reauthenticate(claims, prove)
    fresh = await house.entry.sessions.verify(access_token)
    assert fresh.sid == claims.sid
    assert fresh.auth_time >= claims.auth_time + 601
    await house.change.change(fresh, GOOD, OTHER, HOME, LAPTOP)
