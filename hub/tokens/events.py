"""Account events: what a person's signed-in clients are told, in an order that has no gaps.

SQL keeps them; the broker only says how far they go. So an event that the broker loses is late, never lost.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple

import structlog
from typing_extensions import TypedDict

from hub.errors import StoreUnavailable
from hub.realtime.broker import Broker
from hub.realtime.watch import Message
from hub.store.database import Connection, Store
from hub.web.answers import moment
from hub.web.shapes import described

log = structlog.stdlib.get_logger("hub.events")

EventType = Literal["session.created", "session.revoked", "binding.changed", "login.failed", "security.alert"]
PAGE = 100  # events read at once
_KEPT = 60.0  # seconds that the broker keeps the newest seq, which nobody reads


@described
class EventFrame(TypedDict):
    """Something has happened to the account."""

    type: EventType
    """What has happened."""
    seq: int
    """The event's place in the account's order, which has no gaps."""
    created_at: str
    """When, in ISO 8601 and UTC."""
    data: Mapping[str, Any]
    """What is to be known of it."""


class Event(NamedTuple):
    """One event of an account; *seq* counts from 1."""

    seq: int
    type: EventType
    payload: Mapping[str, Any]
    created_at: datetime

    def frame(self) -> EventFrame:
        """Return the wire form, the same on both channels."""
        return {
            "type": self.type,
            "seq": self.seq,
            "created_at": moment(self.created_at),
            "data": self.payload,
        }


class AccountEvents:
    """Appends events in their cause's transaction, and announces them after its commit."""

    def __init__(self, store: Store, broker: Broker) -> None:
        self.broker = broker
        self._store = store

    async def append(
        self, tx: Connection, user_id: int, kind: EventType, payload: Mapping[str, object], now: datetime
    ) -> None:
        """Write one event inside the caller's transaction; an account that is gone is told nothing.

        It locks the account's row, so it comes before other tables' rows or after that lock. *payload* is
        JSON for the account's own person: no token, no code, no full number. After the commit: `announce`.
        """
        if await tx.changed("events.count", id=user_id):
            await self.append_counted(tx, user_id, kind, payload, now)

    async def append_counted(
        self, tx: Connection, user_id: int, kind: EventType, payload: Mapping[str, object], now: datetime
    ) -> None:
        """As `append`, where the caller's own UPDATE of the account's row has added one to `event_seq`."""
        await tx.post(
            "events.append",
            user_id=user_id,
            type=kind,
            payload=json.dumps(payload, ensure_ascii=False, separators=(",", ":")),
            created_at=now,
        )

    async def announce(self, user_id: int) -> None:
        """Let the account's streams, in every process, look for new events; call it after the commit.

        Nothing here raises because a server is away: the streams then find the events at an interval.
        """
        try:
            seq = (await self.newest([user_id])).get(user_id, 0)
        except StoreUnavailable as error:
            log.warning("events_unannounced", reason=error.reason, user_id=user_id)
            return
        await self.tell(user_id, seq)

    async def tell(self, user_id: int, seq: int) -> None:
        """As `announce`, where the caller knows the *seq* of the account's newest event."""
        await self.broker.publish(channel(user_id), Message(seq, b""), ttl=_KEPT)

    async def after(self, user_id: int, seq: int) -> list[Event]:
        """Return the events that follow *seq*, in order, at most PAGE of them."""
        rows = await self._store.all("events.after", user_id=user_id, seq=seq, limit=PAGE)
        return [Event(row["seq"], row["type"], json.loads(row["payload"]), row["created_at"]) for row in rows]

    async def newest(self, user_ids: Sequence[int]) -> dict[int, int]:
        """Return the seq of each account's newest event, 0 where there was none; without those gone."""
        rows = await self._store.all("events.newest", id=user_ids)
        return {row["id"]: row["event_seq"] for row in rows}


def channel(user_id: int) -> str:
    """Return the broker's channel of an account."""
    return f"account:{user_id}"
