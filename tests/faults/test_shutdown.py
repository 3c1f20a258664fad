"""SIGTERM: sockets, streams and polls are sent away, requests in flight complete, and the process ends."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx2
import pytest
from websockets.exceptions import ConnectionClosed

from tests.people import Browser, Phone, frame
from tests.servers.hub import HubProcess
from tests.servers.mariadb import MariaDB

TIME_TO_END = 25.0  # seconds


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubProcess]:
    """A hub of the test's own, in the embedded default."""
    process = HubProcess(tmp_path).start()
    yield process
    process.stop()
    assert process.defects() == []


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    """What is to be closed at the test's end."""
    async with AsyncExitStack() as stack:
        yield stack


async def ended(hub: HubProcess) -> int:
    """Wait for the process's end and return its exit code."""
    return await asyncio.to_thread(hub.wait, TIME_TO_END)


async def test_every_socket_is_told(hub: HubProcess, stack: AsyncExitStack) -> None:
    """Three hundred sockets get 1012 and a hint, spread over seconds, before the process is gone."""
    browser = await stack.enter_async_context(Browser(hub.url))
    await browser.begin()
    sockets = [await stack.enter_async_context(browser.socket()) for _ in range(300)]
    clock = asyncio.get_running_loop().time
    at: list[float] = []

    async def told(number: int) -> tuple[int, str]:
        await frame(sockets[number])
        with pytest.raises(ConnectionClosed) as closed:
            await frame(sockets[number])
        at.append(clock())
        assert closed.value.rcvd is not None
        return closed.value.rcvd.code, closed.value.rcvd.reason

    hearing = asyncio.gather(*(told(number) for number in range(300)))
    hub.terminate()
    ends = await hearing
    assert {code for code, _ in ends} == {1012}
    hints = [float(reason.removeprefix("retry in ")) for _, reason in ends]
    assert 0 < min(hints) < max(hints) <= 15
    assert max(at) - min(at) > 2
    assert await ended(hub) == 0


async def test_polls_and_streams_are_answered(hub: HubProcess, stack: AsyncExitStack) -> None:
    """A long poll is answered, again and again on one connection, and a stream ends as it should."""
    browser = await stack.enter_async_context(Browser(hub.url))
    await browser.begin()
    polls: list[int] = []

    async def poll() -> None:
        while True:
            try:
                polls.append((await browser.status(seq=1, wait=25)).status_code)
            except httpx2.ConnectError:
                return  # nobody listens any more: another process is asked then

    stream = await stack.enter_async_context(browser.http.stream("GET", browser.attempt["events_url"]))
    lines = stream.aiter_lines()
    async for line in lines:
        if line.startswith("data:"):
            break
    polling = asyncio.create_task(poll())
    await asyncio.sleep(0.2)  # let the poll arrive; too short would only make the test milder
    hub.terminate()
    farewell = [line async for line in lines if line]
    assert [line.partition(":")[0] for line in farewell] == ["retry"]
    await polling
    assert set(polls) == {304}
    assert await ended(hub) == 0


async def test_a_kept_connection_is_given_notice(hub: HubProcess) -> None:
    """An answer says that it is the last one of its connection, before that is closed."""
    async with httpx2.AsyncClient(base_url=hub.url) as http:
        assert "connection" not in (await http.get("/healthz")).headers
        hub.terminate()
        async with asyncio.timeout(1):
            while "connection" not in (answer := await http.get("/healthz")).headers:
                assert answer.status_code == 200
        assert (answer.status_code, answer.headers["connection"]) == (200, "close")
        with pytest.raises(httpx2.ConnectError):
            await http.get("/healthz")
    assert await ended(hub) == 0


async def test_requests_in_flight_complete(
    tmp_path: Path, own_mariadb: MariaDB, stack: AsyncExitStack
) -> None:
    """A confirmation that waits for a frozen database when the signal comes is done, and answered."""
    own_mariadb.execute("CREATE DATABASE hub_fault")
    hub = HubProcess(tmp_path, DATABASE_URL=own_mariadb.url("hub_fault")).start()
    browser = await stack.enter_async_context(Browser(hub.url))
    phone = await stack.enter_async_context(Phone(hub.url))
    await browser.begin()
    await phone.scan(browser.attempt["qr_content"])
    own_mariadb.pause()
    answering = asyncio.create_task(phone.answer())
    await asyncio.sleep(0.3)  # let the request arrive
    hub.terminate()
    await asyncio.sleep(2)  # the freeze itself, not an event
    own_mariadb.resume()
    answer = await answering
    assert (answer.status_code, answer.json()["data"]) == (200, {"status": "confirmed"})
    assert await ended(hub) == 0


async def test_second_signal_ends_at_once(hub: HubProcess, stack: AsyncExitStack) -> None:
    """Whoever sends it twice does not wait until all sockets are sent away, and nothing goes wrong by it."""
    browser = await stack.enter_async_context(Browser(hub.url))
    await browser.begin()
    sockets = [await stack.enter_async_context(browser.socket()) for _ in range(100)]
    hub.terminate()
    done, waiting = await asyncio.wait(
        [asyncio.create_task(socket.wait_closed()) for socket in sockets],
        return_when=asyncio.FIRST_COMPLETED,
    )
    assert len(done) < len(waiting)
    hub.terminate()
    assert await ended(hub) == 0
    assert {socket.close_code for socket in sockets} == {1012}
    assert "Traceback" not in hub.log()
