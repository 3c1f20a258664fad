"""A WebSocket client that sends whatever it is told to, byte by byte (RFC 6455)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from websockets.frames import Close, Frame, Opcode
from websockets.streams import StreamReader

from tests.people import AT

LIMIT = 20.0  # seconds
MASK = b"\x37\xfa\x21\x3d"


def frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, reserved: int = 0, masked: bool = True
) -> bytes:
    """One frame as a client sends it, right or wrong; *reserved* are the three bits RSV1 to RSV3."""
    size, mask = len(payload), 0x80 if masked else 0
    first = bytes([fin << 7 | reserved << 4 | opcode])
    if size < 126:
        head = first + bytes([mask | size])
    elif size < 1 << 16:
        head = first + bytes([mask | 126]) + size.to_bytes(2)
    else:
        head = first + bytes([mask | 127]) + size.to_bytes(8)
    if not masked:
        return head + payload
    return head + MASK + bytes(byte ^ MASK[at % 4] for at, byte in enumerate(payload))


def handshake(session_id: str) -> bytes:
    """The request for an attempt's socket."""
    return (
        f"GET {AT}/ws/{session_id} HTTP/1.1\r\nHost: hub\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    ).encode()


class Peer:
    """The client's side of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer
        self._parsed = StreamReader()

    async def head(self) -> bytes:
        """The head of the handshake's answer."""
        async with asyncio.timeout(LIMIT):
            return await self._reader.readuntil(b"\r\n\r\n")

    async def frame(self) -> Frame | None:
        """The next frame from the server, None at the end of the connection."""
        parsing = Frame.parse(self._parsed.read_exact, mask=False)
        async with asyncio.timeout(LIMIT):
            while True:
                try:
                    next(parsing)
                except StopIteration as parsed:
                    found: Frame = parsed.value
                    return found
                try:
                    received = await self._reader.read(65536)
                except ConnectionResetError:
                    return None
                if not received:
                    return None
                self._parsed.feed_data(received)

    async def close_code(self) -> int:
        """The code that the server closes with, after whatever else it sends."""
        while (found := await self.frame()) is not None:
            if found.opcode is Opcode.CLOSE:
                return int(Close.parse(bytes(found.data)).code)
        raise AssertionError("ended without a close frame")


@asynccontextmanager
async def dial(port: int, *, limit: int = 2**16) -> AsyncIterator[Peer]:
    """Connect; the end is abrupt."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=limit)
    try:
        yield Peer(reader, writer)
    finally:
        writer.transport.abort()
