"""People's own WeChat tokens at rest, on both engines: refreshed when due, wiped when dead."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import timedelta

import pytest

from hub.accounts.bindings import Bindings
from hub.accounts.identities import Identity, SealedTokens, find_or_create
from hub.accounts.wechat_tokens import PersonTokens
from hub.errors import ProviderFailed
from hub.realtime.memory import MemoryBroker
from hub.store.database import Connection, Row, Store
from hub.store.encryption import DataKeys
from hub.tokens.events import AccountEvents
from hub.wechat.client import Person, WeChatClient
from hub.wechat.people import People
from hub.wechat.transport import App, Transport
from tests.servers.wechat import Asked, Platform, Reply
from tests.signing_in import execute, make_sessions, make_user, rows, sign_in, warm

APP = App("wx1", "0123456789abcdef0123456789abcdef")
SECRET = "a-data-key-of-more-than-thirty-two-bytes"
OLDER = "an-older-key-of-more-than-thirty-two-bytes"
CHECK = "/sns/auth"
REFRESH = "/sns/oauth2/refresh_token"

Make = Callable[..., PersonTokens]


@pytest.fixture
def platform() -> Platform:
    """WeChat, where Li's tokens `access1` and `refresh1` become `access2` and `refresh2`."""
    platform = Platform()
    platform.good = {"access1", "access2"}
    granted = {"access_token": "access2", "refresh_token": "refresh2", "expires_in": 7200}
    replies: dict[str, Reply] = {
        CHECK: {"errcode": 0, "errmsg": "ok"},
        REFRESH: {**granted, "openid": "oAbC", "scope": "snsapi_userinfo"},
        "/sns/userinfo": {"openid": "oAbC", "nickname": "李新", "headimgurl": "https://thirdwx.qlogo.cn/2"},
    }
    platform.answer = lambda asked: replies[asked.path]
    return platform


@pytest.fixture
async def make(store: Store, platform: Platform) -> AsyncIterator[Make]:
    """Return a function that makes the tokens of one more process on the same database."""
    async with platform.open() as address:
        transport = Transport(address, call_limit=3)
        await transport.start()

        def make(keys: Sequence[str] = (SECRET,), apps: Sequence[App] = (APP,)) -> PersonTokens:
            client = WeChatClient(transport, "https://open.weixin.qq.com")
            return PersonTokens(store, DataKeys(keys), People(client, apps))

        yield make
        await transport.stop()


async def signed_in(store: Store, *, life: int = 7200, secret: str = SECRET) -> Row:
    """Let Li sign in with an access token of so many seconds, and return the account."""
    person = Person(
        "wx1", "oAbC", None, "李", "https://thirdwx.qlogo.cn/1", 0, "", "", "", "",
        False, "snsapi_userinfo", "access1", "refresh1", life,
    )  # fmt: skip
    identity = Identity.from_person(person, SealedTokens.seal(DataKeys([secret]), person, store.now()))

    async def work(tx: Connection) -> Row:
        return await find_or_create(tx, identity, store.now())

    return await store.write(work)


async def wechat_user(url: str) -> Row:
    """The one row of `wechat_users`."""
    (row,) = await rows(url, "SELECT * FROM wechat_users")
    return row


async def asked_for(make: Make, url: str) -> str | None:
    """Ask a new process for Li's access token."""
    return await make().access_token((await wechat_user(url))["id"])


async def test_a_live_token_is_opened(
    make: Make, store: Store, database_url: str, platform: Platform
) -> None:
    """A token that is not due costs one question, whether WeChat has ended it."""
    await signed_in(store)
    assert await asked_for(make, database_url) == "access1"
    (asked,) = platform.asked
    assert (asked.path, asked.query) == (CHECK, {"access_token": "access1", "openid": "oAbC"})


async def test_a_token_that_wechat_has_ended_is_refreshed(
    make: Make, store: Store, database_url: str, platform: Platform
) -> None:
    """Its time is not over, but who has changed the password or taken back the consent has ended it."""
    await signed_in(store)
    answer = platform.answer
    ended = {"errcode": 42007, "errmsg": "user modify password"}
    platform.answer = lambda asked: ended if asked.query.get("access_token") == "access1" else answer(asked)
    assert [await asked_for(make, database_url) for _ in range(2)] == ["access2"] * 2
    assert platform.count(REFRESH) == 1


async def test_time_decides_where_wechat_is_away(
    make: Make, store: Store, database_url: str, platform: Platform
) -> None:
    """An answer that is none says nothing of the token."""
    await signed_in(store)
    platform.answer = lambda _: b"<html>"
    assert await asked_for(make, database_url) == "access1"
    assert platform.count(REFRESH) == 0


@pytest.mark.parametrize("life", [0, 200])
async def test_a_due_token_is_refreshed(
    make: Make, store: Store, database_url: str, platform: Platform, life: int
) -> None:
    """At its end, or in its last five minutes, the next one is fetched and kept, sealed."""
    await signed_in(store, life=life)
    assert [await asked_for(make, database_url) for _ in range(2)] == ["access2"] * 2
    (asked,) = (asked for asked in platform.asked if asked.path == REFRESH)
    assert asked.query == {
        "appid": "wx1",
        "grant_type": "refresh_token",
        "refresh_token": "refresh1",
    }
    row = await wechat_user(database_url)
    assert row["refreshing_until"] is None
    assert "access2" not in row["access_token"] + row["refresh_token"]


async def test_old_keys_roll_over(make: Make, store: Store, database_url: str) -> None:
    """What an older key has sealed is sealed by the current one at the refresh."""
    await signed_in(store, life=0, secret=OLDER)
    wechat_user_id = (await wechat_user(database_url))["id"]
    assert await make([SECRET, OLDER]).access_token(wechat_user_id) == "access2"
    assert await make([SECRET]).access_token(wechat_user_id) == "access2"


async def test_a_token_of_a_lost_key_is_none(make: Make, store: Store, database_url: str) -> None:
    """With its key gone a token is of no use, and stays for the day the key comes back."""
    await signed_in(store, secret=OLDER)
    assert await asked_for(make, database_url) is None
    assert (await wechat_user(database_url))["refresh_token"]


async def test_who_has_left_no_token_has_none(make: Make, store: Store, database_url: str) -> None:
    """A person without tokens, and nobody, have none."""
    await make_user(store)
    assert await asked_for(make, database_url) is None
    assert await make().access_token(4711) is None


@pytest.mark.parametrize("errcode", [40030, 42002, 42007])
async def test_dead_tokens_are_wiped(
    make: Make, store: Store, database_url: str, platform: Platform, errcode: int
) -> None:
    """A refresh token that WeChat refuses goes, and is not tried again."""
    await signed_in(store, life=0)
    platform.answer = lambda asked: {"errcode": errcode, "errmsg": "no"}
    assert [await asked_for(make, database_url) for _ in range(2)] == [None, None]
    row = await wechat_user(database_url)
    assert (row["access_token"], row["refresh_token"], row["expires_at"]) == (None, None, None)
    assert platform.count(REFRESH) == 1


@pytest.mark.parametrize(("life", "token"), [(200, "access1"), (0, None)])
async def test_a_busy_wechat_costs_no_token(
    make: Make, store: Store, database_url: str, platform: Platform, life: int, token: str | None
) -> None:
    """While WeChat is busy the old token serves to its end; nothing is wiped, and the next try succeeds."""
    answer = platform.answer
    platform.answer = lambda asked: {"errcode": -1, "errmsg": "system error"}
    await signed_in(store, life=life)
    if token:
        assert await asked_for(make, database_url) == token
    else:
        with pytest.raises(ProviderFailed):
            await asked_for(make, database_url)
    platform.answer = answer
    assert await asked_for(make, database_url) == "access2"


async def test_an_app_that_is_gone_costs_no_token(make: Make, store: Store, database_url: str) -> None:
    """Tokens of an app that is not configured any more are kept, for it may come back."""
    await signed_in(store, life=0)
    with pytest.raises(ProviderFailed):
        await make(apps=[]).access_token((await wechat_user(database_url))["id"])
    assert await asked_for(make, database_url) == "access2"


async def test_tokens_of_somebody_else_are_refused(
    make: Make, store: Store, database_url: str, platform: Platform
) -> None:
    """A refresh that answers another openid changes nothing."""
    await signed_in(store, life=0)
    before = await wechat_user(database_url)
    platform.answer = lambda asked: {"access_token": "a", "refresh_token": "r", "openid": "oMallory"}
    with pytest.raises(ProviderFailed):
        await asked_for(make, database_url)
    after = await wechat_user(database_url)
    assert (after["access_token"], after["refresh_token"]) == (
        before["access_token"],
        before["refresh_token"],
    )


async def test_one_caller_refreshes(make: Make, store: Store, database_url: str, platform: Platform) -> None:
    """Of a hundred callers in two processes one refreshes, and all get the new token."""
    await signed_in(store, life=0)
    wechat_user_id = (await wechat_user(database_url))["id"]
    await warm(store)
    one, other = make(), make()
    calls = [tokens.access_token(wechat_user_id) for _ in range(50) for tokens in (one, other)]
    assert set(await asyncio.gather(*calls)) == {"access2"}
    assert platform.count(REFRESH) == 1


async def test_a_dead_refresher_is_succeeded(
    make: Make, store: Store, database_url: str, platform: Platform
) -> None:
    """Whoever was refreshing and died keeps nobody from it once the lease is over."""
    await signed_in(store, life=0)
    over = (store.now() + timedelta(seconds=0.5)).strftime("%Y-%m-%d %H:%M:%S.%f")[:23]
    await execute(database_url, "UPDATE wechat_users SET refreshing_until = :over", over=over)
    assert await asked_for(make, database_url) == "access2"


async def test_an_unbinding_meanwhile_wins(
    make: Make, store: Store, database_url: str, platform: Platform
) -> None:
    """Tokens that come back after the person has parted from WeChat are not stored."""
    user = await signed_in(store, life=0)
    await execute(database_url, "UPDATE users SET phone = :phone", phone="+8613800138000")
    broker = MemoryBroker()
    sessions = make_sessions(store, broker)
    claims = await sessions.verify((await sign_in(store, sessions, user)).access_token)
    asked, go_on = asyncio.Event(), asyncio.Event()
    answer = platform.answer
    platform.before_answer = go_on

    def answering(call: Asked) -> Reply:
        asked.set()
        return answer(call)

    platform.answer = answering
    refreshing = asyncio.create_task(asked_for(make, database_url))
    await asked.wait()
    await Bindings(store, sessions, AccountEvents(store, broker)).unbind_wechat(claims)
    go_on.set()
    assert await refreshing is None
    assert await rows(database_url, "SELECT id FROM wechat_users") == []


async def age_profile(store: Store, url: str, days: float) -> int:
    """Make the stored profile so many days old, and return the row's id."""
    moment = (store.now() - timedelta(days=days)).strftime("%Y-%m-%d %H:%M:%S.%f")[:23]
    await execute(
        url, "UPDATE wechat_users SET profile_read_at = :moment, created_at = :moment", moment=moment
    )
    wechat_user_id: int = (await wechat_user(url))["id"]
    return wechat_user_id


async def test_an_old_profile_is_read_again(
    make: Make, store: Store, database_url: str, platform: Platform
) -> None:
    """After a week name and picture follow WeChat, in the identity and in the account that shows them."""
    await signed_in(store)
    await age_profile(store, database_url, 7.1)
    assert await make().refresh_profile_of("wx1", "oAbC")
    row = await wechat_user(database_url)
    (user,) = await rows(database_url, "SELECT nickname, avatar_url FROM users")
    for shown in (row, user):
        assert (shown["nickname"], shown["avatar_url"]) == ("李新", "https://thirdwx.qlogo.cn/2")
    assert not await make().refresh_profile(row["id"])
    assert platform.count("/sns/userinfo") == 1


async def test_a_name_of_the_persons_own_stays(make: Make, store: Store, database_url: str) -> None:
    """What the person has chosen in the account is not overwritten."""
    await signed_in(store)
    await execute(database_url, "UPDATE users SET nickname = :nickname", nickname="Captain Li")
    await make().refresh_profile(await age_profile(store, database_url, 8))
    (user,) = await rows(database_url, "SELECT nickname, avatar_url FROM users")
    assert (user["nickname"], user["avatar_url"]) == ("Captain Li", "https://thirdwx.qlogo.cn/2")


async def test_a_fresh_profile_is_left_alone(
    make: Make, store: Store, database_url: str, platform: Platform
) -> None:
    """Within a week nothing is read, and a sign-in that brings the profile begins a new week."""
    await signed_in(store)
    assert not await make().refresh_profile(await age_profile(store, database_url, 6.9))
    wechat_user_id = await age_profile(store, database_url, 8)
    await signed_in(store)
    assert not await make().refresh_profile(wechat_user_id)
    assert platform.asked == []


async def test_a_profile_that_cannot_be_read_is_tried_again(
    make: Make, store: Store, database_url: str, platform: Platform
) -> None:
    """An outage of WeChat is no reason to wait another week."""
    await signed_in(store)
    wechat_user_id = await age_profile(store, database_url, 8)
    answer = platform.answer
    platform.answer = lambda asked: {"errcode": -1, "errmsg": "system error"}
    assert not await make().refresh_profile(wechat_user_id)
    platform.answer = answer
    assert await make().refresh_profile(wechat_user_id)


async def test_nobodys_profile_is_not_read(
    make: Make, store: Store, database_url: str, platform: Platform
) -> None:
    """Who is unknown, or has left no token, is asked nothing."""
    await make_user(store)
    assert not await make().refresh_profile(await age_profile(store, database_url, 8))
    assert not await make().refresh_profile(4711)
    assert not await make().refresh_profile_of("wx1", "oNobody")
    assert platform.asked == []


async def test_a_profile_is_read_by_one(
    make: Make, store: Store, database_url: str, platform: Platform
) -> None:
    """Twenty scans at once read an old profile once."""
    await signed_in(store)
    wechat_user_id = await age_profile(store, database_url, 8)
    await warm(store)
    read = await asyncio.gather(*(make().refresh_profile(wechat_user_id) for _ in range(20)))
    assert sum(read) == platform.count("/sns/userinfo") == 1


async def test_an_unfollowing_meanwhile_wins(
    make: Make, store: Store, database_url: str, platform: Platform
) -> None:
    """A profile that comes back after its person has left is not stored, neither here nor in the account."""
    await signed_in(store)
    wechat_user_id = await age_profile(store, database_url, 8)
    asked, go_on = asyncio.Event(), asyncio.Event()
    answer = platform.answer
    platform.before_answer = go_on

    def answering(call: Asked) -> Reply:
        asked.set()
        return answer(call)

    platform.answer = answering
    reading = asyncio.create_task(make().refresh_profile(wechat_user_id))
    await asked.wait()
    broker = MemoryBroker()
    bindings = Bindings(store, make_sessions(store, broker), AccountEvents(store, broker))
    await store.write(lambda tx: bindings.forget_wechat(tx, "wx1", "oAbC", store.now()))
    go_on.set()
    assert not await reading
    for table in ("wechat_users", "users"):
        (row,) = await rows(database_url, f"SELECT nickname, avatar_url FROM {table}")  # noqa: S608 - ours
        assert set(row.values()) == {None}
