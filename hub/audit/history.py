"""A person's own login history, newest first, in pages that begin after a row and not at a number."""

import base64
import struct
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple, Self, get_args

from hub.audit.log import Status
from hub.audit.rules import ALERT_SCORE
from hub.store.database import Row, Store

STATUSES: Final[tuple[Status, ...]] = get_args(Status)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_WIRE = struct.Struct(">qq")  # milliseconds since 1970, id


class Cursor(NamedTuple):
    """The row after which a page begins. It is no secret: each query is confined to its account anyway."""

    created_at: datetime
    id: int

    def text(self) -> str:
        """Return the opaque form that clients hand back."""
        packed = _WIRE.pack((self.created_at - _EPOCH) // _MILLISECOND, self.id)
        return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `text` wrote. Raises ValueError for anything else."""
        try:
            milliseconds, row_id = _WIRE.unpack(base64.b64decode(f"{text}==", b"-_", validate=True))
            cursor = cls(_EPOCH + milliseconds * _MILLISECOND, row_id)
        except (ValueError, struct.error, OverflowError):
            raise ValueError("not a cursor of ours") from None
        if milliseconds < 0 or row_id < 0 or cursor.text() != text:
            raise ValueError("not a cursor of ours")
        return cursor


# Later than any row: what is written while a person reads has no part in the pages that follow.
FIRST = Cursor(datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC), 2**63 - 1)


class Page(NamedTuple):
    """Some rows of the log, and where the next page begins; None at the end."""

    rows: Sequence[Row]
    next: Cursor | None


class LoginHistory:
    """Reads the log, one account at a time."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def page(
        self,
        user_id: int,
        after: Cursor,
        limit: int,
        statuses: Sequence[Status] = STATUSES,
        unusual: bool = False,
    ) -> Page:
        """Return up to *limit* tries to sign in to this account that ended so and are older than *after*.

        With *unusual* only those whose risk is one that people are told of.
        """
        rows = await self._store.all(
            "audit.history",
            user_id=user_id,
            created_at=after.created_at,
            id=after.id,
            login_status=statuses,
            score=ALERT_SCORE if unusual else 0,
            limit=limit + 1,
        )
        if len(rows) <= limit:
            return Page(rows, None)
        last = rows[limit - 1]
        return Page(rows[:limit], Cursor(last["created_at"], last["id"]))
