"""Parallel confirms of one person: always one account."""

import asyncio

import pytest

from hub.store.database import Store
from tests.signing_in import execute, make_user, rows, warm

RACERS = 20


async def test_one_openid_makes_one_account(store: Store, database_url: str) -> None:
    """Twenty first confirms of one openid all end in the same new account."""
    await warm(store)
    users = await asyncio.gather(*(make_user(store, "oRace") for _ in range(RACERS)))
    assert len({user["id"] for user in users}) == 1
    for table in ("users", "wechat_users", "user_login_types"):
        assert len(await rows(database_url, f"SELECT id FROM {table}")) == 1, table  # noqa: S608 - constants


async def test_one_unionid_makes_one_account(store: Store, database_url: str) -> None:
    """First confirms of one unionid through different openids all end in the same new account."""
    await warm(store)
    users = await asyncio.gather(*(make_user(store, f"oRace{number}", unionid="uni") for number in range(6)))
    assert len({user["id"] for user in users}) == 1
    assert len(await rows(database_url, "SELECT id FROM users")) == 1
    assert len(await rows(database_url, "SELECT id FROM wechat_users")) == 6


@pytest.mark.parametrize("unionid", [None, "uni"])
async def test_unbound_identity_gets_one_account(
    store: Store, database_url: str, unionid: str | None
) -> None:
    """Twenty confirms of an identity whose account is gone bind it once."""
    first = await make_user(store, "oRace", unionid=unionid)
    await execute(database_url, "DELETE FROM users WHERE id = :id", id=first["id"])
    await warm(store)
    users = await asyncio.gather(*(make_user(store, "oRace", unionid=unionid) for _ in range(RACERS)))
    assert len({user["id"] for user in users}) == 1
    assert len(await rows(database_url, "SELECT id FROM users")) == 1
