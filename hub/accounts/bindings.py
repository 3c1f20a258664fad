"""What an account is bound to: a number, an e-mail address, WeChat; one of them always stays."""

from datetime import datetime
from typing import Literal, NamedTuple

from prometheus_client import Counter

from hub.accounts.contacts import Contact, verify
from hub.accounts.identities import GENDERS, Identity, bind
from hub.accounts.login_types import enters_without_wechat, locked, settle
from hub.errors import AccountBlocked, AlreadyBound, LastSignInMethod, NotFound, NumberTaken
from hub.store.database import Connection, Store, UniqueViolation
from hub.store.failures import Contended
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
        user = await locked(tx, claims.user_id)
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

    async def give_number(
        self, tx: Connection, user_id: int, contact: Contact, now: datetime
    ) -> Changed | None:
        """Bind a number that WeChat vouches for to an account without one, inside the caller's transaction.

        Returns what to `announce` after the commit, None where the account has a number. Raises NumberTaken
        where this one is another account's: accounts are never made one.
        """
        user = await locked(tx, user_id)
        if user["phone"] is not None:
            return None
        values = {"phone": contact.address, "country_code": contact.country_code}
        try:
            await tx.changed("accounts.set_phone", id=user_id, **values, updated_at=now)
        except UniqueViolation:
            raise NumberTaken("this phone is another account's") from None
        await settle(tx, user_id, now)
        told = {"provider": "phone", "bound": True}
        await self._events.append(tx, user_id, "binding.changed", told, now)
        return Changed(user_id, "phone", True, None)

    async def bind_wechat(
        self, tx: Connection, claims: Claims, identity: Identity, now: datetime
    ) -> Changed | None:
        """Bind a WeChat identity whose person has just confirmed, inside the caller's transaction.

        Returns what to `announce` after the commit, None where it was bound already. Raises AccountBlocked,
        and AlreadyBound or WechatBound as `identities.bind`.
        """
        user = await locked(tx, claims.user_id)
        if user["status"] != "active":
            raise AccountBlocked(f"user {user['id']} is {user['status']}")
        if not await bind(tx, identity, user["id"], now):
            return None
        return await self._changed(tx, claims, "wechat", True, None, now)

    async def unbind_wechat(self, claims: Claims) -> None:
        """Part the account from WeChat, delete what WeChat told of it, and end its other sessions.

        The name and picture that the account shows are its own by now, and stay. Raises ReauthRequired,
        NotFound where nothing is bound, or LastSignInMethod where nothing else is left to sign in with.
        """
        recent(claims, self._store.now())

        async def work(tx: Connection) -> Changed:
            user = await locked(tx, claims.user_id)
            now = self._store.now()
            if not await tx.changed("accounts.delete_wechat", uid=user["id"]):
                raise NotFound("no WeChat is bound")
            if not enters_without_wechat(user):
                raise LastSignInMethod("nothing but WeChat signs in")
            return await self._changed(tx, claims, "wechat", False, "unbound", now)

        await self.announce(await self._store.write(work))

    async def forget_wechat(self, tx: Connection, appid: str, openid: str, now: datetime) -> Changed | None:
        """Delete what WeChat told of a person who has unfollowed, inside the caller's transaction.

        The identity goes, with name, picture, place and tokens, and what the hub's account has copied from
        it. Only where nothing else signs in to the account, its bare identifiers stay bound: without them its
        own person could never come back to it. No session ends, for who unfollows has not signed out. Returns
        what to `announce` after the commit, None where no binding was changed.
        """
        known = await tx.one("accounts.identity", appid=appid, openid=openid)
        if known is None:
            return None
        if known["uid"] is None:
            if not await tx.changed("accounts.delete_unbound", id=known["id"]):
                raise Contended(f"wechat:{appid}:{openid} is being bound")
            return None
        user = await tx.one("accounts.locked", id=known["uid"])
        if user is None:
            raise Contended(f"user {known['uid']} is being deleted")
        bound = await tx.all("accounts.wechat_of_user", uid=user["id"])
        await tx.changed(
            "accounts.forget_copies",
            id=user["id"],
            nickname_before=known["nickname"],
            avatar_url_before=known["avatar_url"],
            gender_before=GENDERS.get(known["gender"]),
            updated_at=now,
        )
        last = not enters_without_wechat(user) and len(bound) == 1
        query = "accounts.forget_profile" if last else "accounts.delete_bound"
        values = {"updated_at": now} if last else {}
        if not await tx.changed(query, id=known["id"], uid=user["id"], **values):
            raise Contended(f"wechat:{appid}:{openid} is being changed")
        if last:
            return None
        left = await settle(tx, user["id"], now)
        told = {"provider": "wechat", "bound": left}
        await self._events.append(tx, user["id"], "binding.changed", told, now)
        return Changed(user["id"], "wechat", left, None)

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
        await settle(tx, user_id, now)
        told = {"provider": provider, "bound": bound}
        await self._events.append(tx, user_id, "binding.changed", told, now)
        ended = None
        if reason:
            ended = await self._sessions.end_all(tx, user_id, reason, now, except_sid=claims.sid)
        return Changed(user_id, provider, bound, ended)
