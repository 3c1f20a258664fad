"""Account events on both engines: kept with their cause, without gaps, announced after the commit."""

import asyncio
from functools import partial

import pytest

from hub.realtime.broker import Broker
from hub.realtime.watch import Message
from hub.store.database import Connection, Row, Store
from hub.tokens.events import AccountEvents, channel
from tests.signing_in import execute, make_user
from tests.watch import watch_of

RACERS = 20


@pytest.fixture
async def user(store: Store) -> Row:
    """An account."""
    return await make_user(store)


@pytest.fixture
def events(store: Store, broker: Broker) -> AccountEvents:
    """Events over each pair of back ends."""
    return AccountEvents(store, broker)


async def append(store: Store, events: AccountEvents, user: Row, word: str = "x") -> None:
    """Write one event in a transaction of its own."""

    async def work(tx: Connection) -> None:
        await events.append(tx, user["id"], "security.alert", {"word": word}, store.now())

    await store.write(work)


async def test_events_are_read_in_order(store: Store, events: AccountEvents, user: Row) -> None:
    """Each with its type, payload and time; a reader names the last seq it knows."""
    before = store.now()
    for word in ("一", "two", "three"):
        await append(store, events, user, word)
    found = await events.after(user["id"], 1)
    assert [(event.seq, event.type, event.payload) for event in found] == [
        (2, "security.alert", {"word": "two"}),
        (3, "security.alert", {"word": "three"}),
    ]
    assert before <= found[0].created_at <= store.now()
    assert (await events.after(user["id"], 0))[0].payload == {"word": "一"}
    assert await events.newest([user["id"]]) == {user["id"]: 3}


async def test_parallel_events_leave_no_gap(store: Store, events: AccountEvents, user: Row) -> None:
    """Twenty transactions at once, half of which fail after writing: those committed count from 1 on."""

    async def work(fail: bool, tx: Connection) -> None:
        await events.append(tx, user["id"], "login.failed", {}, store.now())
        if fail:
            raise RuntimeError("rolled back")

    racers = [store.write(partial(work, number % 2 == 1)) for number in range(RACERS)]
    outcomes = await asyncio.gather(*racers, return_exceptions=True)
    assert sum(isinstance(outcome, RuntimeError) for outcome in outcomes) == RACERS // 2
    assert [event.seq for event in await events.after(user["id"], 0)] == list(range(1, RACERS // 2 + 1))


async def test_numbers_go_on_after_old_events_are_removed(
    store: Store, events: AccountEvents, user: Row, database_url: str
) -> None:
    """A client that knows seq 1 must not take the next event for that one."""
    await append(store, events, user)
    await execute(database_url, "DELETE FROM account_events")
    await append(store, events, user)
    assert [event.seq for event in await events.after(user["id"], 1)] == [2]


async def test_accounts_are_numbered_by_themselves(store: Store, events: AccountEvents, user: Row) -> None:
    """Nobody reads another account's events."""
    other = await make_user(store, "oXyZ")
    await append(store, events, other)
    await append(store, events, user)
    assert [event.seq for event in await events.after(user["id"], 0)] == [1]
    assert await events.newest([user["id"], other["id"], 9_999_999]) == {user["id"]: 1, other["id"]: 1}


async def test_an_account_that_is_gone_is_told_nothing(store: Store, events: AccountEvents) -> None:
    """An event about it is no error."""
    await append(store, events, {"id": 9_999_999})
    await events.announce(9_999_999)
    assert await events.after(9_999_999, 0) == []


async def test_announcing_tells_how_far_the_events_go(
    store: Store, events: AccountEvents, user: Row, broker: Broker
) -> None:
    """A watcher of the account's channel gets the newest seq and no content."""
    with watch_of(broker, channel(user["id"])) as watch:
        await watch.next(10)  # the subscription is confirmed
        await append(store, events, user)
        await append(store, events, user)
        await events.announce(user["id"])
        assert await watch.next(10) == Message(2, b"")


async def test_announcing_needs_no_database(store: Store, events: AccountEvents, user: Row) -> None:
    """The commit has happened: that the database goes away now is nobody's error."""
    await append(store, events, user)
    await store.stop()
    await events.announce(user["id"])
