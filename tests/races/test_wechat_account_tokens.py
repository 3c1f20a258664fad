"""Many callers in two processes, one token: WeChat is asked once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from hub.store.database import Store
from hub.store.encryption import DataKeys
from hub.wechat.account_token import AccountTokens
from hub.wechat.transport import App, Transport
from tests.servers.waiting import until
from tests.servers.wechat import Platform
from tests.signing_in import execute

APP = App("wx0123456789abcdef", "0123456789abcdef0123456789abcdef")
KEYS = DataKeys(["a-data-key-of-more-than-thirty-two-bytes"])
TASKS = 100


@asynccontextmanager
async def process(url: str, address: str) -> AsyncIterator[AccountTokens]:
    """What a process of the hub has for itself: a store, a pool of connections, and the tokens."""
    store, transport = Store(url), Transport(address)
    tokens = AccountTokens(store, transport, KEYS)
    for part in (store, transport, tokens):
        await part.start()
    yield tokens
    for stopping in (tokens, transport, store):
        await stopping.stop()


async def everybodys(*processes: AccountTokens) -> set[str]:
    """Let TASKS callers in each process ask at once, and return the tokens they get."""
    calls = [tokens.token(APP) for _ in range(TASKS) for tokens in processes]
    return set(await asyncio.gather(*calls))


async def age(url: str, store: Store, *, expires_in: float) -> None:
    """Make the stored token due for renewal, with so many seconds to live."""
    now = store.now()
    await execute(
        url,
        "UPDATE wechat_account_tokens SET expires_at = :expires_at, renew_at = :renew_at",
        expires_at=(now + timedelta(seconds=expires_in)).strftime("%Y-%m-%d %H:%M:%S.%f")[:23],
        renew_at=(now - timedelta(seconds=1)).strftime("%Y-%m-%d %H:%M:%S.%f")[:23],
    )


@pytest.mark.parametrize("before", ["none", "expired", "due"])
async def test_one_call_per_life(store: Store, database_url: str, before: str) -> None:
    """Two processes of a hundred callers each ask once for a token, when there is none, or it ends."""
    platform = Platform()
    async with platform.open() as address:
        if before != "none":
            async with process(database_url, address) as tokens:
                await tokens.token(APP)
            await age(database_url, store, expires_in=-1 if before == "expired" else 100)
            platform.next_token(keep_old=True)
            platform.asked.clear()
        async with process(database_url, address) as one, process(database_url, address) as other:
            found = await everybodys(one, other)
            assert found <= ({"token1", "token2"} if before == "due" else {f"token{platform.number}"})

            async def all_have_the_last() -> bool:
                return await everybodys(one, other) == {f"token{platform.number}"}

            await until(all_have_the_last)
    assert platform.count() == 1


async def test_one_call_per_refusal(store: Store, database_url: str) -> None:
    """Two hundred callers whose token is refused replace it once, and each gets through."""
    platform = Platform()
    async with (
        platform.open() as address,
        process(database_url, address) as one,
        process(database_url, address) as other,
    ):
        assert await everybodys(one, other) == {"token1"}
        platform.next_token()
        platform.asked.clear()
        refused = asyncio.Barrier(2 * TASKS)

        async def call(tokens: AccountTokens) -> str:
            token = await tokens.token(APP)
            assert token not in platform.good
            await refused.wait()
            await tokens.refused(APP, token)
            return await tokens.token(APP)

        found = await asyncio.gather(*(call(tokens) for _ in range(TASKS) for tokens in (one, other)))
    assert set(found) == {"token2"}
    assert platform.count() == 1


async def test_one_failure_for_all(database_url: str, store: Store) -> None:
    """With WeChat busy, two hundred callers fail by one call of theirs, not by two hundred."""
    platform = Platform()
    platform.token_reply = {"errcode": -1, "errmsg": "system error"}
    async with (
        platform.open() as address,
        process(database_url, address) as one,
        process(database_url, address) as other,
    ):
        calls = [tokens.token(APP) for _ in range(TASKS) for tokens in (one, other)]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(outcome).__name__ for outcome in outcomes} == {"BackOff"}
    assert platform.count() == 1
