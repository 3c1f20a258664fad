"""What is left of a person in WeChat who has unfollowed the official account, on both engines."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from hub.accounts.bindings import Bindings, Changed
from hub.accounts.identities import Identity, SealedTokens, find_or_create
from hub.realtime.memory import MemoryBroker
from hub.store.database import Connection, Row, Store
from hub.tokens.events import AccountEvents
from hub.tokens.service import Sessions
from tests.signing_in import execute, make_sessions, rows, sign_in, warm

APP = "wx1"
TOLD: dict[str, Any] = {
    "nickname": "李娜",
    "avatar_url": "https://thirdwx.qlogo.cn/1",
    "gender": 2,
    "city": "杭州",
}
PERSONAL = (
    "nickname", "avatar_url", "country", "province", "city", "language", "session_key", "access_token",
    "refresh_token", "expires_at",
)  # fmt: skip


@pytest.fixture
async def sessions(store: Store) -> AsyncIterator[Sessions]:
    """Started sessions."""
    sessions = make_sessions(store, MemoryBroker())
    await sessions.start()
    yield sessions
    await sessions.stop()


@pytest.fixture
def bindings(store: Store, sessions: Sessions) -> Bindings:
    """The service."""
    return Bindings(store, sessions, AccountEvents(store, MemoryBroker()))


async def come(store: Store, openid: str = "oLi", **members: Any) -> Row:
    """Sign a person in who tells all that WeChat knows, and return the account."""
    tokens = SealedTokens("v1.access", "v1.refresh", store.now())
    told = {"appid": APP, "country": "中国", "province": "浙江", "language": "zh_CN", **TOLD, **members}
    identity = Identity(openid=openid, tokens=tokens, **told)

    async def work(tx: Connection) -> Row:
        return await find_or_create(tx, identity, store.now())

    return await store.write(work)


async def unfollow(store: Store, bindings: Bindings, openid: str = "oLi") -> Changed | None:
    """Do what the push of an unfollowing asks for."""

    async def work(tx: Connection) -> Changed | None:
        return await bindings.forget_wechat(tx, APP, openid, store.now())

    changed = await store.write(work)
    if changed:
        await bindings.announce(changed)
    return changed


async def told(database_url: str) -> list[dict[str, object]]:
    """What the accounts' clients were told of bindings."""
    events = await rows(database_url, "SELECT payload FROM account_events WHERE type = 'binding.changed'")
    return [json.loads(event["payload"]) for event in events]


async def test_an_account_with_another_way_in_is_unbound(
    store: Store, bindings: Bindings, sessions: Sessions, database_url: str
) -> None:
    """The identity and what was copied from it go, the account stays, is told, and stays signed in."""
    user = await come(store)
    await execute(database_url, "UPDATE users SET phone = '+8613800138000'")
    tokens = await sign_in(store, sessions, user)
    changed = await unfollow(store, bindings)
    assert changed == Changed(user["id"], "wechat", False, None)
    assert await rows(database_url, "SELECT id FROM wechat_users") == []
    (account,) = await rows(database_url, "SELECT id, phone, nickname, avatar_url, gender FROM users")
    assert account == {
        "id": user["id"], "phone": "+8613800138000", "nickname": None, "avatar_url": None, "gender": None,
    }  # fmt: skip
    (kind,) = await rows(database_url, "SELECT login_type, wechat_user_id FROM user_login_types")
    assert kind == {"login_type": "phone", "wechat_user_id": None}
    assert await told(database_url) == [{"provider": "wechat", "bound": False}]
    assert (await sessions.verify(tokens.access_token)).user_id == user["id"]


async def test_the_only_way_in_keeps_its_identifiers(
    store: Store, bindings: Bindings, database_url: str
) -> None:
    """Everything else is deleted, and the person comes back to the same account."""
    user = await come(store, unionid="uLi")
    assert await unfollow(store, bindings) is None
    (known,) = await rows(database_url, "SELECT * FROM wechat_users")
    assert {known[name] for name in PERSONAL} == {None}
    assert known["gender"] == 0
    assert (known["appid"], known["openid"], known["unionid"]) == (APP, "oLi", "uLi")
    (account,) = await rows(database_url, "SELECT nickname, avatar_url, gender FROM users")
    assert set(account.values()) == {None}
    (kind,) = await rows(database_url, "SELECT login_type, wechat_user_id FROM user_login_types")
    assert kind == {"login_type": "wechat", "wechat_user_id": known["id"]}
    assert await told(database_url) == []
    assert (await come(store))["id"] == user["id"]


async def test_another_identity_of_the_person_is_a_way_in(
    store: Store, bindings: Bindings, database_url: str
) -> None:
    """Who is bound through two apps stays bound through the other one, whose data stay too."""
    user = await come(store, unionid="uLi")
    other = {"appid": "wx2", "unionid": "uLi"}
    assert (await come(store, "oOther", **other))["id"] == user["id"]
    assert await unfollow(store, bindings) == Changed(user["id"], "wechat", True, None)
    (left,) = await rows(database_url, "SELECT id, appid, nickname, access_token FROM wechat_users")
    assert (left["appid"], left["nickname"], left["access_token"]) == ("wx2", "李娜", "v1.access")
    (kind,) = await rows(database_url, "SELECT login_type, wechat_user_id FROM user_login_types")
    assert kind == {"login_type": "wechat", "wechat_user_id": left["id"]}
    assert (await come(store, unionid="uLi"))["id"] == user["id"]


async def test_what_the_person_chose_here_stays(store: Store, bindings: Bindings, database_url: str) -> None:
    """A name or picture of the person's own is no copy of WeChat's."""
    await come(store)
    await execute(database_url, "UPDATE users SET nickname = 'Li Na', avatar_url = 'https://a.example/b'")
    await unfollow(store, bindings)
    (account,) = await rows(database_url, "SELECT nickname, avatar_url FROM users")
    assert account == {"nickname": "Li Na", "avatar_url": "https://a.example/b"}


async def test_an_identity_without_account_is_deleted(
    store: Store, bindings: Bindings, database_url: str
) -> None:
    """Whoever has no account leaves nothing behind, not even identifiers."""
    user = await come(store)
    await execute(database_url, "DELETE FROM users WHERE id = :id", id=user["id"])
    assert await unfollow(store, bindings) is None
    assert await rows(database_url, "SELECT id FROM wechat_users") == []


async def test_only_this_person_is_forgotten(store: Store, bindings: Bindings, database_url: str) -> None:
    """Neither an openid that differs by letter case nor an unknown one takes anybody else along."""
    await come(store, "oLi")
    await execute(database_url, "UPDATE users SET phone = '+8613800138000'")
    for openid in ("oLI", "oNobody"):
        assert await unfollow(store, bindings, openid) is None
    (known,) = await rows(database_url, "SELECT openid, nickname FROM wechat_users")
    assert known == {"openid": "oLi", "nickname": "李娜"}


async def test_a_push_that_comes_twice_counts_once(
    store: Store, bindings: Bindings, database_url: str
) -> None:
    """Of parallel ones a single one unbinds, and the account is told once."""
    await come(store)
    await execute(database_url, "UPDATE users SET phone = '+8613800138000'")
    await warm(store)
    outcomes = await asyncio.gather(*(unfollow(store, bindings) for _ in range(8)))
    assert len([outcome for outcome in outcomes if outcome]) == 1
    assert await told(database_url) == [{"provider": "wechat", "bound": False}]
