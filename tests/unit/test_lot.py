"""The rounds in which parked sockets are pinged."""

import asyncio
from collections import Counter

import pytest

from hub.web.parking.lot import Lot

SOCKETS = 35


class Pings:
    """Counts them by the turn of the loop in which they are sent; it stands for each of the sockets."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.sent: Counter[int] = Counter()
        self.all = asyncio.Event()
        self.turn = 0
        self._next()

    def _next(self) -> None:
        self.turn += 1
        self.loop.call_soon(self._next)

    def note(self) -> None:
        self.sent[self.turn] += 1
        if self.sent.total() == SOCKETS:
            self.all.set()


class Socket:
    """A socket that takes each ping."""

    def __init__(self, pings: Pings) -> None:
        self._pings = pings

    def ping(self) -> bool:
        self._pings.note()
        return True

    def overdue(self) -> None:
        raise AssertionError("it has no time limit")


@pytest.mark.parametrize(("telling", "sent"), [(True, [10, 10, 10, 5]), (False, [SOCKETS])])
async def test_a_round_gives_way_to_news(
    monkeypatch: pytest.MonkeyPatch, telling: bool, sent: list[int]
) -> None:
    """While anything is told it is sent in tens, else at once."""
    monkeypatch.setattr("hub.web.parking.lot._ROUNDS", 1)
    monkeypatch.setattr("hub.web.parking.lot.PING_INTERVAL", 0.1)
    lot, pings = Lot(set(), set(), 4096), Pings()
    lot.telling = telling
    for _ in range(SOCKETS):
        lot.add(Socket(pings))
    async with asyncio.timeout(5):
        await pings.all.wait()
    assert list(pings.sent.values()) == sent
