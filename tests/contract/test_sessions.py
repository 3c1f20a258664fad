"""Sessions on both engines: opening, refreshing, ending, checking."""

from collections.abc import AsyncIterator

import pytest

from hub.errors import AccountBlocked, InvalidRefreshToken, NotFound, StoreUnavailable, Unauthorized
from hub.realtime.memory import MemoryBroker
from hub.store.database import Connection, Row, Store
from hub.tokens.events import AccountEvents
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


async def told(store: Store, user: Row) -> list[tuple[str, str | None, str | None]]:
    """Return type, sid and reason (or kind) of all of the user's events."""
    found = await AccountEvents(store, MemoryBroker()).after(user["id"], 0)
    assert [event.seq for event in found] == list(range(1, len(found) + 1))
    return [
        (each.type, each.payload.get("session_id"), each.payload.get("reason") or each.payload.get("kind"))
        for each in found
    ]


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


async def test_place_is_that_of_the_address(store: Store, user: Row, database_url: str) -> None:
    """It is looked up when a session is opened, and anew when a refresh comes from another address."""
    cities = {"192.0.2.7": "杭州", "203.0.113.9": "北京"}
    sessions = make_sessions(store, MemoryBroker(), place=cities.get)
    pair = await sign_in(store, sessions, user, LAPTOP._replace(location=None))
    pair = await refresh(sessions, pair)
    assert [row["location"] for row in await sessions.running(user["id"])] == ["杭州"]
    pair = await refresh(sessions, pair, ip="203.0.113.9")
    assert [row["location"] for row in await sessions.running(user["id"])] == ["北京"]
    await refresh(sessions, pair, ip="198.51.100.1")
    assert [row["location"] for row in await sessions.running(user["id"])] == [None]


async def test_running_sessions_are_listed(sessions: Sessions, store: Store, user: Row, clock: Clock) -> None:
    """The last used comes first; ended and timed out ones, and other people's, are not there."""
    old, idle, gone = [await sign_in(store, sessions, user) for _ in range(3)]
    await sign_in(store, sessions, await make_user(store, "oXyZ"))
    clock.forward(13 * DAY)
    phone = await sign_in(store, sessions, user, PHONE)
    clock.forward(60)
    await refresh(sessions, old)
    await sessions.revoke(gone.session_id, "logout")
    listed = await sessions.running(user["id"])
    assert [row["sid"] for row in listed] == [old.session_id, phone.session_id, idle.session_id]
    assert [row["device_name"] for row in listed] == ["Laptop", "Phone", "Laptop"]
    assert listed[0]["last_active_at"] > listed[1]["last_active_at"] > listed[2]["last_active_at"]
    clock.forward(DAY)
    assert [row["sid"] for row in await sessions.running(user["id"])] == [old.session_id, phone.session_id]


async def test_device_is_renamed(sessions: Sessions, store: Store, user: Row) -> None:
    """The answer is the renamed row, and no other session has the name."""
    pair, other = await sign_in(store, sessions, user), await sign_in(store, sessions, user)
    assert (await sessions.rename(user["id"], pair.session_id, "书房"))["device_name"] == "书房"
    names = {row["sid"]: row["device_name"] for row in await sessions.running(user["id"])}
    assert names == {pair.session_id: "书房", other.session_id: "Laptop"}


async def test_another_persons_session_is_not_there(sessions: Sessions, store: Store, user: Row) -> None:
    """It can be neither renamed nor ended, and looks like one that never was."""
    stranger = await make_user(store, "oXyZ")
    pair = await sign_in(store, sessions, stranger)
    for sid in (pair.session_id, "A" * 22, ""):
        with pytest.raises(NotFound):
            await sessions.rename(user["id"], sid, "mine")
        with pytest.raises(NotFound):
            await sessions.revoke_own(user["id"], sid, "revoked")
    assert await is_running(sessions, pair)
    assert [row["device_name"] for row in await sessions.running(stranger["id"])] == ["Laptop"]


async def test_own_session_ends_once(sessions: Sessions, store: Store, user: Row) -> None:
    """After that it is not there any more, neither to be ended nor to be renamed."""
    pair = await sign_in(store, sessions, user)
    await sessions.revoke_own(user["id"], pair.session_id, "revoked")
    assert not await is_running(sessions, pair)
    with pytest.raises(NotFound):
        await sessions.revoke_own(user["id"], pair.session_id, "revoked")
    with pytest.raises(NotFound):
        await sessions.rename(user["id"], pair.session_id, "late")


async def test_all_sessions_end_but_one(sessions: Sessions, store: Store, user: Row) -> None:
    """The one that is spared, and other people's, go on; without one to spare all of them end."""
    stranger = await make_user(store, "oXyZ")
    pairs = [await sign_in(store, sessions, account) for account in (user, user, user, stranger)]
    ended = await sessions.revoke_all(user["id"], "logout", except_sid=pairs[1].session_id)
    assert set(ended.sids) == {pairs[0].session_id, pairs[2].session_id}
    assert [await is_running(sessions, pair) for pair in pairs] == [False, True, False, True]
    assert (await sessions.revoke_all(user["id"], "logout")).sids == (pairs[1].session_id,)
    assert (await sessions.revoke_all(user["id"], "logout")).sids == ()
    assert [await is_running(sessions, pair) for pair in pairs] == [False, False, False, True]


async def test_all_sessions_end_with_their_cause(sessions: Sessions, store: Store, user: Row) -> None:
    """In the caller's transaction they end with it or not at all; the word goes out after the commit."""
    pair = await sign_in(store, sessions, user)

    async def fails(tx: Connection) -> None:
        await sessions.end_all(tx, user["id"], "password_changed", store.now())
        raise RuntimeError("rolled back")

    with pytest.raises(RuntimeError, match="rolled back"):
        await store.write(fails)
    assert len(await sessions.running(user["id"])) == 1
    ended = await store.write(lambda tx: sessions.end_all(tx, user["id"], "password_changed", store.now()))
    assert await is_running(sessions, pair)
    await sessions.announce_ended(ended)
    assert not await is_running(sessions, pair)


async def test_reauthentication_is_seen_in_the_tokens(
    sessions: Sessions, store: Store, user: Row, clock: Clock
) -> None:
    """The new access token, and those of later refreshes, tell the time of the proof."""
    pair = await sign_in(store, sessions, user)
    before = await sessions.verify(pair.access_token)
    clock.forward(3600)
    used: list[str] = []

    async def prove(tx: Connection) -> None:
        assert await tx.one("tokens.by_sid", sid=pair.session_id)
        used.append("once")

    access_token, expires_in = await sessions.reauthenticate(before, prove)
    fresh = await sessions.verify(access_token)
    assert used == ["once"]
    assert fresh.auth_time - before.auth_time >= 3600
    assert (fresh.sid, fresh.sub, fresh.amr) == (before.sid, before.sub, before.amr)
    assert 6840 <= expires_in <= 7200
    refreshed = await sessions.verify((await refresh(sessions, pair)).access_token)
    assert refreshed.auth_time == fresh.auth_time


async def test_failed_proof_changes_nothing(
    sessions: Sessions, store: Store, user: Row, clock: Clock
) -> None:
    """What the proof raises comes out, and the session's auth_time stays."""
    pair = await sign_in(store, sessions, user)
    before = await sessions.verify(pair.access_token)
    clock.forward(60)

    async def prove(tx: Connection) -> None:
        raise LookupError("used by another")

    with pytest.raises(LookupError):
        await sessions.reauthenticate(before, prove)
    assert (await sessions.verify((await refresh(sessions, pair)).access_token)).auth_time == before.auth_time


async def test_ended_session_is_not_reauthenticated(sessions: Sessions, store: Store, user: Row) -> None:
    """A proof does not bring it back."""
    pair = await sign_in(store, sessions, user)
    claims = await sessions.verify(pair.access_token)
    await sessions.revoke(pair.session_id, "logout")

    async def prove(tx: Connection) -> None:
        pass

    with pytest.raises(Unauthorized):
        await sessions.reauthenticate(claims, prove)


async def test_openings_and_ends_are_told(store: Store, user: Row) -> None:
    """Each session is told of when it opens and once when it ends, with the reason."""
    sessions = make_sessions(store, MemoryBroker(), cap=2)
    one = await sign_in(store, sessions, user)
    two = await sign_in(store, sessions, user, PHONE)
    three = await sign_in(store, sessions, user)
    for _ in range(2):
        await sessions.revoke(two.session_id, "logout")
    await sessions.revoke_all(user["id"], "password_changed")
    assert await told(store, user) == [
        ("session.created", one.session_id, None),
        ("session.created", two.session_id, None),
        ("session.created", three.session_id, None),
        ("session.revoked", one.session_id, "replaced"),
        ("session.revoked", two.session_id, "logout"),
        ("session.revoked", three.session_id, "password_changed"),
    ]


async def test_new_session_is_described(sessions: Sessions, store: Store, user: Row) -> None:
    """What a person needs to tell whether it was them; no token is in it."""
    pair = await sign_in(store, sessions, user)
    (event,) = await AccountEvents(store, MemoryBroker()).after(user["id"], 0)
    assert event.payload == {
        "session_id": pair.session_id,
        "device_name": "Laptop",
        "device_type": "web",
        "ip_address": "192.0.2.7",
        "location": "Hangzhou",
        "amr": ["wechat"],
    }


async def test_theft_is_told(sessions: Sessions, store: Store, user: Row, clock: Clock) -> None:
    """The person's other devices learn of the end and get an alert, once, however often the thief tries."""
    pair = await sign_in(store, sessions, user)
    await refresh(sessions, pair)
    clock.forward(11)
    for _ in range(3):
        await is_refused(sessions, pair, ip="203.0.113.66")
    assert (await told(store, user))[1:] == [
        ("session.revoked", pair.session_id, "reuse_detected"),
        ("security.alert", pair.session_id, "refresh_token_reused"),
    ]


async def test_theft_is_told_by_mail(
    sessions: Sessions, store: Store, user: Row, clock: Clock, database_url: str
) -> None:
    """A verified address gets one message, however many sessions are stolen meanwhile."""
    await execute(database_url, "UPDATE users SET email = 'li@example.com', email_verified = 1")
    for _ in range(2):
        pair = await sign_in(store, sessions, user)
        await refresh(sessions, pair)
        clock.forward(11)
        await is_refused(sessions, pair, ip="203.0.113.66")
    (queued,) = await rows(database_url, "SELECT kind FROM outbox")
    assert queued["kind"] == "email"


async def test_blocked_account_raises_no_alert(
    sessions: Sessions, store: Store, user: Row, database_url: str
) -> None:
    """A ban that shows at a refresh is told as the session's end only."""
    pair = await sign_in(store, sessions, user)
    await execute(database_url, "UPDATE users SET status = 'banned'")
    with pytest.raises(AccountBlocked):
        await refresh(sessions, pair)
    assert (await told(store, user))[1:] == [("session.revoked", pair.session_id, "account_blocked")]
