"""Many tasks at one store: one winner, nothing lost, nothing left behind by those that were cancelled."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from hub.errors import StoreUnavailable
from hub.store.connector import CONNECTIONS
from hub.store.database import Connection, Store
from hub.store.workers import RETRIES, WAITING

NOW = datetime(2025, 3, 4, 5, 6, 7, tzinfo=UTC)


@pytest.fixture
async def narrow(probe_queries: None, database_url: str) -> AsyncIterator[Store]:
    """A store of one writing connection that makes nobody wait longer than 0.3 s."""
    store = Store(database_url, connections=1, wait=0.3)
    await store.start()
    yield store
    await store.stop()


async def add(db: Store | Connection, payload: str = "") -> int:
    """Insert an outbox row and return the id."""
    return await db.insert("probe.add_message", payload=payload, created_at=NOW)


async def payloads(store: Store) -> list[str]:
    """The payload of every outbox row."""
    return [row["payload"] for row in await store.all("probe.messages")]


async def all_serve(store: Store, count: int) -> None:
    """Pass only if *count* reading connections work at the same moment."""
    together = asyncio.Barrier(count)

    async def work(db: Connection) -> None:
        await db.all("probe.messages")
        await together.wait()

    async with asyncio.timeout(5):
        await asyncio.gather(*(store.read(work) for _ in range(count)))


async def test_a_conditional_update_has_one_winner(probe: Store) -> None:
    """50 transactions that claim one row: one counts a change, and what it wrote is what stands."""
    message = await add(probe)

    async def claim(name: str) -> int:
        async def work(tx: Connection) -> int:
            won = await tx.changed("probe.claim_message", id=message, payload=name)
            if won:
                await add(tx, f"after {name}")
            return won

        return await probe.write(work)

    names = [f"racer {number}" for number in range(50)]
    wins = await asyncio.gather(*(claim(name) for name in names))
    assert sum(wins) == 1
    winner = names[wins.index(1)]
    assert sorted(await payloads(probe)) == sorted([winner, f"after {winner}"])


async def test_a_conditional_update_of_its_own_has_one_winner(probe: Store) -> None:
    """The same without a transaction around it."""
    message = await add(probe)
    wins = await asyncio.gather(
        *(probe.changed("probe.claim_message", id=message, payload=str(number)) for number in range(50))
    )
    assert sum(wins) == 1
    assert await payloads(probe) == [str(wins.index(1))]


async def test_two_hundred_writers_all_get_through(probe: Store) -> None:
    """200 parallel transactions on one row, each of two statements: none fails, none is lost."""
    message = await add(probe)

    async def work(tx: Connection) -> None:
        await tx.changed("probe.count_up", id=message)
        await add(tx)

    await asyncio.gather(*(probe.write(work) for _ in range(200)))
    row = await probe.one("probe.message", id=message)
    assert row is not None
    assert row["attempts"] == 200
    assert len(await payloads(probe)) == 201


async def test_two_processes_write_one_file_in_turn(probe_queries: None, sqlite_url: str) -> None:
    """Two stores on one SQLite file, as in two processes: units that read first never have to run twice."""
    stores = [Store(sqlite_url), Store(sqlite_url)]
    for store in stores:
        await store.start()
    message = await add(stores[0])
    retried = RETRIES.labels("contended")._value.get()

    async def work(tx: Connection) -> None:
        assert await tx.one("probe.message", id=message)
        await tx.changed("probe.count_up", id=message)

    await asyncio.gather(*(store.write(work) for store in stores * 50))
    row = await stores[0].one("probe.message", id=message)
    assert row is not None
    assert row["attempts"] == 100
    assert RETRIES.labels("contended")._value.get() == retried
    for store in stores:
        await store.stop()


async def test_a_begun_unit_ends_though_its_caller_is_gone(probe: Store) -> None:
    """Cancelling the caller in the middle of a transaction does not cancel the transaction."""
    begun, go_on, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work(tx: Connection) -> None:
        await add(tx, "first")
        begun.set()
        await go_on.wait()
        await add(tx, "second")
        ended.set()

    caller = asyncio.create_task(probe.write(work))
    await begun.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    go_on.set()
    await ended.wait()
    async with asyncio.timeout(5):
        while await payloads(probe) != ["first", "second"]:
            pass  # its commit is under way, and nobody is told of it


async def test_a_unit_that_waits_too_long_fails_and_never_runs(narrow: Store) -> None:
    """With the only connection taken, the next caller gets StoreUnavailable, and nothing happens later."""
    go_on, begun = asyncio.Event(), asyncio.Event()

    async def hold(tx: Connection) -> None:
        begun.set()
        await go_on.wait()

    holder = asyncio.create_task(narrow.write(hold))
    await begun.wait()
    async with asyncio.timeout(5):
        with pytest.raises(StoreUnavailable, match=r"no connection within 0\.3 s") as caught:
            await add(narrow, "late")
    assert caught.value.retry_after
    go_on.set()
    await holder
    await add(narrow, "in time")
    assert await payloads(narrow) == ["in time"]


async def test_a_unit_that_is_cancelled_while_it_waits_never_runs(narrow: Store) -> None:
    """Its caller is gone before it begun, so nobody wants it any more."""
    go_on, begun = asyncio.Event(), asyncio.Event()

    async def hold(tx: Connection) -> None:
        begun.set()
        await go_on.wait()

    holder = asyncio.create_task(narrow.write(hold))
    await begun.wait()
    waiting = WAITING._value.get()
    waiter = asyncio.create_task(add(narrow, "cancelled"))
    await asyncio.sleep(0)
    assert WAITING._value.get() == waiting + 1
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert WAITING._value.get() == waiting
    go_on.set()
    await holder
    await add(narrow, "wanted")
    assert await payloads(narrow) == ["wanted"]


async def test_units_are_served_in_their_order(narrow: Store) -> None:
    """Who came first is served first."""
    await asyncio.gather(*(add(narrow, f"{number:02}") for number in range(40)))
    assert await payloads(narrow) == [f"{number:02}" for number in range(40)]


@pytest.mark.timeout(90)
async def test_a_cancel_storm_leaves_nothing_behind(probe_queries: None, database_url: str) -> None:
    """40 rounds of 30 callers, 70 % cancelled: no hang, no lost connection, no half transaction."""
    chance = random.Random(7)  # noqa: S311 - the same storm each time
    before = CONNECTIONS._value.get()
    store = Store(database_url, connections=5)
    await store.start()
    fates: dict[str, bool] = {}  # tag → the caller got its answer

    async def pair(tag: str) -> None:
        async def work(tx: Connection) -> None:
            await add(tx, tag)
            await tx.all("probe.messages")
            await add(tx, tag)

        await store.write(work)
        fates[tag] = True

    async def look(tag: str) -> None:
        rows = await store.all("probe.users_among", id=[1, 2, 3])
        assert rows == []
        row = await store.one("probe.connection_id")
        assert row is not None
        assert row.keys() == {"id"}

    for number in range(40):
        tags = [f"{number}-{caller}" for caller in range(30)]
        tasks = [asyncio.create_task((pair if chance.random() < 0.6 else look)(tag)) for tag in tags]
        for task in tasks:
            if chance.random() < 0.7:
                asyncio.get_running_loop().call_later(chance.random() * 0.03, task.cancel)
        async with asyncio.timeout(20):
            answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert not [
            a for a in answers if isinstance(a, BaseException) and not isinstance(a, asyncio.CancelledError)
        ]

    await all_serve(store, 5 if store.engine == "mysql" else 4)
    await add(store, "last")  # on SQLite: every begun unit is over now
    counts = Counter(await payloads(store))
    assert {counts[tag] for tag in fates} == {2}
    assert set(counts.values()) <= {1, 2}
    assert [tag for tag, count in counts.items() if count == 1] == ["last"]
    assert WAITING._value.get() == 0
    await store.stop()
    assert CONNECTIONS._value.get() == before
