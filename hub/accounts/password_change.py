"""Showing a password again, and setting another one."""

from datetime import datetime

import structlog

from hub.accounts.login_record import Signals, outcome
from hub.accounts.password_check import Checked, PasswordCheck
from hub.accounts.passwords import Passwords, accepted
from hub.accounts.tries import Asker, Tries
from hub.errors import FieldError, InvalidCredentials, InvalidRequest, RateLimited
from hub.store.database import Connection, Row, Store
from hub.tokens.claims import Claims, recent
from hub.tokens.events import AccountEvents
from hub.tokens.service import Device, Ended, Prove, Sessions

log = structlog.stdlib.get_logger("hub.passwords")


class PasswordChange:
    """The use cases of who is signed in; `replaced` is for whoever sets a password."""

    def __init__(
        self,
        store: Store,
        passwords: Passwords,
        check: PasswordCheck,
        tries: Tries,
        sessions: Sessions,
        events: AccountEvents,
        signals: Signals,
    ) -> None:
        self._store = store
        self._passwords = passwords
        self._check = check
        self._tries = tries
        self._sessions = sessions
        self._events = events
        self._signals = signals

    async def prove(self, claims: Claims, password: str, asker: Asker, device: Device) -> Prove:
        """Check the password of the account of *claims*, and return what `Sessions.reauthenticate` runs.

        Every try is put on record. Raises InvalidCredentials, RateLimited or PasswordLocked.
        """
        user = await self._store.one("passwords.by_id", id=claims.user_id)
        checked = await self._checked(user, claims, password, asker, device)

        async def settle(tx: Connection) -> None:
            await self._check.settle(tx, checked)
            await self._proved(tx, claims, account(user), device, self._store.now())

        return settle

    async def change(
        self, claims: Claims, current: str | None, new: str, asker: Asker, device: Device
    ) -> None:
        """Set another password, and end the account's other sessions.

        An account that has a password shows it as *current* (OWASP ASVS 5.0, 6.2.3); every try is put on
        record. Raises ReauthRequired, InvalidRequest, InvalidCredentials, RateLimited or PasswordLocked.
        """
        recent(claims, self._store.now())
        user = await self._store.one("passwords.by_id", id=claims.user_id)
        chosen = accepted(new, names(user), "new_password")
        before = user["password_hash"] if user else None
        checked = None
        if before is not None:
            if current is None:
                raise InvalidRequest([FieldError("current_password", "password_needed")])
            checked = await self._checked(user, claims, current, asker, device)
        password_hash = await self._passwords.hash(chosen)

        async def work(tx: Connection) -> Ended:
            now = self._store.now()
            changed = await tx.changed(
                "passwords.replace",
                id=claims.user_id,
                password_hash=password_hash,
                password_hash_before=before or "",
                updated_at=now,
            )
            if not changed:
                raise InvalidCredentials("the password was changed meanwhile")
            if checked:
                await self._tries.right(tx, checked.tried)
                await self._proved(tx, claims, account(user), device, now)
            return await self.replaced(tx, claims.user_id, now, except_sid=claims.sid)

        ended = await self._store.write(work)
        await self.announce(ended)

    async def _checked(
        self, user: Row | None, claims: Claims, password: str, asker: Asker, device: Device
    ) -> Checked:
        try:
            return await self._check.check(user, claims.sub, password, asker)
        except (InvalidCredentials, RateLimited) as refusal:
            await self._signals.failed(
                user_id=claims.user_id,
                account=account(user),
                method="password",
                device=device,
                **outcome(refusal),
            )
            raise

    async def _proved(
        self, tx: Connection, claims: Claims, name: str | None, device: Device, now: datetime
    ) -> None:
        await self._signals.proved(
            tx, user_id=claims.user_id, account=name, method="password", device=device, now=now
        )

    async def replaced(
        self, tx: Connection, user_id: int, now: datetime, *, except_sid: str | None = None
    ) -> Ended:
        """Do what follows on another password, in the transaction that sets it; then comes `announce`.

        The other sessions end, the account's clients are told, and wrong passwords are counted anew.
        """
        ended = await self._sessions.end_all(tx, user_id, "password_changed", now, except_sid=except_sid)
        await self._events.append(tx, user_id, "security.alert", {"reason": "password_changed"}, now)
        await self._tries.forget(tx, user_id)
        return ended

    async def announce(self, ended: Ended) -> None:
        """Tell of another password whose commit is done."""
        log.info("password_changed", user_id=ended.user_id, sessions_ended=len(ended.sids))
        await self._sessions.announce_ended(ended)
        await self._events.announce(ended.user_id)


def names(user: Row | None) -> tuple[str | None, ...]:
    """Return what an account is called, which is no password for it."""
    return (user["username"], user["email"], user["phone"]) if user else ()


def account(user: Row | None) -> str | None:
    """Return what the login log knows an account by."""
    name: str | None = (user["phone"] or user["email"] or user["username"]) if user else None
    return name
