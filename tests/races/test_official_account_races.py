"""Pushes that come at once, to two processes with one database: what counts is counted once."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest

from hub.qr.official_account.links import PATH
from hub.qr.phone import Answer
from hub.qr.states import Status
from hub.realtime.memory import MemoryBroker
from hub.store.database import Store
from tests import following as at
from tests.following import Following, event, link_in, scanned, subject
from tests.signing_in import PHONE, execute, rows, warm

TRIES = 3


@pytest.fixture(scope="module")
def wechat() -> Iterator[str]:
    """WeChat."""
    with at.wechat() as url:
        yield url


@pytest.fixture(params=[True])
async def doors(
    request: pytest.FixtureRequest, database_url: str, wechat: str
) -> AsyncIterator[list[Following]]:
    """The door in two processes, on each engine in turn; the parameter says whether a second scan burns."""
    async with AsyncExitStack() as stack:
        found = []
        for _ in range(2):
            store = Store(database_url)
            await store.start()
            stack.push_async_callback(store.stop)
            await warm(store)
            found.append(
                await stack.enter_async_context(
                    at.following(store, MemoryBroker(), wechat, burn=request.param)
                )
            )
        yield found


async def test_the_tries_of_one_push(doors: list[Following], database_url: str) -> None:
    """Three tries in parallel have one effect, and each has the same reply."""
    for _ in range(10):
        waiting = await doors[0].begin()
        push = scanned(waiting)
        replies = await asyncio.gather(*(doors[number % 2].push(push) for number in range(TRIES)))
        assert len(set(replies)) == 1
        link = link_in(replies[0])
        attempt = await doors[0].desk.attempts.by_id(waiting.id)
        assert (attempt.status, attempt.seq, attempt.scanned_by) == (Status.SCANNED, 2, subject("alice"))
        assert (await doors[1].consent.open(link))[1]
    assert len(await rows(database_url, "SELECT push_key FROM wechat_pushes")) == 10


async def test_two_people_at_once(doors: list[Following]) -> None:
    """One of two claims; the other's scan ends the attempt, so that neither can be signed in by it."""
    for _ in range(10):
        waiting = await doors[0].begin()
        replies = await asyncio.gather(doors[0].scan(waiting, "alice"), doors[1].scan(waiting, "bob"))
        assert sum(PATH in (reply or "") for reply in replies) <= 1
        attempt = await doors[0].desk.attempts.by_id(waiting.id)
        assert (attempt.status, attempt.reason) == (Status.FAILED, "already_claimed")
        assert attempt.scanned_by in (subject("alice"), subject("bob"))


@pytest.mark.parametrize("doors", [False], indirect=True)
async def test_many_people_at_once_make_one_claim(doors: list[Following]) -> None:
    """Where a second scan does not burn, exactly one of many people gets a link."""
    people = ("alice", "bob", "noavatar", "emoji", "decliner", "lateunion")
    for _ in range(5):
        waiting = await doors[0].begin()
        replies = await asyncio.gather(
            *(doors[number % 2].scan(waiting, person) for number, person in enumerate(people))
        )
        told = Counter(PATH in (reply or "") for reply in replies)
        assert told == {True: 1, False: len(people) - 1}


async def test_the_tries_of_an_unfollowing(doors: list[Following], database_url: str) -> None:
    """The account is told once that WeChat has gone."""
    waiting = await doors[0].begin()
    await doors[0].scan(waiting)
    await doors[0].desk.phone.answer(waiting.session_id, subject("alice"), Answer.CONFIRM, PHONE)
    await execute(database_url, "UPDATE users SET phone = '+8613800138000'")
    push = event("unsubscribe", "alice")
    await asyncio.gather(*(doors[number % 2].push(push) for number in range(2 * TRIES)))
    assert await rows(database_url, "SELECT id FROM wechat_users") == []
    assert len(await rows(database_url, "SELECT id FROM account_events")) == 1
