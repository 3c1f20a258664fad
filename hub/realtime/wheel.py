"""One timer for all that is due at its own time: ten thousand timers would cost more than what they wake."""

import asyncio
import time
from collections.abc import Callable
from contextvars import Context
from heapq import heappop, heappush
from typing import Generic, TypeVar

import structlog

from hub.ticks import until_tick

log = structlog.stdlib.get_logger("hub.realtime")

STEP = 0.1  # seconds
_GLANCE = 1.0  # seconds after which a clock that may be set is looked at again

T = TypeVar("T")


class Wheel(Generic[T]):
    """Calls *due* with each item when its time has come: never early, and up to two STEPs late.

    It wakes only for slots that something was put into, at times that all wheels share, for each waking costs
    an idle process more than what it is for. The wheel holds its items, so one that has become needless
    should be removed. What *due* raises is logged and keeps no other item waiting.

    With *clock*, which tells the time in seconds and may be set at any moment, an item is due when that says
    so, or a second later.
    """

    def __init__(self, due: Callable[[T], None], clock: Callable[[], float] | None = None) -> None:
        self._due = due
        self._clock = clock or time.monotonic
        self._glances = clock is not None
        self._slots: dict[int, set[T] | None] = {}  # those in `_order`; None where all items were removed
        self._order: list[int] = []  # a heap
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return sum(len(items) for items in self._slots.values() if items)

    def put(self, item: T, seconds: float, before: int = 0) -> int:
        """Have *item* called in *seconds*, and return its slot, a number above 0, to remove it with.

        With *before*, the slot it was put into, it is called only this time.
        """
        now = self._clock()
        slot = int((now + seconds) / STEP if seconds > 0 else now / STEP) + 1
        if before:
            if slot == before and item in (self._slots.get(slot) or ()):
                return slot
            self.remove(item, before)
        if items := self._slots.get(slot):
            items.add(item)
            return slot
        known = slot in self._slots
        self._slots[slot] = {item}
        if not known:
            heappush(self._order, slot)
            if self._order[0] == slot:
                self._wind(now)
        return slot

    def remove(self, item: T, slot: int) -> None:
        """Take *item* out of the *slot* it was put into; one that is not there any more is no error."""
        if items := self._slots.get(slot):
            items.discard(item)
            if not items:
                self._slots[slot] = None

    def _wind(self, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        seconds = self._order[0] * STEP - now
        if self._glances:
            seconds = min(seconds, until_tick(_GLANCE))
        # Whoever put the first item in is none of the others' business, so not its context.
        self._timer = asyncio.get_running_loop().call_later(seconds, self._turn, context=Context())

    def _turn(self) -> None:
        self._timer = None
        slot = int(self._clock() / STEP)
        while self._order and self._order[0] <= slot:
            for item in self._slots.pop(heappop(self._order)) or ():
                try:
                    self._due(item)
                except Exception:
                    log.exception("defect")
        if self._order:
            self._wind(self._clock())
