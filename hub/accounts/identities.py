"""WeChat identities, and the account that each one signs in to."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, Self

import structlog

from hub.accounts.login_types import settle
from hub.errors import AccountBlocked, AlreadyBound, WechatBound
from hub.store.database import Connection, Row, UniqueViolation
from hub.store.encryption import DataKeys, Place
from hub.store.failures import Contended

log = structlog.stdlib.get_logger("hub.accounts")

GENDERS = {1: "male", 2: "female"}  # as WeChat counts


class Person(Protocol):
    """Who consented, as the WeChat client describes them."""

    @property
    def appid(self) -> str: ...
    @property
    def openid(self) -> str: ...
    @property
    def unionid(self) -> str | None: ...
    @property
    def nickname(self) -> str: ...
    @property
    def avatar_url(self) -> str: ...
    @property
    def gender(self) -> int: ...
    @property
    def country(self) -> str: ...
    @property
    def province(self) -> str: ...
    @property
    def city(self) -> str: ...
    @property
    def language(self) -> str: ...
    @property
    def is_snapshot(self) -> bool: ...
    @property
    def access_token(self) -> str: ...
    @property
    def refresh_token(self) -> str: ...
    @property
    def expires_in(self) -> int: ...


@dataclass(frozen=True, slots=True)
class SealedTokens:
    """WeChat's tokens for one person, encrypted for their row; `expires_at` is the access token's end.

    A mini program has no tokens but a `session_key`.
    """

    access_token: str | None = field(default=None, repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    expires_at: datetime | None = None
    session_key: str | None = field(default=None, repr=False)

    @classmethod
    def seal(cls, keys: DataKeys, person: Person, now: datetime) -> Self:
        """Encrypt the tokens that *person* came with at *now*."""

        def sealed(column: str, token: str) -> str:
            return keys.seal(token, Place("wechat_users", (person.appid, person.openid), column))

        return cls(
            sealed("access_token", person.access_token),
            sealed("refresh_token", person.refresh_token),
            now + timedelta(seconds=person.expires_in),
        )

    @classmethod
    def of_session(cls, keys: DataKeys, appid: str, openid: str, session_key: str) -> Self:
        """Encrypt what a mini program's person came with."""
        place = Place("wechat_users", (appid, openid), "session_key")
        return cls(session_key=keys.seal(session_key, place))


@dataclass(frozen=True, slots=True)
class Identity:
    """A person as one WeChat app knows them; what is not known is None. Without *tokens* none are stored."""

    appid: str
    openid: str
    unionid: str | None = None
    nickname: str | None = None
    avatar_url: str | None = None
    gender: int = 0
    country: str | None = None
    province: str | None = None
    city: str | None = None
    language: str | None = None
    tokens: SealedTokens | None = None

    @property
    def subject(self) -> str:
        """The person's name across providers and apps."""
        return f"wechat:{self.appid}:{self.openid}"

    @classmethod
    def from_person(cls, person: Person, tokens: SealedTokens | None = None) -> Self:
        """Take over what WeChat said. Raises ValueError for a snapshot user, who is made up."""
        if person.is_snapshot:
            raise ValueError("a snapshot user is nobody")
        return cls(
            appid=person.appid,
            openid=person.openid,
            unionid=person.unionid or None,
            nickname=person.nickname or None,
            avatar_url=person.avatar_url or None,
            gender=person.gender,
            country=person.country or None,
            province=person.province or None,
            city=person.city or None,
            language=person.language or None,
            tokens=tokens,
        )

    @classmethod
    def from_profile(cls, profile: Mapping[str, Any]) -> Self:
        """Read back what `profile` made."""
        members = dict(profile)
        if members.get("tokens"):
            tokens = dict(members["tokens"])
            if tokens["expires_at"] is not None:
                tokens["expires_at"] = datetime.fromtimestamp(tokens["expires_at"] / 1000, UTC)
            members["tokens"] = SealedTokens(**tokens)
        return cls(**members)

    def profile(self) -> dict[str, Any]:
        """Return it as JSON members, to be kept with the attempt until the person confirms."""
        members = asdict(self)
        if self.tokens and self.tokens.expires_at:
            members["tokens"]["expires_at"] = round(self.tokens.expires_at.timestamp() * 1000)
        return members


async def find_or_create(tx: Connection, identity: Identity, now: datetime) -> Row:
    """Return the account of *identity*: id, username, nickname, avatar_url, email, phone, role and status.

    Part of the caller's transaction. A known openid leads to its account, else the unionid does; an identity
    without account gets a new one. A unionid that shows up late and is another account's is not kept: two
    accounts are never made one, and each unionid leads to one account. Raises AccountBlocked when the account
    is not active. When a parallel confirm of the same person was first it raises Contended, and the store
    runs the whole unit again.
    """
    own = await tx.one("accounts.by_openid", appid=identity.appid, openid=identity.openid)
    wechat_user_id, unionid = await _written(tx, own, identity, now)
    if own is None or own["id"] is None:
        return await _account(tx, wechat_user_id, unionid, identity, now)
    if unionid != own["unionid"] and (other := await _owner(tx, unionid, other_than=own["id"])):
        log.warning("unionid_of_another_account", user_id=own["id"], owner_id=other)
        await tx.changed("accounts.set_unionid", id=wechat_user_id, unionid=own["unionid"])
    return _active(await _refreshed(tx, own, identity, now))


async def bind(tx: Connection, identity: Identity, user_id: int, now: datetime) -> bool:
    """Bind *identity* to the account *user_id*, whose row is locked; tell whether it was not before.

    Part of the caller's transaction, which is to be rolled back where this raises. Raises AlreadyBound where
    openid or unionid is another account's, WechatBound where the account has another identity of the same
    app, and Contended as `find_or_create`.
    """
    own = await tx.one("accounts.by_openid", appid=identity.appid, openid=identity.openid)
    if own is not None and own["id"] not in (None, user_id):
        raise AlreadyBound(f"{identity.subject} is another account's")
    wechat_user_id, unionid = await _written(tx, own, identity, now)
    if await _owner(tx, unionid, other_than=user_id):
        raise AlreadyBound(f"the unionid of {identity.subject} is another account's")
    if own is not None and own["id"] == user_id:
        return False
    bound = await tx.all("accounts.wechat_of_user", uid=user_id)
    if identity.appid in (row["appid"] for row in bound):
        raise WechatBound(f"user {user_id} has another identity of {identity.appid}")
    if not await tx.changed("accounts.bind_wechat", id=wechat_user_id, uid=user_id, bind_at=now):
        raise Contended(f"{identity.subject} is being bound")
    await tx.changed("accounts.refresh_user", id=user_id, **_shown(identity, None), updated_at=now)
    return True


async def refuse_foreign(tx: Connection, identity: Identity, user_id: int) -> None:
    """Raise AlreadyBound where *identity* is another account's than *user_id*, by openid or by unionid."""
    own = await tx.one("accounts.by_openid", appid=identity.appid, openid=identity.openid)
    if own is not None and own["id"] not in (None, user_id):
        raise AlreadyBound(f"{identity.subject} is another account's")
    unionid = identity.unionid or (own["unionid"] if own else None)
    if await _owner(tx, unionid, other_than=user_id):
        raise AlreadyBound(f"the unionid of {identity.subject} is another account's")


async def _written(
    tx: Connection, own: Row | None, identity: Identity, now: datetime
) -> tuple[int, str | None]:
    """Write what WeChat tells into the identity's row, *own* or a new one; return its id and unionid."""
    if own is None:
        try:
            added = await tx.insert("accounts.add_wechat", **_columns(identity), created_at=now)
        except UniqueViolation:
            raise Contended(f"{identity.subject} is being added") from None
        return added, identity.unionid
    fresh = {**_columns(identity), "gender": identity.gender or None}
    del fresh["appid"], fresh["openid"]
    if not await tx.changed("accounts.refresh_wechat", id=own["wechat_user_id"], **fresh, updated_at=now):
        raise Contended(f"{identity.subject} is being deleted")
    return own["wechat_user_id"], identity.unionid or own["unionid"]


async def _owner(tx: Connection, unionid: str | None, *, other_than: int | None = None) -> int | None:
    """Return the account that a unionid leads to, None where there is none but *other_than*.

    It comes after the identity's own row is written: of two that meet, one then waits and sees the other.
    """
    rows = await tx.all("accounts.by_unionid", unionid=unionid) if unionid else []
    return next((row["uid"] for row in rows if row["uid"] not in (None, other_than)), None)


async def _account(
    tx: Connection, wechat_user_id: int, unionid: str | None, identity: Identity, now: datetime
) -> Row:
    """Bind an identity to the account of its unionid, or to a new one."""
    joined = await _owner(tx, unionid)
    user_id = joined or await tx.insert(
        "accounts.add_user",
        nickname=identity.nickname,
        avatar_url=identity.avatar_url,
        gender=GENDERS.get(identity.gender),
        created_at=now,
    )
    if joined is None:
        await tx.insert(
            "accounts.add_login_type",
            user_id=user_id,
            login_type="wechat",
            wechat_user_id=wechat_user_id,
            created_at=now,
        )
    if not await tx.changed("accounts.bind_wechat", id=wechat_user_id, uid=user_id, bind_at=now):
        raise Contended(f"{identity.subject} is being bound")
    if joined is not None:
        await tx.changed("accounts.refresh_user", id=user_id, **_shown(identity, None), updated_at=now)
        await settle(tx, user_id, now)
    user = await tx.one("accounts.user", id=user_id)
    if user is None:
        raise Contended(f"user {user_id} is being deleted")
    return _active(user)


async def _refreshed(tx: Connection, own: Row, identity: Identity, now: datetime) -> Row:
    """Follow WeChat's name and picture where the account still shows those it had from there."""
    fresh = {
        name: given
        for name in ("nickname", "avatar_url")
        if (given := getattr(identity, name))
        and own[name] in (None, own[f"wechat_{name}"])
        and own[name] != given
    }
    if not fresh:
        return own
    await tx.changed(
        "accounts.refresh_user",
        id=own["id"],
        **_shown(identity, own),
        updated_at=now,
    )
    return {**own, **fresh}


def _shown(identity: Identity, own: Row | None) -> dict[str, str | None]:
    """Return what an account shows from WeChat, and what it had from there before."""
    return {
        "nickname": identity.nickname,
        "nickname_before": (own and own["wechat_nickname"]) or "",
        "avatar_url": identity.avatar_url,
        "avatar_url_before": (own and own["wechat_avatar_url"]) or "",
    }


def _active(user: Row) -> Row:
    if user["status"] != "active":
        raise AccountBlocked(f"user {user['id']} is {user['status']}")
    return user


def _columns(identity: Identity) -> dict[str, Any]:
    columns = asdict(identity)
    tokens = columns.pop("tokens") or {}
    return columns | {name: tokens.get(name) for name in SealedTokens.__slots__}
