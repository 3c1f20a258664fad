"""Many phones, browsers and processes at one attempt: one wins each move, the others are told why not."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from hub.errors import HubError
from hub.qr.attempt import Attempt, Snapshot
from hub.qr.follow import Follower
from hub.qr.phone import Answer
from hub.qr.states import Status
from hub.realtime.broker import Broker
from hub.realtime.memory import MemoryBroker
from hub.store.database import Store
from tests.scanning import LIVES, Desk, Stopped, Waiting, row
from tests.signing_in import execute, rows

RACERS = 50


@pytest.fixture
async def desks(store: Store, database_url: str) -> AsyncIterator[tuple[Desk, Desk]]:
    """Two processes' services on one database, on each engine in turn."""
    other = Store(database_url)
    await other.start()
    yield Desk(store, MemoryBroker()), Desk(other, MemoryBroker())
    await other.stop()


@pytest.fixture
def desk(desks: tuple[Desk, Desk]) -> Desk:
    """The first of them."""
    return desks[0]


async def race(entrants: Iterable[Awaitable[Any]]) -> Counter[str]:
    """Run all at once, in a random order, and count what became of them: "won", or the error's name."""
    order = list(entrants)
    random.shuffle(order)
    ends = await asyncio.gather(*order, return_exceptions=True)
    for end in ends:
        if isinstance(end, BaseException) and not isinstance(end, HubError):
            raise end
    return Counter(type(end).__name__ if isinstance(end, HubError) else "won" for end in ends)


async def state(url: str, waiting: Waiting) -> tuple[Any, ...]:
    """The status, reason and seq of an attempt's row."""
    found = await row(url, waiting)
    return found["status"], found["reason"], found["seq"]


async def count(url: str, table: str) -> int:
    """The number of rows in a table."""
    (found,) = await rows(url, f"SELECT COUNT(*) AS n FROM {table}")  # noqa: S608 - a constant
    number: int = found["n"]
    return number


async def test_first_scan_claims(store: Store, database_url: str) -> None:
    """Of fifty people who come back from the consent at once one claims, and the others change nothing."""
    desk = Desk(store, MemoryBroker(), burn=False)
    waiting = await desk.begin()
    ends = await race(desk.scan(waiting, f"person{number}") for number in range(RACERS))
    assert ends == {"won": 1, "AlreadyClaimed": RACERS - 1}
    assert await state(database_url, waiting) == ("scanned", None, 2)


async def test_second_scan_burns(desks: tuple[Desk, Desk], database_url: str) -> None:
    """Of fifty people at two processes one claims, a second one burns the attempt, no other moves it."""
    waiting = await desks[0].begin()
    ends = await race(desks[number % 2].scan(waiting, f"person{number}") for number in range(RACERS))
    assert ends == {"won": 1, "AlreadyClaimed": RACERS - 1}
    assert await state(database_url, waiting) == ("failed", "already_claimed", 3)


async def test_one_person_scans_often(desks: tuple[Desk, Desk], database_url: str) -> None:
    """The same person may scan as often as she likes: one claim, and a grant each time."""
    waiting = await desks[0].begin()
    ends = await race(desks[number % 2].scan(waiting) for number in range(RACERS))
    assert ends == {"won": RACERS}
    assert await state(database_url, waiting) == ("scanned", None, 2)


async def test_one_confirmation(desks: tuple[Desk, Desk], database_url: str) -> None:
    """Fifty parallel confirmations make one move and one account."""
    waiting = await desks[0].begin()
    await desks[0].scan(waiting)
    ends = await race(desks[number % 2].answer(waiting) for number in range(RACERS))
    assert ends == {"won": 1, "WrongState": RACERS - 1}
    assert await state(database_url, waiting) == ("confirmed", None, 3)
    assert await count(database_url, "users") == 1


@pytest.mark.parametrize("overdue", [False, True])
async def test_one_end(
    desks: tuple[Desk, Desk], database_url: str, monkeypatch: pytest.MonkeyPatch, overdue: bool
) -> None:
    """Of confirm, decline, report, cancel and, at a process whose clock is ahead, expiry one happens."""
    here, ahead = desks
    Stopped(here.store, monkeypatch.setattr)
    Stopped(ahead.store, monkeypatch.setattr).forward(LIVES.scanned + 60 if overdue else 0)
    waiting = await here.begin()
    await here.scan(waiting)
    ends = await race(
        act
        for _ in range(5)
        for act in (
            *(here.answer(waiting, answer=answer) for answer in Answer),
            here.cancel(waiting),
            *([ahead.attempts.snapshot(waiting.session_id)] if overdue else []),
        )
    )
    status, reason, seq = await state(database_url, waiting)
    polls, winners = 5 if overdue else 0, int(status != "expired")  # a poll is never refused
    refusal = {"confirmed": "WrongState", "expired": "AttemptExpired", "failed": "AttemptFailed"}[status]
    assert ends == Counter({"won": polls + winners, refusal: 20 - winners})
    assert (reason is None) == (status != "failed")
    assert seq == 3
    # The account is made in the transaction of the move: without the move there is none.
    assert await count(database_url, "users") == (status == "confirmed")


async def test_one_redemption(desks: tuple[Desk, Desk], database_url: str) -> None:
    """Of fifty parallel redemptions one gets tokens, and one session is there."""
    waiting = await desks[0].confirmed()
    ends = await race(desks[number % 2].redeem(waiting) for number in range(RACERS))
    assert ends == {"won": 1, "AlreadyRedeemed": RACERS - 1}
    assert await count(database_url, "user_sessions") == 1
    assert await count(database_url, "login_logs") == 1


async def test_redemption_beside_the_confirmation(desks: tuple[Desk, Desk]) -> None:
    """Whoever redeems while the person confirms is early or gets the tokens, and nothing else."""
    for _ in range(5):
        waiting = await desks[0].begin()
        await desks[0].scan(waiting)
        ends = await race(
            [desks[0].answer(waiting), *(desks[number % 2].redeem(waiting) for number in range(10))]
        )
        assert ends["won"] in (1, 2)
        assert ends.total() == ends["won"] + ends["NotConfirmed"] + ends["AlreadyRedeemed"]


async def test_one_account_for_many_attempts(desks: tuple[Desk, Desk], database_url: str) -> None:
    """A new person who confirms on twenty screens at once gets one account."""
    waitings = [await desks[0].begin() for _ in range(20)]
    for waiting in waitings:
        await desks[0].scan(waiting)
    ends = await race(desks[number % 2].answer(waiting) for number, waiting in enumerate(waitings))
    assert ends == {"won": 20}
    assert await count(database_url, "users") == 1
    users = {(await row(database_url, waiting))["user_id"] for waiting in waitings}
    assert len(users) == 1


async def test_one_rotation(desks: tuple[Desk, Desk], database_url: str) -> None:
    """Thirty watchers that see the code end at the same moment get one new code."""
    waiting = await desks[0].begin()
    soon = desks[0].store.now() + timedelta(seconds=0.3)
    await execute(
        database_url, "UPDATE login_sessions SET qr_expires_at = :qr_expires_at", qr_expires_at=soon
    )

    async def watch(desk: Desk) -> list[tuple[int, str | None]]:
        async with Follower(desk.attempts, waiting.session_id) as follower:
            snapshots = [await follower.next(), await follower.next()]
            return [(snapshot.seq, snapshot.qr_code) for snapshot in snapshots]

    async with asyncio.timeout(20):
        told = await asyncio.gather(*(watch(desks[number % 2]) for number in range(30)))
    new_code = (await row(database_url, waiting))["qr_code"]
    assert new_code != waiting.qr_code
    assert told == [[(1, waiting.qr_code), (2, new_code)]] * 30


async def test_one_rotation_of_many(desks: tuple[Desk, Desk], database_url: str) -> None:
    """Ten times at once each of twenty codes is replaced, save those that a scan comes before: once each."""
    waitings = [await desks[0].begin() for _ in range(20)]
    attempts = [await desks[0].attempts.by_session(waiting.session_id) for waiting in waitings]
    some = random.sample(waitings, 10)
    ends = await asyncio.gather(
        *(desks[number % 2].attempts.rotate(random.sample(attempts, 20)) for number in range(10)),
        *(desks[1].scan(waiting) for waiting in some),
    )
    stored = {attempt.id: await desks[0].attempts.by_id(attempt.id) for attempt in attempts}
    for waiting, attempt in zip(waitings, attempts, strict=True):
        now = stored[attempt.id]
        scans = now.status is not Status.PENDING
        assert scans == (waiting in some)
        rotations = now.qr_code != attempt.qr_code
        assert now.seq == 1 + scans + rotations
        assert rotations or scans
        assert now.previous_qr_code == (attempt.qr_code if rotations else None)
        codes = {each.qr_code for end in ends if isinstance(end, list) for each in end if each.id == now.id}
        assert codes <= {attempt.qr_code, now.qr_code}


async def test_one_successor(desks: tuple[Desk, Desk], database_url: str) -> None:
    """Twenty tabs that renew one attempt go on with one new one, and none is left over."""
    waiting = await desks[0].begin()
    await desks[0].cancel(waiting)
    successors = await asyncio.gather(*(desks[number % 2].renew(waiting) for number in range(20)))
    assert len({successor.id for successor in successors}) == 1
    assert await count(database_url, "login_sessions") == 2


async def test_newest_is_told_last(broker: Broker, sqlite_url: str) -> None:
    """However the moves' publications overtake each other, watchers and snapshot end with the newest."""
    store = Store(sqlite_url)
    await store.start()
    desk = Desk(store, broker)
    waiting = await desk.begin()
    attempt = await desk.attempts.by_session(waiting.session_id)

    async def watch() -> list[int]:
        seqs: list[int] = []
        async with Follower(desk.attempts, waiting.session_id) as follower:
            watching.release()
            while not seqs or seqs[-1] < 100:
                seqs.append((await follower.next()).seq)
        return seqs

    watching = asyncio.Semaphore(0)
    watchers = [asyncio.create_task(watch()) for _ in range(10)]
    for _ in watchers:
        await watching.acquire()
    moves: list[Attempt] = [replace(attempt, seq=seq) for seq in range(2, 101)]
    random.shuffle(moves)
    await asyncio.gather(*map(desk.attempts.tell, moves))
    async with asyncio.timeout(20):
        for seqs in await asyncio.gather(*watchers):
            assert seqs == sorted(set(seqs))
    held = await broker.snapshot(attempt.channel)
    assert held is not None
    assert Snapshot.from_message(held[0]).seq == 100
    await store.stop()
