"""Which sessions have ended while access tokens of theirs may still live.

Each process keeps them in memory, so that checking a token costs no I/O. A revocation comes by broadcast, at
once; but that may be lost, or held up by a link that is frozen without anybody knowing yet, so SQL is read
every second as well. While the memory cannot be trusted (the broker is away, or what was missed is not read
yet) SQL is asked for each token.
"""

import asyncio
import contextlib
import json
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from time import monotonic

import structlog
from prometheus_client import Counter, Gauge

from hub.errors import HubError
from hub.realtime.broker import Broker
from hub.store.database import Store
from hub.ticks import until_tick

log = structlog.stdlib.get_logger("hub.tokens")

ENDED = Counter("hub_sessions_ended_total", "Sessions ended before their time, by reason.", ["reason"])
REMEMBERED = Gauge(
    "hub_revoked_sessions", "Ended sessions that this process remembers.", multiprocess_mode="livemax"
)

TOPIC = "revoked"
_SWEEP = 1.0  # seconds between two readings
# A transaction commits later than the time it wrote: mostly by milliseconds, which each reading allows for,
# seldom by much more, which each tenth does.
_OVERLAP = timedelta(seconds=5)
_LONG_OVERLAP = timedelta(seconds=60)
_LONG_EVERY = 10


class Revocations:
    """Remembers each ended session for *life* seconds, in which its last token has ended too.

    At most *capacity* are kept: where an older one had to go early, SQL is asked until it would have gone.
    """

    def __init__(self, store: Store, broker: Broker, *, life: float, capacity: int = 100_000) -> None:
        self._store = store
        self._broker = broker
        self._life = life
        self._capacity = capacity
        self._until: dict[str, float] = {}  # as they were heard, so the first is the first to go
        self._crowded_until = 0.0
        self._listeners: list[Callable[[str], None]] = []
        self._read_up_to: datetime | None = None
        self._readings = 0
        self._current = False
        self._failing = False
        self._due = asyncio.Event()
        self._sweeper: asyncio.Task[None] | None = None
        broker.on_broadcast(TOPIC, self._hear)
        broker.on_reconnect(self._doubt)

    async def start(self) -> None:
        """Read what ended while tokens may still live, and go on reading at an interval."""
        await self._read()
        self._sweeper = asyncio.create_task(self._sweep(), name="revocations")

    async def stop(self) -> None:
        """End the readings."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.wait([self._sweeper])
            self._sweeper = None

    def on_ended(self, listener: Callable[[str], None]) -> None:
        """Call *listener*, which must not raise, with each sid that becomes known here."""
        self._listeners.append(listener)

    async def announce(self, sids: Sequence[str], reason: str) -> None:
        """Tell every process that these sessions have ended; call it after the commit."""
        if not sids:
            return
        ENDED.labels(reason).inc(len(sids))
        for sid in sids:
            self._remember(sid)
        await self._broker.broadcast(TOPIC, json.dumps({"sids": list(sids), "reason": reason}).encode())

    async def ended(self, sid: str) -> bool:
        """Tell whether the session has ended. Raises StoreUnavailable where SQL must be asked and is away."""
        if sid in self._until:
            return True
        if self._current and self._broker.healthy and monotonic() >= self._crowded_until:
            return False
        return await self._store.one("tokens.running", sid=sid) is None

    def _hear(self, body: bytes) -> None:
        for sid in json.loads(body)["sids"]:
            self._remember(sid)

    def _doubt(self) -> None:
        self._current = False
        self._due.set()

    def _remember(self, sid: str) -> None:
        if sid in self._until:
            return
        now = monotonic()
        self._until[sid] = now + self._life
        for listener in self._listeners:
            listener(sid)
        while self._until:
            first = next(iter(self._until))
            until = self._until[first]
            if until > now:
                if len(self._until) <= self._capacity:
                    break
                self._crowded_until = until
            del self._until[first]
        REMEMBERED.set(len(self._until))

    async def _sweep(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._due.wait(), until_tick(_SWEEP))
            self._due.clear()
            try:
                await self._read()
            except Exception:  # a defect must not be the end of the readings
                log.exception("revocations_unread")

    async def _read(self) -> None:
        now = self._store.now()
        known_up_to = self._read_up_to or now - timedelta(seconds=self._life)
        long = not self._current or self._readings % _LONG_EVERY == 0
        since = known_up_to - (_LONG_OVERLAP if long else _OVERLAP)
        try:
            rows = await self._store.all("tokens.revoked_since", revoked_at=since)
        except HubError as error:
            if not self._failing:
                log.warning("revocations_unread", reason=error.reason)
            self._failing = True
            return
        self._failing = False
        for row in rows:
            self._remember(row["sid"])
        self._read_up_to = now
        self._readings += 1
        # A link that came back during the reading asks for another one.
        self._current = not self._due.is_set()
