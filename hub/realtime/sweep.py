"""Reading the truth again at an interval, so that what the broker lost arrives late instead of never."""

import asyncio
from abc import ABC, abstractmethod

import structlog

from hub.errors import StoreUnavailable
from hub.realtime.broker import Broker
from hub.ticks import until_tick

log = structlog.stdlib.get_logger("hub.realtime")


class Sweeper(ABC):
    """Sweeps every *interval* seconds; without a broker, and for an interval after, every *without_broker*.

    That is shorter, for it then is how other processes' changes arrive at all: they may find the broker again
    some seconds later than this one.
    """

    def __init__(self, broker: Broker, *, interval: float, without_broker: float) -> None:
        self._broker = broker
        self._interval = interval
        self._without_broker = without_broker
        self._trusted_at = 0.0
        """When the broker will have been there for an interval, by the loop's clock."""
        self._task: asyncio.Task[None] | None = None

    @abstractmethod
    async def once(self) -> None:
        """Sweep once. Raises StoreUnavailable."""

    async def start(self) -> None:
        """Begin sweeping."""
        self._task = asyncio.create_task(self._run(), name=type(self).__name__)

    async def stop(self) -> None:
        """Stop sweeping."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await self._pause()
            try:
                await self.once()
            except StoreUnavailable as error:
                log.warning("sweep_failed", sweep=type(self).__name__, reason=error.reason)
            except Exception:  # a defect must not be the end of the sweeps
                log.exception("sweep_failed", sweep=type(self).__name__)

    async def _pause(self) -> None:
        """Sleep until the next sweep is due; an outage of the broker cuts a long sleep short."""
        clock = asyncio.get_running_loop().time
        step = min(self._interval, self._without_broker)
        for _ in range(round(self._interval / step)):
            await asyncio.sleep(until_tick(step))
            if not self._broker.healthy:
                self._trusted_at = clock() + self._interval
            if clock() < self._trusted_at:
                return
