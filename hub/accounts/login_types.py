"""`user_login_types`: what an account is bound to, kept true by whatever transaction changes that."""

from datetime import datetime

from hub.errors import Unauthorized
from hub.store.database import Connection, Row


async def locked(tx: Connection, user_id: int) -> Row:
    """Lock the account's row and return it: id, phone, email, username, has_password and status.

    First in a transaction that changes what an account is bound to, so that such changes come one by one.
    Raises Unauthorized where the account is gone.
    """
    user = await tx.one("accounts.locked", id=user_id)
    if user is None:
        raise Unauthorized(f"user {user_id} is no more")
    return user


async def settle(tx: Connection, user_id: int, now: datetime) -> bool:
    """Make the account's row say what it is bound to now; tell whether WeChat is among that.

    Raises Unauthorized where the account is gone.
    """
    user = await locked(tx, user_id)
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
    return bool(wechat)


def enters_without_wechat(user: Row) -> bool:
    """Tell whether a row of `locked` has a way to sign in besides WeChat."""
    return bool(user["phone"] or user["email"] or (user["username"] and user["has_password"]))
