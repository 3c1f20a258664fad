"""Finding people: by id, number, address or username as a whole, by nickname from its beginning."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from hub.accounts.admin import ROLES, STATUSES
from hub.accounts.usernames import username
from hub.codes.addresses import contact
from hub.errors import InvalidRequest
from hub.store.database import Row, Store

_ID = re.compile(r"[1-9][0-9]{0,17}")
_NOBODY = 0


class Page(NamedTuple):
    """Some accounts by id, and after which id the next page begins; None at the end."""

    rows: Sequence[Row]
    next: int | None


class Users:
    """Reads accounts for administrators."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def page(self, text: str, after: int, limit: int) -> Page:
        """Return up to *limit* accounts that *text* may mean, an empty one all, that follow id *after*."""
        if text:
            rows = await self._store.all("admin.found", **_meanings(text), id_after=after, limit=limit + 1)
        else:
            rows = await self._store.all(
                "admin.listed", id=after, status=list(STATUSES), role=list(ROLES), limit=limit + 1
            )
        return Page(rows[:limit], rows[limit - 1]["id"] if len(rows) > limit else None)


def _meanings(text: str) -> dict[str, str | int]:
    """Return what *text* is as each column; what it cannot be is a value that no row has."""
    address = contact(text)
    return {
        "id": int(text) if _ID.fullmatch(text) else _NOBODY,
        "phone": address.address if address and address.channel == "phone" else "",
        "email": address.address if address and address.channel == "email" else "",
        "username": _username(text),
        "nickname": re.sub("[!%_]", r"!\g<0>", text) + "%",
    }


def _username(text: str) -> str:
    try:
        return username(text)
    except InvalidRequest:
        return ""
