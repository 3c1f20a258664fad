"""Accounts by the number or e-mail address that their person has proved to be theirs."""

from datetime import datetime
from typing import Literal, NamedTuple

from hub.errors import UsernameTaken
from hub.store.database import Connection, Row, UniqueViolation
from hub.store.failures import Contended

_FLAGS = {"phone": "is_phone_verified", "email": "email_verified"}


class Contact(NamedTuple):
    """A number in E.164 with its *country_code*, or a case-folded e-mail address."""

    channel: Literal["phone", "email"]
    address: str
    country_code: str = "+86"


class Choice(NamedTuple):
    """What a person who registers may choose; an account that exists keeps its own."""

    username: str | None = None
    password_hash: str | None = None


class Found(NamedTuple):
    """The account of an address: *is_new* when it was made now, *first* when its address was verified now."""

    user: Row
    is_new: bool
    first: bool


def hinted(address: str) -> str:
    """Return as much of a number or e-mail address as its own person recognises it by."""
    name, at, domain = address.partition("@")
    return f"{name[:1]}***@{domain}" if at else f"{address[:-8]}****{address[-4:]}"


async def find_or_create(tx: Connection, contact: Contact, choice: Choice, now: datetime) -> Found:
    """Return the account of *contact*, which its person has just proved; an unknown one gets an account.

    Part of the caller's transaction. With the first proof of an address the password that was set before it
    is dropped; the caller ends the sessions. Whether the account is blocked is left to the caller too. Raises
    UsernameTaken. When a parallel sign-in was first it raises Contended, and the store runs the unit again.
    """
    user = await tx.one(f"accounts.by_{contact.channel}", **{contact.channel: contact.address})
    if user is None:
        return Found(await _create(tx, contact, choice, now), is_new=True, first=False)
    first = not user[_FLAGS[contact.channel]] and await verify(tx, user["id"], contact, now)
    return Found(user, is_new=False, first=first)


async def verify(tx: Connection, user_id: int, contact: Contact, now: datetime) -> bool:
    """Mark the address as verified, if it is this account's; tell whether it was not before.

    An account that waited for its e-mail address becomes active. Whoever set a password without ever proving
    the address may have been somebody else, so the password goes; the caller ends the older sessions.
    """
    values = {contact.channel: contact.address}
    return bool(await tx.changed(f"accounts.verify_{contact.channel}", id=user_id, updated_at=now, **values))


async def _create(tx: Connection, contact: Contact, choice: Choice, now: datetime) -> Row:
    columns = {
        "phone": contact.address if contact.channel == "phone" else None,
        "email": contact.address if contact.channel == "email" else None,
        "is_phone_verified": contact.channel == "phone",
        "email_verified": contact.channel == "email",
    }
    try:
        user_id = await tx.insert(
            "accounts.add_with_contact",
            **columns,
            **choice._asdict(),
            country_code=contact.country_code,
            created_at=now,
        )
    except UniqueViolation as violation:
        if violation.key == "users_username":
            raise UsernameTaken("another account has this username") from None
        raise Contended(f"the account of this {contact.channel} is being made") from None
    await tx.insert(
        "accounts.add_login_type",
        user_id=user_id,
        login_type=contact.channel,
        wechat_user_id=None,
        created_at=now,
    )
    return {"id": user_id, "role": "user", **columns}
