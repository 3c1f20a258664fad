"""The links to a Redis Cluster: one to each primary, and the map of which slot is whose.

The map is asked for every few seconds, and at once where something was not where it was looked for. While a
slot is being moved, or its primary is being replaced, what is published to it may be lost: whoever watches a
name there reads again once the new node has confirmed the subscription.
"""

import asyncio
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import hiredis
import structlog
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from hub.realtime.dial import Dial, dialler
from hub.realtime.link import Link, Script
from hub.realtime.links import Links, Make, OneLink
from hub.realtime.wire import LinkDown, Moved, Wire
from hub.ticks import until_tick

log = structlog.stdlib.get_logger("hub.realtime")

SLOTS = REDIS_CLUSTER_HASH_SLOTS

Node = tuple[str, int]
Map = list[Node | None]
"""The primary of each slot, None where there is none."""

_CLUSTER = re.compile(r"redis(?P<tls>s?)\+cluster://(?P<user>[^@/]*@)?(?P<nodes>[^@/?]+)/?(?P<options>\?.*)?")
_INTERVAL = 5.0  # seconds between two readings of the map ...
_IN_TROUBLE = 0.5  # ... while a link is down ...
_LEAST = 0.1  # ... and at least


class Cluster(Links):
    """Links made by *make*; *changed* is called after the map has changed, or was doubted and holds.

    The URL is `redis+cluster://[user:password@]host:port[,host:port…]`, or `rediss+cluster://` for TLS; any
    node will do, for it names the others. Raises ValueError for another URL.
    """

    def __init__(self, url: str, make: Make, *, timeout: float, changed: Callable[[], None]) -> None:
        found = _CLUSTER.fullmatch(url)
        if found is None:
            raise ValueError("not the URL of a cluster")
        self._url = f"redis{found['tls']}://{found['user'] or ''}%s:%d{found['options'] or ''}"
        self._seeds = [_node(address) for address in found["nodes"].split(",")]
        self._make = make
        self._timeout = timeout
        self._changed = changed
        self._links: dict[Node, Link] = {}
        self._map: Map = [None] * SLOTS
        self._whole = False
        self._doubted = False
        self._due = asyncio.Event()
        self._tried = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def __iter__(self) -> Iterator[Link]:
        return iter(tuple(self._links.values()))

    @property
    def healthy(self) -> bool:
        return self._whole and all(link.up for link in self._links.values())

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="cluster")
        await self._tried.wait()

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await asyncio.gather(*(link.stop() for link in self))

    def at(self, name: str) -> Link:
        return self._links[self._primary(name)]

    async def run(self, script: Script, key: str, *arguments: str | bytes | int, late: bool = False) -> Any:
        try:
            node = self._primary(key)
            return await self._links[node].run(script, key, *arguments, late=late)
        except Moved as moved:
            self._due.set()
            link = self._links.get(moved_to(str(moved), node))
            if link is None:
                raise
            return await link.run(script, key, *arguments, late=late)
        except LinkDown:
            self._due.set()
            raise

    def look_again(self) -> None:
        self._doubted = True
        self._due.set()

    def _primary(self, name: str) -> Node:
        node = self._map[key_slot(name.encode())]
        if node is None:
            raise LinkDown("no node has this slot")
        return node

    async def _run(self) -> None:
        reachable = True
        while True:
            self._due.clear()
            try:
                await self._adopt(await self._read())
                reachable = True
            except LinkDown as error:
                if reachable:
                    log.warning("cluster_unreachable", reason=str(error))
                reachable = False
            except Exception:  # a defect must not be the end of the readings
                log.exception("cluster_unreadable")
            self._tried.set()
            await asyncio.sleep(_LEAST)
            with suppress(TimeoutError):
                async with asyncio.timeout(until_tick(_INTERVAL) if self.healthy else _IN_TROUBLE):
                    await self._due.wait()

    async def _read(self) -> Map:
        """Return the map as a node that answers has it. Raises LinkDown."""
        for node, link in tuple(self._links.items()):
            if link.up:
                with suppress(LinkDown):
                    return primaries(await link.ask("CLUSTER", "SLOTS"), node)
        for node in dict.fromkeys((*self._links, *self._seeds)):
            with suppress(LinkDown):
                return primaries(await self._ask(node), node)
        raise LinkDown("no node of the cluster answers")

    async def _ask(self, node: Node) -> Any:
        dialled = await self._dial(node)()
        wire = Wire(dialled.transport, lambda _: None, answer_timeout=self._timeout)
        try:
            return await wire.call("CLUSTER", "SLOTS")
        except hiredis.ReplyError as error:
            raise LinkDown(str(error)) from error
        finally:
            wire.abort()
            await dialled.hang_up()
            await asyncio.wait({wire.lost})

    async def _adopt(self, fresh: Map) -> None:
        doubted, self._doubted = self._doubted, False
        if fresh == self._map:
            if doubted:
                self._changed()
            return
        nodes = {node for node in fresh if node is not None}
        new = {node: self._make(self._dial(node)) for node in nodes if node not in self._links}
        self._links |= new
        await asyncio.gather(*(link.start() for link in new.values()))
        self._map, self._whole = fresh, None not in fresh
        log.info("cluster_map", primaries=sorted(f"{host}:{port}" for host, port in nodes), whole=self._whole)
        self._changed()
        for node in self._links.keys() - nodes:
            await self._links.pop(node).stop()

    def _dial(self, node: Node) -> Dial:
        host, port = node
        return dialler(self._url % (f"[{host}]" if ":" in host else host, port), timeout=self._timeout)


def is_cluster(url: str) -> bool:
    """Tell whether *url* names the nodes of a cluster."""
    return _CLUSTER.fullmatch(url) is not None


def links(url: str, make: Make, *, timeout: float, changed: Callable[[], None] = lambda: None) -> Links:
    """Return the links to what *url* names, made by *make*; *timeout* is for each step of dialling, in s."""
    if is_cluster(url):
        return Cluster(url, make, timeout=timeout, changed=changed)
    return OneLink(url, make, timeout=timeout)


def primaries(reply: Sequence[Any], asked: Node) -> Map:
    """Read the answer to CLUSTER SLOTS that the node *asked* gave: [first, last, [host, port, …], …] each."""
    slots: Map = [None] * SLOTS
    for first, last, (host, port, *_), *_replicas in reply:
        # A node that does not know its own address names none: it is the one that was asked.
        node = (host.decode() if host else asked[0], port)
        slots[first : last + 1] = [node] * (last - first + 1)
    return slots


def moved_to(told: str, asked: Node) -> Node:
    """Read `MOVED slot host:port`, which the node *asked* has told: IPv6 there has no brackets."""
    host, _, port = told.split()[2].rpartition(":")
    return host or asked[0], int(port)


def _node(address: str) -> Node:
    parts = urlsplit(f"//{address}")
    if parts.hostname is None:
        raise ValueError("a node without a host")
    return parts.hostname, parts.port or 6379
