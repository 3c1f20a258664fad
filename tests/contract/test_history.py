"""The login history on both engines: order, pages, and whose rows they are."""

import json
from datetime import timedelta

from hub.audit.history import FIRST, Cursor, LoginHistory
from hub.audit.log import LoginLog
from hub.audit.rules import Signal, risk
from hub.store.database import Row, Store
from tests.signing_in import LAPTOP, NOWHERE, make_user


async def record(store: Store, user: Row | None, account: str, seconds: float = 0) -> None:
    """Put a failed try on record, so many seconds from now."""
    await LoginLog(NOWHERE).record_alone(
        store,
        user_id=user["id"] if user else None,
        account=account,
        method="password",
        status="failed",
        reason="invalid_code",
        device=LAPTOP,
        now=store.now() + timedelta(seconds=seconds),
    )


async def walk(store: Store, user: Row, limit: int) -> list[list[int]]:
    """Read all pages of a person's history and return their ids."""
    pages: list[list[int]] = []
    after: Cursor | None = FIRST
    while after is not None:
        page = await LoginHistory(store).page(user["id"], after, limit)
        pages.append([row["id"] for row in page.rows])
        after = page.next and Cursor.parse(page.next.text())
    return pages


async def test_newest_first(store: Store) -> None:
    """The time of the try decides, not the order in which the rows were written."""
    user = await make_user(store)
    for seconds in (-10, 0, -20):
        await record(store, user, "a", seconds)
    [ids] = await walk(store, user, 10)
    assert ids == [ids[1] + 1, ids[1], ids[1] + 2]


async def test_pages_within_one_millisecond(store: Store) -> None:
    """Rows of one instant are told once each, whatever the size of the page."""
    user = await make_user(store)
    now = store.now()
    for _ in range(7):
        await LoginLog(NOWHERE).record_alone(
            store, user_id=user["id"], account="a", method="wechat", status="success", device=LAPTOP, now=now
        )
    [ids] = await walk(store, user, 10)
    assert len(ids) == 7
    assert ids == sorted(ids, reverse=True)
    assert await walk(store, user, 3) == [ids[:3], ids[3:6], ids[6:]]
    assert await walk(store, user, 7) == [ids]


async def test_what_is_new_does_not_shift_a_page(store: Store) -> None:
    """A try between two pages is neither told on the second nor pushes a row out of it."""
    user = await make_user(store)
    for seconds in range(4):
        await record(store, user, "a", seconds - 10)
    first = await LoginHistory(store).page(user["id"], FIRST, 2)
    await record(store, user, "a")
    assert first.next
    second = await LoginHistory(store).page(user["id"], first.next, 2)
    ids = [row["id"] for row in (*first.rows, *second.rows)]
    assert ids == [ids[0], ids[0] - 1, ids[0] - 2, ids[0] - 3]


async def test_only_own_rows(store: Store) -> None:
    """Another account's tries, and those of no account, are never told, by no cursor."""
    alice, bob = await make_user(store, "oAlice"), await make_user(store, "oBob")
    await record(store, alice, "alice")
    await record(store, bob, "bob")
    await record(store, None, "nobody")
    [[mine]] = await walk(store, alice, 10)
    [[others]] = await walk(store, bob, 10)
    assert mine != others
    after = Cursor(store.now() + timedelta(hours=1), others)
    page = await LoginHistory(store).page(alice["id"], after, 10)
    assert [row["id"] for row in page.rows] == [mine]


async def test_only_the_unusual(store: Store) -> None:
    """Asked for what is unusual, the history leaves out what nobody would be told of."""
    user = await make_user(store)
    for signals in ((), (Signal.NEW_NETWORK,), (Signal.NEW_DEVICE,), (Signal.NEW_NETWORK, Signal.REPORTED)):
        await LoginLog(NOWHERE).record_alone(
            store,
            user_id=user["id"],
            account="a",
            method="wechat",
            status="success",
            device=LAPTOP,
            risk=risk(signals),
            now=store.now(),
        )
    page = await LoginHistory(store).page(user["id"], FIRST, 10, unusual=True)
    assert [json.loads(row["risk"])["score"] for row in page.rows] == [6, 3]
