"""Parallel sign-ins of one person through several doors and processes: always one account."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from hub.accounts.bindings import Bindings, Changed
from hub.accounts.identities import Identity, find_or_create
from hub.realtime.memory import MemoryBroker
from hub.store.database import Row, Store
from hub.tokens.events import AccountEvents
from tests.signing_in import execute, make_sessions, rows, warm

RACERS = 50


@pytest.fixture
async def processes(store: Store, database_url: str) -> AsyncIterator[tuple[Store, Store]]:
    """The stores of two processes over one database."""
    other = Store(database_url)
    await other.start()
    await warm(store)
    await warm(other)
    yield store, other
    await other.stop()


async def enter(store: Store, appid: str, openid: str, unionid: str | None) -> Row:
    """Sign a person in."""
    identity = Identity(appid, openid, unionid, nickname="Li")
    return await store.write(lambda tx: find_or_create(tx, identity, store.now()))


async def accounts(database_url: str) -> int:
    """How many accounts there are, each with its login type."""
    users = await rows(database_url, "SELECT id FROM users ORDER BY id")
    kinds = await rows(database_url, "SELECT user_id AS id FROM user_login_types ORDER BY user_id")
    assert users == kinds
    return len(users)


async def test_two_doors_at_once_make_one_account(store: Store, database_url: str) -> None:
    """Fifty first sign-ins through two apps of one owner."""
    await warm(store)
    users = await asyncio.gather(
        *(enter(store, f"wx{number % 2}", f"oLi{number % 2}", "uLi") for number in range(RACERS))
    )
    assert len({user["id"] for user in users}) == 1
    assert await accounts(database_url) == 1
    known = await rows(database_url, "SELECT uid FROM wechat_users")
    assert [row["uid"] for row in known] == [users[0]["id"]] * 2


@pytest.mark.parametrize("unionid", [None, "uLi"])
async def test_two_processes_make_one_account(
    processes: tuple[Store, Store], database_url: str, unionid: str | None
) -> None:
    """First sign-ins of one person in both; with a unionid through another door in each."""
    users = await asyncio.gather(
        *(
            enter(processes[number % 2], f"wx{number % 2 if unionid else 0}", "oLi", unionid)
            for number in range(20)
        )
    )
    assert len({user["id"] for user in users}) == 1
    assert await accounts(database_url) == 1


async def test_a_late_unionid_meets_a_first_sign_in(
    processes: tuple[Store, Store], database_url: str
) -> None:
    """An account learns its unionid while the same person comes through another door for the first time.

    Whichever is first, the unionid leads to one account for good.
    """
    for number in range(10):
        openid, unionid = f"oLi{number}", f"uLi{number}"
        mine = await enter(processes[0], "wx1", openid, None)
        again, other = await asyncio.gather(
            enter(processes[0], "wx1", openid, unionid), enter(processes[1], "wx2", openid, unionid)
        )
        assert again["id"] == mine["id"]
        owners = {
            row["uid"]
            for row in await rows(database_url, "SELECT uid, unionid FROM wechat_users")
            if row["unionid"] == unionid
        }
        assert owners == {other["id"]}
        assert (await enter(processes[0], "wx3", openid, unionid))["id"] == other["id"]


async def test_two_accounts_learn_one_unionid(processes: tuple[Store, Store], database_url: str) -> None:
    """Both turn out to be one person at the same moment: the unionid is one account's only."""
    for number in range(10):
        openid, unionid = f"oLi{number}", f"uLi{number}"
        before = [await enter(processes[0], f"wx{door}", openid, None) for door in range(2)]
        after = await asyncio.gather(
            *(enter(processes[door], f"wx{door}", openid, unionid) for door in range(2))
        )
        assert [user["id"] for user in after] == [user["id"] for user in before]
        known = await rows(database_url, "SELECT unionid FROM wechat_users")
        assert [row["unionid"] for row in known].count(unionid) == 1


async def test_unfollowing_meets_signing_in(store: Store, database_url: str) -> None:
    """Whichever is last, the rows fit together: who signed in last is bound, or nobody is."""
    broker = MemoryBroker()
    bindings = Bindings(store, make_sessions(store, broker), AccountEvents(store, broker))
    await warm(store)
    for number in range(8):
        openid, phone = f"oLi{number}", f"+86138001380{number:02d}"
        first = await enter(store, "wx1", openid, None)
        await execute(
            database_url, "UPDATE users SET phone = :phone WHERE id = :id", phone=phone, id=first["id"]
        )

        async def unfollow(openid: str = openid) -> Changed | None:
            return await store.write(lambda tx: bindings.forget_wechat(tx, "wx1", openid, store.now()))

        forgotten, users = await asyncio.gather(
            unfollow(), asyncio.gather(*(enter(store, "wx1", openid, None) for _ in range(4)))
        )
        assert forgotten == Changed(first["id"], "wechat", False, None)
        after = {user["id"] for user in users} - {first["id"]}
        known = await rows(database_url, f"SELECT id, uid FROM wechat_users WHERE openid = '{openid}'")  # noqa: S608
        assert [row["uid"] for row in known] == list(after)
        (kind,) = await rows(
            database_url,
            f"SELECT login_type, wechat_user_id FROM user_login_types WHERE user_id = {first['id']}",  # noqa: S608
        )
        assert kind == {"login_type": "phone", "wechat_user_id": None}
