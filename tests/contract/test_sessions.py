"""Sessions on both engines: opening, refreshing, ending, checking."""

from collections.abc import AsyncIterator

import pytest

from hub.errors import AccountBlocked, InvalidRefreshToken, StoreUnavailable, Unauthorized
from hub.realtime.memory import MemoryBroker
from hub.store.database import Row, Store
from hub.tokens.rotation import parse
from hub.tokens.service import Sessions, TokenPair
from tests.signing_in import LAPTOP, PHONE, Clock, execute, make_sessions, make_user, rows, sign_in

DAY = 86400


@pytest.fixture
async def sessions(store: Store) -> AsyncIterator[Sessions]:
    """Started sessions with a broker of this process."""
    sessions = make_sessions(store, MemoryBroker())
    await sessions.start()
    yield sessions
    await sessions.stop()


@pytest.fixture
async def user(store: Store) -> Row:
    """An account."""
    return await make_user(store)


@pytest.fixture
def clock(store: Store, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The store's clock, to be moved by hand."""
    return Clock(store, monkeypatch.setattr)


async def refresh(
    sessions: Sessions,
    pair: TokenPair,
    ip: str = LAPTOP.ip,
    user_agent: str = LAPTOP.user_agent,
    client_id: str | None = None,
) -> TokenPair:
    """Refresh from the laptop, unless said otherwise."""
    return await sessions.refresh(pair.refresh_token, ip=ip, user_agent=user_agent, client_id=client_id)


async def is_refused(sessions: Sessions, pair: TokenPair, **how: str) -> str:
    """Expect a refusal and return its reason's first word."""
    with pytest.raises(InvalidRefreshToken) as refused:
        await refresh(sessions, pair, **how)
    return refused.value.reason.partition(":")[0]


async def is_running(sessions: Sessions, pair: TokenPair) -> bool:
    """Tell whether the pair's access token is still accepted."""
    try:
        await sessions.verify(pair.access_token)
    except Unauthorized:
        return False
    return True


async def test_opened_session_verifies(sessions: Sessions, store: Store, user: Row) -> None:
    """The access token of a new session names user, session and way of signing in."""
    pair = await sign_in(store, sessions, user)
    claims = await sessions.verify(pair.access_token)
    assert (claims.user_id, claims.sid, claims.amr) == (user["id"], pair.session_id, ("wechat",))
    assert pair.reply().keys() == {
        "access_token",
        "refresh_token",
        "token_type",
        "expires_in",
        "refresh_expires_in",
        "session_id",
    }
    assert pair.refresh_expires_in == 14 * DAY


async def test_row_keeps_no_token(sessions: Sessions, store: Store, user: Row, database_url: str) -> None:
    """Nothing in the session's row is the refresh token or its MAC."""
    pair = await sign_in(store, sessions, user)
    presented = parse(pair.refresh_token)
    assert presented is not None
    (row,) = await rows(database_url, "SELECT * FROM user_sessions")
    assert pair.refresh_token not in repr(row)
    assert presented.mac.hex() not in repr(row)
    assert (row["device_name"], row["device_type"], row["device_id"]) == ("Laptop", "web", "laptop-1")
    assert (row["ip_address"], row["location"], row["generation"]) == ("192.0.2.7", "Hangzhou", 0)


async def test_tokens_stay_out_of_repr(sessions: Sessions, store: Store, user: Row) -> None:
    """A pair in a log line or a traceback shows neither token."""
    pair = await sign_in(store, sessions, user)
    assert pair.access_token not in repr(pair)
    assert pair.refresh_token not in repr(pair)


async def test_opening_notes_the_sign_in(
    sessions: Sessions, store: Store, user: Row, database_url: str
) -> None:
    """The account's last_login_at is that of its newest session."""
    await sign_in(store, sessions, user)
    (session,) = await rows(database_url, "SELECT created_at FROM user_sessions")
    (account,) = await rows(database_url, "SELECT last_login_at FROM users")
    assert account["last_login_at"] == session["created_at"]


@pytest.mark.parametrize("status", ["banned", "inactive", "pending"])
async def test_blocked_account_opens_nothing(
    sessions: Sessions, store: Store, user: Row, database_url: str, status: str
) -> None:
    """Whoever was blocked since the caller read the account gets no session."""
    await execute(database_url, "UPDATE users SET status = :status", status=status)
    with pytest.raises(AccountBlocked):
        await sign_in(store, sessions, user)
    assert await rows(database_url, "SELECT * FROM user_sessions") == []


async def test_long_user_agents_are_cut(
    sessions: Sessions, store: Store, user: Row, database_url: str
) -> None:
    """A user agent longer than its column is no reason to fail, neither now nor at a refresh."""
    pair = await sign_in(store, sessions, user, LAPTOP._replace(user_agent="x" * 4000))
    await refresh(sessions, pair, user_agent="y" * 4000)
    (row,) = await rows(database_url, "SELECT user_agent FROM user_sessions")
    assert row["user_agent"] == "y" * 512


async def test_cap_ends_the_oldest(store: Store, user: Row) -> None:
    """With a cap of three, the fourth session ends the first, at once for its access token too."""
    sessions = make_sessions(store, MemoryBroker(), cap=3)
    await sessions.start()
    pairs = [await sign_in(store, sessions, user) for _ in range(5)]
    assert [await is_running(sessions, pair) for pair in pairs] == [False, False, True, True, True]
    assert await is_refused(sessions, pairs[0]) == "ended"
    await sessions.stop()


async def test_cap_counts_running_sessions_only(store: Store, user: Row, clock: Clock) -> None:
    """Sessions that timed out take no place."""
    sessions = make_sessions(store, MemoryBroker(), cap=2)
    await sessions.start()
    await sign_in(store, sessions, user)
    clock.forward(15 * DAY)
    second = await sign_in(store, sessions, user)
    third = await sign_in(store, sessions, user)
    assert third.ended == ()
    assert await is_running(sessions, second)
    await sessions.stop()


async def test_other_accounts_are_left_alone(store: Store, user: Row) -> None:
    """The cap is each user's own."""
    sessions = make_sessions(store, MemoryBroker(), cap=1)
    await sessions.start()
    mine = await sign_in(store, sessions, user)
    await sign_in(store, sessions, await make_user(store, "oXyZ"))
    assert await is_running(sessions, mine)
    await sessions.stop()


async def test_one_session_per_device_type(store: Store, user: Row) -> None:
    """Where that is asked for, a new session ends those of its type and no others."""
    sessions = make_sessions(store, MemoryBroker(), single_per_type=True)
    await sessions.start()
    web, ios, untold = [
        await sign_in(store, sessions, user, device) for device in (LAPTOP, PHONE, LAPTOP._replace(type=None))
    ]
    newer = await sign_in(store, sessions, user, LAPTOP)
    assert newer.ended == (web.session_id,)
    assert [await is_running(sessions, pair) for pair in (web, ios, untold, newer)] == [
        False,
        True,
        True,
        True,
    ]
    await sign_in(store, sessions, user, LAPTOP._replace(type=None))
    assert await is_running(sessions, untold)
    await sessions.stop()


async def test_refresh_rotates(sessions: Sessions, store: Store, user: Row) -> None:
    """A refresh gives new tokens of the same session, and again from there."""
    first = await sign_in(store, sessions, user)
    second = await refresh(sessions, first)
    third = await refresh(sessions, second)
    assert first.session_id == second.session_id == third.session_id
    assert len({pair.refresh_token for pair in (first, second, third)}) == 3
    before, after = await sessions.verify(first.access_token), await sessions.verify(third.access_token)
    assert (after.auth_time, after.amr) == (before.auth_time, before.amr)
    assert after.jti != before.jti


async def test_refresh_notes_where_it_came_from(
    sessions: Sessions, store: Store, user: Row, database_url: str
) -> None:
    """The row follows the device's address; the city of another address is no longer known."""
    pair = await refresh(sessions, await sign_in(store, sessions, user))
    (row,) = await rows(database_url, "SELECT * FROM user_sessions")
    assert (row["ip_address"], row["location"], row["generation"]) == ("192.0.2.7", "Hangzhou", 1)
    await refresh(sessions, pair, ip="203.0.113.9", user_agent="Chrome")
    (row,) = await rows(database_url, "SELECT * FROM user_sessions")
    assert (row["ip_address"], row["user_agent"], row["location"]) == ("203.0.113.9", "Chrome", None)
    assert row["last_active_at"] == row["rotated_at"]


async def test_lost_answer_can_be_asked_for_again(
    sessions: Sessions, store: Store, user: Row, clock: Clock
) -> None:
    """The former token, from the same network and user agent within ten seconds, gets the same successor."""
    first = await sign_in(store, sessions, user)
    second = await refresh(sessions, first)
    clock.forward(9.5)
    assert (await refresh(sessions, first, ip="192.0.2.99")).refresh_token == second.refresh_token
    assert (await refresh(sessions, second)).refresh_token != second.refresh_token


async def test_old_token_after_ten_seconds_is_theft(
    sessions: Sessions, store: Store, user: Row, clock: Clock, database_url: str
) -> None:
    """It ends the session for thief and owner, and is put on record once."""
    first = await sign_in(store, sessions, user)
    second = await refresh(sessions, first)
    clock.forward(11)
    assert await is_refused(sessions, first) == "theft"
    assert not await is_running(sessions, second)
    assert await is_refused(sessions, second) == "ended"
    assert await is_refused(sessions, first) == "ended"
    (entry,) = await rows(database_url, "SELECT * FROM login_logs")
    assert (entry["login_method"], entry["login_status"]) == ("refresh", "failed")
    assert (entry["failure_reason"], entry["user_id"]) == ("reuse_detected", user["id"])
    (row,) = await rows(database_url, "SELECT revoked_reason FROM user_sessions")
    assert row["revoked_reason"] == "reuse_detected"


@pytest.mark.parametrize("how", [{"ip": "198.51.100.7"}, {"user_agent": "curl"}])
async def test_former_token_of_a_stranger_is_theft(
    sessions: Sessions, store: Store, user: Row, how: dict[str, str]
) -> None:
    """Within the ten seconds too, from another network or with another user agent."""
    first = await sign_in(store, sessions, user)
    second = await refresh(sessions, first)
    assert await is_refused(sessions, first, **how) == "theft"
    assert not await is_running(sessions, second)


async def test_older_token_within_ten_seconds_is_only_refused(
    sessions: Sessions, store: Store, user: Row, database_url: str
) -> None:
    """A slow sibling of an honest client does not end the session, and leaves no entry in the log."""
    first = await sign_in(store, sessions, user)
    third = await refresh(sessions, await refresh(sessions, first))
    assert await is_refused(sessions, first) == "stale"
    assert await is_running(sessions, third)
    assert await rows(database_url, "SELECT * FROM login_logs") == []


async def test_forged_token_is_only_refused(sessions: Sessions, store: Store, user: Row) -> None:
    """Knowing a sid is not enough to end the session."""
    pair = await sign_in(store, sessions, user)
    forged = pair.refresh_token[:-10] + "A" * 9 + pair.refresh_token[-1]
    with pytest.raises(InvalidRefreshToken, match="forged"):
        await sessions.refresh(forged, ip=LAPTOP.ip, user_agent=LAPTOP.user_agent)
    assert (await refresh(sessions, pair)).session_id == pair.session_id


@pytest.mark.parametrize("text", ["", "hubr_", "hubr_AAAA", "x" * 75, "hubr_" + "A" * 70])
async def test_garbage_is_refused(sessions: Sessions, text: str) -> None:
    """What is no refresh token, or one of no session, raises InvalidRefreshToken."""
    with pytest.raises(InvalidRefreshToken):
        await sessions.refresh(text, ip=LAPTOP.ip, user_agent=LAPTOP.user_agent)


async def test_idle_session_ends(sessions: Sessions, store: Store, user: Row, clock: Clock) -> None:
    """After fourteen days without use there is no refresh; until then each use counts anew."""
    pair = await sign_in(store, sessions, user)
    clock.forward(14 * DAY - 60)
    pair = await refresh(sessions, pair)
    clock.forward(14 * DAY - 60)
    pair = await refresh(sessions, pair)
    clock.forward(14 * DAY)
    assert await is_refused(sessions, pair) == "ended"


async def test_session_ends_after_thirty_days(
    sessions: Sessions, store: Store, user: Row, clock: Clock
) -> None:
    """However much it is used; the lives told in the answers shrink towards that end."""
    pair = await sign_in(store, sessions, user)
    for _ in range(2):
        clock.forward(13 * DAY)
        pair = await refresh(sessions, pair)
    assert 4 * DAY - 60 < pair.refresh_expires_in <= 4 * DAY
    clock.forward(4 * DAY - 60)
    pair = await refresh(sessions, pair)
    assert max(pair.expires_in, pair.refresh_expires_in) <= 60
    clock.forward(60)
    assert await is_refused(sessions, pair) == "ended"


@pytest.mark.parametrize("status", ["banned", "inactive"])
async def test_blocked_account_is_found_at_refresh(
    sessions: Sessions, store: Store, user: Row, database_url: str, status: str
) -> None:
    """The session ends, and that is put on record."""
    pair = await sign_in(store, sessions, user)
    await execute(database_url, "UPDATE users SET status = :status", status=status)
    with pytest.raises(AccountBlocked):
        await refresh(sessions, pair)
    assert not await is_running(sessions, pair)
    assert await is_refused(sessions, pair) == "ended"
    (entry,) = await rows(database_url, "SELECT * FROM login_logs")
    assert (entry["login_status"], entry["failure_reason"]) == ("blocked", "account_blocked")


async def test_changed_role_shows_after_refresh(
    sessions: Sessions, store: Store, user: Row, database_url: str
) -> None:
    """Role and e-mail are those of the account at the refresh."""
    pair = await sign_in(store, sessions, user)
    await execute(database_url, "UPDATE users SET role = 'admin', email = 'li@example.cn'")
    claims = await sessions.verify((await refresh(sessions, pair)).access_token)
    assert (claims.role, claims.email) == ("admin", "li@example.cn")


async def test_tokens_of_a_client_are_its_own(sessions: Sessions, store: Store, user: Row) -> None:
    """A refresh token given to a confidential client is refused to others, and to nobody in particular."""
    pair = await sign_in(store, sessions, user, client_id="shop")
    assert await is_refused(sessions, pair) == "foreign_client"
    assert await is_refused(sessions, pair, client_id="other") == "foreign_client"
    assert (await refresh(sessions, pair, client_id="shop")).session_id == pair.session_id
    public = await sign_in(store, sessions, user)
    assert await is_refused(sessions, public, client_id="shop") == "foreign_client"


async def test_revoked_session_is_refused(sessions: Sessions, store: Store, user: Row) -> None:
    """Both tokens of a revoked session are refused; revoking it again is no error."""
    pair, other = await sign_in(store, sessions, user), await sign_in(store, sessions, user)
    await sessions.revoke(pair.session_id, "logout")
    await sessions.revoke(pair.session_id, "logout")
    assert [await is_running(sessions, each) for each in (pair, other)] == [False, True]
    assert await is_refused(sessions, pair) == "ended"


async def test_revoking_a_device_ends_its_sessions(sessions: Sessions, store: Store, user: Row) -> None:
    """Only this user's sessions on that device end."""
    stranger = await make_user(store, "oXyZ")
    pairs = [
        await sign_in(store, sessions, account, device)
        for account, device in ((user, LAPTOP), (user, LAPTOP), (user, PHONE), (stranger, LAPTOP))
    ]
    await sessions.revoke_device(user["id"], "laptop-1", "logout")
    assert [await is_running(sessions, pair) for pair in pairs] == [False, False, True, True]


async def test_missing_access_token_is_unauthorized(sessions: Sessions) -> None:
    """No token at all is refused as a bad one is."""
    with pytest.raises(Unauthorized, match="no access token"):
        await sessions.verify(None)


async def test_verifying_asks_no_database(sessions: Sessions, store: Store, user: Row) -> None:
    """While the broker is healthy a token is checked without the database, which may be away."""
    pair = await sign_in(store, sessions, user)
    await store.stop()
    assert await is_running(sessions, pair)


async def test_revocations_survive_a_restart(store: Store, user: Row) -> None:
    """A process that starts later refuses tokens of sessions that ended before."""
    first = make_sessions(store, MemoryBroker())
    await first.start()
    pair = await sign_in(store, first, user)
    await first.revoke(pair.session_id, "logout")
    await first.stop()
    second = make_sessions(store, MemoryBroker())
    await second.start()
    assert not await is_running(second, pair)
    await second.stop()


async def test_database_away_when_it_must_be_asked(store: Store, user: Row) -> None:
    """Before what was missed is read, a token is neither accepted nor refused on a guess."""
    sessions = make_sessions(store, MemoryBroker())
    pair = await sign_in(store, sessions, user)
    assert await is_running(sessions, pair)
    await store.stop()
    with pytest.raises(StoreUnavailable):
        await sessions.verify(pair.access_token)
