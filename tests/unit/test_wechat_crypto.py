"""Signatures and encryption of pushes: against WeChat's published vectors and an independent program."""

import base64
import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wechatpy.crypto import WeChatCrypto

from hub.wechat.crypto import AesKey, MessageCrypto, Untrusted
from hub.wechat.messages import parse, render, sealed_reply

TOKEN, APPID = "push-token", "wx0123456789abcdef"
KEY, OTHER_KEY = "k" * 42 + "0", "p" * 42 + "8"
OURS = MessageCrypto(TOKEN, APPID, [KEY, OTHER_KEY])
THEIRS = WeChatCrypto(TOKEN, KEY, APPID)

ENCRYPTED = (
    "+qdx1OKCy+5JPCBFWw70tm0fJGb2Jmeia4FCB7kao+/Q5c/ohsOzQHi8khUOb05JCpj0JB4RvQMkUyus8TPxLKJGQqcvZqzDpVzazhZv6JsX"
    "UnnR8XGT740XgXZUXQ7vJVnAG+tE8NUd4yFyjPy7GgiaviNrlCTj+l5kdfMuFUPpRSrfMZuMcp3Fn2Pede2IuQrKEYwKSqFIZoNqJ4M8EajA"
    "sjLY2km32IIjdf8YL/P50F7mStwntrA2cPDrM1kb6mOcfBgRtWygb3VIYnSeOBrebufAlr7F9mFUPAJGj04="
)

# What XML can carry (XML 1.0 section 2.2), without the carriage return that parsers fold into a line feed.
texts = st.text(
    st.characters(min_codepoint=0x20, exclude_categories=["Cs"], exclude_characters="\ufffe\uffff")
    | st.sampled_from("\t\n]>🦊👩‍💻")
)
timestamps = st.integers(10**9, 2 * 10**9).map(str)
nonces = st.text(string.digits + string.ascii_letters, min_size=1, max_size=16)


def signed(plain: bytes, key: str = KEY) -> str:
    """Encrypt whole blocks, as somebody would who knows the key but not the form."""
    return base64.b64encode(AesKey(key).encrypt(plain)).decode()


def framed(message: bytes, appid: str = APPID, *, length: int | None = None) -> bytes:
    """The plain text up to its padding."""
    size = len(message) if length is None else length
    return bytes(16) + size.to_bytes(4) + message + appid.encode()


def padded(plain: bytes) -> bytes:
    """Pad to 32 bytes."""
    pad = 32 - len(plain) % 32
    return plain + bytes([pad]) * pad


def test_published_signature() -> None:
    """The first published vector."""
    signature = MessageCrypto("AAAAA", "").signature("1714037059", "486452656")
    assert signature == "899cf89e464efb63f54ddac96b0a0a235f53aa78"


def test_published_push() -> None:
    """The second published vector: both signatures, and the message within."""
    crypto = MessageCrypto("AAAAA", "wxba5fad812f8e6fb9", ["A" * 43])
    crypto.check("6c5c811b55cc85e0e1b54100749188c20beb3f5d", "1714112445", "415670741")
    crypto.check("046e02f8204d34f8ba5fa3b1db94908f3df2e9b3", "1714112445", "415670741", ENCRYPTED)
    message = crypto.open(ENCRYPTED).message
    assert len(message) == 167
    assert json.loads(message)["FromUserName"] == "o9AgO5Kd5ggOC-bXrbNODIiE3bGY"
    assert parse(message).members["CreateTime"] == "1714112445"


@given(text=texts, timestamp=timestamps, nonce=nonces)
def test_what_wechatpy_encrypts_is_understood(text: str, timestamp: str, nonce: str) -> None:
    """Every text comes out as it went in, and its signature holds."""
    pushed = parse(THEIRS.encrypt_message(text, nonce, timestamp).encode()).members
    OURS.check(pushed["MsgSignature"], timestamp, nonce, pushed["Encrypt"])
    assert OURS.open(pushed["Encrypt"]).message == text.encode()


@given(text=texts, timestamp=timestamps, nonce=nonces)
def test_wechatpy_understands_what_is_sealed(text: str, timestamp: str, nonce: str) -> None:
    """Every reply comes out as it went in, under the key that opened the push."""
    key = OURS.open(signed(padded(framed(b"a push")))).key
    sealed = OURS.seal(text.encode(), key, timestamp, nonce)
    body = render(sealed_reply(sealed), as_json=False)
    assert THEIRS.decrypt_message(body, sealed.signature, timestamp, nonce).encode() == text.encode()


def test_the_previous_key_opens_and_seals() -> None:
    """While WeChat still uses the former EncodingAESKey, it gets its replies under that one."""
    theirs = WeChatCrypto(TOKEN, OTHER_KEY, APPID)
    pushed = parse(theirs.encrypt_message("old", "1", "1700000000").encode()).members
    opened = OURS.open(pushed["Encrypt"])
    assert opened.message == b"old"
    sealed = OURS.seal(b"reply", opened.key, "1700000000", "1")
    body = render(sealed_reply(sealed), as_json=False)
    assert theirs.decrypt_message(body, sealed.signature, "1700000000", "1") == "reply"


@pytest.mark.parametrize("size", range(33))
def test_every_length_of_padding(size: int) -> None:
    """Padding is one to 32 bytes, a whole block where the text fills its last one."""
    sealed = OURS.seal(b"x" * size, AesKey(KEY), "1", "1")
    assert len(base64.b64decode(sealed.encrypted)) % 32 == 0
    assert OURS.open(sealed.encrypted).message == b"x" * size


@pytest.mark.parametrize(
    "encrypted",
    [
        "",
        "not base64!",
        "é",
        base64.b64encode(bytes(15)).decode(),
        base64.b64encode(bytes(range(64))).decode(),
        signed(framed(b"no padding at all").ljust(64, b"\0")),
        signed(framed(b"").ljust(63, b"x") + b"\x21"),
        signed(framed(b"").ljust(62, b"x") + b"\x01\x02"),
        signed(b"\x20" * 32),
        signed(padded(framed(b"for another account", "wx0123456789abcdeg"))),
        signed(padded(framed(b"for none", ""))),
        signed(padded(framed(b"too long", length=1000))),
        signed(padded(framed(b"too short", length=4))),
        signed(padded(framed(b"by a key of nobody")), "n" * 42 + "A"),
    ],
)
def test_damaged_messages_look_alike(encrypted: str) -> None:
    """Wrong padding, length, app id and key are refused by one error that does not tell which it was."""
    with pytest.raises(Untrusted) as refused:
        OURS.open(encrypted)
    assert refused.value.args == ()


@pytest.mark.parametrize("signature", ["", "0" * 40, "é" * 40, OURS.signature("1", "3"), "\ud800"])
def test_wrong_signature(signature: str) -> None:
    """Only the signature of these very parts holds."""
    OURS.check(OURS.signature("1", "2"), "1", "2")
    with pytest.raises(Untrusted):
        OURS.check(signature, "1", "2")


@pytest.mark.parametrize("key", ["", "A" * 42, "A" * 44, "!" * 43])
def test_a_key_that_is_none(key: str) -> None:
    """A mistyped EncodingAESKey is told at the start."""
    with pytest.raises(ValueError, match=r"."):
        MessageCrypto(TOKEN, APPID, [key])
