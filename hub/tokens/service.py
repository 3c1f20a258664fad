"""Sessions: opening one for a device that signed in, refreshing and checking its tokens, ending it."""

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

import structlog
from prometheus_client import Counter

from hub.errors import AccountBlocked, InvalidRefreshToken, StoreUnavailable, Unauthorized
from hub.realtime.broker import Broker
from hub.store.database import Connection, Row, Store
from hub.tokens.claims import CHALLENGE, LEEWAY, AccessTokens, Claims
from hub.tokens.keys import RefreshKeys
from hub.tokens.revocations import Revocations
from hub.tokens.rotation import SID_BYTES, Lineage, Verdict, build, decide, parse, presenter
from hub.tokens.session import Device, LoginLog, Offence, TokenPair

__all__ = ["Device", "Sessions", "TokenPair", "surplus"]

log = structlog.stdlib.get_logger("hub.tokens")

OPENED = Counter("hub_sessions_opened_total", "Sessions opened.")
REFRESHES = Counter("hub_token_refreshes_total", "Refresh tokens presented, by what came of it.", ["result"])

_READINGS = 3  # one is enough, two after a race; more only where a replica lags behind
USER_AGENT_LENGTH = 512  # characters; the column's


class Sessions:
    """The use cases. *absolute_ttl* and *idle_ttl* are a session's lives in seconds, in all and without use.

    At most *cap* sessions of a user run at once, the oldest end; with *single_per_type* a new one also ends
    the others of its device type.
    """

    def __init__(
        self,
        store: Store,
        broker: Broker,
        access_tokens: AccessTokens,
        refresh_keys: RefreshKeys,
        login_log: LoginLog,
        *,
        absolute_ttl: int = 30 * 86400,
        idle_ttl: int = 14 * 86400,
        cap: int = 10,
        single_per_type: bool = False,
    ) -> None:
        self._store = store
        self._revocations = Revocations(store, broker, life=access_tokens.ttl + LEEWAY)
        self._access = access_tokens
        self._keys = refresh_keys
        self._log = login_log
        self._ttl = timedelta(seconds=absolute_ttl)
        self._idle = timedelta(seconds=idle_ttl)
        self._cap = cap
        self._single = single_per_type

    async def start(self) -> None:
        """Learn what was revoked lately; the store must have started."""
        await self._revocations.start()

    async def stop(self) -> None:
        """End what `start` began."""
        await self._revocations.stop()

    async def open(
        self,
        tx: Connection,
        user: Row,
        device: Device,
        *,
        amr: Sequence[str],
        now: datetime,
        client_id: str | None = None,
    ) -> TokenPair:
        """Open a session inside the caller's transaction; *user* holds at least id, role and email.

        It writes `last_login_at` itself, and should come before other writes that refer to the user's row.
        After the commit the caller passes the pair to `announce`. With *client_id* only that confidential
        client may refresh. Raises AccountBlocked, with nothing written, when the account is not active.
        """
        # The lock on the user's row makes parallel sign-ins wait, so that each counts the others.
        if not await tx.changed("tokens.mark_login", id=user["id"], last_login_at=now):
            raise AccountBlocked(f"user {user['id']}")
        running = await tx.all(
            "tokens.running_of_user",
            user_id=user["id"],
            expires_at=now,
            last_active_at=now - self._idle,
        )
        ended = surplus(running, device.type, cap=self._cap, single=self._single)
        if ended:
            await tx.changed("tokens.end_several", sid=ended, revoked_at=now, revoked_reason="replaced")
        session = {
            "sid": secrets.token_urlsafe(SID_BYTES),
            "user_id": user["id"],
            "salt": secrets.token_urlsafe(16),
            "amr": " ".join(amr),
            "client_id": client_id,
            "device_name": device.name,
            "device_type": device.type,
            "device_id": device.id,
            "ip_address": device.ip,
            "user_agent": device.user_agent[:USER_AGENT_LENGTH],
            "location": device.location,
            "created_at": now,
            "expires_at": now + self._ttl,
        }
        await tx.insert("tokens.create", **session)
        granted = {**session, "role": user["role"], "email": user["email"], "auth_time": now}
        return self._pair(granted, 0, now, ended=tuple(ended))

    async def announce(self, opened: TokenPair) -> None:
        """Count a session whose opening is committed, and tell all processes which ones ended for it."""
        OPENED.inc()
        await self._revocations.announce(opened.ended, "replaced")

    async def refresh(
        self, refresh_token: str, *, ip: str, user_agent: str, client_id: str | None = None
    ) -> TokenPair:
        """Swap a refresh token for a new pair, by the table of `hub.tokens.rotation`.

        Raises InvalidRefreshToken, or AccountBlocked where the account is no longer active; then, and when
        the token was stolen, the session has ended.
        """
        presented = parse(refresh_token)
        if presented is None:
            raise self._refused("malformed", "not a refresh token")
        for _ in range(_READINGS):
            row = await self._store.one("tokens.by_sid", sid=presented.sid)
            if row is None:
                raise self._refused("forged", "no such session")
            now = self._store.now()
            by = presenter(ip, user_agent, row["salt"])
            verdict = decide(self._keys, presented, self._lineage(row), by, now)
            if verdict is Verdict.THEFT:
                await self._end(row, "reuse_detected", "failed", ip, user_agent, now)
            if verdict not in (Verdict.ROTATE, Verdict.REPEAT):
                raise self._refused(verdict.name.lower(), f"session {row['sid']}")
            if row["client_id"] != client_id:
                raise self._refused("foreign_client", f"session of client {row['client_id']!r}")
            if row["status"] != "active":
                await self._end(row, "account_blocked", "blocked", ip, user_agent, now)
                REFRESHES.labels("blocked").inc()
                raise AccountBlocked(f"user {row['user_id']} is {row['status']}")
            if verdict is Verdict.REPEAT:
                REFRESHES.labels("repeated").inc()
                return self._pair(row, row["generation"], now)
            rotated = await self._store.changed(
                "tokens.rotate",
                sid=row["sid"],
                generation=row["generation"],
                rotated_at=now,
                rotated_by=by,
                ip_address=ip,
                user_agent=user_agent[:USER_AGENT_LENGTH],
            )
            if rotated:
                REFRESHES.labels("rotated").inc()
                return self._pair(row, row["generation"] + 1, now)
            # Another request was first: the row has moved on, and its next reading decides otherwise.
        raise StoreUnavailable(f"session {presented.sid} reads as it was before a change")

    async def revoke(self, sid: str, reason: str) -> None:
        """End a session; one that has ended is no error."""
        now = self._store.now()
        if await self._store.changed("tokens.end", sid=sid, revoked_at=now, revoked_reason=reason):
            await self._revocations.announce([sid], reason)

    async def revoke_device(self, user_id: int, device_id: str, reason: str) -> None:
        """End the sessions that this user has on the device which calls itself *device_id*."""
        rows = await self._store.all("tokens.running_on_device", user_id=user_id, device_id=device_id)
        for row in rows:
            await self.revoke(row["sid"], reason)

    async def verify(self, access_token: str | None) -> Claims:
        """Return the claims of an access token that is good now.

        Costs no I/O while the broker is healthy. Raises Unauthorized, for None too, or StoreUnavailable when
        only SQL could tell whether the session still runs.
        """
        if access_token is None:
            raise Unauthorized("no access token")
        claims = self._access.verify(access_token, self._store.now())
        if await self._revocations.ended(claims.sid):
            raise Unauthorized(f"session {claims.sid} has ended", headers=CHALLENGE)
        return claims

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """Return the JWK Set of the public keys that access tokens verify with."""
        return self._access.jwks()

    async def _end(
        self,
        row: Row,
        reason: Offence,
        status: Literal["failed", "blocked"],
        ip: str,
        user_agent: str,
        now: datetime,
    ) -> None:
        """End a session for an offence and put that on record; whoever is second does neither."""
        device = Device(row["device_name"], row["device_type"], row["device_id"], ip, user_agent, None)

        async def work(tx: Connection) -> int:
            ended = await tx.changed("tokens.end", sid=row["sid"], revoked_at=now, revoked_reason=reason)
            if ended:
                await self._log.record(
                    tx,
                    user_id=row["user_id"],
                    account=row["phone"] or row["email"],
                    method="refresh",
                    status=status,
                    reason=reason,
                    device=device,
                    now=now,
                )
            return ended

        if await self._store.write(work):
            log.warning("session_ended", reason=reason, sid=row["sid"], user_id=row["user_id"])
            await self._revocations.announce([row["sid"]], reason)

    def _pair(
        self, session: Mapping[str, Any], generation: int, now: datetime, ended: tuple[str, ...] = ()
    ) -> TokenPair:
        access_token, expires_in = self._access.issue(
            user_id=session["user_id"],
            sid=session["sid"],
            role=session["role"],
            email=session["email"],
            amr=(session["amr"] or "").split(),
            auth_time=session["auth_time"],
            now=now,
            until=session["expires_at"],
        )
        left = min(self._idle, session["expires_at"] - now)
        return TokenPair(
            access_token=access_token,
            refresh_token=build(self._keys, session["sid"], generation, session["salt"]),
            expires_in=expires_in,
            refresh_expires_in=int(left.total_seconds()),
            session_id=session["sid"],
            ended=ended,
        )

    def _lineage(self, row: Row) -> Lineage:
        return Lineage(
            sid=row["sid"],
            generation=row["generation"],
            salt=row["salt"],
            rotated_at=row["rotated_at"],
            rotated_by=row["rotated_by"],
            is_active=bool(row["is_active"]),
            idle_until=row["last_active_at"] + self._idle,
            expires_at=row["expires_at"],
        )

    def _refused(self, result: str, reason: str) -> InvalidRefreshToken:
        REFRESHES.labels(result).inc()
        return InvalidRefreshToken(f"{result}: {reason}")


def surplus(running: Sequence[Row], device_type: str | None, *, cap: int, single: bool) -> list[str]:
    """Return the sids that end for a new session; *running* is oldest first, *cap* counts the new one."""
    ended = [row["sid"] for row in running if single and device_type and row["device_type"] == device_type]
    others = [row["sid"] for row in running if row["sid"] not in ended]
    return ended + others[: max(0, len(others) - cap + 1)]
