"""Messages and senders for the tests of the outbox and of the worker."""

from datetime import UTC, datetime, timedelta

from hub.codes.messages import Kind, Message
from hub.codes.outbox import Outbox
from hub.codes.senders.aliyun import AliyunSender
from hub.codes.senders.http import Http
from hub.codes.senders.templates import Templates
from hub.codes.senders.tencent import TencentSender
from hub.store.database import Connection, Store
from hub.store.encryption import DataKeys
from tests.servers.providers import ALERT_TEMPLATE, KEY, SECRET, SIGN, TEMPLATE

KEYS = DataKeys(["a-data-key-of-more-than-thirty-two-bytes"])
ENTRIES = [f"login_code={TEMPLATE}/code/minutes", f"security_alert={ALERT_TEMPLATE}/device/place/time"]


def code_for(store: Store, to: str = "+8613800138000", life: float = 300) -> Message:
    """A sign-in code that is good for *life* seconds."""
    params = {"minutes": "5"}
    return Message(to, "login_code", "042917", params, "en", store.now() + timedelta(seconds=life))


def make_outbox(store: Store, *kinds: Kind) -> Outbox:
    """An outbox of these kinds, SMS and e-mail by default."""
    return Outbox(store, KEYS, kinds or ("sms", "email"))


async def enqueue(store: Store, outbox: Outbox, *messages: Message) -> None:
    """Queue messages in one transaction; the address says of which kind each is."""

    async def work(tx: Connection) -> None:
        for message in messages:
            kind: Kind = "email" if "@" in message.to else "sms"
            await outbox.enqueue(tx, kind, message, store.now())

    await store.write(work)
    outbox.wake()


def aliyun(http: Http, url: str, **changed: str) -> AliyunSender:
    """A sender with the stand-in's keys."""
    given = {"access_key": KEY, "secret": SECRET, "sign_name": SIGN, **changed}
    return AliyunSender(http, url, **given, templates=Templates(ENTRIES), clock=lambda: datetime.now(UTC))


def tencent(http: Http, url: str, **changed: str) -> TencentSender:
    """A sender with the stand-in's keys."""
    given = {"secret_id": KEY, "secret_key": SECRET, "sign_name": SIGN, "app_id": "1400006666", **changed}
    return TencentSender(
        http,
        url,
        **given,
        region="ap-guangzhou",
        templates=Templates(ENTRIES),
        clock=lambda: datetime.now(UTC),
    )
