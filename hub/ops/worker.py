"""The worker: sends the outbox, keeps each table to its retention, and archives the login log."""

import asyncio
import random
from typing import Final

import structlog
from prometheus_client import Gauge

from hub.codes.dispatch import Dispatcher
from hub.codes.outbox import Outbox
from hub.errors import StoreUnavailable
from hub.ops.archive import LoginLogArchive
from hub.ops.retention import RULES, remove, wipe_tokens
from hub.store.database import Store

log = structlog.stdlib.get_logger("hub.worker")

HOUSEKEEPING = Gauge(
    "hub_worker_housekeeping_timestamp_seconds",
    "When the tables were last gone through to the end, in Unix time.",
    multiprocess_mode="livemostrecent",
)

_INTERVAL: Final = 300.0  # seconds between two rounds, ± 10 %
_GRACE: Final = 10.0
_MEASURE: Final = 15.0


class Worker:
    """Runs in its own process (`hub worker`) or within a serving one; any number of them may run at once."""

    def __init__(
        self, store: Store, outbox: Outbox, dispatcher: Dispatcher, archive: LoginLogArchive
    ) -> None:
        self._store = store
        self._outbox = outbox
        self._dispatcher = dispatcher
        self._archive = archive
        self._stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to work."""
        self._stopping.clear()
        await self._dispatcher.start()
        self._tasks = [
            asyncio.create_task(self._keep_house(), name="housekeeping"),
            asyncio.create_task(self._measure(), name="outbox-gauges"),
        ]

    async def stop(self) -> None:
        """End after the batch and the messages that are under way."""
        self._stopping.set()
        await asyncio.gather(self._dispatcher.stop(), self._end_round())

    async def clean(self) -> None:
        """Go through the tables once. Raises StoreUnavailable, OSError for the archive's folder."""
        for rule in RULES:
            if self._stopping.is_set():
                return
            await remove(self._store, rule, self._store.now())
        await wipe_tokens(self._store, self._store.now())
        await self._archive.run(self._stopping.is_set)
        HOUSEKEEPING.set_to_current_time()

    async def _end_round(self) -> None:
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=_GRACE)
            for task in late:
                task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _keep_house(self) -> None:
        while not self._stopping.is_set():
            try:
                await self.clean()
            except StoreUnavailable as error:
                log.warning("housekeeping_failed", reason=error.reason)
            except Exception:
                log.exception("housekeeping_failed")
            await self._rest(_INTERVAL * random.uniform(0.9, 1.1))  # noqa: S311 - spreads the workers

    async def _measure(self) -> None:
        while not self._stopping.is_set():
            try:
                await self._outbox.measure()
            except StoreUnavailable as error:
                log.warning("outbox_not_measured", reason=error.reason)
            except Exception:
                log.exception("outbox_not_measured")
            await self._rest(_MEASURE)

    async def _rest(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return
