"""Reading again in batches: who is served by which one."""

import asyncio
import gc
from dataclasses import replace
from typing import Any

import pytest

from hub.errors import AttemptNotFound, StoreUnavailable
from hub.qr.attempt import Attempt
from hub.qr.rereading import BATCH, Rereading
from tests.unit.test_snapshot import PENDING


class Table:
    """A table that is read when it is told to; each reading sees the next seq."""

    def __init__(self) -> None:
        self.readings: list[list[str]] = []
        self.begun = asyncio.Semaphore(0)
        self.go_on = asyncio.Semaphore(0)
        self.error: Exception | None = None

    async def read(self, keys: list[str]) -> list[Attempt]:
        self.readings.append(keys)
        seq = len(self.readings)
        self.begun.release()
        await self.go_on.acquire()
        if self.error is not None:
            raise self.error
        return [replace(PENDING, key=key, seq=seq) for key in keys if key != "gone"]


async def test_batches() -> None:
    """All who ask at once are served together, by as few batches as it takes."""
    table = Table()
    table.go_on.release()
    table.go_on.release()
    rereading = Rereading(table.read)
    keys = [f"key{number}" for number in range(BATCH + 1)]
    attempts = await asyncio.gather(*(rereading.read(key) for key in [*keys, keys[0]]))
    assert [attempt.key for attempt in attempts] == [*keys, keys[0]]
    assert sorted(len(batch) for batch in table.readings) == [2, BATCH]


async def test_later_askers_get_a_later_reading() -> None:
    """Who asks while a reading is under way is not served by it: it may be older than the reason to ask."""
    table = Table()
    rereading = Rereading(table.read)
    first = asyncio.create_task(rereading.read("a"))
    await table.begun.acquire()
    second = asyncio.create_task(rereading.read("a"))
    table.go_on.release()
    assert (await first).seq == 1
    await table.begun.acquire()
    table.go_on.release()
    assert (await second).seq == 2


async def test_who_leaves_takes_nothing_along() -> None:
    """The others of a batch are served though the first one is cancelled."""
    table = Table()
    rereading = Rereading(table.read)
    first, second = (asyncio.create_task(rereading.read(key)) for key in ("a", "b"))
    await table.begun.acquire()
    first.cancel()
    table.go_on.release()
    assert (await second).key == "b"


async def test_failures() -> None:
    """What is not there is not found, a failed reading fails for all, and the next one is tried."""
    table = Table()
    table.error = StoreUnavailable("away")
    rereading = Rereading(table.read)
    table.go_on.release()
    failed = await asyncio.gather(rereading.read("a"), rereading.read("b"), return_exceptions=True)
    assert list(failed) == [table.error] * 2
    table.error = None
    table.go_on.release()
    with pytest.raises(AttemptNotFound):
        await rereading.read("gone")


async def test_a_failure_that_nobody_waits_for() -> None:
    """A reading that fails when all who asked have left is nothing that the event loop complains of."""
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    table = Table()
    table.error = StoreUnavailable("away")
    rereading = Rereading(table.read)
    leaving = asyncio.create_task(rereading.read("a"))
    await table.begun.acquire()
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    table.go_on.release()
    table.go_on.release()
    with pytest.raises(StoreUnavailable):
        await rereading.read("b")  # which comes after the other one
    gc.collect()
    assert complaints == []
