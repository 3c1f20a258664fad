"""A scan at the official account of somebody whose profile is old, with WeChat's sandbox behind it."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from hub.accounts.identities import Identity, SealedTokens, find_or_create
from hub.realtime.memory import MemoryBroker
from hub.store.database import Connection, Row, Store
from hub.wechat.client import WeChatClient
from tests import following as at
from tests.following import APP, BACK, DATA_KEYS, Following
from tests.signing_in import execute, rows


@pytest.fixture(scope="module")
def wechat() -> Iterator[str]:
    """WeChat."""
    with at.wechat() as url:
        yield url


@pytest.fixture
async def door(store: Store, wechat: str) -> AsyncIterator[Following]:
    """The door, on each engine in turn."""
    async with at.following(store, MemoryBroker(), wechat) as door:
        yield door


async def signed_in(door: Following, store: Store, person: str = "alice") -> None:
    """Let *person* sign in within WeChat, by the account's own consent page."""
    client = WeChatClient(door.transport, door.url)
    url = client.consent_url(APP, BACK, "snsapi_userinfo", "state")
    answer = httpx2.get(url.partition("#")[0], headers={"x-sandbox-person": person})
    code = parse_qs(urlsplit(answer.headers["location"]).query)["code"][0]
    consented = await client.person(APP, code)
    tokens = SealedTokens.seal(DATA_KEYS, consented, store.now())

    async def work(tx: Connection) -> Row:
        return await find_or_create(tx, Identity.from_person(consented, tokens), store.now())

    await store.write(work)


@pytest.mark.parametrize(("days", "read"), [(6, False), (8, True)])
async def test_an_old_name_is_read_again_behind_the_reply(
    door: Following, store: Store, database_url: str, wechat: str, days: int, read: bool
) -> None:
    """Name and picture of a week ago follow WeChat after the scan; younger ones are left alone."""
    await signed_in(door, store)
    moment = (store.now() - timedelta(days=days)).strftime("%Y-%m-%d %H:%M:%S.%f")[:23]
    await execute(
        database_url,
        "UPDATE wechat_users SET nickname = :old, profile_read_at = :moment, created_at = :moment",
        old="Alice of old",
        moment=moment,
    )
    httpx2.delete(f"{wechat}/requests")
    assert await door.scan(await door.begin())
    await door.settled()
    (row,) = await rows(database_url, "SELECT nickname FROM wechat_users")
    assert (row["nickname"] != "Alice of old") is read
    calls = [call["path"] for call in httpx2.get(f"{wechat}/requests").json()]
    assert calls.count("/sns/userinfo") == int(read)
