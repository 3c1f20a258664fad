"""`hub doctor`: looks at each part the hub rests on, and says what to mend."""

from collections.abc import AsyncIterator
from typing import NamedTuple

from hub.errors import StoreUnavailable
from hub.realtime.redis import RedisBroker
from hub.store.database import Store
from hub.store.migrate import MigrationFailed, pending
from hub.wechat.client import App, WeChatClient
from hub.wechat.errors import CodeRefused, WeChatError

_PROBE = "doctor"  # a code that WeChat has never given: refusing it proves that id and secret are right


class Finding(NamedTuple):
    """What was looked at, whether it is well, and what to do otherwise."""

    part: str
    well: bool
    text: str


async def database(url: str) -> Finding:
    """Connect, and look for migrations that have not been applied."""
    store = Store(url, connections=2)
    try:
        missing = await pending(url)
        await store.start()
        await store.stop()
    except (StoreUnavailable, MigrationFailed, RuntimeError) as error:
        return Finding("database", False, f"DATABASE_URL: {error}")
    if missing:
        return Finding("database", False, f"run `hub migrate`: {', '.join(missing)}")
    return Finding("database", True, f"{store.engine}, schema up to date")


async def broker(url: str, prefix: str) -> Finding:
    """Open the link to Redis, and wait until messages arrive over it."""
    if not url:
        return Finding("broker", True, "in process: for one process only")
    redis = RedisBroker(url, prefix)
    await redis.start()  # returns when the first try has succeeded or failed
    well = redis.healthy
    await redis.stop()
    return Finding("broker", well, "Redis answers" if well else "REDIS_URL: no answer")


async def wechat(api_url: str, open_url: str, app: App) -> Finding:
    """Send WeChat a code that it must refuse."""
    if not app.appid:
        return Finding("wechat", False, "WECHAT_H5_APP_ID: no app is configured, only the door `app` is open")
    client = WeChatClient(api_url, open_url)
    await client.start()
    try:
        await client.exchange(app, _PROBE)
    except CodeRefused:
        return Finding("wechat", True, f"{api_url} knows {app.appid}")
    except WeChatError as error:
        return Finding("wechat", False, f"WECHAT_H5_APP_ID, WECHAT_H5_APP_SECRET: {error}")
    finally:
        await client.stop()
    return Finding("wechat", False, f"WECHAT_API_URL: {api_url} takes any code, so it is not WeChat")


async def examine(
    database_url: str, redis_url: str, prefix: str, wechat_urls: tuple[str, str] | None, app: App
) -> AsyncIterator[Finding]:
    """Yield the findings; without *wechat_urls* the sandbox stands in, which lives in the hub itself."""
    yield await database(database_url)
    yield await broker(redis_url, prefix)
    if wechat_urls is None:
        yield Finding("wechat", True, "the sandbox stands in")
    else:
        yield await wechat(*wechat_urls, app)
