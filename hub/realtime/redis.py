"""The broker of many processes: Redis pub/sub, and the snapshots beside it.

One connection in RESP3 carries the subscriptions and the commands, so that one supervision covers both, and
what is said on it keeps its order. Commands are written without an await in between, which is all the locking
that subscribing and unsubscribing need.

A channel and the key of its snapshot have one name. The snapshot is `seq written body`, a message `seq body`:
decimal numbers, one space after each, *written* in ms by Redis' clock.
"""

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any, cast
from urllib.parse import urlsplit

import structlog
from prometheus_client import Counter, Gauge
from redis.asyncio import ConnectionPool, Sentinel
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.maint_notifications import MaintNotificationsConfig

from hub.realtime.broker import PUBLISHED, Broker
from hub.realtime.link import DEFAULT_TIMING, Dialled, Link, Script, Timing
from hub.realtime.topics import Topics
from hub.realtime.watch import Message, Watcher, Watches
from hub.realtime.wire import LinkDown

log = structlog.stdlib.get_logger("hub.realtime")

CONNECTED = Gauge("hub_broker_connected", "1 while the link to Redis is up.", multiprocess_mode="livemin")
FAILURES = Counter("hub_broker_publish_failures_total", "Publications that Redis did not take in time.")
RECONNECTS = Counter("hub_broker_reconnects_total", "Links to Redis rebuilt after an outage.")

_SENTINELS = re.compile(
    r"redis\+sentinel://(?P<user>[^@/]*@)?(?P<sentinels>[^@/]+)/(?P<service>[^/?]+)(?P<db>/\d+)?"
)
_TOPIC = "topic:"
_SENDER = 16
_BATCH = 1000

_PUBLISH = Script.of("""
local seq = tonumber(ARGV[1])
local last = tonumber(string.match(redis.call('GETRANGE', KEYS[1], 0, 20), '^(%d+) ')) or -1
if seq < last then return 0 end
local now = redis.call('TIME')
local written = string.format('%.0f', now[1] * 1000 + math.floor(now[2] / 1000))
redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. written .. ' ' .. ARGV[2], 'PX', ARGV[3])
if seq > last then redis.call('PUBLISH', KEYS[1], ARGV[1] .. ' ' .. ARGV[2]) end
return 1
""")
_SNAPSHOT = Script.of("""
local now = redis.call('TIME')
return {redis.call('GET', KEYS[1]), now[1] * 1000 + math.floor(now[2] / 1000)}
""")


def dialler(url: str, *, timeout: float) -> Callable[[], Awaitable[Dialled]]:
    """Return what opens a connection to *url*, with *timeout* seconds for each step.

    The URL is one of redis-py's (`redis://`, `rediss://`, `unix://`) or names sentinels and what they watch:
    `redis+sentinel://[user:password@]host:port[,host:port…]/service[/db]`; ValueError for another. redis-py
    does TLS, authentication and the choice of the database, then its transport changes hands. What is
    returned raises LinkDown.
    """
    found = _SENTINELS.fullmatch(url)
    # Any, here and below: redis-py is typed only in part.
    pool: Any = ConnectionPool.from_url(
        f"redis://{found['user'] or ''}sentinels{found['db'] or ''}" if found else url,
        protocol=3,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        client_name="login-hub",
        driver_info=None,
        maint_notifications_config=MaintNotificationsConfig(enabled=False),
    )

    async def dial() -> Dialled:
        options = dict(pool.connection_kwargs)
        if found is not None:
            options["host"], options["port"] = await _primary(found, timeout)
        connection = pool.connection_class(**options)
        hang_up = partial(connection.disconnect, nowait=True)
        try:
            await connection.connect()
            # redis-py shows its transport to nobody, but asyncio allows any transport to change protocols.
            transport = connection._writer.transport
            if transport.is_closing():
                raise LinkDown("lost after the handshake")
        except BaseException as error:
            await hang_up()  # redis-py forgets to when it is cancelled
            if isinstance(error, (OSError, RedisError)):
                raise LinkDown(str(error)) from error
            raise
        return Dialled(transport, hang_up)

    return dial


async def _primary(found: re.Match[str], timeout: float) -> tuple[str, int]:
    """Ask the sentinels for the address of the primary. Raises LinkDown."""
    addresses = [urlsplit(f"//{address}") for address in found["sentinels"].split(",")]
    sentinels = cast("Any", Sentinel)(
        [(address.hostname, address.port or 26379) for address in addresses],
        sentinel_kwargs={
            "socket_timeout": timeout,
            "socket_connect_timeout": timeout,
            "retry": Retry(NoBackoff(), 0),
        },
    )
    try:
        async with sentinels:
            host, port = await sentinels.discover_master(found["service"])
    except (OSError, RedisError) as error:
        raise LinkDown(str(error)) from error
    return host, port


class RedisBroker(Broker):
    """Serves the watchers of every process that names the same Redis and the same *prefix*."""

    def __init__(
        self,
        url: str,
        prefix: str = "wechat_login:",
        timing: Timing = DEFAULT_TIMING,
        *,
        dial_timeout: float = 2.0,
    ) -> None:
        self._prefix = prefix
        self._cut = len(prefix.encode())
        self._sender = secrets.token_hex(_SENDER // 2).encode()
        self._watches = Watches()
        self._topics = Topics()
        self._reconnected: list[Callable[[], None]] = []
        # The channels SUBSCRIBE was sent for on the present connection, and whether it was confirmed.
        self._subscribed: dict[str, bool] = {}
        self._changed: dict[str, None] = {}
        self._link = Link(
            "broker",
            dialler(url, timeout=dial_timeout),
            f"{prefix}heartbeat:",
            timing,
            scripts=(_PUBLISH, _SNAPSHOT),
            opened=self._open,
            ready=self._ready,
            lost=self._lost,
            pushed=self._push,
        )
        self._failing = False

    @property
    def healthy(self) -> bool:
        return self._link.up

    async def start(self) -> None:
        await self._link.start()

    async def stop(self) -> None:
        await self._link.stop()
        CONNECTED.set(0)

    async def publish(self, channel: str, message: Message, *, ttl: float) -> None:
        self._watches.offer(channel, message)
        PUBLISHED.inc()
        key, expiry = self._prefix + channel, max(1, int(ttl * 1000))
        try:
            await self._link.run(_PUBLISH, key, message.seq, message.body, expiry, late=True)
        except LinkDown as error:
            self._failed(error)
        else:
            self._failing = False

    async def snapshot(self, channel: str) -> tuple[Message, float] | None:
        try:
            value, now = await self._link.run(_SNAPSHOT, self._prefix + channel)
            seq, written, body = (value or b"").split(b" ", 2)
            return Message(int(seq), body), max(0.0, (now - int(written)) / 1000)
        except (LinkDown, ValueError):  # no answer, no snapshot, or one that is not ours
            return None

    def attach(self, watcher: Watcher) -> None:
        first = self._watches.add(watcher)
        if self._subscribed.get(watcher.channel):
            watcher.read_again()
        elif first:
            self._change(watcher.channel)

    def detach(self, watcher: Watcher) -> None:
        if self._watches.remove(watcher):
            self._change(watcher.channel)

    def watched(self) -> list[str]:
        return list(self._watches)

    async def broadcast(self, topic: str, body: bytes) -> None:
        channel = _TOPIC + topic
        self._topics.tell(channel, body)
        try:
            self._link.publish(self._prefix + channel, self._sender + body)
        except LinkDown as error:
            self._failed(error)

    def on_broadcast(self, topic: str, listener: Callable[[bytes], None]) -> None:
        channel = _TOPIC + topic
        self._topics.add(channel, listener)
        self._change(channel)

    def on_reconnect(self, listener: Callable[[], None]) -> None:
        self._reconnected.append(listener)

    def _failed(self, error: LinkDown) -> None:
        FAILURES.inc()
        if not self._failing:
            self._failing = True
            log.warning("publish_failed", reason=str(error))

    def _open(self) -> None:
        self._changed.clear()
        self._subscribed = dict.fromkeys((*self._topics, *self._watches), False)
        self._tell_redis(list(self._subscribed), [])

    def _ready(self, again: bool) -> None:
        CONNECTED.set(1)
        if again:
            RECONNECTS.inc()
            for listener in self._reconnected:
                try:
                    listener()
                except Exception:
                    log.exception("reconnect_listener_failed")

    def _lost(self) -> None:
        CONNECTED.set(0)
        self._subscribed = {}

    def _change(self, channel: str) -> None:
        """Note that *channel* may have to be joined or left; all changes of a loop cycle go out at once."""
        if self._link.wire is None:
            return
        if not self._changed:
            asyncio.get_running_loop().call_soon(self._flush)
        self._changed[channel] = None

    def _flush(self) -> None:
        changed, self._changed = self._changed, {}
        wanted = {name for name in changed if name in self._watches or name in self._topics}
        join = [name for name in changed if name in wanted and name not in self._subscribed]
        leave = [name for name in changed if name not in wanted and name in self._subscribed]
        for name in join:
            self._subscribed[name] = False
        for name in leave:
            del self._subscribed[name]
        self._tell_redis(join, leave)

    def _tell_redis(self, join: list[str], leave: list[str]) -> None:
        wire = self._link.wire
        if wire is None:
            return
        with suppress(LinkDown):  # then all is subscribed to anew by the next connection
            for start in range(0, len(join), _BATCH):
                wire.subscribe(*(self._prefix + name for name in join[start : start + _BATCH]))
            for start in range(0, len(leave), _BATCH):
                wire.unsubscribe(*(self._prefix + name for name in leave[start : start + _BATCH]))

    def _push(self, item: list[Any]) -> None:
        kind, name = item[0], item[1][self._cut :].decode()
        if kind == b"message":
            self._deliver(name, item[2])
        elif kind == b"subscribe" and name in self._subscribed:
            # It may answer an earlier SUBSCRIBE, with an UNSUBSCRIBE and another one on the way: that one's
            # confirmation follows, and the watchers read again once more.
            self._subscribed[name] = True
            self._watches.read_again(name)

    def _deliver(self, name: str, payload: bytes) -> None:
        if name in self._topics:
            if not payload.startswith(self._sender):
                self._topics.tell(name, payload[_SENDER:])
            return
        seq, _, body = payload.partition(b" ")
        if seq.isdigit():
            self._watches.offer(name, Message(int(seq), body))
        else:
            log.warning("message_unreadable", channel=name)
