"""Verification of e-mail addresses, for subscribers and accounts, on both engines."""

from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest

from hub.codes.rules import Asker
from hub.codes.verification import EmailVerification
from hub.errors import InvalidCode, RateLimited, Unauthorized
from hub.realtime.memory import MemoryBroker
from hub.store.database import Row, Store
from hub.tokens.claims import Claims
from hub.tokens.service import Sessions
from tests.code_sign_in import EMAIL, OWNER, STRANGER, another, make_codes, sent
from tests.signing_in import execute, make_sessions, make_user, rows, sign_in

READER = OWNER._replace(anon_id="reader-1")
OTHER = STRANGER._replace(anon_id="reader-2")


class Parts(NamedTuple):
    """The service, and what it works on."""

    store: Store
    sessions: Sessions
    service: EmailVerification

    async def begin(self, asker: Asker = READER) -> str:
        """Have a code sent, and return it."""
        await self.service.begin(EMAIL, asker, "en")
        code = (await sent(self.store, "email"))[-1].code
        assert code is not None
        return code

    async def account(self, database_url: str, email: str) -> tuple[Row, Claims]:
        """Return an account with an address that is not verified, and the claims of its person."""
        user = await make_user(self.store)
        await execute(
            database_url,
            "UPDATE users SET email = :email, password_hash = 'old' WHERE id = :id",
            email=email,
            id=user["id"],
        )
        pair = await sign_in(self.store, self.sessions, user)
        return user, await self.sessions.verify(pair.access_token)


@pytest.fixture
async def parts(store: Store) -> AsyncIterator[Parts]:
    """The service, started; an address may ask for codes as often as it likes."""
    sessions = make_sessions(store, MemoryBroker())
    await sessions.start()
    codes = make_codes(store, limited=False)
    yield Parts(store, sessions, EmailVerification(store, codes, sessions))
    await sessions.stop()


async def test_a_subscriber_verifies(parts: Parts, database_url: str) -> None:
    """Asked for, the address is noted as not verified; with the code it is, and its asker is told."""
    code = await parts.begin()
    (row,) = await rows(database_url, "SELECT * FROM email_subscribers")
    assert (row["email"], row["verified"], row["anon_id"]) == (EMAIL, 0, "reader-1")
    assert not await parts.service.is_verified(EMAIL, "reader-1", None)
    await parts.service.finish(EMAIL, code, READER, None)
    assert await parts.service.is_verified(EMAIL, "reader-1", None)
    (row,) = await rows(database_url, "SELECT * FROM email_subscribers")
    assert (row["verified"], row["anon_id"]) == (1, "reader-1")


@pytest.mark.parametrize("anon_id", [None, "reader-2", ""])
async def test_nobody_else_is_told(parts: Parts, anon_id: str | None) -> None:
    """Who did not have the code sent learns nothing about a verified address."""
    await parts.service.finish(EMAIL, await parts.begin(), READER, None)
    assert not await parts.service.is_verified(EMAIL, anon_id, None)


async def test_beginning_anew_tells_nothing(parts: Parts) -> None:
    """A second asker does not take over what the first one has verified, and the first one keeps it."""
    await parts.service.finish(EMAIL, await parts.begin(), READER, None)
    await parts.begin(OTHER)
    assert not await parts.service.is_verified(EMAIL, "reader-2", None)
    assert await parts.service.is_verified(EMAIL, "reader-1", None)


async def test_the_asker_is_told_wherever_the_code_is_typed(parts: Parts) -> None:
    """The code may be typed elsewhere, without a name: the one who had it sent is told."""
    await parts.service.finish(EMAIL, await parts.begin(), STRANGER, None)
    assert await parts.service.is_verified(EMAIL, "reader-1", None)


async def test_who_types_the_code_of_a_nameless_asker_is_told(parts: Parts) -> None:
    """Where the asker gave no name, that of the one who has the code counts."""
    await parts.service.finish(EMAIL, await parts.begin(OWNER), READER, None)
    assert await parts.service.is_verified(EMAIL, "reader-1", None)


async def test_an_older_askers_name_is_dropped(parts: Parts) -> None:
    """Who once asked in vain is not told that somebody without a name verified the address later."""
    await parts.begin(OTHER)
    await parts.service.finish(EMAIL, await parts.begin(OWNER), OWNER, None)
    assert not await parts.service.is_verified(EMAIL, "reader-2", None)


async def test_a_wrong_code_verifies_nothing(parts: Parts, database_url: str) -> None:
    """A code proves the address, or nothing happens."""
    code = await parts.begin()
    with pytest.raises(InvalidCode):
        await parts.service.finish(EMAIL, another(code), READER, None)
    assert not await parts.service.is_verified(EMAIL, "reader-1", None)
    await parts.service.finish(EMAIL, code, READER, None)
    with pytest.raises(InvalidCode):
        await parts.service.finish(EMAIL, code, READER, None)


async def test_the_own_address_of_an_account(parts: Parts, database_url: str) -> None:
    """It is marked for who is signed in; what was set before goes, but for the session at hand."""
    user, claims = await parts.account(database_url, EMAIL)
    older = await sign_in(parts.store, parts.sessions, user)
    assert not await parts.service.is_verified(EMAIL, None, claims)
    await parts.service.finish(EMAIL, await parts.begin(), READER, claims)
    assert await parts.service.is_verified(EMAIL, None, claims)
    (row,) = await rows(database_url, "SELECT email_verified, password_hash FROM users")
    assert (row["email_verified"], row["password_hash"]) == (1, None)
    with pytest.raises(Unauthorized):
        await parts.sessions.verify(older.access_token)
    running = await rows(database_url, "SELECT sid FROM user_sessions WHERE is_active = 1")
    assert [row["sid"] for row in running] == [claims.sid]


async def test_verifying_again_drops_nothing(parts: Parts, database_url: str) -> None:
    """Only the first proof of an address makes a cut."""
    user, claims = await parts.account(database_url, EMAIL)
    await parts.service.finish(EMAIL, await parts.begin(), READER, claims)
    await execute(database_url, "UPDATE users SET password_hash = 'new'")
    other = await sign_in(parts.store, parts.sessions, user)
    await parts.service.finish(EMAIL, await parts.begin(), READER, claims)
    await parts.sessions.verify(other.access_token)
    (row,) = await rows(database_url, "SELECT password_hash FROM users")
    assert row["password_hash"] == "new"


async def test_another_accounts_address_is_left_alone(parts: Parts, database_url: str) -> None:
    """Who is signed in with another address verifies the subscriber alone."""
    _, claims = await parts.account(database_url, "other@example.com")
    await parts.service.finish(EMAIL, await parts.begin(), READER, claims)
    (row,) = await rows(database_url, "SELECT email, email_verified FROM users")
    assert (row["email"], row["email_verified"]) == ("other@example.com", 0)
    assert not await parts.service.is_verified(EMAIL, None, claims)
    assert not await parts.service.is_verified("other@example.com", None, claims)


async def test_the_gap_holds_for_verification(store: Store) -> None:
    """A second code within the minute is refused, and the first subscriber stays noted."""
    sessions = make_sessions(store, MemoryBroker())
    service = EmailVerification(store, make_codes(store), sessions)
    await service.begin(EMAIL, READER, "en")
    with pytest.raises(RateLimited):
        await service.begin(EMAIL, READER, "en")
