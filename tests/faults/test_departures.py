"""Clients that leave in the middle of any request, at any byte of it: nothing of theirs is left behind."""

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress

import httpx2
import pytest

from tests.code_client import new_number
from tests.people import AT, Browser, CustomerApp, sign_in
from tests.servers.hub import HubProcess
from tests.servers.metrics import gauges
from tests.servers.waiting import until
from tests.signing_in import rows

GAUGES = ("hub_open_sockets", "hub_broker_watches", "hub_stream_places", "hub_store_waiting", "hub_tasks")
SPARE = {"hub_tasks": 2}  # the first stream starts one that watches for the shutdown, and timers come and go
WAYS = ("close", "reset", "half")
STAYS = (0.0, 0.001, 0.01)  # seconds for which a client waits for the answer to a whole request
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close() then breaks the connection
UPGRADE = {
    "upgrade": "websocket",
    "connection": "upgrade",
    "sec-websocket-version": "13",
    "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==",
}
MASK = b"\0\0\0\0"


def text(frame: object) -> bytes:
    """A short text frame as a client sends it (RFC 6455 section 5.2)."""
    payload = json.dumps(frame).encode()
    return bytes([0x81, 0x80 | len(payload)]) + MASK + payload


TOO_LONG = b"\x81\xfe\xff\xff" + MASK
CLOSE = b"\x88\x82" + MASK + b"\x03\xe8"


class Guest:
    """Somebody signed in, who begins what others break off."""

    def __init__(self, hub: HubProcess, browser: Browser, app: CustomerApp, access_token: str) -> None:
        self.hub = hub
        self.browser = browser
        self.app = app
        self.token = {"authorization": f"Bearer {access_token}"}

    def request(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> bytes:
        """A request as it is sent."""
        content = b"" if body is None else json.dumps(body).encode()
        head = {"host": f"127.0.0.1:{self.hub.port}", **(headers or {})}
        if body is not None:
            head |= {"content-type": "application/json", "content-length": str(len(content))}
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in head.items()), "", ""]
        return "\r\n".join(lines).encode() + content

    async def create(self) -> bytes:
        """Begin an attempt."""
        return self.request("POST", f"{AT}/qr-code", {"state": "x" * 100})

    async def poll(self) -> bytes:
        """Wait for a change."""
        await self.browser.begin()
        return self.request("GET", f"{AT}/status/{self.browser.session_id}?seq=1&wait=30")

    async def stream(self) -> bytes:
        """Stream an attempt."""
        await self.browser.begin()
        return self.request("GET", f"{AT}/events/{self.browser.session_id}")

    async def account_stream(self) -> bytes:
        """Stream an account's events."""
        return self.request("GET", "/api/sessions/events", headers=self.token)

    async def handshake(self) -> bytes:
        """Ask for an attempt's socket."""
        await self.browser.begin()
        return self.request("GET", f"{AT}/ws/{self.browser.session_id}", headers=UPGRADE)

    async def refused_handshake(self) -> bytes:
        """Ask for a socket that there is not."""
        return self.request("GET", f"{AT}/ws/{'s' * 43}", headers=UPGRADE)

    async def account_handshake(self) -> bytes:
        """Ask for an account's socket."""
        return self.request("GET", "/api/sessions/stream", headers=UPGRADE)

    async def scan(self) -> bytes:
        """Claim an attempt."""
        await self.browser.begin(door="app")
        return self.request("POST", f"{AT}/scan", {"qr_code": self.browser.attempt["qr_code"]}, self.token)

    async def confirm(self) -> bytes:
        """Confirm an attempt."""
        await self.browser.begin(door="app")
        await self.app.scan(self.browser.attempt["qr_code"])
        body = {"session_id": self.browser.session_id, "action": "confirm"}
        return self.request("POST", f"{AT}/confirm", body, self.token)

    async def token_request(self) -> bytes:
        """Redeem an attempt."""
        await self.browser.begin(door="app")
        await self.app.scan(self.browser.attempt["qr_code"])
        await self.app.answer(self.browser.session_id)
        body = {"session_id": self.browser.session_id, "code_verifier": self.browser.verifier}
        return self.request("POST", f"{AT}/token", body)

    async def send_code(self) -> bytes:
        """Ask for a code."""
        return self.request("POST", "/api/send-code", {"phone": new_number()})

    async def login(self) -> bytes:
        """Sign in by a wrong code."""
        return self.request("POST", "/api/login", {"phone": new_number(), "code": "000000"})

    async def connect(self) -> socket.socket:
        """A connection to the hub."""
        connection = socket.socket()
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", self.hub.port))
        return connection

    async def send(self, connection: socket.socket, *pieces: bytes, stay: float = 0.0) -> None:
        """Send pieces, each as a packet of its own, and stay so long after each."""
        for piece in pieces:
            await asyncio.get_running_loop().sock_sendall(connection, piece)
            await asyncio.sleep(stay)


async def leave(connection: socket.socket, way: str) -> None:
    """Go: in order, by breaking the connection, or by saying no more until the hub closes it."""
    with connection:
        if way == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        elif way == "half":
            connection.shutdown(socket.SHUT_WR)
            async with asyncio.timeout(20):
                with suppress(ConnectionResetError):
                    while await asyncio.get_running_loop().sock_recv(connection, 65536):
                        pass


@pytest.fixture
async def guest(hub: HubProcess) -> AsyncIterator[Guest]:
    """A guest of each pair of back ends in turn."""
    reply = await sign_in(hub.url, "bob")
    async with AsyncExitStack() as stack:
        browser = await stack.enter_async_context(Browser(hub.url))
        app = await stack.enter_async_context(CustomerApp(hub.url, reply["access_token"]))
        yield Guest(hub, browser, app, reply["access_token"])


@pytest.fixture(autouse=True)
async def nothing_stays(hub: HubProcess) -> AsyncIterator[None]:
    """No socket, subscription, stream, unit of work or task is left over, and nothing was a defect."""
    await sign_in(hub.url)
    before = await gauges(hub)
    yield

    async def calm() -> bool:
        now = await gauges(hub)
        return all(now[name] <= before[name] + SPARE.get(name, 0) for name in GAUGES)

    try:
        await until(calm)
    except TimeoutError:
        now = await gauges(hub)
        raise AssertionError({name: (before[name], now[name]) for name in GAUGES}) from None
    assert hub.defects() == []


@pytest.mark.parametrize(
    "kind",
    [
        Guest.create,
        Guest.poll,
        Guest.stream,
        Guest.account_stream,
        Guest.handshake,
        Guest.refused_handshake,
        Guest.account_handshake,
        Guest.scan,
        Guest.confirm,
        Guest.token_request,
        Guest.send_code,
        Guest.login,
    ],
    ids=lambda kind: kind.__name__,
)
async def test_in_the_middle_of_a_request(guest: Guest, kind: Callable[[Guest], Awaitable[bytes]]) -> None:
    """Whether the client goes within its request's head or body, or before, in or after the answer."""

    async def depart(request: bytes, part: float, stay: float, way: str) -> None:
        connection = await guest.connect()
        await guest.send(connection, request[: int(len(request) * part)], stay=stay)
        await leave(connection, way)

    moments = [(0.1, 0.0), (0.999, 0.001), *((1.0, stay) for stay in STAYS)]
    plans = [(await kind(guest), part, stay, way) for way in WAYS for part, stay in moments]
    await asyncio.gather(*(depart(*plan) for plan in plans))


FRAMES = {
    "too much": [TOO_LONG],
    "half a frame": [text({"type": "ping"})[:5]],
    "a ping": [text({"type": "ping"})],
    "a cancel": [text({"type": "cancel"})],
    "a cancel, closed": [text({"type": "cancel"}), CLOSE],
    "a cancel, then too much": [text({"type": "cancel"}), TOO_LONG],
    "a renewal, then too much": [text({"type": "cancel"}), text({"type": "refresh"}), TOO_LONG],
    "three in error, then too much": [text(1), text(2), text(3), TOO_LONG],
}


@pytest.mark.parametrize("pieces", FRAMES.values(), ids=FRAMES)
async def test_in_the_middle_of_a_conversation(guest: Guest, pieces: list[bytes]) -> None:
    """Whether the client goes within a frame, while the answer to one is under way, or before any is due."""

    async def depart(request: bytes, wait: float, stay: float, way: str) -> None:
        connection = await guest.connect()
        await guest.send(connection, request, stay=wait)
        await guest.send(connection, *pieces, stay=stay)
        await leave(connection, way)

    moments = [(wait, stay) for wait in (0.0005, 0.001, 0.01, 0.01) for stay in (0.0, 0.0005, 0.002)]
    plans = [(await guest.handshake(), *moment, way) for way in WAYS for moment in moments]
    for begin in range(0, len(plans), 4):
        await asyncio.gather(*(depart(*plan) for plan in plans[begin : begin + 4]))


async def test_a_redemption_nobody_hears_counts_once(guest: Guest) -> None:
    """Whoever goes before the answer can try again or has redeemed; there is never a second session."""
    before = await rows(guest.hub.database_url, "SELECT COUNT(*) AS n FROM user_sessions")
    redeemed = 0
    for number in range(6):
        request = await guest.token_request()
        connection = await guest.connect()
        await guest.send(connection, request, stay=STAYS[number % 3])
        await leave(connection, "reset")
        again: httpx2.Response = await guest.browser.redeem()
        assert again.is_success or again.json()["type"] == "/problems/already-redeemed"
        redeemed += 1
    after = await rows(guest.hub.database_url, "SELECT COUNT(*) AS n FROM user_sessions")
    assert after[0]["n"] - before[0]["n"] == redeemed
