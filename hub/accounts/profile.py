"""The profile answer: what an account tells its own person, flat, as existing clients read it."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, cast

from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict

from hub.accounts.profile_schema import ProfileSchema
from hub.errors import Unauthorized
from hub.store.database import Connection, Row, Store
from hub.web.answers import moment
from hub.web.shapes import described

STATUS_NUMBERS: dict[str, Literal[0, 1, 2, 3]] = {"inactive": 0, "active": 1, "pending": 2, "banned": 3}


OWN = frozenset({"nickname", "avatar_url", "avatar", "bio", "gender", "birth_date"})
_COLUMNS = ("nickname", "avatar_url", "bio", "gender", "birth_date")
_RESERVED = frozenset(
    {"id", "phone", "country_code", "email", "username", "status", "role", "is_active", "is_phone_verified"}
    | {"email_verified", "is_premium", "is_profile_completed", "login_type", "login_methods", "wechat_info"}
    | {"created_at", "updated_at", "last_login_at"}
)


@described
class WechatInfo(TypedDict):
    """What WeChat says of the person."""

    wechat_user_id: int
    """The number of the binding."""
    openid: str
    """The person's id at one app."""
    nickname: str | None
    """The name at WeChat."""
    avatar_url: str | None
    """The picture at WeChat."""
    gender: int | None
    """As WeChat counts: 1 male, 2 female, 0 not told."""
    country: str | None
    """The country, where WeChat tells."""
    province: str | None
    """The province, where WeChat tells."""
    city: str | None
    """The city, where WeChat tells."""
    bind_at: str | None
    """When it was bound, in ISO 8601 and UTC."""


@described
@with_config(ConfigDict(extra="allow"))
class Profile(TypedDict):
    """What an account tells its own person. The fields of the installation's profile schema stand beside."""

    id: int
    """The account's number."""
    phone: str
    """The number in E.164, empty where there is none."""
    country_code: str | None
    """The number's calling code, with `+`."""
    email: str | None
    """The e-mail address."""
    username: str | None
    """The name to sign in with."""
    nickname: str | None
    """What others call the person."""
    avatar_url: str | None
    """The picture."""
    avatar: str | None
    """The picture, by its older name."""
    bio: str | None
    """What the person says about themselves."""
    gender: str | None
    """`male`, `female`, `other` or `prefer_not_to_say`, where it was told."""
    birth_date: str | None
    """The day, as YYYY-MM-DD."""
    status: Literal[0, 1, 2, 3]
    """0 inactive, 1 active, 2 pending, 3 banned."""
    role: Literal["user", "admin"]
    """What the account may do."""
    is_active: bool
    """Whether `status` is 1."""
    is_phone_verified: bool
    """Whether the number has answered."""
    email_verified: bool
    """Whether the address has answered."""
    is_premium: bool
    """Whether the application counts the account as premium."""
    is_profile_completed: bool
    """Whether all that the profile schema requires is there."""
    login_type: Literal["phone", "wechat", "both", "email"]
    """What the account is signed in to with."""
    login_methods: list[Literal["phone", "wechat", "email", "password"]]
    """Every way in that it has."""
    wechat_info: WechatInfo | None
    """The WeChat that is bound."""
    created_at: str | None
    """When the account was made, in ISO 8601 and UTC."""
    updated_at: str | None
    """When it was changed last."""
    last_login_at: str | None
    """When it was signed in to last."""


class Profiles:
    """Reads and changes profiles, whose further fields *schema* describes."""

    def __init__(self, store: Store, schema: ProfileSchema | None = None) -> None:
        """Raises ValueError for a schema that would give an account's own member another meaning."""
        self._store = store
        self._schema = schema or ProfileSchema({}, OWN)
        if taken := _RESERVED.intersection(self._schema.names):
            raise ValueError(f"the profile schema has members of every profile: {sorted(taken)}")

    async def read(self, user_id: int, tx: Connection | None = None) -> Profile:
        """Return the profile of an account, as *tx* sees it. Raises Unauthorized when it is no more."""
        row = await (tx or self._store).one("accounts.profile", id=user_id)
        if row is None:
            raise Unauthorized(f"user {user_id} is no more")
        return cast("Profile", self._schema.shown(answer(row), row["profile"]))

    async def change(self, user_id: int, given: Mapping[str, Any]) -> Profile:
        """Set the members of *given* that a profile has, and return it; null takes a value away.

        `is_profile_completed` follows from what the schema requires. Raises InvalidRequest, or Unauthorized
        when the account is no more.
        """

        async def work(tx: Connection) -> Profile:
            row = await tx.one("accounts.profile_locked", id=user_id)
            if row is None:
                raise Unauthorized(f"user {user_id} is no more")
            fields = self._schema.merged(row["profile"], given)
            own = {name: given.get(name, _text(row[name])) for name in _COLUMNS}
            stored = json.dumps(fields, ensure_ascii=False)
            shown = self._schema.shown(own, stored)
            await tx.changed(
                "accounts.change_profile",
                id=user_id,
                **own,
                profile=stored if fields else None,
                is_profile_completed=all(shown.get(name) is not None for name in self._schema.required),
                updated_at=self._store.now(),
            )
            return await self.read(user_id, tx)

        return await self._store.write(work)


def answer(row: Row) -> Profile:
    """Return the members for a row of `accounts.profile`: times in ISO 8601 and UTC, status as a number.

    `phone` is text in any case, for clients read its length; whatever else is not known is null.
    """
    return {
        "id": row["id"],
        "phone": row["phone"] or "",
        "country_code": row["country_code"],
        "email": row["email"],
        "username": row["username"],
        "nickname": row["nickname"],
        "avatar_url": row["avatar_url"],
        "avatar": row["avatar_url"],
        "bio": row["bio"],
        "gender": row["gender"],
        "birth_date": _text(row["birth_date"]),
        "status": STATUS_NUMBERS[row["status"]],
        "role": row["role"],
        "is_active": row["status"] == "active",
        "is_phone_verified": bool(row["is_phone_verified"]),
        "email_verified": bool(row["email_verified"]),
        "is_premium": bool(row["is_premium"]),
        "is_profile_completed": bool(row["is_profile_completed"]),
        "login_type": row["login_type"] or ("phone" if row["phone"] else "email"),
        "login_methods": _methods(row),
        "wechat_info": _wechat(row),
        "created_at": _moment(row["created_at"]),
        "updated_at": _moment(row["updated_at"]),
        "last_login_at": _moment(row["last_login_at"]),
    }


def _methods(row: Row) -> list[Literal["phone", "wechat", "email", "password"]]:
    ways: dict[Literal["phone", "wechat", "email", "password"], Any] = {
        "phone": row["phone"],
        "wechat": row["wechat_user_id"],
        "email": row["email"],
        "password": row["has_password"],
    }
    return [name for name, given in ways.items() if given]


def _wechat(row: Row) -> WechatInfo | None:
    if row["wechat_user_id"] is None:
        return None
    return {
        "wechat_user_id": row["wechat_user_id"],
        "openid": row["openid"],
        "nickname": row["wechat_nickname"],
        "avatar_url": row["wechat_avatar_url"],
        "gender": row["wechat_gender"],
        "country": row["country"],
        "province": row["province"],
        "city": row["city"],
        "bind_at": _moment(row["bind_at"]),
    }


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _moment(at: datetime | None) -> str | None:
    return None if at is None else moment(at)
