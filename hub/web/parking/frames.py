"""WebSocket frames (RFC 6455 section 5): messages from what comes, and the frames that go out.

The frames are parsed by `websockets`. This joins them to messages, one at a time and only when asked, so that
a burst of frames is never held as anything but its bytes.
"""

from collections.abc import Generator

from websockets.exceptions import PayloadTooBig, ProtocolError
from websockets.frames import CTRL_OPCODES, Close, CloseCode, Frame, Opcode
from websockets.streams import StreamReader

PING = Frame(Opcode.PING, b"").serialize(mask=False)
_PONG = b"\x8a\x80"  # a masked one without payload, as all answers to PING are
_FRAGMENTS = 4096  # of a message: empty ones cost as much time as others


class Violation(Exception):
    """The peer breaks the protocol; its arguments are the close code and the reason."""


class Incoming:
    """What has come on a connection and was not taken yet. *limit* is for a message, in bytes."""

    __slots__ = ("_body", "_fragments", "_limit", "_opcode", "_parsing", "_reader")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._reader = StreamReader()
        self._parsing: Generator[None, None, Frame] | None = None
        self._opcode: Opcode | None = None  # of the fragmented message under way
        self._body = b""
        self._fragments = 0

    @property
    def empty(self) -> bool:
        """Whether all that came was taken: the next byte begins a message."""
        return self._parsing is None and self._opcode is None and not self._reader.buffer

    def feed(self, data: bytes) -> None:
        """Add what has come."""
        self._reader.feed_data(data)

    def next(self) -> Frame | None:
        """Take and return the next control frame, or the next message as one frame; None for want of bytes.

        Raises Violation, after which nothing more may be taken.
        """
        try:
            while (frame := self._frame()) is not None:
                if frame.opcode in CTRL_OPCODES:
                    if frame.opcode is Opcode.CLOSE:
                        Close.parse(frame.data)
                    return frame
                message = self._joined(frame)
                if message is not None:
                    if message.opcode is Opcode.TEXT:
                        bytes(message.data).decode()
                    return message
        except ProtocolError as error:
            raise Violation(CloseCode.PROTOCOL_ERROR, str(error)) from error
        except UnicodeDecodeError as error:
            raise Violation(CloseCode.INVALID_DATA, f"{error.reason} at position {error.start}") from error
        except PayloadTooBig as error:
            raise Violation(CloseCode.MESSAGE_TOO_BIG, f"over {self._limit} bytes") from error
        return None

    def _frame(self) -> Frame | None:
        if self._parsing is None:
            if not self._reader.buffer:
                return None
            left = self._limit - len(self._body)
            self._parsing = Frame.parse(self._reader.read_exact, mask=True, max_size=left)
        try:
            next(self._parsing)
        except StopIteration as parsed:
            self._parsing = None
            frame: Frame = parsed.value
            return frame
        return None

    def _joined(self, frame: Frame) -> Frame | None:
        """Return the message that *frame* completes."""
        if frame.opcode is Opcode.CONT:
            if self._opcode is None:
                raise ProtocolError("unexpected continuation frame")
        elif self._opcode is not None:
            raise ProtocolError("expected a continuation frame")
        else:
            if frame.fin:
                return frame
            self._opcode = frame.opcode
        self._body += frame.data
        self._fragments += 1
        if self._fragments > _FRAGMENTS:
            raise Violation(CloseCode.MESSAGE_TOO_BIG, f"over {_FRAGMENTS} fragments")
        if not frame.fin:
            return None
        message = Frame(self._opcode, self._body)
        self._opcode, self._body, self._fragments = None, b"", 0
        return message


def is_pong(data: bytes) -> bool:
    """Tell whether *data* is the answer to a PING and nothing else, as nearly everything that comes is."""
    return len(data) == 6 and data.startswith(_PONG)


def text(payload: bytes) -> bytes:
    """Return the frame of a text message."""
    size = len(payload)
    if size < 126:
        return b"\x81" + size.to_bytes(1, "big") + payload
    if size < 1 << 16:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload


def close(code: int, reason: str) -> bytes:
    """Return a close frame; the reason is cut to the 123 bytes that it has room for."""
    short = reason.encode()[:123].decode(errors="ignore")
    return Frame(Opcode.CLOSE, Close(code, short).serialize()).serialize(mask=False)


def answer(frame: Frame) -> bytes:
    """Return the pong to a ping, or the echo of a close frame."""
    opcode = Opcode.PONG if frame.opcode is Opcode.PING else frame.opcode
    return Frame(opcode, frame.data).serialize(mask=False)
