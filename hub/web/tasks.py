"""Work that goes on behind answers."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog

from hub.errors import HubError, Unavailable

log = structlog.stdlib.get_logger("hub.web")

T = TypeVar("T")


class Tasks:
    """Runs at most *most* pieces of work at once, and waits up to *grace* seconds for them at the stop."""

    def __init__(self, most: int, *, grace: float = 5.0) -> None:
        self._most = most
        self._grace = grace
        self._running: set[asyncio.Task[Any]] = set()

    def begin(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Begin *work*, which nobody needs to wait for. Raises Unavailable while too much is under way."""
        if len(self._running) >= self._most:
            work.close()
            raise Unavailable("too much under way behind the answers")
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    async def start(self) -> None:
        """Nothing has to be opened."""

    async def stop(self) -> None:
        """Let the work that has begun end."""
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=self._grace)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if isinstance(error, HubError):
            log.warning("background_work_failed", reason=f"{error.slug}: {error.reason}")
        elif error:
            log.error("defect", exc_info=error)
