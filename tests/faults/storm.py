"""Clients that drop requests, streams and sockets at any moment."""

import asyncio
import random
from collections.abc import Awaitable, Callable

import httpx2
from websockets.exceptions import WebSocketException

from tests.people import AT, Browser, Phone, frame
from tests.servers.hub import HubProcess

PEOPLE = ("alice", "bob", "noavatar", "emoji")

chance = random.Random(1)  # noqa: S311 - no secrets here
Deed = Callable[[Browser, Phone], Awaitable[object]]


async def wait_on_socket(browser: Browser, phone: Phone) -> None:
    """Open a socket, cancel, renew, and wait."""
    async with browser.socket() as socket:
        await frame(socket)
        for kind in ("ping", "cancel", "refresh"):
            await socket.send(f'{{"type":"{kind}"}}')
            await frame(socket)
        await socket.recv()


async def break_socket(browser: Browser, phone: Phone) -> None:
    """Open a socket and let it go without a word."""
    socket = await browser.socket()
    socket.transport.abort()


async def break_handshake(browser: Browser, phone: Phone) -> None:
    """Ask for a socket, and be gone before it is there."""
    _, writer = await asyncio.open_connection("127.0.0.1", httpx2.URL(browser.url).port)
    head = [
        f"GET {AT}/ws/{browser.session_id} HTTP/1.1",
        "host: x",
        "upgrade: websocket",
        "connection: upgrade",
    ]
    head += ["sec-websocket-version: 13", "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==", "", ""]
    writer.write("\r\n".join(head).encode())
    try:
        await writer.drain()
        await asyncio.sleep(chance.choice([0, 0, 0.001, 0.01]))
    finally:
        writer.transport.abort()


async def stream(browser: Browser, phone: Phone) -> None:
    """Read an event stream for ever."""
    async with browser.http.stream("GET", browser.attempt["events_url"]) as answer:
        async for _ in answer.aiter_lines():
            pass


async def sign_in_to_the_end(browser: Browser, phone: Phone) -> None:
    """Do all the rest of a sign-in."""
    await phone.scan(browser.attempt["qr_content"])
    await phone.answer()
    await browser.redeem()


ENDS = (
    httpx2.Response,
    httpx2.HTTPError,
    WebSocketException,
    OSError,
    AssertionError,
    asyncio.CancelledError,
)
DEEDS: list[Deed] = [
    wait_on_socket,
    wait_on_socket,
    break_socket,
    break_handshake,
    stream,
    lambda browser, phone: browser.status(seq=1, wait=30),
    lambda browser, phone: phone.scan(browser.attempt["qr_content"]),
    sign_in_to_the_end,
]


async def misbehave(hub: HubProcess, number: int, until_: float) -> None:
    """Begin one thing after the other, and break it off at a random moment."""
    clock = asyncio.get_running_loop().time
    async with Browser(hub.url) as browser, Phone(hub.url, PEOPLE[number % 4]) as phone:
        await browser.begin()
        while clock() < until_:
            deed = asyncio.ensure_future(chance.choice(DEEDS)(browser, phone))
            await asyncio.wait({deed}, timeout=chance.expovariate(5))
            deed.cancel()
            (end,) = await asyncio.gather(deed, return_exceptions=True)
            # What was broken off fails as it likes; what a client may expect in life is tested elsewhere.
            assert end is None or isinstance(end, ENDS), end
