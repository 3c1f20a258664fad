"""Sessions: opening one for a device that signed in, refreshing and checking its tokens, ending it."""

import secrets
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

from prometheus_client import Counter

from hub.errors import AccountBlocked, NotFound, Unauthorized
from hub.realtime.broker import Broker
from hub.store.database import Connection, Row, Store
from hub.tokens.claims import CHALLENGE, LEEWAY, SET_BACK, AccessTokens, Claims
from hub.tokens.endings import Endings
from hub.tokens.events import AccountEvents
from hub.tokens.issuing import Issuer
from hub.tokens.keys import RefreshKeys
from hub.tokens.refreshes import USER_AGENT_LENGTH, Refreshes
from hub.tokens.revocations import Revocations
from hub.tokens.rotation import SID_BYTES, Verdict
from hub.tokens.session import Alerts, Device, Ended, EndReason, LoginLog, TokenPair

__all__ = ["Device", "Ended", "Prove", "Sessions", "TokenPair", "surplus"]

OPENED = Counter("hub_sessions_opened_total", "Sessions opened.")

Prove = Callable[[Connection], Awaitable[None]]


class Sessions:
    """The use cases. *absolute_ttl* and *idle_ttl* are a session's lives in seconds, in all and without use.

    At most *cap* sessions of a user run at once, the oldest end; with *single_per_type* a new one also ends
    the others of its device type. *place* names the city of an IP address, where it is known.
    """

    def __init__(
        self,
        store: Store,
        broker: Broker,
        access_tokens: AccessTokens,
        refresh_keys: RefreshKeys,
        login_log: LoginLog,
        events: AccountEvents,
        alerts: Alerts,
        *,
        absolute_ttl: int = 30 * 86400,
        idle_ttl: int = 14 * 86400,
        cap: int = 10,
        single_per_type: bool = False,
        place: Callable[[str], str | None] = lambda _: None,
    ) -> None:
        self._store = store
        self._access = access_tokens
        self._events = events
        self._ttl = timedelta(seconds=absolute_ttl)
        self._idle = timedelta(seconds=idle_ttl)
        self._cap = cap
        self._single = single_per_type
        self._place = place
        self._revocations = Revocations(store, broker, life=access_tokens.ttl + LEEWAY + SET_BACK)
        self.endings = Endings(self._revocations, events)
        self._issuer = Issuer(access_tokens, refresh_keys, self._idle)
        self._refreshes = Refreshes(store, self._issuer, self.endings, alerts, login_log, place)

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
            "location": device.location or self._place(device.ip),
            "created_at": now,
            "expires_at": now + self._ttl,
        }
        told = {name: session[name] for name in ("device_name", "device_type", "ip_address", "location")}
        await self._events.append_counted(
            tx, user["id"], "session.created", {"session_id": session["sid"], **told, "amr": list(amr)}, now
        )
        rows = await tx.all(
            "tokens.opening", user_id=user["id"], expires_at=now, last_active_at=now - self._idle
        )
        running = [row for row in rows if row["sid"] is not None]
        ended: tuple[str, ...] = ()
        if old := surplus(running, device.type, cap=self._cap, single=self._single):
            ended = (await self.endings.end(tx, user["id"], old, "replaced", now)).sids
        await tx.post("tokens.create", **session)
        granted = {**session, "role": user["role"], "email": user["email"], "auth_time": now}
        # The end of each session is an event as well.
        return self._issuer.pair(granted, 0, now, ended, rows[0]["event_seq"] + len(ended))

    async def announce(self, opened: TokenPair) -> None:
        """Tell of a session whose opening is committed, and of those that ended for it."""
        OPENED.inc()
        await self._revocations.announce(opened.ended, "replaced")
        await self._events.tell(opened.user_id, opened.event_seq)

    async def refresh(
        self, refresh_token: str, *, ip: str, user_agent: str, client_id: str | None = None
    ) -> TokenPair:
        """Swap a refresh token for a new pair, by the table of `hub.tokens.rotation`.

        Raises InvalidRefreshToken, or AccountBlocked where the account is no longer active; then, and when
        the token was stolen, the session has ended.
        """
        return await self._refreshes.refresh(refresh_token, ip=ip, user_agent=user_agent, client_id=client_id)

    async def recognise(self, refresh_token: str) -> tuple[Row, Verdict] | None:
        """Return a refresh token's session and what the token calls for; None for one we did not make."""
        return await self._refreshes.recognise(refresh_token)

    async def find(self, sid: str) -> Row | None:
        """Return the row of a session, ended or not, with its account's; None where there is none."""
        return await self._store.one("tokens.by_sid", sid=sid)

    def refreshable_until(self, session: Row) -> datetime:
        """Return when a session times out, unless it is used."""
        until: datetime = min(session["last_active_at"] + self._idle, session["expires_at"])
        return until

    async def revoke(self, sid: str, reason: EndReason) -> None:
        """End a session; one that has ended is no error."""
        row = await self.find(sid)
        if row is not None:
            await self._revoke(row["user_id"], [sid], reason)

    async def revoke_own(self, user_id: int, sid: str, reason: EndReason) -> None:
        """End a session of this user. Raises NotFound where there is none of that sid that still runs."""
        if not (await self._revoke(user_id, [sid], reason)).sids:
            raise NotFound(f"user {user_id} has no session {sid[:64]!r}")

    async def revoke_device(self, user_id: int, device_id: str, reason: EndReason) -> None:
        """End the sessions that this user has on the device which calls itself *device_id*."""
        rows = await self._store.all("tokens.running_on_device", user_id=user_id, device_id=device_id)
        if rows:
            await self._revoke(user_id, [row["sid"] for row in rows], reason)

    async def revoke_all(self, user_id: int, reason: EndReason, *, except_sid: str | None = None) -> Ended:
        """End all sessions of this user, but for *except_sid*, in a transaction of its own."""
        now = self._store.now()
        ended = await self._store.write(
            lambda tx: self.endings.end_all(tx, user_id, reason, now, except_sid=except_sid)
        )
        await self.endings.announce(ended)
        return ended

    async def end_all(
        self, tx: Connection, user_id: int, reason: EndReason, now: datetime, *, except_sid: str | None = None
    ) -> Ended:
        """As `revoke_all`, in the caller's transaction; after its commit comes `announce_ended`."""
        return await self.endings.end_all(tx, user_id, reason, now, except_sid=except_sid)

    async def outlive(self, tx: Connection, user_id: int, now: datetime) -> None:
        """Keep the ended sessions of an account whose rows are about to go, for all to refuse its tokens."""
        await self.endings.outlive(tx, user_id, now)

    async def announce_ended(self, ended: Ended) -> None:
        """Let every process refuse the tokens of sessions whose end is committed, and tell the streams."""
        await self.endings.announce(ended)

    async def running(self, user_id: int) -> list[Row]:
        """Return the rows of this user's sessions that still run, last used first."""
        now = self._store.now()
        return await self._store.all(
            "tokens.devices", user_id=user_id, expires_at=now, last_active_at=now - self._idle
        )

    async def rename(self, user_id: int, sid: str, device_name: str) -> Row:
        """Give the device of a session another name, and return its row. Raises NotFound."""
        await self._store.changed("tokens.rename", sid=sid, user_id=user_id, device_name=device_name)
        found = [row for row in await self.running(user_id) if row["sid"] == sid]
        if not found:
            raise NotFound(f"user {user_id} has no session {sid[:64]!r}")
        return found[0]

    async def reauthenticate(self, claims: Claims, prove: Prove) -> tuple[str, int]:
        """Return an access token of the same session with a fresh `auth_time`, and its life in seconds.

        *prove* uses up the person's proof inside the transaction, or raises. Raises Unauthorized when the
        session has ended.
        """
        now = self._store.now()

        async def work(tx: Connection) -> Row | None:
            await prove(tx)
            if not await tx.changed("tokens.reauthenticate", sid=claims.sid, auth_time=now):
                return None
            return await tx.one("tokens.by_sid", sid=claims.sid)

        row = await self._store.write(work)
        if row is None:
            raise Unauthorized(f"session {claims.sid} has ended", headers=CHALLENGE)
        return self._issuer.access_token(row, now)

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

    async def has_ended(self, sid: str) -> bool:
        """Tell whether a session has ended. Raises StoreUnavailable as `verify` does."""
        return await self._revocations.ended(sid)

    def life_left(self, claims: Claims) -> float:
        """Return the seconds until the access token of *claims* ends."""
        return claims.exp - self._store.now().timestamp()

    def on_ended(self, listener: Callable[[str], None]) -> None:
        """Call *listener* with the sid of each session of whose end this process learns."""
        self._revocations.on_ended(listener)

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """Return the JWK Set of the public keys that access tokens verify with."""
        return self._access.jwks()

    async def _revoke(self, user_id: int, sids: Sequence[str], reason: EndReason) -> Ended:
        now = self._store.now()
        ended = await self._store.write(lambda tx: self.endings.end(tx, user_id, sids, reason, now))
        await self.endings.announce(ended)
        return ended


def surplus(running: Sequence[Row], device_type: str | None, *, cap: int, single: bool) -> list[str]:
    """Return the sids that end for a new session; *running* is oldest first, *cap* counts the new one."""
    ended = [row["sid"] for row in running if single and device_type and row["device_type"] == device_type]
    others = [row["sid"] for row in running if row["sid"] not in ended]
    return ended + others[: max(0, len(others) - cap + 1)]
