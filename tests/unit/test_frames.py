"""Messages from bytes: however they are cut, and whatever is wrong with them (RFC 6455)."""

import struct
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Close, Frame, Opcode
from websockets.protocol import SERVER, Protocol

from hub.web.parking import frames
from hub.web.parking.frames import Incoming, Violation

LIMIT = 200

Taken = list[tuple[Opcode, bytes]]


def masked(opcode: Opcode, payload: bytes, *, fin: bool = True) -> bytes:
    """A frame as a client sends it."""
    return Frame(opcode, payload, fin).serialize(mask=True)


def taken(stream: bytes, cuts: list[int]) -> tuple[Taken, int | None, Incoming]:
    """Feed *stream* cut in pieces; return what was taken, the close code of a violation, and the machine."""
    incoming = Incoming(LIMIT)
    found: Taken = []
    places = sorted({min(cut, len(stream)) for cut in cuts} | {0, len(stream)})
    for begin, end in pairwise(places):
        incoming.feed(stream[begin:end])
        try:
            while (frame := incoming.next()) is not None:
                found.append((frame.opcode, bytes(frame.data)))
        except Violation as violation:
            return found, violation.args[0], incoming
    return found, None, incoming


def expected(stream: bytes) -> tuple[Taken, int | None]:
    """What the sans-I/O protocol of `websockets` makes of *stream*, with the fragments joined."""
    protocol = Protocol(SERVER, max_size=LIMIT)
    protocol.receive_data(stream)
    found: Taken = []
    joined: list[bytes] = []
    opcode = Opcode.CONT
    code = protocol.close_sent.code if protocol.parser_exc and protocol.close_sent else None
    events: list[Any] = protocol.events_received()
    for frame in events:
        if frame.opcode in (Opcode.PING, Opcode.PONG, Opcode.CLOSE):
            found.append((frame.opcode, bytes(frame.data)))
            continue
        if frame.opcode is not Opcode.CONT:
            opcode, joined = frame.opcode, []
        joined.append(bytes(frame.data))
        if frame.fin:
            whole = b"".join(joined)
            if opcode is Opcode.TEXT:
                try:
                    whole.decode()
                except UnicodeDecodeError:
                    return found, 1007
            found.append((opcode, whole))
    return found, code


data = st.binary(max_size=LIMIT + 20)
texts = st.text(max_size=40).map(str.encode)
close_codes = st.integers(0, 65535).map(lambda code: struct.pack("!H", code))
pieces = st.one_of(
    st.builds(masked, st.just(Opcode.TEXT), texts | data, fin=st.booleans()),
    st.builds(masked, st.just(Opcode.BINARY), data, fin=st.booleans()),
    st.builds(masked, st.just(Opcode.CONT), texts | data, fin=st.booleans()),
    st.builds(masked, st.sampled_from((Opcode.PING, Opcode.PONG)), st.binary(max_size=125)),
    st.builds(Frame.serialize, st.builds(Frame, st.just(Opcode.TEXT), texts), mask=st.just(False)),
    st.binary(min_size=1, max_size=12),  # which may be anything
    st.builds(lambda head: bytes((head, 0x80)) + b"mask", st.integers(0, 255)),  # reserved bits and opcodes
    st.builds(lambda size: b"\x82\xff" + struct.pack("!Q", size) + b"mask", st.integers(0, 2**64 - 1)),
)
closes = st.builds(masked, st.just(Opcode.CLOSE), st.tuples(close_codes, texts | data).map(b"".join))


@given(st.lists(pieces, max_size=8), st.lists(st.integers(0, 400), max_size=12))
def test_as_the_reference_does(stream: list[bytes], cuts: list[int]) -> None:
    """Whatever comes, cut anywhere: the messages before the mistake, and the close code of the mistake."""
    joined = b"".join(stream)
    found, code, _ = taken(joined, cuts)
    assert (found, code) == expected(joined)


@given(closes, st.lists(st.integers(0, 400), max_size=4))
def test_close_frames_as_the_reference_does(close: bytes, cuts: list[int]) -> None:
    """Their code and their reason are checked: what no endpoint may send is a violation (section 7.4)."""
    found, code, _ = taken(close, cuts)
    assert (found, code) == expected(close)


@given(st.lists(st.integers(0, 60), max_size=60))
def test_a_control_frame_within_a_message(cuts: list[int]) -> None:
    """It is taken at once, and the message goes on (section 5.4)."""
    stream = (
        masked(Opcode.TEXT, "微".encode()[:2], fin=False)
        + masked(Opcode.PING, b"now")
        + masked(Opcode.CONT, "微".encode()[2:] + b"x", fin=False)
        + masked(Opcode.CLOSE, b"")
        + masked(Opcode.CONT, b"y")
    )
    found, code, _ = taken(stream, cuts)
    assert code is None
    assert found == [
        (Opcode.PING, b"now"),
        (Opcode.CLOSE, b""),
        (Opcode.TEXT, "微xy".encode()),
    ]


@given(st.lists(st.tuples(texts, st.booleans()), max_size=6), st.lists(st.integers(0, 300), max_size=9))
def test_empty_between_messages_only(messages: list[tuple[bytes, bool]], cuts: list[int]) -> None:
    """It says so exactly when nothing that came would be lost with it."""
    stream = b""
    for text, split in messages:
        if split:
            stream += masked(Opcode.TEXT, text[:1], fin=False) + masked(Opcode.CONT, text[1:])
        else:
            stream += masked(Opcode.TEXT, text)
    found, _, incoming = taken(stream, cuts)
    assert [text for _, text in found] == [text for text, _ in messages]
    assert incoming.empty
    for end in range(1, len(stream)):
        rest = taken(stream[:end], [])[2]
        after, _, _ = taken(stream[end:], [])
        if rest.empty:
            assert len(taken(stream[:end], [])[0]) + len(after) == len(found)


def test_fragments_without_content_are_not_collected() -> None:
    """A message of a million empty fragments is as small as one of two."""
    incoming = Incoming(LIMIT)
    incoming.feed(masked(Opcode.TEXT, b"", fin=False))
    assert incoming.next() is None
    for _ in range(1000):
        incoming.feed(masked(Opcode.CONT, b"", fin=False))
        assert incoming.next() is None
    assert incoming._body == b""
    assert not incoming.empty


@pytest.mark.parametrize(
    ("sizes", "fits"),
    [([200], True), ([201], False), ([100, 100], True), ([100, 101], False), ([0, 200], True)],
)
def test_the_limit_is_for_the_whole_message(sizes: list[int], fits: bool) -> None:
    """In one piece or in several; the frame that would exceed it is refused by its head alone."""
    incoming = Incoming(LIMIT)
    for place, size in enumerate(sizes):
        opcode = Opcode.CONT if place else Opcode.BINARY
        frame = masked(opcode, b"x" * size, fin=place == len(sizes) - 1)
        incoming.feed(frame if fits else frame[:8])
        if place < len(sizes) - 1:
            incoming.feed(frame[8:] if not fits else b"")
            assert incoming.next() is None
    if fits:
        message = incoming.next()
        assert message is not None
        assert len(message.data) == sum(sizes)
    else:
        with pytest.raises(Violation) as violation:
            incoming.next()
        assert violation.value.args[0] == 1009


@given(st.integers(0, 70_000))
def test_text_frames_as_the_reference_writes_them(size: int) -> None:
    """With the shortest length that fits (section 5.2)."""
    payload = b"x" * size
    assert frames.text(payload) == Frame(Opcode.TEXT, payload).serialize(mask=False)


@given(st.text(max_size=200))
def test_a_long_reason_is_cut(reason: str) -> None:
    """A control frame has room for 125 bytes, and no character is cut in two (section 5.5)."""
    written = frames.close(4511, reason)
    assert len(written) <= 2 + 125
    assert reason.startswith(Close.parse(written[2:]).reason)
    assert len(reason.encode()) > 120 or Close.parse(written[2:]).reason == reason


def test_only_the_answer_to_our_ping_is_taken_for_it() -> None:
    """One with a payload is not, nor one that is followed by something."""
    pong = masked(Opcode.PONG, b"")
    assert frames.is_pong(pong)
    for other in (masked(Opcode.PONG, b"x"), masked(Opcode.PING, b""), pong * 2, pong[:5], b""):
        assert not frames.is_pong(other)
