"""The gauges that are not moved by what happens, but measured when somebody wants to know."""

import asyncio
from typing import Final

import structlog

from hub.codes.outbox import Outbox
from hub.codes.sms_budget import SmsBudget
from hub.errors import StoreUnavailable
from hub.store.database import Store

log = structlog.stdlib.get_logger("hub.ops")

_TIME: Final = 2.0  # seconds


class Measuring:
    """Measures what is in SQL: the queue of messages, worker or not, and the day's budget of SMS."""

    def __init__(self, store: Store, outbox: Outbox, budget: SmsBudget) -> None:
        self._store = store
        self._outbox = outbox
        self._budget = budget

    async def measure(self) -> None:
        """Set the gauges; without the database they stay as they are."""
        try:
            async with asyncio.timeout(_TIME):
                await self._outbox.measure()
                await self._budget.measure(self._store)
        except (StoreUnavailable, TimeoutError):
            log.warning("gauges_not_measured")
