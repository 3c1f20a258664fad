"""`hub doctor`: looks at each part the hub rests on, and says what to mend."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from hub.codes.messages import Kind
from hub.codes.senders.port import Sender, SendFailed
from hub.errors import StoreUnavailable
from hub.realtime.redis import RedisBroker
from hub.store.database import Store
from hub.store.migrate import MigrationFailed, pending
from hub.wechat.account import OfficialAccount, showqrcode
from hub.wechat.account_token import request_token
from hub.wechat.client import App, WeChatClient
from hub.wechat.errors import CodeRefused, WeChatError
from hub.wechat.transport import Transport

T = TypeVar("T")

# A code that WeChat has never given, whose refusal proves that id and secret are right; and nobody's scene.
_PROBE = "doctor"

_SENDER_SETTINGS = {
    "aliyun": "ALIYUN_ACCESS_KEY_ID, ALIYUN_SMS_SIGN_NAME, ALIYUN_SMS_TEMPLATES",
    "tencent": "TENCENT_SECRET_ID, TENCENT_SMS_APP_ID, TENCENT_SMS_SIGN_NAME, TENCENT_SMS_TEMPLATES",
    "smtp": "SMTP_HOST, SMTP_USERNAME",
}


_ACCOUNT_SETTINGS = {
    "stable_token": "WECHAT_OA_APP_ID, WECHAT_OA_APP_SECRET, allowed addresses",
    "create_qr": "WECHAT_OA_APP_ID, which must be an account that may make QR codes",
    "showqrcode": "WECHAT_MP_URL",
}


class _NewToken:
    """The account's access token, asked for anew: within its life WeChat gives everybody the same one."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def using(self, app: App, send: Callable[[str], Awaitable[T]]) -> T:
        """Return what *send* makes of the token. Raises WeChatError."""
        return await send((await request_token(self._transport, app)).access_token)


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
    transport = Transport(api_url)
    await transport.start()
    try:
        await WeChatClient(transport, open_url).exchange(app, _PROBE)
    except CodeRefused:
        return Finding("wechat", True, f"{api_url} knows {app.appid}")
    except WeChatError as error:
        return Finding("wechat", False, f"WECHAT_H5_APP_ID, WECHAT_H5_APP_SECRET: {error}")
    finally:
        await transport.stop()
    return Finding("wechat", False, f"WECHAT_API_URL: {api_url} takes any code, so it is not WeChat")


async def official_account(api_url: str, mp_url: str, app: App) -> Finding:
    """Have WeChat make a QR code that nobody scans, good for a minute, and look at its picture."""
    transport, pictures = Transport(api_url), Transport(mp_url)
    await transport.start()
    await pictures.start()
    try:
        ticket = await OfficialAccount(transport, _NewToken(transport), app).create_qr(_PROBE, 60)
        await showqrcode(pictures, ticket.ticket)
    except WeChatError as error:
        return Finding("official account", False, f"{_ACCOUNT_SETTINGS[error.call]}: {error}")
    finally:
        await pictures.stop()
        await transport.stop()
    return Finding("official account", True, f"{api_url} makes QR codes of {app.appid}, {mp_url} shows them")


async def sender(kind: Kind, one: Sender) -> Finding:
    """Have a provider look at our keys; nobody gets a message."""
    try:
        await one.check()
    except SendFailed as error:
        return Finding(kind, False, f"{_SENDER_SETTINGS[one.name]}: {one.name} says {error.code}")
    return Finding(kind, True, f"{one.name} is ready")


async def examine(
    database_url: str,
    redis_url: str,
    prefix: str,
    wechat_urls: tuple[str, str, str] | None,
    app: App,
    account: App | None,
    senders: Mapping[Kind, Sequence[Sender]],
) -> AsyncIterator[Finding]:
    """Yield the findings; without *wechat_urls* the sandbox stands in, which lives in the hub itself."""
    yield await database(database_url)
    yield await broker(redis_url, prefix)
    if wechat_urls is None:
        yield Finding("wechat", True, "the sandbox stands in")
    else:
        api_url, open_url, mp_url = wechat_urls
        yield await wechat(api_url, open_url, app)
        if account:
            yield await official_account(api_url, mp_url, account)
    for kind, group in senders.items():
        for one in group:
            yield await sender(kind, one)
        if not group:
            yield Finding(kind, True, f"none: nothing is sent by {kind}")
