"""The access tokens of our own apps, on both engines: who asks WeChat, when, and how often."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import pytest

from hub.errors import StoreUnavailable
from hub.store.database import Store
from hub.store.encryption import DataKeys
from hub.wechat.account_token import AccountTokens
from hub.wechat.errors import BackOff, Misconfigured, TokenRefused, Unreachable, WeChatError
from hub.wechat.transport import App, Transport
from tests.servers.waiting import until
from tests.servers.wechat import Platform
from tests.signing_in import execute, rows

APP = App("wx0123456789abcdef", "0123456789abcdef0123456789abcdef")
OTHER = App("wxfedcba9876543210", "fedcba9876543210fedcba9876543210")
SECRET = "a-data-key-of-more-than-thirty-two-bytes"
OLDER = "an-older-key-of-more-than-thirty-two-bytes"

Make = Callable[..., AccountTokens]


@pytest.fixture
async def platform() -> Platform:
    """WeChat, with a token of two hours."""
    return Platform()


@pytest.fixture
async def transport(platform: Platform) -> AsyncIterator[Transport]:
    """The way to it."""
    async with platform.open() as address:
        transport = Transport(address, call_limit=3)
        await transport.start()
        yield transport
        await transport.stop()


@pytest.fixture
async def make(store: Store, transport: Transport) -> AsyncIterator[Make]:
    """Return a function that makes the tokens of one more process on the same database."""
    made = []

    def make(keys: DataKeys | None = None) -> AccountTokens:
        tokens = AccountTokens(store, transport, keys or DataKeys([SECRET]))
        made.append(tokens)
        return tokens

    yield make
    for tokens in made:
        await tokens.stop()


async def age(store: Store, database_url: str, **seconds: float) -> None:
    """Move times of the stored token to so many seconds from now."""
    for column, ahead in seconds.items():
        moment = store.now() + timedelta(seconds=ahead)
        text = moment.strftime("%Y-%m-%d %H:%M:%S.%f")[:23]
        await execute(database_url, f"UPDATE wechat_account_tokens SET {column} = :text", text=text)  # noqa: S608 - constants


async def test_a_token_is_asked_for_as_documented(make: Make, platform: Platform) -> None:
    """The stable token is asked for by POST and JSON, and never by force."""
    assert await make().token(APP) == "token1"
    (asked,) = platform.asked
    assert (asked.method, asked.path, asked.query) == ("POST", "/cgi-bin/stable_token", {})
    assert asked.content_type.startswith("application/json")
    assert asked.body == {
        "grant_type": "client_credential",
        "appid": APP.appid,
        "secret": APP.secret,
        "force_refresh": False,
    }


async def test_a_token_is_asked_for_once(make: Make, platform: Platform) -> None:
    """The second use, another object and another process get the same one without asking."""
    tokens = make()
    assert [await tokens.token(APP), await tokens.token(APP), await make().token(APP)] == ["token1"] * 3
    assert platform.count() == 1


async def test_each_app_has_its_own(make: Make, platform: Platform) -> None:
    """Two apps ask separately."""
    tokens = make()
    await tokens.token(APP)
    await tokens.token(OTHER)
    assert [asked.body["appid"] for asked in platform.asked] == [APP.appid, OTHER.appid]


async def test_the_stored_token_is_sealed_for_its_row(
    make: Make, platform: Platform, database_url: str
) -> None:
    """The column shows nothing, and another app's row does not open it."""
    await make().token(APP)
    (row,) = await rows(database_url, "SELECT access_token FROM wechat_account_tokens")
    assert "token1" not in row["access_token"]
    await execute(database_url, "UPDATE wechat_account_tokens SET appid = :appid", appid=OTHER.appid)
    platform.next_token()
    assert await make().token(OTHER) == "token2"


async def test_an_old_key_still_opens(make: Make, platform: Platform) -> None:
    """After a change of DATA_KEYS the token stays in use; with its key gone, the next one is asked for."""
    await make(DataKeys([OLDER])).token(APP)
    assert await make(DataKeys([SECRET, OLDER])).token(APP) == "token1"
    platform.next_token()
    assert await make(DataKeys([SECRET])).token(APP) == "token2"


async def test_an_expired_token_is_not_given_out(
    make: Make, platform: Platform, store: Store, database_url: str
) -> None:
    """Past its end the row's token is replaced before anybody gets one."""
    await make().token(APP)
    platform.next_token()
    await age(store, database_url, expires_at=-0.001, renew_at=-280)
    assert await make().token(APP) == "token2"


async def test_a_token_is_renewed_early_while_others_use_it(
    make: Make, platform: Platform, store: Store, database_url: str
) -> None:
    """In its last minutes one asks for the next token, slowly; everybody else has the old one at once."""
    await make().token(APP)
    await age(store, database_url, expires_at=200, renew_at=-1)
    platform.next_token(keep_old=True)
    platform.before_token = asyncio.Event()
    tokens, others = make(), make()
    renewing = asyncio.create_task(tokens.token(APP))
    await platform.token_asked.acquire()
    await platform.token_asked.acquire()
    assert [await others.token(APP), await tokens.token(APP)] == ["token1", "token1"]
    platform.before_token.set()
    assert await renewing == "token2"
    assert await make().token(APP) == "token2"
    assert platform.count() == 2


async def test_a_held_token_is_renewed_in_the_background(make: Make, platform: Platform) -> None:
    """A process that holds a token never waits for the next one."""
    platform.expires_in = 6  # so the next one is looked for after half of them
    tokens = make()
    await tokens.token(APP)
    platform.before_token = asyncio.Event()
    platform.expires_in = 7200
    platform.next_token(keep_old=True)

    async def asked_again() -> bool:
        assert await tokens.token(APP) == "token1"
        return platform.count() == 2

    async def renewed() -> bool:
        return await tokens.token(APP) == "token2"

    await until(asked_again)
    platform.before_token.set()
    await until(renewed)
    assert platform.count() == 2


async def test_a_failed_renewal_leaves_the_old_token(
    make: Make, platform: Platform, store: Store, database_url: str
) -> None:
    """WeChat being busy in the last minutes is nobody's trouble, and it is not asked again at once."""
    await make().token(APP)
    await age(store, database_url, expires_at=200, renew_at=-1)
    platform.token_reply = {"errcode": -1, "errmsg": "system error"}
    assert [await make().token(APP) for _ in range(3)] == ["token1"] * 3
    assert platform.count() == 2


async def test_the_same_token_again_is_not_asked_for_at_once(make: Make, platform: Platform) -> None:
    """Where WeChat still gives out the old token near its end, half of what is left passes first."""
    platform.expires_in = 270
    tokens = make()
    await tokens.token(APP)
    await make().token(APP)
    assert platform.count() == 1


async def test_a_refused_token_is_given_up(make: Make, platform: Platform) -> None:
    """After a refusal the next one is asked for, also by a process that holds the old one."""
    tokens, others = make(), make()
    old = await tokens.token(APP)
    await others.token(APP)
    platform.next_token()
    await tokens.refused(APP, old)
    assert await tokens.token(APP) == "token2"
    await others.refused(APP, old)
    assert await others.token(APP) == "token2"
    assert platform.count() == 2


async def test_a_refusal_amid_a_renewal_loses_nothing(
    make: Make, platform: Platform, store: Store, database_url: str
) -> None:
    """A token refused while the next one is on its way makes nobody ask once more."""
    old = await make().token(APP)
    await age(store, database_url, expires_at=200, renew_at=-1)
    platform.next_token()
    platform.before_token = asyncio.Event()
    tokens = make()
    renewing = asyncio.create_task(tokens.token(APP))
    while platform.count() < 2:
        await platform.token_asked.acquire()
    refusing = asyncio.create_task(tokens.refused(APP, old))
    waiting = asyncio.create_task(make().token(APP))
    platform.before_token.set()
    await refusing
    assert [await renewing, await tokens.token(APP)] == ["token2"] * 2
    assert await waiting in ("token1", "token2")
    assert await make().token(APP) == "token2"
    assert platform.count() == 2


async def test_a_token_that_cannot_be_kept_is_good_here(make: Make, platform: Platform, store: Store) -> None:
    """The database going away within the call costs the others a call of their own, and nobody a token."""
    platform.before_token = asyncio.Event()
    tokens = make()
    asking = asyncio.create_task(tokens.token(APP))
    await platform.token_asked.acquire()
    await store.stop()
    platform.before_token.set()
    assert [await asking, await tokens.token(APP)] == ["token1"] * 2
    await store.start()


async def test_only_the_token_that_failed_is_given_up(make: Make, platform: Platform) -> None:
    """A late refusal of an older token costs the new one nothing."""
    tokens = make()
    await tokens.token(APP)
    await tokens.refused(APP, "some-older-token")
    assert await make().token(APP) == "token1"
    assert platform.count() == 1


async def test_a_token_refused_for_no_reason_is_not_asked_for_again_and_again(
    make: Make, platform: Platform
) -> None:
    """Where WeChat gives out the token it has refused, further refusals are passed over for a while."""
    tokens = make()
    old = await tokens.token(APP)
    for _ in range(5):
        await tokens.refused(APP, old)
        assert await tokens.token(APP) == old
    assert platform.count() == 2


async def test_a_call_is_repeated_once_with_another_token(make: Make, platform: Platform) -> None:
    """A refused token is replaced and the call made again, with the new one."""
    tokens = make()
    await tokens.token(APP)
    platform.next_token()
    sent = []

    async def send(token: str) -> str:
        sent.append(token)
        if token not in platform.good:
            raise TokenRefused("user_info", 40001)
        return "done"

    assert await tokens.using(APP, send) == "done"
    assert sent == ["token1", "token2"]


async def test_a_call_is_never_repeated_twice(make: Make, platform: Platform) -> None:
    """A second refusal is raised, and so is the first where there is no other token to try."""
    tokens = make()
    sent = []

    async def send(token: str) -> str:
        sent.append(token)
        platform.next_token()
        raise TokenRefused("user_info", 40001)

    with pytest.raises(TokenRefused):
        await tokens.using(APP, send)
    assert sent == ["token1", "token2"]


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        ({"errcode": -1}, BackOff),
        ({"errcode": 45009}, BackOff),
        ({"errcode": 40125}, Misconfigured),
        ({"errcode": 40001}, Misconfigured),
        ({"errcode": 40164}, Misconfigured),
        ({"errcode": 12345}, WeChatError),
        ({"access_token": "x", "expires_in": 0}, Unreachable),
        ({"access_token": "", "expires_in": 7200}, Unreachable),
        (b"<html>", Unreachable),
    ],
)
async def test_a_failure_is_told_to_all_without_asking_again(
    make: Make, platform: Platform, reply: dict[str, object] | bytes, kind: type[WeChatError]
) -> None:
    """For some seconds every process gets the same error at once, from the row."""
    platform.token_reply = reply
    for _ in range(3):
        with pytest.raises(WeChatError) as failed:
            await make().token(APP)
        assert type(failed.value) is kind
    assert platform.count() == 1


async def test_after_the_pause_it_is_asked_again(
    make: Make, platform: Platform, store: Store, database_url: str
) -> None:
    """A failure is not for ever."""
    platform.token_reply = {"errcode": -1}
    tokens = make()
    with pytest.raises(BackOff):
        await tokens.token(APP)
    platform.token_reply = None
    await age(store, database_url, leased_until=0)
    assert await tokens.token(APP) == "token1"


async def test_a_dead_holder_of_the_lease_is_succeeded(
    make: Make, platform: Platform, store: Store, database_url: str
) -> None:
    """Whoever has leased the row and died keeps nobody from a token once the lease is over."""
    platform.before_token = asyncio.Event()
    dying = make()
    dead = asyncio.create_task(dying.token(APP))
    await platform.token_asked.acquire()
    await dying.stop()
    with pytest.raises(asyncio.CancelledError):
        await dead
    waiting = asyncio.create_task(make().token(APP))
    done, _ = await asyncio.wait([waiting], timeout=0.2)
    assert not done
    platform.before_token.set()
    await age(store, database_url, leased_until=0)
    assert await waiting == "token1"


async def test_a_holder_that_was_succeeded_does_not_overwrite(
    make: Make, platform: Platform, store: Store, database_url: str
) -> None:
    """A lease that ran out within the call is fenced off: the row keeps what the successor stored."""
    platform.before_token = asyncio.Event()
    late = asyncio.create_task(make().token(APP))
    await platform.token_asked.acquire()
    await execute(
        database_url,
        "UPDATE wechat_account_tokens SET generation = generation + 1, access_token = :text",
        text="the successor's",
    )
    platform.before_token.set()
    assert await late == "token1"
    (row,) = await rows(database_url, "SELECT access_token FROM wechat_account_tokens")
    assert row["access_token"] == "the successor's"


async def test_a_cancelled_caller_does_not_cancel_the_asking(make: Make, platform: Platform) -> None:
    """Whoever gives up waiting leaves the token to the next one."""
    platform.before_token = asyncio.Event()
    tokens = make()
    leaving = asyncio.create_task(tokens.token(APP))
    await platform.token_asked.acquire()
    leaving.cancel()
    platform.before_token.set()
    assert await tokens.token(APP) == "token1"
    assert platform.count() == 1


async def test_without_the_database_a_held_token_is_still_good(
    make: Make, store: Store, platform: Platform
) -> None:
    """A live token in memory needs no row; without one there is none to be had."""
    tokens, without = make(), make()
    await tokens.token(APP)
    await store.stop()
    assert await tokens.token(APP) == "token1"
    with pytest.raises((StoreUnavailable, RuntimeError)):
        await without.token(APP)
    await store.start()
