"""What a unit of work gets to see of its connection, and the transaction around it."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from hub.store.failures import Contended, LinkLost, PostFailed, QueryFailed, Refused
from hub.store.links import Link, Outcome, Row
from hub.store.queries import Bound, Queries

_CHILD = "a child task is outside its parent's transaction: one statement at a time"

T = TypeVar("T")


class Connection:
    """What a unit of work may do, for as long as it runs: one statement after another, never two at once."""

    __slots__ = ("_busy", "_failure", "_link", "_queries", "_writes")

    def __init__(self, link: Link, queries: Queries, *, writes: bool) -> None:
        self._link: Link | None = link
        self._queries = queries
        self._writes = writes
        self._busy = False
        self._failure: Exception | None = None

    async def one(self, query: str, /, **values: object) -> Row | None:
        """Return the first row, or None."""
        rows = await self.all(query, **values)
        return rows[0] if rows else None

    async def all(self, query: str, /, **values: object) -> list[Row]:
        """Return every row."""
        bound = self._queries.reading(query, values)
        return await self._exclusively(lambda link: link.fetch(bound))

    async def changed(self, query: str, /, **values: object) -> int:
        """Run an UPDATE, DELETE or INSERT and return how many rows it matched or inserted.

        An upsert counts as the engine likes, and only zero means nothing. Raises UniqueViolation.
        """
        return (await self._execute(query, values)).changed

    async def insert(self, query: str, /, **values: object) -> int:
        """Run an INSERT and return the new row's id, 0 where it was ignored. Raises UniqueViolation."""
        return (await self._execute(query, values)).inserted_id

    async def post(self, query: str, /, **values: object) -> None:
        """Run an INSERT, UPDATE or DELETE whose outcome is of no interest, which saves its round trip.

        It runs before the next statement and before the commit. Where it fails, the whole unit does.
        """
        bound = self._writing(query, values)
        await self._exclusively(lambda link: link.post(bound))

    async def _execute(self, query: str, values: dict[str, object]) -> Outcome:
        bound = self._writing(query, values)
        return await self._exclusively(lambda link: link.execute(bound))

    def _writing(self, query: str, values: dict[str, object]) -> Bound:
        if not self._writes:
            raise RuntimeError(f"{query}: a unit that reads cannot write")
        return self._queries.writing(query, values)

    async def _exclusively(self, act: Callable[[Link], Awaitable[T]]) -> T:
        if self._failure:
            raise self._failure
        if self._link is None:
            raise RuntimeError("the unit of work has ended")
        if self._busy:
            raise RuntimeError(_CHILD)
        self._busy = True
        try:
            return await act(self._link)
        except (LinkLost, Contended, Refused) as error:
            self._failure = error
            raise
        except PostFailed as error:
            self._failure = error.failure
            raise error.failure from None
        finally:
            self._busy = False

    async def end(self) -> None:
        """Close it for the work, which may have kept it; raise what the work has swallowed."""
        link, self._link = self._link, None
        if self._busy and link:
            self._failure = RuntimeError(_CHILD)
            await link.abandon()  # the child is in the middle of its statement
        if self._failure:
            # After a deadlock the server has rolled back: to go on would commit the second half alone.
            raise self._failure


async def in_transaction(link: Link, queries: Queries, work: Callable[[Connection], Awaitable[T]]) -> T:
    """Run *work* between BEGIN and COMMIT, and roll back when it raises."""
    connection = Connection(link, queries, writes=True)
    await link.begin()
    try:
        try:
            result = await work(connection)
        finally:
            await connection.end()
        await _commit(link)
    except Exception:
        await _roll_back(link)
        raise
    return result


async def reading(link: Link, queries: Queries, work: Callable[[Connection], Awaitable[T]]) -> T:
    """Run *work*, which only reads, without a transaction."""
    connection = Connection(link, queries, writes=False)
    try:
        return await work(connection)
    finally:
        await connection.end()


async def _commit(link: Link) -> None:
    try:
        await link.commit()
    except PostFailed as error:
        raise error.failure from None
    except LinkLost as error:
        # It may have been committed; to run the unit again could do everything twice.
        raise Refused(f"outcome unknown: {error}") from error


async def _roll_back(link: Link) -> None:
    """Leave no transaction open: where the rollback fails, the connection goes, and the server rolls back."""
    if link.alive:
        try:
            await link.rollback()
        except (LinkLost, Contended, Refused, QueryFailed):
            await link.abandon()
