"""Parked sockets against real peers: the protocol of RFC 6455, time limits, and what is let go of when."""

import asyncio
import base64
import gc
import os
import queue
import socket as sockets
import struct
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import picows
import pytest
from starlette.types import Receive, Scope, Send
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.frames import Close, Frame, Opcode
from websockets.streams import StreamReader

from hub.web.line import Line
from hub.web.parking import lot, socket
from hub.web.parking.lot import Lot
from hub.web.parking.socket import ParkedSocket
from tests.servers.uvicorn_app import serve

LIMIT = 10.0


class Echo:
    """Answers each text with itself. `!<code>` closes, `*<n>` sends so many kilobytes, `.` takes its time."""

    def __init__(self) -> None:
        self.line: Line
        self.handshake: weakref.ref[Any]
        self.told: queue.Queue[str] = queue.Queue()
        self.loop = asyncio.get_running_loop()
        self.go_on = asyncio.Event()

    async def take(self, text: str | None) -> None:
        if text is None:
            self.line.send(b"binary")
        elif text.startswith("!"):
            self.line.close(int(text[1:]), "as you wish")
        elif text.startswith("*"):
            for _ in range(int(text[1:])):
                self.line.send(b"x" * 1024)
            self.told.put("ready" if self.line.ready else "stalled")
        elif text == ".":
            self.told.put("begun")
            await self.go_on.wait()
            self.told.put("done")
        else:
            self.line.send(text.encode())

    def resumed(self) -> None:
        self.told.put("resumed")

    def ended(self) -> None:
        self.told.put("ended")

    async def tells(self) -> str:
        """What happens next on the server's side."""
        return await asyncio.to_thread(self.told.get, timeout=LIMIT)


class Place:
    """A server in a thread, and the occupants of the sockets that it has parked."""

    def __init__(self) -> None:
        self.url = ""
        self.occupants: queue.Queue[Echo] = queue.Queue()
        self.wait_before_accepting = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Accept and park."""
        await receive()
        await asyncio.sleep(self.wait_before_accepting)
        await send({"type": "websocket.accept"})
        echo = Echo()
        park = scope["extensions"]["hub.park"]["park"]
        echo.handshake = weakref.ref(park.__self__)
        echo.line = park(echo)
        self.occupants.put(echo)

    async def occupant(self) -> Echo:
        """The occupant of the socket that was opened next."""
        return await asyncio.to_thread(self.occupants.get, timeout=LIMIT)


@contextmanager
def serving() -> Iterator[Place]:
    """Run a Place for the length of a `with` block."""
    place = Place()
    with serve(place, lifespan=False, parks=True) as url:
        place.url = url
        yield place


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """A server whose time limits are the real ones."""
    with serving() as place:
        yield place


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A server whose time limits are over soon."""
    monkeypatch.setattr(lot, "PING_INTERVAL", 0.4)
    monkeypatch.setattr(socket, "SEND_TIME", 0.4)
    monkeypatch.setattr(socket, "CLOSE_TIME", 0.4)
    with serving() as place:
        yield place


class Peer:
    """A client that does only what it is told to, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, occupant: Echo) -> None:
        self.occupant = occupant  # of the server's side
        self._reader = reader
        self._writer = writer
        self._parsed = StreamReader()

    def write(self, *frames: Frame | bytes) -> None:
        """Send frames, or anything."""
        parts = [frame if isinstance(frame, bytes) else frame.serialize(mask=True) for frame in frames]
        self._writer.write(b"".join(parts))

    async def frame(self) -> Frame | None:
        """The next frame from the server, None at the end of the connection."""
        parsing = Frame.parse(self._parsed.read_exact, mask=False)
        async with asyncio.timeout(LIMIT):
            while True:
                try:
                    next(parsing)
                except StopIteration as parsed:
                    frame: Frame = parsed.value
                    return frame
                try:
                    received = await self._reader.read(65536)
                except ConnectionResetError:
                    return None
                if not received:
                    return None
                self._parsed.feed_data(received)

    async def close_code(self) -> int:
        """The code that the server closes with, after whatever else it sends."""
        while (frame := await self.frame()) is not None:
            if frame.opcode is Opcode.CLOSE:
                return int(Close.parse(bytes(frame.data)).code)
        raise AssertionError("ended without a close frame")

    def leave(self, *, politely: bool = True) -> None:
        """Close the connection, or only this direction of it."""
        if politely:
            self._writer.write_eof()
        else:
            self._writer.transport.abort()


@asynccontextmanager
async def dial(place: Place, *, early: bytes = b"") -> AsyncIterator[Peer]:
    """Open a socket; *early* is sent before the server has answered the handshake."""
    host, port = place.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=2**16)
    key = base64.b64encode(os.urandom(16)).decode()
    writer.write(
        f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
    )
    try:
        if early:
            await asyncio.sleep(0.1)  # in a segment of its own, behind the handshake
            writer.write(early)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), LIMIT)
        assert head.startswith(b"HTTP/1.1 101 ")
        yield Peer(reader, writer, await place.occupant())
    finally:
        writer.close()


def text(content: str | bytes, *, fin: bool = True) -> Frame:
    """A text frame."""
    return Frame(Opcode.TEXT, content if isinstance(content, bytes) else content.encode(), fin)


# --- Messages.


@pytest.mark.parametrize("size", [0, 1, 125, 126, 4096])
async def test_messages_by_websockets(place: Place, size: int) -> None:
    """Texts of any length up to the limit arrive whole and are answered in order."""
    at = place.url.replace("http", "ws", 1)
    async with connect(at, compression=None) as client:
        await place.occupant()
        await client.send("x" * size)
        await client.send(["微", "信", "!"])
        await client.send(b"bytes")
        assert await client.recv() == "x" * size
        assert await client.recv() == "微信!"
        assert await client.recv() == "binary"
        await asyncio.wait_for(await client.ping(b"payload"), LIMIT)
    assert client.close_code == 1000


async def test_messages_by_picows(place: Place) -> None:
    """A peer of another make talks and closes."""
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    class Client(picows.WSListener):
        def on_ws_frame(self, transport: Any, frame: Any) -> None:
            heard.put_nowait(frame.get_payload_as_bytes())

    transport, _ = await picows.ws_connect(Client, place.url.replace("http", "ws", 1))
    await place.occupant()
    for number in range(100):
        transport.send(picows.WSMsgType.TEXT, str(number).encode())
    assert [await asyncio.wait_for(heard.get(), LIMIT) for _ in range(100)] == [
        str(number).encode() for number in range(100)
    ]
    transport.send_close(picows.WSCloseCode.OK)
    assert await asyncio.wait_for(heard.get(), LIMIT) == struct.pack("!H", 1000)
    await asyncio.wait_for(transport.wait_disconnected(), LIMIT)


async def test_a_message_byte_by_byte(place: Place) -> None:
    """With a ping in the middle of its fragments, which is answered at once."""
    async with dial(place) as peer:
        parsed = b"".join(
            frame.serialize(mask=True)
            for frame in (
                text("微".encode()[:1], fin=False),
                Frame(Opcode.PING, b"now"),
                Frame(Opcode.CONT, "微".encode()[1:]),
            )
        )
        for place_ in range(len(parsed)):
            peer.write(parsed[place_ : place_ + 1])
            await asyncio.sleep(0)
        assert await peer.frame() == Frame(Opcode.PONG, b"now")
        assert await peer.frame() == text("微")


async def test_a_burst_in_one_piece(place: Place) -> None:
    """A thousand messages and pings that arrive together are answered one by one, in order."""
    async with dial(place) as peer:
        peer.write(*(f for n in range(1000) for f in (text(str(n)), Frame(Opcode.PING, b"%d" % n))))
        for number in range(1000):
            assert await peer.frame() == text(str(number))
            assert await peer.frame() == Frame(Opcode.PONG, b"%d" % number)


async def test_what_is_sent_too_early_is_answered(place: Place) -> None:
    """A client may not send before the handshake's answer; one that does is served all the same."""
    place.wait_before_accepting = 0.3
    try:
        async with dial(place, early=text("early").serialize(mask=True)) as peer:
            assert await peer.frame() == text("early")
            peer.write(text("late"))
            assert await peer.frame() == text("late")
    finally:
        place.wait_before_accepting = 0.0


async def test_nothing_is_kept_of_what_was_taken(place: Place) -> None:
    """The parser is gone after each whole message, and stays for half a one."""
    async with dial(place) as peer:
        parked = peer.occupant.line
        assert isinstance(parked, ParkedSocket)
        peer.write(text("a"), text("b"))
        assert [await peer.frame(), await peer.frame()] == [text("a"), text("b")]
        assert parked._incoming is None
        half = text("half").serialize(mask=True)
        peer.write(Frame(Opcode.PING, b"x"), half[:7])
        assert await peer.frame() == Frame(Opcode.PONG, b"x")
        peer.write(half[7:])
        assert await peer.frame() == text("half")
        assert parked._incoming is None
        assert not hasattr(parked, "__dict__")


async def test_the_handshake_leaves_nothing(place: Place) -> None:
    """The protocol that served it, its scope and its parser go at once, without the garbage collector."""
    gc.disable()
    try:
        async with dial(place) as peer:
            peer.write(text("a"))
            assert await peer.frame() == text("a")
            assert peer.occupant.handshake() is None
    finally:
        gc.enable()


# --- Closing.


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"", 1005),
        (struct.pack("!H", 1000), 1000),
        (struct.pack("!H", 4999) + b"bye", 4999),
        (b"\x03", 1002),
        (struct.pack("!H", 1005), 1002),
        (struct.pack("!H", 999), 1002),
        (struct.pack("!H", 1000) + b"\xff", 1007),
    ],
)
async def test_the_client_closes(place: Place, payload: bytes, code: int) -> None:
    """Its close frame is echoed, or answered by what is wrong with it; then the connection ends."""
    async with dial(place) as peer:
        peer.write(text("last"), Frame(Opcode.CLOSE, payload), text("ignored"))
        assert await peer.frame() == text("last")
        frame = await peer.frame()
        assert frame is not None
        assert frame.opcode is Opcode.CLOSE
        assert Close.parse(bytes(frame.data)).code == code
        assert await peer.frame() is None


async def test_the_server_closes(place: Place) -> None:
    """It waits for the answer; what else comes meanwhile is dropped."""
    async with dial(place) as peer:
        peer.write(text("!4321"), text("ignored"))
        assert await peer.frame() == Frame(Opcode.CLOSE, struct.pack("!H", 4321) + b"as you wish")
        peer.write(text("ignored too"), Frame(Opcode.CLOSE, struct.pack("!H", 4321)))
        assert await peer.frame() is None


BROKEN: list[tuple[str, Callable[[], bytes], int]] = [
    ("unmasked", lambda: text("x").serialize(mask=False), 1002),
    ("reserved bit", lambda: b"\xc1\x80mask", 1002),
    ("reserved opcode", lambda: b"\x83\x80mask", 1002),
    ("lone continuation", lambda: Frame(Opcode.CONT, b"x").serialize(mask=True), 1002),
    ("message within a message", lambda: text("a", fin=False).serialize(mask=True) * 2, 1002),
    ("fragmented ping", lambda: b"\x09\x80mask", 1002),
    ("long ping", lambda: b"\x89\xfe\x00\x7emask" + b"x" * 126, 1002),
    ("too long", lambda: text("x" * 4097).serialize(mask=True), 1009),
    ("too long by its head", lambda: b"\x81\xff" + b"\x7f" + b"\xff" * 7 + b"mask", 1009),
    ("too long in pieces", lambda: text("x" * 4000, fin=False).serialize(mask=True) * 1
     + Frame(Opcode.CONT, b"x" * 97).serialize(mask=True), 1009),
    ("not UTF-8", lambda: text(b"\xff").serialize(mask=True), 1007),
]  # fmt: skip


@pytest.mark.parametrize(("stream", "code"), [pytest.param(b, c, id=name) for name, b, c in BROKEN])
async def test_violations(place: Place, stream: Callable[[], bytes], code: int) -> None:
    """Each is told by its code, though more comes behind it, and the connection ends."""
    async with dial(place) as peer:
        peer.write(text("fine"), stream(), b"\x00" * 100_000)
        assert await peer.frame() == text("fine")
        assert await peer.close_code() == code
        peer.leave()
        assert await peer.frame() is None


async def test_a_client_that_just_goes(place: Place) -> None:
    """By the end of its stream or by a reset: the occupant learns it once."""
    for politely in (True, False):
        async with dial(place) as peer:
            peer.write(text("x"))
            assert await peer.frame() == text("x")
            peer.leave(politely=politely)
            assert await peer.occupant.tells() == "ended"
            assert peer.occupant.told.empty()
            peer.occupant.line.send(b"to nobody")
            peer.occupant.line.close(1000, "")


async def test_the_end_waits_for_what_is_under_way(place: Place) -> None:
    """An occupant that is busy when its client goes ends after it has answered."""
    async with dial(place) as peer:
        occupant = peer.occupant
        peer.write(text("."))
        assert await occupant.tells() == "begun"
        peer.leave(politely=False)
    await asyncio.sleep(0.2)  # for what must not happen
    assert occupant.told.empty()
    occupant.loop.call_soon_threadsafe(occupant.go_on.set)
    assert [await occupant.tells(), await occupant.tells()] == ["done", "ended"]


# --- Time limits.


async def test_pings(hasty: Place) -> None:
    """They come again and again for whoever answers; who does not is closed with 1011."""
    async with dial(hasty) as peer:
        for _ in range(4):
            assert await peer.frame() == Frame(Opcode.PING, b"")
            peer.write(Frame(Opcode.PONG, b""))
        assert await peer.frame() == Frame(Opcode.PING, b"")
        peer.write(Frame(Opcode.PONG, b"of no ping of yours"), text("alive, but deaf"))
        assert await peer.frame() == text("alive, but deaf")
        assert await peer.close_code() == 1011
        assert await peer.frame() is None


async def test_a_client_that_does_not_say_farewell(hasty: Place) -> None:
    """It is hung up on in the end."""
    async with dial(hasty) as peer:
        occupant = peer.occupant
        peer.write(text("!1000"))
        assert await peer.close_code() == 1000
        assert await peer.frame() is None
        assert await occupant.tells() == "ended"


async def test_a_stalled_reader_is_given_up(hasty: Place) -> None:
    """What it is sent has bounds, and a time limit ends it."""
    async with dial(hasty) as peer:
        occupant = peer.occupant
        peer.write(text("*20000"))
        assert await occupant.tells() == "stalled"
        assert await occupant.tells() == "ended"


async def test_a_slow_reader_catches_up(place: Place) -> None:
    """Nothing more is read from it until it has, and then the occupant may go on."""
    async with dial(place) as peer:
        peer.write(text("*20000"), text("afterwards"))
        occupant = peer.occupant
        assert await occupant.tells() == "stalled"
        for _ in range(20000):
            assert await peer.frame() == text("x" * 1024)
        assert await peer.frame() == text("afterwards")
        assert await occupant.tells() == "resumed"


async def test_shutdown() -> None:
    """A server that goes closes its parked sockets with 1012, and waits until they are gone."""
    going = serving()
    place = await asyncio.to_thread(going.__enter__)
    try:
        client = await connect(place.url.replace("http", "ws", 1))
        occupant = await place.occupant()
    finally:
        await asyncio.to_thread(going.__exit__, None, None, None)
    with pytest.raises(ConnectionClosed):
        await client.recv()
    assert client.close_code == 1012
    assert await occupant.tells() == "ended"


async def test_a_flood_leaves_others_their_turn() -> None:
    """Of a thousand pings that came in one reading a few are answered at once, and all in the end."""
    near, far = sockets.socketpair()
    loop = asyncio.get_running_loop()
    parked = ParkedSocket(Lot(set(), set(), 4096), Echo())
    transport, _ = await loop.create_connection(asyncio.Protocol, sock=near)
    parked.take_over(transport, b"")
    far.setblocking(False)
    with far:
        parked.data_received(Frame(Opcode.PING, b"x").serialize(mask=True) * 1000)
        answered = len(await loop.sock_recv(far, 65536)) // 3
        assert 0 < answered < 500
        async with asyncio.timeout(LIMIT):
            while answered < 1000:
                answered += len(await loop.sock_recv(far, 65536)) // 3
    transport.abort()
