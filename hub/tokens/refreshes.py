"""Refreshing: what comes of a refresh token that is presented, by the table of `hub.tokens.rotation`."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Literal

import structlog
from prometheus_client import Counter

from hub.errors import AccountBlocked, InvalidRefreshToken, StoreUnavailable
from hub.store.database import Connection, Row, Store
from hub.tokens.endings import Endings
from hub.tokens.issuing import Issuer
from hub.tokens.rotation import Lineage, RefreshToken, Verdict, decide, parse, presenter
from hub.tokens.session import Alerts, Device, Ended, EndReason, LoginLog, Offence, TokenPair, Told

log = structlog.stdlib.get_logger("hub.tokens")

REFRESHES = Counter("hub_token_refreshes_total", "Refresh tokens presented, by what came of it.", ["result"])

_READINGS = 3  # one is enough, two after a race; more only where a replica lags behind
USER_AGENT_LENGTH = 512  # characters; the column's


class Refreshes:
    """Rotates refresh tokens, and ends sessions that are over, were stolen, or are of a blocked account."""

    def __init__(
        self,
        store: Store,
        issuer: Issuer,
        endings: Endings,
        alerts: Alerts,
        login_log: LoginLog,
        place: Callable[[str], str | None],
    ) -> None:
        self._store = store
        self._issuer = issuer
        self._endings = endings
        self._alerts = alerts
        self._log = login_log
        self._place = place

    async def refresh(
        self, refresh_token: str, *, ip: str, user_agent: str, client_id: str | None
    ) -> TokenPair:
        """Swap a refresh token for a new pair.

        Raises InvalidRefreshToken, or AccountBlocked where the account is no longer active; then, and when
        the token was stolen, the session has ended.
        """
        presented = parse(refresh_token)
        if presented is None:
            raise _refused("malformed", "not a refresh token")
        device = Device(None, None, None, ip, user_agent[:USER_AGENT_LENGTH], self._place(ip))
        for _ in range(_READINGS):
            row = await self._store.one("tokens.by_sid", sid=presented.sid)
            if row is None:
                raise _refused("forged", "no such session")
            by = presenter(ip, user_agent, row["salt"])
            verdict = self._decide(presented, row, by)
            if verdict is Verdict.THEFT:
                # Another process, which has made the row, may know of a new setting of the database's clock.
                await self._store.read_clock()
                verdict = self._decide(presented, row, by)
            now = self._store.now()
            if verdict is Verdict.THEFT:
                await self._end(row, "reuse_detected", "reuse_detected", "failed", device, now)
            elif verdict is Verdict.ENDED and row["is_active"]:
                await self._end(row, "expired", "expired_code", "failed", device, now)
            if verdict not in (Verdict.ROTATE, Verdict.REPEAT):
                raise _refused(verdict.name.lower(), f"session {row['sid']}")
            if row["client_id"] != client_id:
                raise _refused("foreign_client", f"session of client {row['client_id']!r}")
            if row["status"] != "active":
                await self._end(row, "account_blocked", "account_blocked", "blocked", device, now)
                REFRESHES.labels("blocked").inc()
                raise AccountBlocked(f"user {row['user_id']} is {row['status']}")
            if verdict is Verdict.REPEAT:
                REFRESHES.labels("repeated").inc()
                return self._issuer.pair(row, row["generation"], now)
            rotated = await self._store.changed(
                "tokens.rotate",
                sid=row["sid"],
                generation=row["generation"],
                rotated_at=now,
                rotated_by=by,
                ip_address=ip,
                user_agent=device.user_agent,
                location=device.location,
            )
            if rotated:
                REFRESHES.labels("rotated").inc()
                return self._issuer.pair(row, row["generation"] + 1, now)
            # Another request was first: the row has moved on, and its next reading decides otherwise.
        raise StoreUnavailable(f"session {presented.sid} reads as it was before a change")

    async def recognise(self, refresh_token: str) -> tuple[Row, Verdict] | None:
        """Return the session's row and what the token would call for; None for one that we did not make.

        It is nobody's use of the token: the presenter counts as the one who rotated.
        """
        presented = parse(refresh_token)
        row = await self._store.one("tokens.by_sid", sid=presented.sid) if presented else None
        if presented is None or row is None:
            return None
        verdict = self._decide(presented, row, row["rotated_by"] or "")
        return None if verdict is Verdict.FORGED else (row, verdict)

    def _decide(self, presented: RefreshToken, row: Row, by: str) -> Verdict:
        """Return what the token calls for; theft only where a clock set or not says so."""
        lineage = Lineage(
            sid=row["sid"],
            generation=row["generation"],
            salt=row["salt"],
            rotated_at=row["rotated_at"],
            rotated_by=row["rotated_by"],
            is_active=bool(row["is_active"]),
            idle_until=row["last_active_at"] + self._issuer.idle,
            expires_at=row["expires_at"],
        )
        keys = self._issuer.refresh_keys
        verdicts = (decide(keys, presented, lineage, by, now) for now in self._store.times())
        return next((verdict for verdict in verdicts if verdict is not Verdict.THEFT), Verdict.THEFT)

    async def _end(
        self,
        row: Row,
        why: EndReason,
        reason: Offence,
        status: Literal["failed", "blocked"],
        by: Device,
        now: datetime,
    ) -> None:
        """End a session for an offence and put that on record; whoever is second does neither."""
        user_id = row["user_id"]
        device = by._replace(name=row["device_name"], type=row["device_type"], id=row["device_id"])

        async def work(tx: Connection) -> tuple[Ended, Sequence[Told]]:
            told: Sequence[Told] = ()
            ended = await self._endings.end(tx, user_id, [row["sid"]], why, now)
            if ended.sids:
                await self._log.record(
                    tx,
                    user_id=user_id,
                    account=row["phone"] or row["email"],
                    method="refresh",
                    status=status,
                    reason=reason,
                    device=device,
                    now=now,
                )
                if reason == "reuse_detected":
                    told = await self._alerts.token_reused(tx, user_id, row["sid"], device, now)
            return ended, told

        ended, told = await self._store.write(work)
        if ended.sids:
            log.warning("session_ended", reason=why, sid=row["sid"], user_id=user_id)
            await self._endings.announce(ended)
            await self._alerts.announce(user_id, told)


def _refused(result: str, reason: str) -> InvalidRefreshToken:
    REFRESHES.labels(result).inc()
    return InvalidRefreshToken(f"{result}: {reason}")
