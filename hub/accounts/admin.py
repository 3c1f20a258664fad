"""What administrators do to accounts; each change is on record in the same transaction."""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal

from hub.accounts.usernames import username
from hub.errors import Conflict, Forbidden, InvalidRequest, NotFound
from hub.store.database import Connection, Row, Store
from hub.tokens.endings import Endings
from hub.tokens.session import Ended, EndReason

Role = Literal["user", "admin"]
Status = Literal["active", "inactive", "pending", "banned"]
ROLES: Sequence[Role] = ("user", "admin")
STATUSES: Sequence[Status] = ("active", "inactive", "pending", "banned")

_ID = re.compile(r"[1-9][0-9]{0,17}")


class Administration:
    """The use cases, done in the name of *actor*. *idle_ttl* is a session's life without use, in seconds.

    With *operator*, the account of who asks, each change demands in its own transaction that this is an
    administrator, and raises Forbidden where it is none, or not any more.
    """

    def __init__(
        self, store: Store, endings: Endings, *, actor: str, idle_ttl: int, operator: int | None = None
    ) -> None:
        self._store = store
        self._endings = endings
        self._actor = actor
        self._operator = operator
        self._idle = timedelta(seconds=idle_ttl)

    async def find(self, who: str) -> Row:
        """Return the account of an id, a number in E.164, an address or a username. Raises NotFound."""
        if _ID.fullmatch(who):
            row = await self._store.one("admin.by_id", id=int(who))
        elif who.startswith("+"):
            row = await self._store.one("admin.by_phone", phone=who)
        elif "@" in who:
            row = await self._store.one("admin.by_email", email=who.casefold())
        else:
            row = await self._by_username(who)
        if row is None:
            raise NotFound(f"no such user: {who}")
        return row

    async def listed(
        self, *, after: int, limit: int, statuses: Sequence[Status], roles: Sequence[Role]
    ) -> list[Row]:
        """Return up to *limit* accounts of these statuses and roles, by id, those that follow *after*."""
        return await self._store.all(
            "admin.listed", id=after, status=list(statuses), role=list(roles), limit=limit
        )

    async def sessions(self, who: str) -> list[Row]:
        """Return the rows of the account's sessions that still run, last used first. Raises NotFound."""
        user, now = await self.find(who), self._store.now()
        return await self._store.all(
            "tokens.devices", user_id=user["id"], expires_at=now, last_active_at=now - self._idle
        )

    async def ban(self, who: str, reason: str | None = None) -> Ended:
        """Shut the account out and end all its sessions, at once.

        Raises NotFound, Conflict if it was banned, or Forbidden where operators name themselves.
        """
        user, now = await self.find(who), self._store.now()
        if user["id"] == self._operator:
            raise Forbidden("nobody bans themselves")

        async def work(tx: Connection) -> Ended:
            if not await tx.changed("admin.ban", id=user["id"], updated_at=now):
                raise Conflict(f"user {user['id']} is banned already")
            return await self._end(tx, "user.ban", user, "account_blocked", now, **_given(reason))

        return await self._announced(await self._store.write(work))

    async def unban(self, who: str, reason: str | None = None) -> Row:
        """Make a banned account active again. Raises NotFound, or Conflict if it was not banned."""
        user, now = await self.find(who), self._store.now()

        async def work(tx: Connection) -> None:
            if not await tx.changed("admin.unban", id=user["id"], updated_at=now):
                raise Conflict(f"user {user['id']} is not banned")
            change = {"before": "banned", "after": "active", **_given(reason)}
            await self._record(tx, "user.unban", user, change, now)

        await self._store.write(work)
        return user

    async def set_role(self, who: str, role: Role) -> Ended:
        """Give the account another role, and end its sessions, whose tokens name the former one.

        Raises NotFound, or Conflict if it has that role.
        """
        user, now = await self.find(who), self._store.now()

        async def work(tx: Connection) -> Ended:
            if not await tx.changed("admin.set_role", id=user["id"], role_next=role, updated_at=now):
                raise Conflict(f"user {user['id']} has the role {role} already")
            return await self._end(tx, "user.role", user, "administrator", now, after=role)

        return await self._announced(await self._store.write(work))

    async def revoke(self, who: str, sid: str | None = None) -> Ended:
        """End all sessions of the account, or the one that is named. Raises NotFound, for that one too."""
        user, now = await self.find(who), self._store.now()

        async def work(tx: Connection) -> Ended:
            return await self._end(tx, "user.revoke", user, "administrator", now, sid=sid)

        return await self._announced(await self._store.write(work))

    async def _by_username(self, who: str) -> Row | None:
        try:
            return await self._store.one("admin.by_username", username=username(who))
        except InvalidRequest:
            return None

    async def _end(
        self,
        tx: Connection,
        action: str,
        user: Row,
        cause: EndReason,
        now: datetime,
        *,
        sid: str | None = None,
        **detail: object,
    ) -> Ended:
        if sid is None:
            ended = await self._endings.end_all(tx, user["id"], cause, now)
        else:
            ended = await self._endings.end(tx, user["id"], [sid], cause, now)
            if not ended.sids:
                raise NotFound(f"user {user['id']} has no such session")
        before = {"status": user["status"], "role": user["role"]}
        await self._record(tx, action, user, {"before": before, "sessions": ended.sids, **detail}, now)
        return ended

    async def _announced(self, ended: Ended) -> Ended:
        await self._endings.announce(ended)
        return ended

    async def _record(
        self, tx: Connection, action: str, user: Row, detail: Mapping[str, object], now: datetime
    ) -> None:
        # Read under a lock: of two administrators who ban each other, one is late.
        if self._operator is not None and not await tx.one("admin.authority", id=self._operator):
            raise Forbidden(f"user {self._operator} is no administrator")
        await tx.insert(
            "admin.record",
            actor=self._actor[:128],
            action=action,
            target=f"user:{user['id']}",
            detail=json.dumps(detail, ensure_ascii=False),
            created_at=now,
        )


def _given(reason: str | None) -> dict[str, str]:
    return {} if reason is None else {"reason": reason}
