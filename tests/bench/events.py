"""One event for one waiting socket, as each kind of server reads it from Redis, and the way to publish it."""

import asyncio
import hashlib
import json
import time
from typing import NamedTuple, cast

_SEQ = 1_000_000  # the first one sent here: newer than any of the attempt's own, and always of seven digits
_LATER = 3_000_000  # ms until an attempt ends, for the hub sets a timer for it
_SHOWN = {"nickname": "Person 1", "avatar_url": "https://avatars.example.com/0123456789abcdef/132"}


class Event(NamedTuple):
    """A PUBLISH command around its sequence number, which is of seven digits."""

    head: bytes
    tail: bytes

    def command(self, number: int) -> bytes:
        """Return the command of the *number*-th event, from 0."""
        return b"%b%d%b" % (self.head, _SEQ + number, self.tail)


def frame(seat: str, seq: int = _SEQ) -> str:
    """Return what a waiting browser is told: the hub's own frame, for servers that pass on what they get."""
    return json.dumps(_frame(seat, seq), separators=(",", ":"))


def hub_event(session_id: str) -> Event:
    """Return the event of the hub's broker: a snapshot on the attempt's channel."""
    snapshot = {
        "status": "scanned",
        "reason": None,
        "expires_at": round(time.time() * 1000) + _LATER,
        "qr_code": None,
        "qr_expires_at": round(time.time() * 1000),
        "user_info": {"user_id": None, **_SHOWN},
        "redirects": False,
        "door": "app",
        "told_at": None,
    }
    channel = f"wechat_login:attempt:{hashlib.sha256(session_id.encode()).hexdigest()}"
    return _event(channel, f"{_SEQ} {json.dumps(snapshot, separators=(',', ':'))}".encode())


def plain_event(seat: str) -> Event:
    """Return the event of a server that passes on what it reads from the socket's own channel."""
    return _event(f"bench:{seat}", frame(seat).encode())


def socketio_event(seat: str) -> Event:
    """Return the event of Socket.IO's Redis adapter for the room *seat*."""
    packet = {"type": 2, "data": ["status", _frame(seat, str(_SEQ))], "nsp": "/"}
    message = ["bench", packet, {"rooms": [seat], "except": [], "flags": {}}]
    return _event(f"socket.io#/#{seat}#", _packed(message))


EVENTS = {"hub": hub_event, "plain": plain_event, "socket.io": socketio_event}


class Publisher(asyncio.Protocol):
    """A connection to Redis that is only written to."""

    def __init__(self) -> None:
        self.transport: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.WriteTransport", transport)
        self.transport.write(b"CLIENT REPLY OFF\r\n")

    @classmethod
    async def connect(cls, port: int) -> "Publisher":
        """Connect to the Redis on this machine."""
        _, publisher = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        return publisher


def _frame(seat: str, seq: int | str) -> dict[str, object]:
    return {
        "type": "status",
        "session_id": seat,
        "seq": seq,
        "status": "scanned",
        "reason": None,
        "expires_in": 104,
        "qr_code": None,
        "qr_url": None,
        "qr_expires_in": None,
        "user_info": {"user_id": None, **_SHOWN},
    }


def _event(channel: str, payload: bytes) -> Event:
    head = b"*3\r\n$7\r\nPUBLISH\r\n$%d\r\n%b\r\n$%d\r\n" % (len(channel), channel.encode(), len(payload))
    before, _, after = payload.partition(b"%d" % _SEQ)
    return Event(head + before, after + b"\r\n")


def _packed(value: object) -> bytes:
    """Return *value* in MessagePack, as far as an event needs it."""
    match value:
        case None:
            return b"\xc0"
        case int():
            return bytes([value])  # below 128
        case str():
            text = value.encode()
            return b"\xd9" + bytes([len(text)]) + text  # below 256 bytes
        case list():
            return bytes([0x90 | len(value)]) + b"".join(map(_packed, value))
        case dict():
            members = (_packed(name) + _packed(member) for name, member in value.items())
            return bytes([0x80 | len(value)]) + b"".join(members)
        case _:
            raise TypeError(type(value).__name__)
