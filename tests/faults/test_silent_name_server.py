"""A name server that does not answer: nobody waits for it longer than they want, and no lookups pile up."""

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import httpx2
import pytest

from hub.loop import Loop
from hub.realtime.dial import dialler
from hub.realtime.wire import LinkDown
from hub.resolver import resolve
from hub.store.database import connect
from hub.store.location import Location

LONG = 20.0  # seconds
GIVES_UP = 0.02  # seconds
TRIES = 5


class NameServer:
    """What the system's resolver asks; it answers once it is told to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answers = threading.Event()

    def look_up(self, host: str, *_: object, **__: object) -> Any:
        """Stand in for `socket.getaddrinfo`."""
        self.asked.append(host)
        self.answers.wait(LONG)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameServer]:
    """A name server that is silent until the end of the test."""
    server = NameServer()
    monkeypatch.setattr(socket, "getaddrinfo", server.look_up)
    yield server
    server.answers.set()
    for thread in threading.enumerate():
        if thread.name == "resolver":
            thread.join(LONG)


async def _to_the_database() -> None:
    async with asyncio.timeout(GIVES_UP):
        await connect(Location.parse("mysql://hub:secret@db.example:3306/hub"))


async def _to_redis() -> None:
    await dialler("redis://redis.example:6379/0", timeout=GIVES_UP)()


async def _by_sentinels() -> None:
    await dialler("redis+sentinel://sentinel.example:26379/hub", timeout=GIVES_UP)()


@pytest.mark.parametrize("dial", [_to_the_database, _to_redis, _by_sentinels])
async def test_one_lookup_at_a_time(names: NameServer, dial: Callable[[], Awaitable[None]]) -> None:
    """However often a server is dialled meanwhile, its name is looked up once."""
    for _ in range(TRIES):
        with pytest.raises((TimeoutError, LinkDown)):
            await dial()
    assert len(names.asked) == 1


async def _to_a_provider() -> None:
    async with httpx2.AsyncClient(timeout=GIVES_UP) as http:
        await http.get("http://provider.example/")


def test_the_end_waits_for_no_lookup(names: NameServer) -> None:
    """On the hub's own loop clients of HTTP look one name up once, and the loop can be closed meanwhile."""

    async def dial() -> None:
        for _ in range(TRIES):
            with pytest.raises(httpx2.ConnectTimeout):
                await _to_a_provider()

    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(dial())
    assert names.asked == ["provider.example"]


async def test_all_who_wait_are_told(names: NameServer) -> None:
    """One that gives up takes nobody along; the failure names the host, and the next one asks anew."""
    waiting = [asyncio.create_task(resolve("db.example")) for _ in range(TRIES)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    names.answers.set()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(outcomes[0], asyncio.CancelledError)
    for outcome in outcomes[1:]:
        assert isinstance(outcome, OSError)
        assert "db.example" in str(outcome)
    with pytest.raises(OSError, match=r"db\.example"):
        await resolve("db.example")
    assert names.asked == ["db.example"] * 2


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_an_address_is_no_name(names: NameServer, host: str) -> None:
    """No name server is asked for it."""
    await resolve(host)
    assert names.asked == []


async def test_without_a_thread_to_spare_it_fails_at_once(
    names: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the name is looked up again as soon as the system gives one."""
    names.answers.set()
    with monkeypatch.context() as exhausted:
        exhausted.setattr(threading.Thread, "start", _no_thread)
        with pytest.raises(OSError, match=r"db\.example: can't start"):
            await resolve("db.example")
    with pytest.raises(OSError, match=r"db\.example: Name or service not known"):
        await resolve("db.example")


def _no_thread(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")
