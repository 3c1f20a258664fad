"""Connections that are opened when needed, checked after a rest, and thrown away whole when in doubt."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from time import monotonic

import structlog
from prometheus_client import Counter, Gauge

from hub.errors import StoreUnavailable
from hub.store.failures import Contended, LinkLost, Refused
from hub.store.links import Link

log = structlog.stdlib.get_logger("hub.store")

CONNECTIONS = Gauge("hub_store_connections", "Open connections to the database", multiprocess_mode="livesum")
UNAVAILABLE = Counter("hub_store_unavailable_total", "Units that failed for want of the database", ["cause"])

_PING_AFTER = 30.0
_BACKOFF_FIRST, _BACKOFF_MOST = 0.1, 1.0
_FAILURES = (LinkLost, Refused, Contended, TimeoutError)


def unavailable(cause: str, reason: str) -> StoreUnavailable:
    """Count a failure under its *cause* and return the error to raise; *reason* goes to the log."""
    UNAVAILABLE.labels(cause).inc()
    return StoreUnavailable(reason)


class Opener:
    """Opens the connections of one lane, and tells once when it cannot and once when it can again."""

    def __init__(self, name: str, connect: Callable[[], Awaitable[Link]]) -> None:
        self._name = name
        self._connect = connect
        self.failure: str | None = None
        """Why the last try failed, if it did."""
        self._dropped: set[asyncio.Task[None]] = set()

    async def open(self) -> Link:
        """Open one. Raises LinkLost, Refused or Contended."""
        link = await self._connect()
        CONNECTIONS.inc()
        if self.failure:
            self.failure = None
            log.info("database_back", lane=self._name)
        return link

    def failed(self, error: Exception) -> None:
        """Tell that the last try failed."""
        known, self.failure = self.failure, str(error) or "no answer in time"
        if not known:
            log.warning("database_unreachable", lane=self._name, error=self.failure)

    def drop(self, link: Link) -> None:
        """Throw *link* away; only `drain` waits until it is gone."""
        CONNECTIONS.dec()
        dropping = asyncio.create_task(link.abandon())
        self._dropped.add(dropping)
        dropping.add_done_callback(self._dropped.discard)

    async def drain(self, seconds: float) -> None:
        """Wait for what was dropped."""
        if self._dropped:
            await asyncio.wait(self._dropped, timeout=seconds)


class Connector:
    """The one connection of a worker, or the want of one."""

    __slots__ = ("_failures", "_link", "_opener", "_retry_at", "_used_at")

    def __init__(self, opener: Opener) -> None:
        self._opener = opener
        self._link: Link | None = None
        self._used_at = 0.0
        self._failures = 0
        self._retry_at = 0.0

    @property
    def connected(self) -> bool:
        """Whether there is a connection, for all that is known."""
        return self._link is not None and self._link.alive

    def at_hand(self) -> bool:
        """Say whether there is a connection that needs no check."""
        return self._link is not None and self._link.alive and monotonic() - self._used_at < _PING_AFTER

    async def ready(self, seconds: float) -> bool:
        """Check the connection or try once to open one, for so long; tell whether there is one."""
        if await self._sound():
            return True
        try:
            await self._open(asyncio.get_running_loop().time() + seconds)
        except _FAILURES:
            return False
        return True

    async def link(self, deadline: float) -> Link:
        """Return the connection, opened where need be. Raises StoreUnavailable at *deadline* (loop time)."""
        if self._link is not None and self.at_hand():
            return self._link
        while True:
            if await self._sound() and self._link:
                return self._link
            try:
                await self._open(deadline)
            except _FAILURES as error:
                if self._retry_at >= deadline:
                    raise unavailable("unreachable", f"no connection: {error}") from error

    def _rested(self) -> bool:
        return monotonic() - self._used_at >= _PING_AFTER

    async def _sound(self) -> bool:
        """Say whether there is a connection, checked after a rest; one that does not answer is dropped."""
        if self._link is None:
            return False
        if self._link.alive and (not self._rested() or await _answers(self._link)):
            self._used_at = monotonic()
            return True
        self.drop()
        return False

    async def _open(self, deadline: float) -> None:
        """Try once, after the pause that is due. Raises what has failed, TimeoutError at *deadline*."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout_at(deadline):
                await asyncio.sleep(self._retry_at - loop.time())
                self._link = await self._opener.open()
        except _FAILURES as error:
            self._opener.failed(error)
            self._failures += 1
            pause = min(_BACKOFF_FIRST * 2 ** min(self._failures, 10), _BACKOFF_MOST)
            self._retry_at = loop.time() + pause * random.uniform(0.5, 1)  # noqa: S311 - spreads rivals only
            raise
        self._failures, self._retry_at, self._used_at = 0, 0.0, monotonic()

    def used(self) -> None:
        """Note that the work on it has ended; let go of it where it has broken."""
        self._used_at = monotonic()
        if self._link and not self._link.alive:
            self.drop()

    def idle_since(self, moment: float) -> bool:
        """Say whether there is a connection that nobody has used since *moment* (of the monotonic clock)."""
        return self._link is not None and self._used_at <= moment

    def drop(self) -> None:
        """Throw the connection away in the middle of whatever it does."""
        link, self._link = self._link, None
        if link:
            self._opener.drop(link)

    async def close(self) -> None:
        """Close the connection in order."""
        link, self._link = self._link, None
        if link:
            CONNECTIONS.dec()
            with contextlib.suppress(Exception):  # it is closed in any case
                async with asyncio.timeout(1):
                    await link.close()


async def _answers(link: Link) -> bool:
    try:
        async with asyncio.timeout(1):
            await link.ping()
    except (LinkLost, Refused, TimeoutError):
        return False
    return True
