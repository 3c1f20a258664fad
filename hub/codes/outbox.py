"""The queue of messages, in SQL: enqueued with what they belong to, claimed by workers under a lease.

A claim is one conditional UPDATE, so of two workers one has the message. It is held until it is marked or the
lease is over: a message is sent twice only if a worker dies, or a provider's answer is lost, between the
sending and the mark.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Collection
from datetime import datetime, timedelta
from time import monotonic
from typing import NamedTuple

import structlog
from prometheus_client import Gauge

from hub.codes.messages import Kind, Message
from hub.errors import Unavailable
from hub.store.database import Connection, Row, Store
from hub.store.encryption import DataKeys, Place, Unsealable
from hub.ticks import until_tick

__all__ = ["Claim", "Kind", "Message", "Outbox"]

log = structlog.stdlib.get_logger("hub.outbox")

WAITING = Gauge(
    "hub_outbox_waiting", "Messages that are not sent yet.", ["kind"], multiprocess_mode="livemostrecent"
)
OLDEST = Gauge(
    "hub_outbox_oldest_seconds",
    "Age of the oldest message that is not sent yet.",
    ["kind"],
    multiprocess_mode="livemostrecent",
)

LEASE = 60.0  # seconds; longer than any try takes
_ERROR_LENGTH = 128
_SETTLE_PAUSE = 0.02
_SHOWN = timedelta(days=1)
_SHOWN_MOST = 1000


class Claim(NamedTuple):
    """A message that this process may send until *over*, by `time.monotonic`; *attempts* counts this try."""

    id: int
    kind: Kind
    reference: str
    sealed: str
    attempts: int
    over: float


class Outbox:
    """Messages of some *kinds*; a kind without a sender is refused. *keys* encrypt them at rest."""

    def __init__(self, store: Store, keys: DataKeys, kinds: Collection[Kind]) -> None:
        self._store = store
        self._keys = keys
        self.kinds = frozenset(kinds)
        self._woken = {kind: asyncio.Event() for kind in self.kinds}

    async def enqueue(self, tx: Connection, kind: Kind, message: Message, now: datetime) -> None:
        """Queue *message* within the caller's transaction; call `wake` once that is committed.

        Raises Unavailable where no sender of this kind is configured, ValueError for a message that does not
        fit its template.
        """
        if kind not in self.kinds:
            raise Unavailable(f"no {kind} sender is configured", retry_after=3600)
        reference = secrets.token_urlsafe(16)
        payload = self._keys.seal(message.checked().dump(), _place(reference))
        await tx.insert("outbox.add", kind=kind, reference=reference, payload=payload, created_at=now)

    def wake(self) -> None:
        """Let the worker of this process, if there is one, look at once."""
        for event in self._woken.values():
            event.set()

    async def woken(self, kind: Kind, timeout: float) -> None:
        """Return at the next `wake`, or one since the last return, or after *timeout* seconds."""
        event = self._woken[kind]
        try:
            async with asyncio.timeout(until_tick(timeout)):
                await event.wait()
        except TimeoutError:
            return
        event.clear()

    async def due(self, kind: Kind, limit: int) -> list[Row]:
        """Return messages to claim, the longest overdue first."""
        return await self._store.all("outbox.due", kind=kind, next_attempt_at=self._store.now(), limit=limit)

    async def claim(self, row: Row) -> Claim | None:
        """Take a message of `due` for LEASE seconds; None if another worker was first."""
        over = monotonic() + LEASE
        changed = await self._store.changed(
            "outbox.claim",
            id=row["id"],
            attempts=row["attempts"],
            next_attempt_at=self._store.now() + timedelta(seconds=LEASE),
        )
        if not changed:
            return None
        return Claim(row["id"], row["kind"], row["reference"], row["payload"], row["attempts"] + 1, over)

    def open(self, claim: Claim) -> Message:
        """Return the claimed message. Raises Unsealable."""
        return Message.load(self._keys.open(claim.sealed, _place(claim.reference)))

    async def sent(self, claim: Claim, provider: str, *, keep: bool) -> None:
        """Mark it as sent; its content is erased, unless the sandbox is to show it (*keep*)."""
        await self._mark(
            "sent",
            claim,
            sent_at=self._store.now(),
            provider=provider,
            payload=claim.sealed if keep else "",
        )

    async def postpone(self, claim: Claim, seconds: float, error: str) -> None:
        """Give it back, to be due again in *seconds*."""
        at = self._store.now() + timedelta(seconds=seconds)
        await self._mark("postpone", claim, next_attempt_at=at, error=error[:_ERROR_LENGTH])

    async def bury(self, claim: Claim, error: str) -> None:
        """Give it up: it stays as a dead letter until the worker removes it."""
        await self._mark("bury", claim, dead_at=self._store.now(), error=error[:_ERROR_LENGTH])

    async def kept(self, provider: str) -> list[tuple[Message, datetime]]:
        """Return what *provider* was sent and was kept, with the time, the newest first."""
        since = self._store.now() - _SHOWN
        rows = await self._store.all("outbox.kept", provider=provider, sent_at=since, limit=_SHOWN_MOST)
        found = []
        for row in rows:
            with contextlib.suppress(Unsealable):  # of a key that is gone
                message = Message.load(self._keys.open(row["payload"], _place(row["reference"])))
                found.append((message, row["sent_at"]))
        return found

    async def settle(self, seconds: float) -> None:
        """Return once nothing waits to be sent, or after *seconds*."""
        until = monotonic() + seconds
        while monotonic() < until:
            if not [kind for kind in sorted(self.kinds) if await self._waiting(kind)]:
                return
            await asyncio.sleep(_SETTLE_PAUSE)

    async def measure(self) -> None:
        """Set the gauges of what waits."""
        for kind in sorted(self.kinds):
            oldest = await self._store.one("outbox.oldest", kind=kind)
            age = self._store.now() - oldest["created_at"] if oldest else timedelta(0)
            WAITING.labels(kind).set(await self._waiting(kind) if oldest else 0)
            OLDEST.labels(kind).set(max(0.0, age.total_seconds()))

    async def _waiting(self, kind: Kind) -> int:
        row = await self._store.one("outbox.waiting", kind=kind)
        return row["waiting"] if row else 0

    async def _mark(self, query: str, claim: Claim, **values: object) -> None:
        if not await self._store.changed(f"outbox.{query}", id=claim.id, attempts=claim.attempts, **values):
            log.warning("message_lease_lost", id=claim.id, mark=query)


def _place(reference: str) -> Place:
    return Place("outbox", (reference,), "payload")
