"""Random cancellations: how many connections are left of those there were."""

import asyncio
import random
from collections.abc import Awaitable, Callable

import uvloop
from databases import Database

from hub.store.database import Connection, Store
from hub.store.location import Location

CONNECTIONS = 5
_AT_ONCE = 20
_LATEST = 0.004  # seconds until a task is cancelled; a unit of work takes about one
_READ = "SELECT * FROM users WHERE id = {}"

Meet = Callable[[], Awaitable[None]]


def lost_connections(url: str, cancellations: int, patience: float) -> dict[str, int]:
    """Return how many of CONNECTIONS to MariaDB no longer serve after a storm, by way.

    They have *patience* seconds, once it is over.
    """
    return uvloop.run(_storms(url, cancellations, patience))


async def _storms(url: str, cancellations: int, patience: float) -> dict[str, int]:
    store = Store(url, connections=CONNECTIONS)
    await store.start()

    async def stored(meet: Meet) -> None:
        async def work(tx: Connection) -> None:
            await tx.one("accounts.user", id=1)
            await meet()

        await store.write(work)

    database = Database(Location.parse(url).url, min_size=CONNECTIONS, max_size=CONNECTIONS)
    await database.connect()

    async def plain(meet: Meet) -> None:
        async with database.transaction():
            await database.fetch_one(_READ.format(":id"), {"id": 1})
            await meet()

    try:
        return {
            "store": await _storm(stored, cancellations, patience),
            "databases": await _storm(plain, cancellations, patience),
        }
    finally:
        await store.stop()
        database._backend._pool.terminate()  # `disconnect` would wait for those that are lost


async def _storm(unit: Callable[[Meet], Awaitable[None]], cancellations: int, patience: float) -> int:
    draw = random.Random(23)  # noqa: S311 - the same storm in every run
    left = iter(range(cancellations))

    async def nobody() -> None:
        pass

    async def lane() -> None:
        for _ in left:
            task = asyncio.ensure_future(unit(nobody))
            await asyncio.wait([task], timeout=draw.random() * _LATEST)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    await asyncio.gather(*(lane() for _ in range(_AT_ONCE)))
    return CONNECTIONS - await _serving(unit, patience)


async def _serving(unit: Callable[[Meet], Awaitable[None]], patience: float) -> int:
    """Count the connections that serve at the same moment."""
    met = 0
    all_met = asyncio.Event()

    async def meet() -> None:
        nonlocal met
        met += 1
        if met == CONNECTIONS:
            all_met.set()
        await all_met.wait()

    tasks = [asyncio.ensure_future(unit(meet)) for _ in range(CONNECTIONS)]
    await asyncio.wait(tasks, timeout=patience)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return met
