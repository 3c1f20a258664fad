"""The attempts in SQL, and the telling of each move: the one place that moves a state.

A move is compare-and-set on `seq`: read, decide by the table, UPDATE … WHERE seq is still the one decided
upon. Who comes second reads again and decides again. Nobody is told before the commit.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

import structlog
from prometheus_client import Counter

from hub.errors import (
    AlreadyClaimed,
    AttemptExpired,
    AttemptFailed,
    AttemptNotFound,
    HubError,
    StoreUnavailable,
    WrongState,
)
from hub.qr import identifiers
from hub.qr.attempt import Attempt, Snapshot, channel
from hub.qr.attention import Attention
from hub.qr.identifiers import Identifiers, hashed
from hub.qr.new_attempt import Code, Content, Initiator, NewAttempt, insert
from hub.qr.rereading import Rereading
from hub.qr.states import Event, Lifetimes, Move, Status, deadline, decide, rotation_due
from hub.realtime.broker import Broker
from hub.store.database import Connection, Store

log = structlog.stdlib.get_logger("hub.qr")

CREATED = Counter("hub_qr_created_total", "Sign-in attempts begun", ["door"])
MOVES = Counter("hub_qr_moves_total", "Moves of sign-in attempts", ["door", "status", "reason"])

FRESH = 5.0  # seconds for which a poll trusts the broker's snapshot
_RETRIES = 8
_TWO_MOVES = 2
_KEPT = 120.0  # seconds a snapshot outlives its attempt, for polls that come late

Write = Callable[[Attempt, Move, datetime], Awaitable[Attempt | None]]


class Attempts:
    """Reads, begins and moves attempts, and publishes each move after its commit.

    *contents* are the doors, by name, that say what their codes say.
    """

    def __init__(
        self,
        store: Store,
        broker: Broker,
        made: Identifiers,
        lives: Lifetimes,
        contents: Mapping[str, Content] | None = None,
    ) -> None:
        self.store = store
        self.broker = broker
        self.made = made
        self.lives = lives
        self._contents = contents or {}
        self.rereading = Rereading(self.by_keys)
        self.attention = Attention(store, self.by_keys, self.tick, self.rotate)

    async def begin(self, new: NewAttempt) -> Attempt:
        """Write a pending attempt, tell it, and return it.

        Raises ProviderAway or ProviderFailed with nothing written.
        """
        attempt = await self._insert(self.store, new, await self._code(new.door))
        CREATED.labels(attempt.door).inc()
        await self.tell(attempt)
        return attempt

    async def succeed(self, attempt: Attempt) -> Attempt:
        """Return the one successor of an expired or failed attempt, begun now if there is none yet.

        Raises WrongState while the attempt is alive or confirmed, ProviderAway or ProviderFailed.
        """
        if not attempt.final:
            attempt = await self.tick(attempt)
        if attempt.status not in (Status.EXPIRED, Status.FAILED):
            raise WrongState(f"refresh of a {attempt.status} attempt")
        if attempt.successor_id is None:
            new = NewAttempt(
                attempt.door,
                attempt.binding,
                attempt.ip_address,
                attempt.user_agent,
                attempt.redirect_uri,
                attempt.state,
                Initiator(attempt.initiator_user_id, attempt.initiator_sid),
                attempt.cookie_hash,
            )
            code = await self._code(new.door)
            try:
                successor = await self.store.write(lambda tx: self._succeed(tx, attempt, new, code))
            except _LostError:
                attempt = await self.by_id(attempt.id)
            else:
                CREATED.labels(successor.door).inc()
                await self.tell(successor)
                return successor
        if attempt.successor_id is None:
            raise StoreUnavailable("a successor was begun and is not there")
        return await self.by_id(attempt.successor_id)

    async def by_session(self, session_id: str) -> Attempt:
        """Return the attempt from SQL. Raises AttemptNotFound."""
        if not identifiers.SESSION_ID.fullmatch(session_id):
            raise AttemptNotFound("malformed session_id")
        row = await self.store.one("qr.by_session", session_id=hashed(session_id))
        if row is None:
            raise AttemptNotFound("unknown session_id")
        return Attempt.from_row(row)

    async def by_id(self, attempt_id: int) -> Attempt:
        """Return the attempt from SQL. Raises AttemptNotFound."""
        row = await self.store.one("qr.by_id", id=attempt_id)
        if row is None:
            raise AttemptNotFound(f"attempt {attempt_id} is gone")
        return Attempt.from_row(row)

    async def by_qr_code(self, qr_code: str) -> Attempt:
        """Return the attempt whose visible or former code this is. Raises AttemptNotFound."""
        if not identifiers.QR_CODE.fullmatch(qr_code):
            raise AttemptNotFound("malformed qr_code")
        row = await self.store.one("qr.by_qr_code", qr_code=qr_code)
        row = row or await self.store.one("qr.by_previous_qr_code", previous_qr_code=qr_code)
        if row is None:
            raise AttemptNotFound("unknown qr_code")
        return Attempt.from_row(row)

    async def by_keys(self, keys: list[str]) -> list[Attempt]:
        """Return the attempts with these hashed session_ids; those that are gone are left out."""
        return [Attempt.from_row(row) for row in await self.store.all("qr.by_sessions", session_id=keys)]

    async def changed(self, keys: list[str], since: datetime) -> dict[str, int]:
        """Return the seq of each of the attempts with these hashed session_ids that has moved *since*."""
        rows = await self.store.all("qr.changed", session_id=keys, updated_at=since)
        return {row["session_id"]: row["seq"] for row in rows}

    async def snapshot(self, session_id: str) -> Snapshot:
        """Return the public state: the broker's if it is at most FRESH seconds old, else from SQL.

        A rotation or expiry that is due is done first. Raises AttemptNotFound.
        """
        if not identifiers.SESSION_ID.fullmatch(session_id):
            raise AttemptNotFound("malformed session_id")
        held = await self.broker.snapshot(channel(hashed(session_id)))
        if held is not None and held[1] <= FRESH:
            with suppress(ValueError):  # a process of another version has told it; SQL is the same for both
                snapshot = Snapshot.from_message(held[0])
                if snapshot.final or snapshot.due_in(self.store.now()) > 0:
                    return snapshot
        attempt = await self.tick(await self.by_session(session_id))
        await self.tell(attempt)
        return attempt.snapshot()

    async def tick(self, attempt: Attempt) -> Attempt:
        """Do what time alone demands, expiry or rotation, and return the attempt as it then stands.

        Raises StoreUnavailable, also where the database can only be read.
        """
        now = self.store.now()
        if decide(attempt, Event.DEADLINE, now):
            try:
                return await self.move(attempt, lambda _: Event.DEADLINE)
            except StoreUnavailable:
                raise  # who waits has to wait before trying again
            except HubError:  # another event came first
                return await self.by_id(attempt.id)
        if not rotation_due(attempt, now):
            return attempt
        found = await self.rotate([attempt])
        return found[0] if found else await self.by_id(attempt.id)

    async def rotate(self, attempts: list[Attempt]) -> list[Attempt]:
        """Give pending attempts new codes, all in one statement, and return each as it then stands.

        One that has moved meanwhile keeps what it has; one that is gone is left out. Raises StoreUnavailable.
        """
        now = self.store.now()
        until = now + timedelta(seconds=self.lives.visible)
        rotated = [
            replace(
                attempt,
                qr_code=identifiers.new_code(),
                previous_qr_code=attempt.qr_code,
                qr_expires_at=until,
                seq=attempt.seq + 1,
            )
            for attempt in sorted(attempts, key=lambda attempt: attempt.id)  # two that lock, lock alike
        ]
        turns = [[each.id, each.seq - 1, each.previous_qr_code, each.qr_code] for each in rotated]
        changed = await self.store.changed(
            "qr.rotate", turns=json.dumps(turns), qr_expires_at=until, updated_at=now
        )
        won = changed == len(rotated)
        found = rotated if won else await self.by_keys([each.key for each in rotated])
        codes = {each.id: each.qr_code for each in rotated}
        ours = [each for each in found if each.qr_code == codes[each.id]]
        await asyncio.gather(*map(self.tell, ours))
        return found

    async def move(
        self, attempt: Attempt, event: Callable[[Attempt], Event], write: Write | None = None
    ) -> Attempt:
        """Make the move of *event* (asked anew of each fresh reading), tell it, and return the attempt.

        *write* does the conditional UPDATE and returns the moved attempt, None if another move came first.
        Raises what `refused` says where the table refuses.
        """
        for _ in range(_RETRIES):
            now = self.store.now()
            move = decide(attempt, event(attempt), now)
            if move is None:
                raise refused(attempt, now)
            if move.steps == 0:
                return attempt
            moved = await (write or self.write)(attempt, move, now)
            if moved is not None:
                if moved.seq - attempt.seq == _TWO_MOVES:
                    between = replace(moved, status=Status.SCANNED, reason=None, seq=moved.seq - 1)
                    await self._announce(between)
                await self._announce(moved)
                return moved
            attempt = await self.by_id(attempt.id)
        raise StoreUnavailable("the attempt moved under every try")

    async def _announce(self, moved: Attempt) -> None:
        MOVES.labels(moved.door, moved.status, moved.reason or "").inc()
        log.info("attempt_moved", attempt=moved.id, status=moved.status, reason=moved.reason)
        await self.tell(moved)

    async def tell(self, attempt: Attempt) -> None:
        """Publish the attempt's snapshot; an older one never replaces a newer."""
        now = self.store.now()
        left = (attempt.expires_at - now).total_seconds()
        await self.broker.publish(attempt.channel, attempt.message(now), ttl=max(left, 0.0) + _KEPT)

    def moved(self, attempt: Attempt, move: Move, now: datetime) -> Attempt:
        """Return what *attempt* is after *move*."""
        return replace(
            attempt,
            status=move.to,
            reason=move.reason,
            seq=attempt.seq + move.steps,
            expires_at=deadline(move, attempt, now, self.lives),
        )

    async def write(self, attempt: Attempt, move: Move, now: datetime) -> Attempt | None:
        """Write a move that changes nothing but the state; None if another move came first."""
        moved = self.moved(attempt, move, now)
        changed = await self.store.changed(
            "qr.move",
            id=attempt.id,
            seq_before=attempt.seq,
            seq=moved.seq,
            status=moved.status,
            reason=moved.reason,
            expires_at=moved.expires_at,
            updated_at=now,
        )
        return moved if changed else None

    async def _code(self, door: str) -> Code:
        """Draw a code, and ask its door what it says; WeChat may be asked, so in no transaction."""
        code = identifiers.new_code()
        at = self._contents.get(door)
        return Code(code, await at.content(code, self.lives.pending) if at else None)

    async def _insert(self, tx: Store | Connection, new: NewAttempt, code: Code) -> Attempt:
        return await insert(tx, self.made, self.lives, new, code, self.store.now())

    async def _succeed(self, tx: Connection, attempt: Attempt, new: NewAttempt, code: Code) -> Attempt:
        successor = await self._insert(tx, new, code)
        if not await tx.changed("qr.succeed", id=attempt.id, successor_id=successor.id):
            raise _LostError
        return successor


class _LostError(Exception):
    """Another request has begun the successor; this transaction is rolled back."""


def refused(attempt: Attempt, now: datetime) -> HubError:
    """Return the error that says why *attempt* does not take an event at *now*."""
    what = f"attempt {attempt.id} is {attempt.status}"
    if attempt.status is Status.FAILED:
        return AlreadyClaimed(what) if attempt.reason == "already_claimed" else AttemptFailed(what)
    if attempt.status is Status.EXPIRED or now >= attempt.expires_at:
        return AttemptExpired(what)
    return WrongState(what)
