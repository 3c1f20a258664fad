"""What the workers need of one physical connection, on either engine."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from hub.store.queries import Bound

Row = Mapping[str, Any]


class Outcome(NamedTuple):
    """What a writing statement did: how many rows it matched or inserted, and the last inserted id."""

    changed: int
    inserted_id: int


class Link(Protocol):
    """One connection. Its methods raise LinkLost, Contended, Refused, UniqueViolation or QueryFailed.

    DATETIME columns come back as aware UTC datetimes, DATE and JSON as text, on both engines.
    """

    @property
    def alive(self) -> bool:
        """Nothing is known to be wrong with it; costs no I/O."""

    async def fetch(self, bound: Bound) -> list[Row]:
        """Run a statement that answers rows."""

    async def execute(self, bound: Bound) -> Outcome:
        """Run a statement that changes rows."""

    async def post(self, bound: Bound) -> None:
        """Run a statement whose outcome nobody waits for, at the latest with the next one or the commit.

        These raise PostFailed where it was refused, and have not run then.
        """

    async def begin(self) -> None:
        """Begin a transaction that may write."""

    async def commit(self) -> None:
        """Make the transaction last."""

    async def rollback(self) -> None:
        """Undo the transaction."""

    async def ping(self) -> None:
        """Ask the server for a sign of life."""

    async def close(self) -> None:
        """Say goodbye and close."""

    async def abandon(self) -> None:
        """Close without a word, whatever the connection is in the middle of."""
