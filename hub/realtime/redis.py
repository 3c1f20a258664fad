"""The broker of many processes: Redis pub/sub, and the snapshots beside it.

One connection in RESP3 carries the subscriptions and the commands, so that one supervision covers both, and
what is said on it keeps its order. Commands are written without an await in between, which is all the locking
that subscribing and unsubscribing need.

A channel and the key of its snapshot have one name. The snapshot is `seq written body`, a message `seq body`:
decimal numbers, one space after each, *written* in ms by Redis' clock. Where Redis takes no snapshot, for its
memory or its disk is full, the message goes out all the same.
"""

import secrets
from collections.abc import Callable, Iterable
from weakref import WeakKeyDictionary

import structlog
from prometheus_client import Counter, Gauge

from hub.realtime.broker import PUBLISHED, Broker
from hub.realtime.cluster import is_cluster, links
from hub.realtime.dial import Dial
from hub.realtime.link import DEFAULT_TIMING, Link, Script, Timing
from hub.realtime.subscriptions import Subscriptions
from hub.realtime.topics import Topics
from hub.realtime.watch import Message, Watcher, Watches
from hub.realtime.wire import LinkDown

log = structlog.stdlib.get_logger("hub.realtime")

CONNECTED = Gauge("hub_broker_connected", "1 while the link to Redis is up.", multiprocess_mode="livemin")
FAILURES = Counter("hub_broker_publish_failures_total", "Publications that Redis did not take in time.")
RECONNECTS = Counter("hub_broker_reconnects_total", "Links to Redis rebuilt after an outage.")

_TOPIC = "topic:"
_SENDER = 16

_PUBLISH = """
local seq = tonumber(ARGV[1])
local last = tonumber(string.match(redis.call('GETRANGE', KEYS[1], 0, 20), '^(%d+) ')) or -1
if seq < last then return 0 end
local now = redis.call('TIME')
local written = string.format('%.0f', now[1] * 1000 + math.floor(now[2] / 1000))
local kept = redis.pcall('SET', KEYS[1], ARGV[1] .. ' ' .. written .. ' ' .. ARGV[2], 'PX', ARGV[3])
if seq > last then redis.call('PUBLISH', KEYS[1], ARGV[1] .. ' ' .. ARGV[2]) end
if kept.err then return kept end
return 1
"""
_SNAPSHOT = Script.of("""
local now = redis.call('TIME')
return {redis.call('GET', KEYS[1]), now[1] * 1000 + math.floor(now[2] / 1000)}
""")


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
        self._timing = timing
        self._sender = secrets.token_hex(_SENDER // 2).encode()
        self._watches = Watches()
        self._topics = Topics()
        self._reconnected: list[Callable[[], None]] = []
        self._carried: WeakKeyDictionary[Link, Subscriptions] = WeakKeyDictionary()
        self._failing = False
        self._sharded = is_cluster(url)
        self._verb = "SPUBLISH" if self._sharded else "PUBLISH"
        self._publish = Script.of(_PUBLISH.replace("'PUBLISH'", f"'{self._verb}'"))
        self._links = links(url, self._make, timeout=dial_timeout, changed=self._review)

    @property
    def healthy(self) -> bool:
        return self._links.healthy

    async def start(self) -> None:
        await self._links.start()

    async def stop(self) -> None:
        await self._links.stop()
        CONNECTED.set(0)

    async def publish(self, channel: str, message: Message, *, ttl: float) -> None:
        self._watches.offer(channel, message)
        PUBLISHED.inc()
        key, expiry = self._prefix + channel, max(1, int(ttl * 1000))
        try:
            await self._links.run(self._publish, key, message.seq, message.body, expiry, late=True)
        except LinkDown as error:
            self._failed(error)
        else:
            self._failing = False

    async def snapshot(self, channel: str) -> tuple[Message, float] | None:
        try:
            value, now = await self._links.run(_SNAPSHOT, self._prefix + channel)
            seq, written, body = (value or b"").split(b" ", 2)
            return Message(int(seq), body), max(0.0, (now - int(written)) / 1000)
        except (LinkDown, ValueError):  # no answer, no snapshot, or one that is not ours
            return None

    def attach(self, watcher: Watcher) -> None:
        first = self._watches.add(watcher)
        carried = self._carries(watcher.channel)
        if carried is None:
            return  # it is joined once a node has its slot
        if carried.confirmed(watcher.channel):
            watcher.read_again()
        elif first:
            carried.change(watcher.channel)

    def detach(self, watcher: Watcher) -> None:
        if self._watches.remove(watcher) and (carried := self._carries(watcher.channel)):
            carried.change(watcher.channel)

    def watched(self) -> list[str]:
        return list(self._watches)

    async def broadcast(self, topic: str, body: bytes) -> None:
        channel = _TOPIC + topic
        self._topics.tell(channel, body)
        try:
            name = self._prefix + channel
            self._links.at(name).post(self._verb, name, self._sender + body)
        except LinkDown as error:
            self._failed(error)

    def on_broadcast(self, topic: str, listener: Callable[[bytes], None]) -> None:
        channel = _TOPIC + topic
        self._topics.add(channel, listener)
        if carried := self._carries(channel):
            carried.change(channel)

    def on_reconnect(self, listener: Callable[[], None]) -> None:
        self._reconnected.append(listener)

    def _failed(self, error: LinkDown) -> None:
        FAILURES.inc()
        if not self._failing:
            self._failing = True
            log.warning("publish_failed", reason=str(error))

    def wanted(self, link: Link) -> Iterable[str]:
        """Return what is to be subscribed to on this link."""
        return [name for name in (*self._topics, *self._watches) if self._serves(link, name)]

    def wants(self, name: str, link: Link) -> bool:
        """Tell whether *name* is one of them."""
        return (name in self._watches or name in self._topics) and self._serves(link, name)

    def confirmed(self, name: str) -> None:
        """Let the watchers of *name* read again: from now on its messages arrive."""
        self._watches.read_again(name)
        carried = self._carries(name) if self._sharded and name in self._topics else None
        if carried is not None and carried.link.up:  # a new connection says so itself, when all is confirmed
            self._come_back()

    def misplaced(self) -> None:
        """Ask the cluster which node serves what."""
        self._links.look_again()

    def heard(self, name: str, payload: bytes) -> None:
        """Take a message."""
        if name in self._topics:
            if not payload.startswith(self._sender):
                self._topics.tell(name, payload[_SENDER:])
            return
        seq, _, body = payload.partition(b" ")
        if seq.isdigit():
            self._watches.offer(name, Message(int(seq), body))
        else:
            log.warning("message_unreadable", channel=name)

    def _make(self, dial: Dial) -> Link:
        carried = Subscriptions(self._prefix, self, sharded=self._sharded)

        def lost() -> None:
            carried.close()
            CONNECTED.set(0)
            self._links.look_again()

        carried.link = Link(
            "broker",
            dial,
            f"{self._prefix}heartbeat:",
            self._timing,
            scripts=(self._publish, _SNAPSHOT),
            opened=carried.open,
            ready=self._ready,
            lost=lost,
            pushed=carried.push,
        )
        self._carried[carried.link] = carried
        return carried.link

    def _carries(self, name: str) -> Subscriptions | None:
        try:
            return self._carried[self._links.at(self._prefix + name)]
        except LinkDown:
            return None

    def _serves(self, link: Link, name: str) -> bool:
        try:
            return self._links.at(self._prefix + name) is link
        except LinkDown:
            return False

    def _review(self) -> None:
        """Move the subscriptions to where the cluster's map has them now."""
        for link in self._links:
            self._carried[link].review()
        CONNECTED.set(self.healthy)

    def _ready(self, again: bool) -> None:
        CONNECTED.set(self.healthy)
        if again:
            RECONNECTS.inc()
            self._come_back()

    def _come_back(self) -> None:
        for listener in self._reconnected:
            try:
                listener()
            except Exception:
                log.exception("reconnect_listener_failed")
