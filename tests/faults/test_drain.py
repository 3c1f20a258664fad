"""Five thousand sockets on one of two processes, which is told to go: all are told, and nobody is lost."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import picows
import pytest

from tests.faults.matrix.moments import sign_in
from tests.faults.matrix.stage import Stage
from tests.faults.matrix.visitor import Visitor
from tests.people import AT, Browser
from tests.servers.hub import HubProcess

SOCKETS = 5000
PER_ATTEMPT = 10
AT_ONCE = 32
MOST = 0.1  # of all sockets that come back in one second
JITTER = 2.0  # seconds that our own client adds to the hint, at most
TIME_TO_END = 25.0  # seconds
SIGNING_IN = 4


class Seat(picows.WSListener):
    """One waiting socket: greeted, sent away, and greeted again where it comes back to."""

    def __init__(self) -> None:
        self.greeted = asyncio.get_running_loop().create_future()
        self.sent_away = asyncio.get_running_loop().create_future()
        self.left = asyncio.Event()
        self.transport: picows.WSTransport

    def on_ws_connected(self, transport: picows.WSTransport) -> None:
        self.transport = transport

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        if frame.msg_type == picows.WSMsgType.TEXT and not self.greeted.done():
            self.greeted.set_result(None)
        elif frame.msg_type == picows.WSMsgType.CLOSE:
            self.sent_away.set_result((frame.get_close_code(), (frame.get_close_message() or b"").decode()))
            transport.send_close(frame.get_close_code())
            transport.disconnect(False)

    def on_ws_disconnected(self, transport: picows.WSTransport) -> None:
        self.left.set()
        if not self.sent_away.done():
            self.sent_away.set_result((1006, ""))


class Crowd:
    """The sockets, and when each was sent away and has come back (seconds by the loop's clock)."""

    def __init__(self, first: str, second: str) -> None:
        self._urls = first, second
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self.codes: Counter[int] = Counter()
        self.told: list[float] = []
        self.due: list[float] = []
        self.late = 0.0  # seconds by which this process, not the hub, has let somebody wait too long
        self.back: list[float] = []
        self.returned: list[Seat] = []

    async def sit_down(self, session_id: str) -> Seat:
        """Open a socket at the first process, and await its greeting."""
        async with self._at_once:
            return await self._open(self._urls[0], session_id)

    async def come_back(self, seat: Seat, session_id: str) -> None:
        """Wait to be sent away, and go to the second process when the hint says so, as our client does."""
        code, reason = await seat.sent_away
        clock = asyncio.get_running_loop().time
        self.codes[code] += 1
        self.told.append(clock())
        due = clock() + float(reason.removeprefix("retry in ")) + random.uniform(0, JITTER)  # noqa: S311
        self.due.append(due)
        await asyncio.sleep(due - clock())
        self.late = max(self.late, clock() - due)
        again = await self._open(self._urls[1], session_id)
        self.back.append(clock())
        self.returned.append(again)

    async def leave(self) -> None:
        """Close the sockets of all who have come back."""
        for seat in self.returned:
            seat.transport.disconnect(False)
        for seat in self.returned:
            await seat.left.wait()

    async def _open(self, url: str, session_id: str) -> Seat:
        _, seat = await picows.ws_connect(
            Seat, f"{url.replace('http', 'ws', 1)}{AT}/ws/{session_id}", websocket_handshake_timeout=60
        )
        assert isinstance(seat, Seat)
        async with asyncio.timeout(60):
            await seat.greeted
        return seat


@pytest.fixture
def pair(tmp_path: Path, hub_env: dict[str, str]) -> Iterator[list[HubProcess]]:
    """Two processes on MariaDB and Redis."""
    env = {**hub_env, "JWT_ISSUER": "https://hub.example", "MAX_SESSIONS": "1000"}
    hubs = [HubProcess(tmp_path, **env).start() for _ in range(2)]
    yield hubs
    for hub in hubs:
        hub.stop()
        assert hub.defects() == []


def fullest_second(moments: list[float]) -> int:
    """How many of *moments* the fullest second has, wherever it begins."""
    moments, most, first = sorted(moments), 0, 0
    for last, moment in enumerate(moments):
        while moment - moments[first] >= 1:
            first += 1
        most = max(most, last - first + 1)
    return most


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_drain(pair: list[HubProcess], record_property: Callable[[str, object], None]) -> None:
    """1012 and a hint for each; no second has more than a tenth of them; sign-ins go on through both."""
    record_property("table", "Drain")
    record_property("sockets", SOCKETS)
    clock = asyncio.get_running_loop().time
    stage, crowd = Stage(pair), Crowd(pair[0].url, pair[1].url)
    await stage.warm()
    async with Browser(pair[0].url) as browser:
        names = [(await browser.begin())["session_id"] for _ in range(SOCKETS // PER_ATTEMPT)] * PER_ATTEMPT
    seats = await asyncio.gather(*(crowd.sit_down(name) for name in names))
    signed_in = 0
    gone = asyncio.Event()

    async def keep_signing_in(number: int) -> None:
        nonlocal signed_in
        while not gone.is_set():
            async with AsyncExitStack() as stack:
                visitor = Visitor(stage, number, door="app")
                stack.push_async_callback(visitor.close)
                async with asyncio.timeout(40):
                    await sign_in(visitor)
                assert visitor.sessions or visitor.lost
                signed_in += 1
            await asyncio.sleep(random.uniform(0, 0.2))  # noqa: S311 - jitter

    going = [asyncio.create_task(keep_signing_in(number)) for number in range(SIGNING_IN)]
    coming = asyncio.gather(*(crowd.come_back(*pair) for pair in zip(seats, names, strict=True)))
    await asyncio.sleep(0.5)  # for some sign-ins to be under way
    begun = clock()
    pair[0].terminate()
    assert await asyncio.to_thread(pair[0].wait, TIME_TO_END) == 0
    record_property("process out, s", round(clock() - begun, 1))
    await coming
    await crowd.leave()
    gone.set()
    await asyncio.gather(*going)
    record_property("told within, s", round(max(crowd.told) - begun, 1))
    record_property("back within, s", round(max(crowd.back) - begun, 1))
    record_property("fullest second, due", fullest_second(crowd.due))
    record_property("fullest second, back", fullest_second(crowd.back))
    record_property("crowd late, s", round(crowd.late, 2))
    record_property("sign-ins beside", signed_in)
    assert crowd.codes == {1012: SOCKETS}
    assert len(crowd.back) == SOCKETS
    assert fullest_second(crowd.due) <= MOST * SOCKETS
    # Whom a stall of the crowd's own process kept waiting come all at once; the hub must add nothing to that.
    assert fullest_second(crowd.back) <= MOST * SOCKETS * (1 + crowd.late)
    assert signed_in >= SIGNING_IN
