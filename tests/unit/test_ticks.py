"""When those wake who look at an interval."""

import asyncio

import pytest

from hub.ticks import until_tick


async def test_all_wake_together() -> None:
    """Two whose sleeps end within the same second wake at once, though they lay down half a second apart."""
    loop = asyncio.get_running_loop()

    async def sleep() -> float:
        await asyncio.sleep(until_tick(2))
        return loop.time()

    await asyncio.sleep(until_tick(1))
    first = asyncio.create_task(sleep())
    await asyncio.sleep(0.5)  # the later beginning is what is tried
    woken = await asyncio.gather(first, sleep())
    assert abs(woken[0] - woken[1]) < 0.1


@pytest.mark.parametrize("seconds", [1.0, 2.0, 5.0])
async def test_never_much_later(seconds: float) -> None:
    """The sleep is up to a second shorter than was asked for, and at most a tenth of one longer."""
    for _ in range(20):
        assert max(0.0, seconds - 1) < until_tick(seconds) <= seconds + 0.1
        await asyncio.sleep(0.05)  # the clock's next value is no event


async def test_less_than_a_second_is_kept() -> None:
    """Tests and short intervals get what they ask for."""
    assert until_tick(0.25) == 0.25
