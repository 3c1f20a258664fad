"""Sessions that are opened, refreshed and ended by many at once."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from hub.errors import InvalidRefreshToken, NotFound
from hub.realtime.memory import MemoryBroker
from hub.store.database import Store
from hub.tokens.events import AccountEvents
from hub.tokens.service import Sessions, TokenPair
from tests.signing_in import LAPTOP, make_sessions, make_user, rows, sign_in, warm

RACERS = 20


@pytest.fixture
async def sessions(store: Store) -> AsyncIterator[Sessions]:
    """Started sessions, at most three of a user."""
    sessions = make_sessions(store, MemoryBroker(), cap=3)
    await sessions.start()
    await warm(store)
    yield sessions
    await sessions.stop()


async def ends(store: Store, user_id: int) -> list[str]:
    """Return the sids of all ends that were told, after checking that no event is missing."""
    events = AccountEvents(store, MemoryBroker())
    found, seq = [], 0
    while page := await events.after(user_id, seq):
        found += page
        seq = page[-1].seq
    assert [event.seq for event in found] == list(range(1, len(found) + 1))
    return [event.payload["session_id"] for event in found if event.type == "session.revoked"]


async def test_a_session_ends_once(sessions: Sessions, store: Store) -> None:
    """Of twenty who end one session one succeeds, and it is told once."""
    user = await make_user(store)
    pair = await sign_in(store, sessions, user)
    outcomes = await asyncio.gather(
        *(sessions.revoke_own(user["id"], pair.session_id, "revoked") for _ in range(RACERS)),
        return_exceptions=True,
    )
    assert sum(outcome is None for outcome in outcomes) == 1
    assert sum(isinstance(outcome, NotFound) for outcome in outcomes) == RACERS - 1
    assert await ends(store, user["id"]) == [pair.session_id]


async def test_sign_ins_and_ends_do_not_block_each_other(
    sessions: Sessions, store: Store, database_url: str
) -> None:
    """Sign-ins over the cap, single ends and ends of all at once: nobody fails, each end is told once."""
    user = await make_user(store)
    before = [await sign_in(store, sessions, user) for _ in range(3)]
    work = [
        *(sign_in(store, sessions, user) for _ in range(RACERS)),
        *(sessions.revoke(pair.session_id, "logout") for pair in before for _ in range(3)),
        *(sessions.revoke_all(user["id"], "logout") for _ in range(5)),
    ]
    opened = [outcome for outcome in await asyncio.gather(*work) if isinstance(outcome, TokenPair)]
    assert len(opened) == RACERS
    found = await rows(database_url, "SELECT sid, is_active FROM user_sessions")
    assert sum(row["is_active"] for row in found) <= 3
    told = await ends(store, user["id"])
    assert sorted(told) == sorted(row["sid"] for row in found if not row["is_active"])


async def test_no_new_tokens_after_the_end(sessions: Sessions, store: Store) -> None:
    """Once the end of all sessions has been answered no refresh succeeds any more."""
    user = await make_user(store)
    pair = await sign_in(store, sessions, user)

    async def refresh() -> TokenPair:
        return await sessions.refresh(pair.refresh_token, ip=LAPTOP.ip, user_agent=LAPTOP.user_agent)

    async def end() -> None:
        await sessions.revoke_all(user["id"], "logout")
        with pytest.raises(InvalidRefreshToken):
            await refresh()

    outcomes = await asyncio.gather(*(refresh() for _ in range(RACERS)), end(), return_exceptions=True)
    assert all(
        outcome is None or isinstance(outcome, TokenPair | InvalidRefreshToken) for outcome in outcomes
    )
    assert await ends(store, user["id"]) == [pair.session_id]
