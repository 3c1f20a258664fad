"""Pictures of mini-program codes: fetched once, shared, kept for a while, and never many."""

import asyncio
from collections import Counter

import pytest

from hub.qr.mini import pictures
from hub.qr.mini.pictures import Pictures
from hub.wechat.replies import Image


class Drawer:
    """Draws what is asked for, once *ready* is set; it fails while *broken* says so."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.ready = asyncio.Event()
        self.broken = False

    async def draw(self, qr_code: str) -> Image:
        """Draw."""
        self.asked[qr_code] += 1
        await self.ready.wait()
        if self.broken:
            raise ConnectionError(qr_code)
        return Image(f"{qr_code}{self.asked[qr_code]}".encode(), "image/png")


@pytest.fixture
def drawer() -> Drawer:
    """Who draws."""
    return Drawer()


async def test_who_asks_meanwhile_shares_it(drawer: Drawer) -> None:
    """Ten callers of one code get one picture, and another code has its own."""
    kept = Pictures(drawer.draw, life=60)
    asking = [asyncio.create_task(kept.get("a")) for _ in range(10)]
    other = asyncio.create_task(kept.get("b"))
    await asyncio.sleep(0)
    drawer.ready.set()
    assert {picture.content for picture in await asyncio.gather(*asking)} == {b"a1"}
    assert (await other).content == b"b1"
    assert (await kept.get("a")).content == b"a1"
    assert drawer.asked == {"a": 1, "b": 1}


async def test_who_leaves_takes_nothing_along(drawer: Drawer) -> None:
    """The first caller is cancelled, the second one still gets the picture."""
    kept = Pictures(drawer.draw, life=60)
    first, second = asyncio.create_task(kept.get("a")), asyncio.create_task(kept.get("a"))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    drawer.ready.set()
    assert (await second).content == b"a1"


async def test_a_failure_is_not_kept(drawer: Drawer) -> None:
    """All who wait are told of it, and the next one asks again."""
    kept = Pictures(drawer.draw, life=60)
    drawer.broken = True
    drawer.ready.set()
    results = await asyncio.gather(*(kept.get("a") for _ in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [ConnectionError] * 3
    drawer.broken = False
    assert (await kept.get("a")).content == b"a2"


async def test_it_is_drawn_again_after_its_life(drawer: Drawer) -> None:
    """A picture that is too old is not handed out."""
    drawer.ready.set()
    kept = Pictures(drawer.draw, life=0)
    assert [(await kept.get("a")).content for _ in range(2)] == [b"a1", b"a2"]


async def test_there_are_never_many(drawer: Drawer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest goes first; whoever still waits for it is not left alone."""
    monkeypatch.setattr(pictures, "_MOST", 2)
    kept = Pictures(drawer.draw, life=60)
    waiting = [asyncio.create_task(kept.get(code)) for code in "abc"]
    await asyncio.sleep(0)
    drawer.ready.set()
    assert [picture.content for picture in await asyncio.gather(*waiting)] == [b"a1", b"b1", b"c1"]
    assert [(await kept.get(code)).content for code in "bca"] == [b"b1", b"c1", b"a2"]


async def test_the_end(drawer: Drawer) -> None:
    """What is being drawn is given up."""
    kept = Pictures(drawer.draw, life=60)
    asking = asyncio.create_task(kept.get("a"))
    await asyncio.sleep(0)
    await kept.stop()
    with pytest.raises(asyncio.CancelledError):
        await asking
