"""What goes on behind the replies, joined from the settings: the outbox, its senders, and the worker.

For the application, which works in process by default, and for `hub worker`, which does nothing else.
"""

import asyncio
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from typing import NamedTuple

import structlog
from prometheus_client import start_http_server

from hub.codes.dispatch import LOOK, Dispatcher
from hub.codes.messages import Kind
from hub.codes.outbox import Outbox
from hub.codes.senders.aliyun import AliyunSender
from hub.codes.senders.console import ConsoleSender
from hub.codes.senders.http import Http
from hub.codes.senders.port import Sender
from hub.codes.senders.smtp import SmtpSender
from hub.codes.senders.templates import Templates
from hub.codes.senders.tencent import TencentSender
from hub.ops.archive import LoginLogArchive
from hub.ops.registry import registry
from hub.ops.worker import Worker
from hub.settings import Settings
from hub.store.database import Store
from hub.store.encryption import DataKeys

log = structlog.stdlib.get_logger("hub.worker")


class Senders(NamedTuple):
    """The senders by kind, the first choice first, and the HTTP client that must be started for them."""

    http: Http
    by_kind: Mapping[Kind, Sequence[Sender]]


class Background(NamedTuple):
    """The queue that services fill; *http* and *worker* are started, in this order, where it is worked on."""

    outbox: Outbox
    http: Http
    worker: Worker


def create_senders(settings: Settings, clock: Callable[[], datetime]) -> Senders:
    """Return the senders that the settings name; nothing is opened yet."""
    http = Http()
    sms = [_sms_sender(name, settings, clock, http) for name in settings.sms_senders]
    email = [_email_sender(name, settings) for name in settings.email_senders]
    return Senders(http, {"sms": sms, "email": email})


def create_background(settings: Settings, store: Store, keys: DataKeys, idle: float = LOOK) -> Background:
    """Return the outbox with its senders and worker, which looks into it every *idle* seconds, all closed."""
    http, senders = create_senders(settings, store.now)
    outbox = Outbox(store, keys, [kind for kind, group in senders.items() if group])
    dispatcher = Dispatcher(store, outbox, senders, idle)
    archive = LoginLogArchive(store, settings.archive_dir)
    return Background(outbox, http, Worker(store, outbox, dispatcher, archive))


async def work(settings: Settings) -> None:
    """Be a worker until SIGTERM or SIGINT; a second one ends it at once. Raises StoreUnavailable."""
    told = asyncio.Event()
    loop = asyncio.get_running_loop()

    def leave() -> None:
        told.set()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, leave)
    store = Store(settings.database_url, connections=settings.database_connections)
    background = create_background(settings, store, DataKeys(settings.secrets("data_keys")))
    async with AsyncExitStack() as stack:
        for part in (store, background.http, background.worker):
            await part.start()
            stack.push_async_callback(part.stop)
        if settings.worker_metrics_port:
            server, _ = start_http_server(settings.worker_metrics_port, settings.host, registry())
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
        log.info("worker_started", sends=sorted(background.outbox.kinds))
        await told.wait()
        log.info("worker_stopping")


def _sms_sender(name: str, settings: Settings, clock: Callable[[], datetime], http: Http) -> Sender:
    if name == AliyunSender.name:
        return AliyunSender(
            http,
            settings.aliyun_sms_url,
            access_key=settings.aliyun_access_key_id,
            secret=settings.aliyun_access_key_secret.get_secret_value(),
            sign_name=settings.aliyun_sms_sign_name,
            templates=Templates(settings.aliyun_sms_templates),
            clock=clock,
        )
    if name == TencentSender.name:
        return TencentSender(
            http,
            settings.tencent_sms_url,
            secret_id=settings.tencent_secret_id,
            secret_key=settings.tencent_secret_key.get_secret_value(),
            region=settings.tencent_sms_region,
            app_id=settings.tencent_sms_app_id,
            sign_name=settings.tencent_sms_sign_name,
            templates=Templates(settings.tencent_sms_templates),
            clock=clock,
        )
    return ConsoleSender()


def _email_sender(name: str, settings: Settings) -> Sender:
    if name == SmtpSender.name:
        return SmtpSender(
            settings.smtp_host,
            settings.smtp_port,
            security=settings.smtp_security,
            username=settings.smtp_username,
            password=settings.smtp_password.get_secret_value(),
            sender=settings.smtp_from,
            site=settings.site_name,
        )
    return ConsoleSender()
