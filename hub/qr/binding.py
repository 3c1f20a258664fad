"""Binding WeChat: who asked for a confirmed attempt makes its identity one of the own account, once."""

from datetime import datetime
from functools import partial
from typing import NamedTuple

from hub.accounts.bindings import Bindings, Changed
from hub.accounts.contacts import hinted
from hub.accounts.identities import Identity
from hub.errors import AlreadyBound, BindingMismatch, StoreUnavailable, WrongState
from hub.qr.attempt import Attempt
from hub.qr.attempts import Attempts
from hub.qr.identify import without_tokens
from hub.qr.new_attempt import Initiator
from hub.qr.redemption import refused
from hub.store.database import Connection
from hub.tokens.claims import Claims, recent
from hub.tokens.service import Sessions

_TRIES = 3  # as for a redemption


class _Bound(NamedTuple):
    changed: Changed | None  # None where the identity was the account's already


class Binding:
    """The use cases. An attempt to bind belongs to the account and the session that began it."""

    def __init__(self, attempts: Attempts, bindings: Bindings, sessions: Sessions) -> None:
        self._attempts = attempts
        self._bindings = bindings
        self._sessions = sessions

    async def initiator(self, access_token: str | None) -> Initiator:
        """Return who asks to bind, to begin an attempt with. Raises Unauthorized or ReauthRequired."""
        claims = await self._sessions.verify(access_token)
        recent(claims, self._attempts.store.now())
        return Initiator(claims.user_id, claims.sid)

    async def bind(self, claims: Claims, session_id: str) -> None:
        """Bind the identity of a confirmed attempt to the account of *claims*; no session ends.

        Raises ReauthRequired, AttemptNotFound, BindingMismatch for another account or session, WrongState for
        an attempt to sign in, NotConfirmed, AlreadyRedeemed, AttemptExpired, AttemptFailed, AccountBlocked,
        and AlreadyBound or WechatBound as `identities.bind`; whatever it raises, nothing has changed.
        """
        store = self._attempts.store
        recent(claims, store.now())
        attempt = await self._attempts.by_session(session_id)
        if attempt.purpose != "bind":
            raise WrongState(f"attempt {attempt.id} is to sign in")
        if (attempt.initiator_user_id, attempt.initiator_sid) != (claims.user_id, claims.sid):
            raise BindingMismatch("another account or session asked to bind")
        for _ in range(_TRIES):
            bound = await store.write(partial(self._bind, attempt.id, claims, store.now()))
            if bound is not None:
                if bound.changed:
                    await self._bindings.announce(bound.changed)
                return
            attempt = await self._attempts.by_id(attempt.id)
            if attempt.reason == "already_bound":
                raise AlreadyBound(f"attempt {attempt.id} was answered by another account's WeChat")
            refusal = refused(attempt, store.now(), purpose="bind")
            if refusal is not None:  # else it was confirmed just after we tried
                raise refusal
        raise StoreUnavailable(f"attempt {attempt.id} reads as it was before a change")

    async def account_name(self, attempt: Attempt) -> str | None:
        """Return what its own person calls the account that is to be bound; None where none is.

        Both a chosen name and part of a number or address where they are known: a name alone could be made to
        look like that of the person who is asked.
        """
        if attempt.initiator_user_id is None:
            return None
        user = await self._attempts.store.one("qr.user", id=attempt.initiator_user_id)
        if user is None:
            return f"#{attempt.initiator_user_id}"
        contact = user["phone"] or user["email"]
        names = (user["nickname"] or user["username"], hinted(contact) if contact else None)
        return " · ".join(filter(None, names)) or f"#{user['id']}"

    async def _bind(self, attempt_id: int, claims: Claims, now: datetime, tx: Connection) -> _Bound | None:
        """Mark the attempt and bind; None where the mark is refused."""
        if not await tx.changed(
            "qr.redeem_binding",
            id=attempt_id,
            redeemed_at=now,
            initiator_user_id=claims.user_id,
            initiator_sid=claims.sid,
        ):
            return None
        # Not by what was read before the mark: the person may have scanned and confirmed since.
        row = await tx.one("qr.by_id", id=attempt_id)
        if row is None:
            raise StoreUnavailable(f"attempt {attempt_id} was marked and is not there")
        identity = Identity.from_profile(Attempt.from_row(row).profile)
        changed = await self._bindings.bind_wechat(tx, claims, identity, now)
        await tx.changed(
            "qr.identify", id=attempt_id, user_id=None, provider_profile=without_tokens(identity)
        )
        return _Bound(changed)
