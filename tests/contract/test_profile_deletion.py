"""The end of an account by its own person, on both engines."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from hub.accounts.deletion import Deletion
from hub.errors import InvalidRefreshToken, ReauthRequired, Unauthorized
from hub.realtime.memory import MemoryBroker
from hub.store.database import Store
from hub.tokens.service import Sessions
from tests.code_sign_in import EMAIL, NUMBER, make_entry
from tests.signing_in import Clock, execute, make_sessions, make_user, rows, sign_in, warm


@pytest.fixture
async def sessions(store: Store) -> AsyncIterator[Sessions]:
    """Started sessions."""
    sessions = make_sessions(store, MemoryBroker())
    await sessions.start()
    yield sessions
    await sessions.stop()


async def test_nothing_is_left_of_an_account(store: Store, sessions: Sessions, database_url: str) -> None:
    """Its sessions, identities, bindings and events go, on all devices at once, and others' stay."""
    other = await sign_in(store, sessions, await make_user(store, "oOther"))
    user = await make_user(store)
    here, there = await sign_in(store, sessions, user), await sign_in(store, sessions, user)
    await Deletion(store, sessions).delete(await sessions.verify(here.access_token))
    for tokens in (here, there):
        with pytest.raises(Unauthorized):
            await sessions.verify(tokens.access_token)
        with pytest.raises(InvalidRefreshToken):
            await sessions.refresh(tokens.refresh_token, ip="192.0.2.7", user_agent="Firefox")
    await sessions.verify(other.access_token)
    for table, column in (
        ("users", "id"),
        ("wechat_users", "uid"),
        ("user_login_types", "user_id"),
        ("user_sessions", "user_id"),
        ("account_events", "user_id"),
    ):
        left = await rows(database_url, f"SELECT {column} AS owner FROM {table}")  # noqa: S608 - our names
        assert {row["owner"] for row in left} == {other.user_id}
    assert (await make_user(store))["id"] != user["id"]


async def test_no_subscription_is_left(store: Store, sessions: Sessions, database_url: str) -> None:
    """The account's address is no subscriber's any more; other people's are."""
    tokens = await sign_in(store, sessions, await make_user(store))
    await execute(database_url, "UPDATE users SET email = :email", email=EMAIL)
    for email in (EMAIL, "other@example.com"):
        await store.changed("codes.subscribe", email=email, anon_id=None, created_at=store.now())
    await Deletion(store, sessions).delete(await sessions.verify(tokens.access_token))
    assert await rows(database_url, "SELECT email FROM email_subscribers") == [{"email": "other@example.com"}]


async def test_a_process_that_starts_later_refuses_its_tokens(store: Store, sessions: Sessions) -> None:
    """Those of sessions that ended before the account did too, though the rows of all of them are gone."""
    user = await make_user(store)
    here, there = await sign_in(store, sessions, user), await sign_in(store, sessions, user)
    other = await sign_in(store, sessions, await make_user(store, "oOther"))
    await sessions.revoke(there.session_id, "logout")
    await Deletion(store, sessions).delete(await sessions.verify(here.access_token))
    later = make_sessions(store, MemoryBroker())
    await later.start()
    for tokens in (here, there):
        with pytest.raises(Unauthorized):
            await later.verify(tokens.access_token)
    await later.verify(other.access_token)
    await later.stop()


async def test_the_login_log_keeps_the_number(store: Store, database_url: str) -> None:
    """The row is nobody's then, and still says which number signed in; a new account may have it."""
    entry = make_entry(store)
    await entry.sessions.start()
    signed_in = await entry.sign_in(NUMBER)
    await Deletion(store, entry.sessions).delete(await entry.sessions.verify(signed_in.tokens.access_token))
    (row,) = await rows(database_url, "SELECT user_id, account FROM login_logs")
    assert (row["user_id"], row["account"]) == (None, NUMBER)
    assert (await entry.sign_in(NUMBER)).is_new_user
    await entry.sessions.stop()


async def test_deletion_demands_a_recent_sign_in(
    store: Store, sessions: Sessions, monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    """A stolen access token deletes no account."""
    clock = Clock(store, monkeypatch.setattr)
    tokens = await sign_in(store, sessions, await make_user(store))
    claims = await sessions.verify(tokens.access_token)
    await execute(database_url, "UPDATE users SET email = :email", email=EMAIL)
    clock.forward(601)
    with pytest.raises(ReauthRequired):
        await Deletion(store, sessions).delete(claims)
    assert len(await rows(database_url, "SELECT id FROM users")) == 1


async def test_an_account_is_deleted_once(store: Store, sessions: Sessions) -> None:
    """Of parallel requests one deletes it, and the others are told that it is gone."""
    tokens = await sign_in(store, sessions, await make_user(store))
    claims = await sessions.verify(tokens.access_token)
    await warm(store)
    deletion = Deletion(store, sessions)
    outcomes = await asyncio.gather(*(deletion.delete(claims) for _ in range(8)), return_exceptions=True)
    assert outcomes.count(None) == 1
    assert all(outcome is None or isinstance(outcome, Unauthorized) for outcome in outcomes)
