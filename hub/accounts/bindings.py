"""What an account is bound to: a number, an e-mail address, WeChat; one of them always stays."""

from datetime import datetime
from typing import Literal, NamedTuple

from prometheus_client import Counter

from hub.accounts.contacts import Contact, verify
from hub.errors import AlreadyBound, LastSignInMethod, NotFound, Unauthorized
from hub.store.database import Connection, Row, Store, UniqueViolation
from hub.tokens.claims import Claims, recent
from hub.tokens.events import AccountEvents
from hub.tokens.service import Ended, Sessions
from hub.tokens.session import EndReason

CHANGES = Counter("hub_binding_changes_total", "Changed bindings of accounts.", ["provider", "bound"])

Provider = Literal["phone", "email", "wechat"]


class Changed(NamedTuple):
    """A binding that was changed inside a transaction; after its commit it is announced."""

    user_id: int
    provider: Provider
    bound: bool
    ended: Ended | None


class Bindings:
    """The use cases. Each locks the account's row first, so that changes of one account come one by one."""

    def __init__(self, store: Store, sessions: Sessions, events: AccountEvents) -> None:
        self._store = store
        self._sessions = sessions
        self._events = events

    async def bind_contact(self, tx: Connection, claims: Claims, contact: Contact, now: datetime) -> Changed:
        """Bind a contact that its person has just proved, inside the caller's transaction.

        Other sessions end where it takes the place of another one, or where whoever opened them had never
        shown that it is theirs. Raises AlreadyBound when it is another account's.
        """
        user = await _locked(tx, claims.user_id)
        reason: EndReason | None = None
        if user[contact.channel] == contact.address:
            if await verify(tx, user["id"], contact, now):
                reason = "address_verified"
        else:
            values: dict[str, str] = {contact.channel: contact.address}
            if contact.channel == "phone":
                values["country_code"] = contact.country_code
            try:
                await tx.changed(f"accounts.set_{contact.channel}", id=user["id"], **values, updated_at=now)
            except UniqueViolation:
                raise AlreadyBound(f"this {contact.channel} is another account's") from None
            reason = "unbound" if user[contact.channel] else None
        return await self._changed(tx, claims, contact.channel, True, reason, now)

    async def unbind_wechat(self, claims: Claims) -> None:
        """Part the account from WeChat, and end its other sessions.

        Raises ReauthRequired, NotFound where nothing is bound, or LastSignInMethod where nothing else is left
        to sign in with.
        """
        recent(claims, self._store.now())

        async def work(tx: Connection) -> Changed:
            user = await _locked(tx, claims.user_id)
            now = self._store.now()
            if not await tx.changed("accounts.unbind_wechat", uid=user["id"], updated_at=now):
                raise NotFound("no WeChat is bound")
            if not (user["phone"] or user["email"] or (user["username"] and user["has_password"])):
                raise LastSignInMethod("nothing but WeChat signs in")
            return await self._changed(tx, claims, "wechat", False, "unbound", now)

        await self.announce(await self._store.write(work))

    async def announce(self, changed: Changed) -> None:
        """Tell of a changed binding whose commit is done."""
        CHANGES.labels(changed.provider, str(changed.bound).lower()).inc()
        if changed.ended:
            await self._sessions.announce_ended(changed.ended)
        await self._events.announce(changed.user_id)

    async def _changed(
        self,
        tx: Connection,
        claims: Claims,
        provider: Provider,
        bound: bool,
        reason: EndReason | None,
        now: datetime,
    ) -> Changed:
        user_id = claims.user_id
        await settle_login_type(tx, user_id, now)
        told = {"provider": provider, "bound": bound}
        await self._events.append(tx, user_id, "binding.changed", told, now)
        ended = None
        if reason:
            ended = await self._sessions.end_all(tx, user_id, reason, now, except_sid=claims.sid)
        return Changed(user_id, provider, bound, ended)


async def settle_login_type(tx: Connection, user_id: int, now: datetime) -> None:
    """Make the account's row of `user_login_types` say what it is bound to, in the caller's transaction."""
    user = await _locked(tx, user_id)
    wechat = await tx.all("accounts.wechat_of_user", uid=user_id)
    first = "phone" if user["phone"] else "email"
    both = "both" if user["phone"] else "wechat"
    await tx.changed(
        "accounts.set_login_type",
        user_id=user_id,
        login_type=both if wechat else first,
        wechat_user_id=wechat[0]["id"] if wechat else None,
        updated_at=now,
    )


async def _locked(tx: Connection, user_id: int) -> Row:
    user = await tx.one("accounts.locked", id=user_id)
    if user is None:
        raise Unauthorized(f"user {user_id} is no more")
    return user
