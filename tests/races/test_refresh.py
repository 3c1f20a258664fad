"""Parallel refreshes of one token, and parallel sign-ins of one user."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from hub.errors import InvalidRefreshToken
from hub.realtime.memory import MemoryBroker
from hub.store.database import Store
from hub.tokens.service import Sessions, TokenPair
from tests.signing_in import LAPTOP, Clock, make_sessions, make_user, rows, sign_in, warm

RACERS = 20


@pytest.fixture
async def sessions(store: Store) -> AsyncIterator[Sessions]:
    """Started sessions, at most three of a user."""
    sessions = make_sessions(store, MemoryBroker(), cap=3)
    await sessions.start()
    await warm(store)
    yield sessions
    await sessions.stop()


async def test_honest_refreshes_share_one_successor(
    sessions: Sessions, store: Store, database_url: str
) -> None:
    """Twenty refreshes of one token all succeed with the same one, and the session lives on."""
    pair = await sign_in(store, sessions, await make_user(store))
    answers = await asyncio.gather(
        *(
            sessions.refresh(pair.refresh_token, ip=LAPTOP.ip, user_agent=LAPTOP.user_agent)
            for _ in range(RACERS)
        )
    )
    successors = {answer.refresh_token for answer in answers}
    assert len(successors) == 1
    (row,) = await rows(database_url, "SELECT generation, is_active FROM user_sessions")
    assert (row["generation"], row["is_active"]) == (1, 1)
    await sessions.refresh(successors.pop(), ip=LAPTOP.ip, user_agent=LAPTOP.user_agent)
    for answer in answers:
        assert (await sessions.verify(answer.access_token)).sid == pair.session_id


async def test_thief_and_owner_never_both_go_on(sessions: Sessions, store: Store, database_url: str) -> None:
    """Of refreshes from two networks at once only one side's may succeed, and the session ends for both."""
    pair = await sign_in(store, sessions, await make_user(store))
    networks = ("192.0.2.7", "198.51.100.7") * (RACERS // 2)
    answers = await asyncio.gather(
        *(sessions.refresh(pair.refresh_token, ip=ip, user_agent=LAPTOP.user_agent) for ip in networks),
        return_exceptions=True,
    )
    assert all(isinstance(answer, TokenPair | InvalidRefreshToken) for answer in answers)
    won = [isinstance(answer, TokenPair) for answer in answers]
    assert any(won[::2]) != any(won[1::2])
    (row,) = await rows(database_url, "SELECT is_active, revoked_reason FROM user_sessions")
    assert (row["is_active"], row["revoked_reason"]) == (0, "reuse_detected")
    assert len(await rows(database_url, "SELECT id FROM login_logs")) == 1


async def test_theft_is_recorded_once(
    sessions: Sessions, store: Store, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty replays of a stolen token end the session and leave one entry in the log."""
    pair = await sign_in(store, sessions, await make_user(store))
    await sessions.refresh(pair.refresh_token, ip=LAPTOP.ip, user_agent=LAPTOP.user_agent)
    Clock(store, monkeypatch.setattr).forward(11)
    answers = await asyncio.gather(
        *(
            sessions.refresh(pair.refresh_token, ip=LAPTOP.ip, user_agent=LAPTOP.user_agent)
            for _ in range(RACERS)
        ),
        return_exceptions=True,
    )
    assert all(isinstance(answer, InvalidRefreshToken) for answer in answers)
    assert len(await rows(database_url, "SELECT id FROM login_logs")) == 1


async def test_refresh_and_logout(sessions: Sessions, store: Store, database_url: str) -> None:
    """A session that is ended while it is being refreshed has ended, whoever came first."""
    pair = await sign_in(store, sessions, await make_user(store))
    await asyncio.gather(
        *(
            sessions.refresh(pair.refresh_token, ip=LAPTOP.ip, user_agent=LAPTOP.user_agent)
            for _ in range(RACERS)
        ),
        sessions.revoke(pair.session_id, "logout"),
        return_exceptions=True,
    )
    (row,) = await rows(database_url, "SELECT is_active FROM user_sessions")
    assert row["is_active"] == 0


async def test_parallel_sign_ins_keep_the_cap(sessions: Sessions, store: Store, database_url: str) -> None:
    """Of twenty sessions opened at once, three run."""
    user = await make_user(store)
    pairs = await asyncio.gather(*(sign_in(store, sessions, user) for _ in range(RACERS)))
    assert len({pair.session_id for pair in pairs}) == RACERS
    assert len(await rows(database_url, "SELECT id FROM user_sessions WHERE is_active = 1")) == 3
