"""RFC 6455 on a real process, by the groups of the well-known conformance suite.

Each case is sent in one piece, byte by byte, and right behind the handshake's request.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, suppress
from typing import NamedTuple

import pytest
from websockets.frames import Opcode

from tests.faults.attacks.raw import LIMIT, Peer, dial, frame, handshake
from tests.people import Browser
from tests.servers.hub import HubProcess

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
MAX = 4096  # bytes of a message


class Case(NamedTuple):
    """What is sent, and what comes: pings are answered by *pongs*, *answers* messages are answered, and the
    socket is closed with one of *codes*, where there are any."""

    sent: bytes
    answers: int = 0
    pongs: tuple[bytes, ...] = ()
    codes: tuple[int, ...] = ()


def ask(size: int = 0, filler: str = "x") -> bytes:
    """A message that is answered, of *size* bytes where it is given."""
    bare = json.dumps({"type": "ping", "x": ""}, separators=(",", ":"))
    return bare.replace('""', f'"{filler * (size - len(bare))}"').encode()


def pieces(*parts: bytes, opcode: int = TEXT) -> bytes:
    """A message in fragments."""
    last = len(parts) - 1
    return b"".join(frame(CONT if at else opcode, part, fin=at == last) for at, part in enumerate(parts))


def code(number: int, reason: bytes = b"") -> bytes:
    """A close frame."""
    return frame(CLOSE, number.to_bytes(2) + reason)


def split(message: bytes, size: int) -> list[bytes]:
    """A message in pieces of *size* bytes."""
    return [message[at : at + size] for at in range(0, len(message), size)]


CHINESE = '{"type":"ping","x":"微信登录𝄞é"}'.encode()
BAD_TEXTS = {
    "lone continuation byte": b"\x80",
    "byte that never occurs": b"\xfe",
    "overlong slash": b"\xc0\xaf",
    "overlong in three": b"\xe0\x80\xaf",
    "overlong in four": b"\xf0\x80\x80\xaf",
    "surrogate": b"\xed\xa0\x80",
    "beyond Unicode": b"\xf4\x90\x80\x80",
    "five bytes": b"\xf8\x88\x80\x80\x80",
    "cut short": "微".encode()[:2],
}
GOOD_CODES = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)
BAD_CODES = (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)
AFTER = frame(TEXT, ask())  # must not be answered any more

CASES = {
    # 1: framing
    **{
        f"1 text of {size} bytes": Case(frame(TEXT, ask(size)), answers=1)
        for size in (124, 125, 126, 127, 128, 1000, MAX)
    },
    "1 empty text": Case(frame(TEXT), answers=1),
    "1 binary": Case(frame(BINARY, b"\0\xff"), answers=1),
    "1 two in a row": Case(frame(TEXT, ask()) * 2, answers=2),
    # 2: pings and pongs
    "2 empty ping": Case(frame(PING), pongs=(b"",)),
    "2 ping of 125 bytes": Case(frame(PING, b"\xfe" * 125), pongs=(b"\xfe" * 125,)),
    "2 ten pings": Case(
        b"".join(frame(PING, bytes([n])) for n in range(10)), pongs=tuple(bytes([n]) for n in range(10))
    ),
    "2 pong unasked": Case(frame(PONG, b"x") + frame(PONG) + frame(TEXT, ask()), answers=1),
    "2 ping of 126 bytes": Case(frame(PING, b"x" * 126) + AFTER, codes=(1002,)),
    # 3: reserved bits
    **{
        f"3 reserved {bits:03b} on {name}": Case(frame(opcode, reserved=bits) + AFTER, codes=(1002,))
        for bits in range(1, 8)
        for name, opcode in (("text", TEXT), ("ping", PING), ("close", CLOSE))
    },
    # 4: opcodes
    **{
        f"4 opcode {opcode}": Case(frame(opcode, b"x") + AFTER, codes=(1002,))
        for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)
    },
    # 5: fragments
    "5 in two": Case(pieces(ask(100)[:50], ask(100)[50:]), answers=1),
    "5 in single bytes": Case(pieces(*split(ask(60), 1)), answers=1),
    "5 empty ones among them": Case(pieces(b"", ask()[:5], b"", b"", ask()[5:], b""), answers=1),
    "5 thousands of empty ones": Case(pieces(*[b""] * 3000, ask()), answers=1),
    "5 too many empty ones": Case(pieces(*[b""] * 5000, ask()) + AFTER, codes=(1009,)),
    "5 pings between": Case(
        frame(TEXT, ask()[:3], fin=False) + frame(PING, b"a") + frame(PONG, b"b")
        + frame(CONT, ask()[3:], fin=False) + frame(PING, b"c") + frame(CONT),
        answers=1,
        pongs=(b"a", b"c"),
    ),
    "5 ping in fragments": Case(frame(PING, b"a", fin=False) + frame(CONT, b"b") + AFTER, codes=(1002,)),
    "5 pong in fragments": Case(frame(PONG, b"a", fin=False) + AFTER, codes=(1002,)),
    "5 close in fragments": Case(frame(CLOSE, b"\x03", fin=False) + AFTER, codes=(1002,)),
    "5 end of nothing": Case(frame(CONT, b"x") + AFTER, codes=(1002,)),
    "5 middle of nothing": Case(frame(CONT, b"x", fin=False) + AFTER, codes=(1002,)),
    "5 message within a message": Case(frame(TEXT, b"{", fin=False) + AFTER, codes=(1002,)),
    "5 binary within a text": Case(
        frame(TEXT, b"{", fin=False) + frame(BINARY, b"x") + AFTER, codes=(1002,)
    ),
    "5 end after the end": Case(pieces(ask()[:2], ask()[2:]) + frame(CONT), answers=1, codes=(1002,)),
    # 6: UTF-8
    "6 whole": Case(frame(TEXT, CHINESE), answers=1),
    "6 split within a character": Case(pieces(*split(CHINESE, 1)), answers=1),
    **{
        f"6 {name}": Case(frame(TEXT, b'{"' + bad + b'"}') + AFTER, codes=(1007,))
        for name, bad in BAD_TEXTS.items()
    },
    **{
        f"6 {name}, in fragments": Case(pieces(b'{"', *split(bad, 1), b'"}') + AFTER, codes=(1007,))
        for name, bad in BAD_TEXTS.items()
    },
    "6 cut short at the end": Case(frame(TEXT, "微".encode()[:2]) + AFTER, codes=(1007,)),
    # 7: closing
    "7 empty": Case(frame(CLOSE), codes=(1005,)),
    "7 twice": Case(code(1000) * 2, codes=(1000,)),
    "7 one byte": Case(frame(CLOSE, b"\x03"), codes=(1002,)),
    "7 reason of 123 bytes": Case(code(1000, b"x" * 123), codes=(1000,)),
    "7 reason of 124 bytes": Case(code(1000, b"x" * 124), codes=(1002,)),
    "7 reason that is no text": Case(code(1000, b"\xff"), codes=(1007,)),
    "7 within a message": Case(frame(TEXT, b"{", fin=False) + code(1001), codes=(1001,)),
    "7 behind a message": Case(frame(TEXT, ask()) + code(4000), answers=1, codes=(4000,)),
    **{f"7 code {number}": Case(code(number), codes=(number,)) for number in GOOD_CODES},
    **{f"7 code {number}": Case(code(number) + AFTER, codes=(1002,)) for number in BAD_CODES},
    # 9: limits, and masks
    "9 a byte too much": Case(frame(TEXT, ask(MAX + 1)) + AFTER, codes=(1009,)),
    "9 a byte too much in fragments": Case(pieces(*split(ask(MAX + 1), 512)) + AFTER, codes=(1009,)),
    "9 a length that nobody has": Case(b"\x81\xff\x7f" + b"\xff" * 7 + b"mask", codes=(1009,)),
    "9 a length with its first bit set": Case(b"\x81\xff" + b"\xff" * 8 + b"mask", codes=(1002, 1009)),
    "9 no mask": Case(frame(TEXT, ask(), masked=False) + AFTER, codes=(1002,)),
    "9 no mask on a ping": Case(frame(PING, masked=False) + AFTER, codes=(1002,)),
    "9 no mask on a close": Case(frame(CLOSE, masked=False) + AFTER, codes=(1002,)),
    "9 what is no frame": Case(b"GET / HTTP/1.1\r\nHost: hub\r\n\r\n", codes=(1002,)),
}  # fmt: skip


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    """A process in the embedded default."""
    process = HubProcess(tmp_path_factory.mktemp("hub")).start()
    yield process
    process.stop()
    assert process.defects() == []


@pytest.fixture
async def session_id(hub: HubProcess) -> AsyncIterator[str]:
    """An attempt."""
    async with Browser(hub.url) as browser:
        await browser.begin()
        yield browser.session_id


async def check(peer: Peer, case: Case) -> None:
    """Compare what comes beside the greeting with what is due, up to the end of the connection if that is."""
    answers = 0
    pongs: list[bytes] = []
    codes: list[int] = []
    expected = case.answers + len(case.pongs) + bool(case.codes)
    while len(pongs) + answers + len(codes) < expected:
        received = await peer.frame()
        assert received is not None, (answers, pongs, codes)
        if received.opcode is Opcode.PONG:
            pongs.append(bytes(received.data))
        elif received.opcode is Opcode.CLOSE:
            codes.append(int.from_bytes(received.data[:2]) or 1005)
        elif received.opcode is Opcode.TEXT:
            answers += json.loads(bytes(received.data))["type"] != "status"
    assert (answers, tuple(pongs)) == (case.answers, case.pongs)
    if case.codes:
        assert codes[0] in case.codes
        with suppress(OSError):  # the server may have gone already
            peer.writer.write_eof()
        assert await peer.frame() is None
    else:
        peer.writer.write(frame(PING, b"still there"))
        while (received := await peer.frame()) is not None and received.opcode is Opcode.TEXT:
            assert json.loads(bytes(received.data))["type"] == "status"
        assert received is not None
        assert (received.opcode, bytes(received.data)) == (Opcode.PONG, b"still there")


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_frames(hub: HubProcess, session_id: str, case: Case) -> None:
    """Messages and pings are answered in order; all else is refused by its code, and nothing follows."""

    async def at_once(peer: Peer) -> None:
        peer.writer.write(handshake(session_id))
        await peer.head()
        peer.writer.write(case.sent)
        await check(peer, case)

    async def in_bytes(peer: Peer) -> None:
        peer.writer.write(handshake(session_id))
        await peer.head()
        for byte in split(case.sent, 1)[:600]:
            peer.writer.write(byte)
            await asyncio.sleep(0)
        peer.writer.write(case.sent[600:])
        await check(peer, case)

    async def too_early(peer: Peer) -> None:
        peer.writer.write(handshake(session_id) + case.sent)
        await peer.head()
        await check(peer, case)

    async with asyncio.timeout(LIMIT), dial(hub.port) as one, dial(hub.port) as two, dial(hub.port) as three:
        await asyncio.gather(at_once(one), in_bytes(two), too_early(three))


async def test_a_handshake_byte_by_byte(hub: HubProcess, session_id: str) -> None:
    """However the request is cut, the socket opens, and what follows is read."""
    async with asyncio.timeout(LIMIT), dial(hub.port) as peer:
        for byte in split(handshake(session_id), 1):
            peer.writer.write(byte)
            await asyncio.sleep(0)
        assert (await peer.head()).startswith(b"HTTP/1.1 101 ")
        peer.writer.write(frame(TEXT, ask()))
        await check(peer, Case(b"", answers=1))


@pytest.mark.parametrize(
    "header", [b"Content-Length: 5", b"Transfer-Encoding: chunked", b"Sec-WebSocket-Key: short"]
)
async def test_what_is_no_handshake(hub: HubProcess, session_id: str, header: bytes) -> None:
    """A request with a body, or with two keys, opens no socket."""
    async with asyncio.timeout(LIMIT), dial(hub.port) as peer:
        peer.writer.write(handshake(session_id).replace(b"\r\n\r\n", b"\r\n" + header + b"\r\n\r\n"))
        assert (await peer.head()).startswith(b"HTTP/1.1 400 ")


async def test_who_says_nothing_stays_outside(hub: HubProcess) -> None:
    """Connections on which nothing has come are the kernel's alone: none of the process' files is theirs."""
    before = len(os.listdir(f"/proc/{hub.pid}/fd"))
    async with AsyncExitStack() as stack:
        for _ in range(50):
            await stack.enter_async_context(dial(hub.port))
        async with Browser(hub.url) as browser:  # it comes behind them, and is served
            await browser.begin()
            assert len(os.listdir(f"/proc/{hub.pid}/fd")) < before + 25
