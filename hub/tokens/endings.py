"""The end of sessions: the rows, the events, and the word to every process."""

from collections.abc import Sequence
from datetime import datetime

from hub.store.database import Connection
from hub.tokens.events import AccountEvents
from hub.tokens.revocations import Revocations
from hub.tokens.session import Ended, EndReason


class Endings:
    """Ends sessions in the caller's transaction, and announces that after its commit."""

    def __init__(self, revocations: Revocations, events: AccountEvents) -> None:
        self._revocations = revocations
        self._events = events

    async def end(
        self, tx: Connection, user_id: int, sids: Sequence[str], reason: EndReason, now: datetime
    ) -> Ended:
        """End those of *sids* that are this user's and still run; they are what is returned.

        It takes the lock on the account's row first, as whoever opens a session does: to meet in another
        order would be a deadlock.
        """
        await tx.one("tokens.lock_user", id=user_id)
        ended = [sid for sid in sids if await self._end(tx, user_id, sid, reason, now)]
        return Ended(user_id, tuple(ended), reason)

    async def end_all(
        self, tx: Connection, user_id: int, reason: EndReason, now: datetime, *, except_sid: str | None = None
    ) -> Ended:
        """End all sessions of this user, but for *except_sid*."""
        await tx.one("tokens.lock_user", id=user_id)
        rows = await tx.all("tokens.active_of_user", user_id=user_id)
        return await self.end(
            tx, user_id, [row["sid"] for row in rows if row["sid"] != except_sid], reason, now
        )

    async def outlive(self, tx: Connection, user_id: int, now: datetime) -> None:
        """Keep the sids of an account that is about to be deleted: its sessions' rows go with it.

        From them processes that start later, or miss the announcement, learn whose tokens to refuse.
        """
        await tx.changed("tokens.outlive", user_id=user_id, ended_at=now)

    async def announce(self, ended: Ended) -> None:
        """Let every process refuse the sessions' tokens, and tell the account's streams."""
        if ended.sids:
            await self._revocations.announce(ended.sids, ended.reason)
            await self._events.announce(ended.user_id)

    async def _end(self, tx: Connection, user_id: int, sid: str, reason: EndReason, now: datetime) -> bool:
        if not await tx.changed(
            "tokens.end", sid=sid, user_id=user_id, revoked_at=now, revoked_reason=reason
        ):
            return False
        await self._events.append(tx, user_id, "session.revoked", {"session_id": sid, "reason": reason}, now)
        return True
