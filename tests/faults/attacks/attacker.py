"""The attacks, each in a process: `python -m tests.faults.attacks.attacker NAME PORT SECONDS SESSION_ID`.

It prints one line of JSON at its end: what it has done, and what it has been told.
"""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress

from tests.faults.attacks.raw import dial, frame, handshake
from tests.people import AT

TEXT, CONT, PING = 1, 0, 9
MANY = 400  # connections of those that stay
FEW = 20  # of those that keep the process busy
PING_TEXT = b'{"type":"ping"}'


class Attack:
    """What all attackers of one kind know: the port, the attempt, and until when."""

    def __init__(self, port: int, seconds: float, session_id: str) -> None:
        self.port = port
        self.session_id = session_id
        self.ends = asyncio.get_running_loop().time() + seconds
        self.seen: Counter[str] = Counter()

    def on(self) -> bool:
        """Whether it goes on."""
        return asyncio.get_running_loop().time() < self.ends

    async def stay(self) -> None:
        """Do nothing more until the end."""
        await asyncio.sleep(max(0.0, self.ends - asyncio.get_running_loop().time()))


async def connect_flood(attack: Attack) -> None:
    """Connect and leave, as fast as it goes."""
    while attack.on():
        async with dial(attack.port):
            attack.seen["connections"] += 1


async def refused_handshakes(attack: Attack) -> None:
    """Ask for sockets that there are not."""
    while attack.on():
        async with dial(attack.port) as peer:
            peer.writer.write(handshake("s" * 43))
            status = (await peer.head()).split(b" ", 2)[1].decode()
            attack.seen[f"status {status}"] += 1


async def silent_connections(attack: Attack) -> None:
    """Connect and say nothing."""
    async with dial(attack.port):
        attack.seen["connections"] += 1
        await attack.stay()


async def half_handshakes(attack: Attack) -> None:
    """Ask for a socket, but for the end of the request."""
    async with dial(attack.port) as peer:
        peer.writer.write(handshake(attack.session_id)[:-2])
        attack.seen["connections"] += 1
        await attack.stay()


async def slow_heads(attack: Attack) -> None:
    """Send a head byte by byte."""
    async with dial(attack.port) as peer:
        peer.writer.write(b"GET /healthz HTTP/1.1\r\nX: ")
        while attack.on() and not peer.writer.is_closing():
            peer.writer.write(b"a")
            attack.seen["bytes"] += 1
            await asyncio.sleep(0.5)


async def slow_bodies(attack: Attack) -> None:
    """Send a body byte by byte."""
    async with dial(attack.port) as peer:
        head = f"POST {AT}/qr-code HTTP/1.1\r\nHost: hub\r\nContent-Type: application/json\r\n"
        peer.writer.write(f"{head}Content-Length: 4000\r\n\r\n".encode())
        while attack.on() and not peer.writer.is_closing():
            peer.writer.write(b" ")
            attack.seen["bytes"] += 1
            await asyncio.sleep(0.5)


async def unread_sockets(attack: Attack) -> None:
    """Open a socket, ask and ask, and read no answer."""
    async with dial(attack.port, limit=1024) as peer:
        peer.writer.write(handshake(attack.session_id))
        await peer.head()
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a socket's transport can
        await _send(attack, peer.writer, (frame(TEXT, PING_TEXT) + frame(PING, b"x" * 125)) * 100)


async def ping_flood(attack: Attack) -> None:
    """Send pings as fast as they are answered."""
    await _flood(attack, frame(PING, b"x" * 125) * 50)


async def text_flood(attack: Attack) -> None:
    """Send messages as fast as they are answered."""
    await _flood(attack, frame(TEXT, PING_TEXT) * 50)


async def half_messages(attack: Attack) -> None:
    """Begin a message as large as may be, and never end it."""
    async with dial(attack.port) as peer:
        peer.writer.write(handshake(attack.session_id))
        await peer.head()
        peer.writer.write(frame(TEXT, b"x" * 4000, fin=False))
        attack.seen["connections"] += 1
        await attack.stay()


async def empty_fragments(attack: Attack) -> None:
    """Begin a message, and go on with nothing for ever."""
    await _flood(attack, frame(CONT, fin=False) * 500, first=frame(TEXT, fin=False))


async def pipelined_requests(attack: Attack) -> None:
    """Send requests on one connection, and read no answer."""
    async with dial(attack.port, limit=1024) as peer:
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a socket's transport can
        await _send(attack, peer.writer, b"GET /healthz HTTP/1.1\r\nHost: hub\r\n\r\n" * 50)


async def endless_bodies(attack: Attack) -> None:
    """Send a body in chunks without end."""
    while attack.on():
        async with dial(attack.port) as peer:
            head = f"POST {AT}/qr-code HTTP/1.1\r\nHost: hub\r\nContent-Type: application/json\r\n"
            peer.writer.write(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
            chunk = b"4000\r\n" + b" " * 0x4000 + b"\r\n"
            for _ in range(50):
                peer.writer.write(chunk)
                with suppress(TimeoutError):
                    async with asyncio.timeout(1):
                        await peer.writer.drain()
            status = (await peer.head()).split(b" ", 2)[1].decode()
            attack.seen[f"status {status}"] += 1


async def broken_frames(attack: Attack) -> None:
    """Open a socket, break the protocol, and come again."""
    while attack.on():
        async with dial(attack.port) as peer:
            peer.writer.write(handshake(attack.session_id))
            await peer.head()
            peer.writer.write(frame(3, b"x" * 100))
            attack.seen[f"closed with {await peer.close_code()}"] += 1


async def _flood(attack: Attack, what: bytes, first: bytes = b"") -> None:
    async with dial(attack.port) as peer:
        peer.writer.write(handshake(attack.session_id))
        await peer.head()
        peer.writer.write(first)
        reading = asyncio.create_task(_count(attack, peer._reader))
        await _send(attack, peer.writer, what)
        reading.cancel()


async def _count(attack: Attack, reader: asyncio.StreamReader) -> None:
    while received := await reader.read(65536):
        attack.seen["bytes read"] += len(received)


async def _send(attack: Attack, writer: asyncio.StreamWriter, what: bytes) -> None:
    while attack.on() and not writer.is_closing():
        writer.write(what)
        attack.seen["bytes"] += len(what)
        with suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                await writer.drain()


ATTACKS: dict[str, tuple[Callable[[Attack], Awaitable[None]], int]] = {
    "connect flood": (connect_flood, FEW),
    "refused handshakes": (refused_handshakes, FEW),
    "silent connections": (silent_connections, MANY),
    "half handshakes": (half_handshakes, MANY),
    "slow heads": (slow_heads, MANY),
    "slow bodies": (slow_bodies, MANY),
    "unread sockets": (unread_sockets, FEW),
    "ping flood": (ping_flood, FEW),
    "text flood": (text_flood, FEW),
    "half messages": (half_messages, MANY),
    "empty fragments": (empty_fragments, FEW),
    "pipelined requests": (pipelined_requests, FEW),
    "endless bodies": (endless_bodies, FEW),
    "broken frames": (broken_frames, FEW),
}


async def main(name: str, port: str, seconds: str, session_id: str) -> None:
    """Attack, and print what was seen; being thrown out is no failure."""
    attack = Attack(int(port), float(seconds), session_id)
    strike, attackers = ATTACKS[name]

    async def run() -> None:
        while attack.on():
            try:
                await strike(attack)
            except (OSError, asyncio.IncompleteReadError, AssertionError):
                attack.seen["thrown out"] += 1
                await asyncio.sleep(0.1)

    await asyncio.gather(*(run() for _ in range(attackers)))
    print(json.dumps(attack.seen))  # noqa: T201 - its answer


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
