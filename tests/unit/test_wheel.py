"""One timer for all: who is called, when, and what the wheel keeps."""

import asyncio
import contextvars
import time

import pytest

from hub.realtime.wheel import STEP, Wheel

LIMIT = 10.0


class Calls:
    """What is called, and when."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, float]] = []
        self._more = asyncio.Event()

    def __call__(self, item: str) -> None:
        self.heard.append((item, time.monotonic()))
        self._more.set()

    async def until(self, count: int) -> list[str]:
        """Wait until so many were called, and return them."""
        async with asyncio.timeout(LIMIT):
            while len(self.heard) < count:
                self._more.clear()
                await self._more.wait()
        return [item for item, _ in self.heard]


async def test_each_at_its_time() -> None:
    """Nobody is called early, and the order is that of the times, not that of the calls."""
    calls = Calls()
    wheel = Wheel(calls)
    begun = time.monotonic()
    waits = {"late": 0.5, "soon": 0.15, "now": 0.0, "past": -5.0}
    for item, seconds in waits.items():
        assert wheel.put(item, seconds) > 0
    order = await calls.until(4)
    assert set(order[:2]) == {"now", "past"}
    assert order[2:] == ["soon", "late"]
    for item, at in calls.heard:
        assert at - begun >= waits[item]
    assert len(wheel) == 0


async def test_what_is_removed_is_not_called() -> None:
    """One that is gone leaves the others in the same slot; to remove what was called is no error."""
    calls = Calls()
    wheel = Wheel(calls)
    slots = {item: wheel.put(item, 0.01) for item in ("a", "b", "c")}
    wheel.remove("b", slots["b"])
    wheel.remove("b", slots["b"])
    assert len(wheel) == 2
    assert set(await calls.until(2)) == {"a", "c"}
    wheel.remove("a", slots["a"])


async def test_it_rests_while_it_is_empty() -> None:
    """There is no timer when there is nothing to wait for, and one again when there is."""
    calls = Calls()
    wheel = Wheel(calls)
    for round_ in range(1, 3):
        wheel.put("x", 0)
        await calls.until(round_)
        await asyncio.sleep(3 * STEP)  # a turn that must not come is no event
        assert wheel._timer is None


async def test_who_is_called_may_put_itself_back() -> None:
    """As a sweep does that comes again and again."""
    rounds: list[int] = []
    done = asyncio.Event()

    def due(item: int) -> None:
        rounds.append(item)
        if item < 3:
            wheel.put(item + 1, 0)
        else:
            done.set()

    wheel = Wheel(due)
    wheel.put(1, 0)
    await asyncio.wait_for(done.wait(), LIMIT)
    assert rounds == [1, 2, 3]


async def test_a_defect_stops_nobody_else(capsys: pytest.CaptureFixture[str]) -> None:
    """It is logged; the others of the same moment, and those of later ones, are called."""
    calls = Calls()

    def due(item: str) -> None:
        if item == "broken":
            raise RuntimeError("defect")
        calls(item)

    wheel = Wheel(due)
    for item in ("broken", "a", "b"):
        wheel.put(item, 0)
    wheel.put("later", 0.2)
    assert set(await calls.until(3)) == {"a", "b", "later"}


async def test_nobodys_context() -> None:
    """What the first one to put something in had in its context is not seen by those who are called."""
    request = contextvars.ContextVar("request", default="none")
    seen: list[str] = []
    done = asyncio.Event()

    def due(item: str) -> None:
        seen.append(request.get())
        done.set()

    request.set("mine")
    Wheel(due).put("x", 0)
    await asyncio.wait_for(done.wait(), LIMIT)
    assert seen == ["none"]


class Dial:
    """A clock that is set by hand; it stands still meanwhile."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_a_clock_set_forward_makes_due() -> None:
    """What the clock has passed is called at once, in order, be it years; nothing else is."""
    calls, dial = Calls(), Dial()
    wheel = Wheel(calls, dial)
    for item, seconds in {"second": 60.0, "first": 30.0, "never": 2e9}.items():
        wheel.put(item, seconds)
    dial.now += 1e9
    assert await calls.until(2) == ["first", "second"]
    assert len(wheel) == 1


async def test_a_clock_set_back_puts_off() -> None:
    """What was due soon is due when the clock says so again; what is put in later is called in its time."""
    calls, dial = Calls(), Dial()
    wheel = Wheel(calls, dial)
    wheel.put("old", 0.5)
    dial.now -= 300
    wheel.put("new", 0.5)
    dial.now += 1
    assert await calls.until(1) == ["new"]
    dial.now += 300
    assert await calls.until(2) == ["new", "old"]
