"""One timer for all that is due at its own time: ten thousand timers would cost more than what they wake."""

import asyncio
import time
from collections.abc import Callable
from contextvars import Context
from typing import Generic, TypeVar

import structlog

log = structlog.stdlib.get_logger("hub.realtime")

STEP = 0.1  # seconds

T = TypeVar("T")


class Wheel(Generic[T]):
    """Calls *due* with each item when its time has come: never early, and up to two STEPs late.

    The wheel turns only while there is something in it. It holds its items, so one that has become needless
    should be removed. What *due* raises is logged and keeps no other item waiting.
    """

    def __init__(self, due: Callable[[T], None]) -> None:
        self._due = due
        self._slots: dict[int, set[T]] = {}
        self._next = 0  # the first slot that was not looked at yet
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return sum(map(len, self._slots.values()))

    def put(self, item: T, seconds: float, before: int = 0) -> int:
        """Have *item* called in *seconds*, and return its slot, a number above 0, to remove it with.

        With *before*, the slot it was put into, it is called only this time.
        """
        now = time.monotonic()
        slot = int((now + seconds) / STEP if seconds > 0 else now / STEP) + 1
        if before:
            if slot == before and item in self._slots.get(slot, ()):
                return slot
            self.remove(item, before)
        if self._timer is None:
            self._next = int(now / STEP)
            self._wind()
        items = self._slots.get(slot)
        if items is None:
            self._slots[slot] = {item}
        else:
            items.add(item)
        return slot

    def remove(self, item: T, slot: int) -> None:
        """Take *item* out of the *slot* it was put into; one that is not there any more is no error."""
        items = self._slots.get(slot)
        if items is not None:
            items.discard(item)
            if not items:
                del self._slots[slot]

    def _wind(self) -> None:
        # Whoever put the first item in is none of the others' business, so not its context.
        self._timer = asyncio.get_running_loop().call_later(STEP, self._turn, context=Context())

    def _turn(self) -> None:
        self._timer = None
        now = int(time.monotonic() / STEP)
        first, self._next = self._next, now + 1
        for slot in range(first, now + 1):
            for item in self._slots.pop(slot, ()):
                try:
                    self._due(item)
                except Exception:
                    log.exception("defect")
        if self._slots and self._timer is None:
            self._wind()
