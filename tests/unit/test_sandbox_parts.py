"""The sandbox's parsers and its bounded memory."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.wechat.sandbox import push_crypto, push_xml
from hub.wechat.sandbox.chats import pieces, understood
from hub.wechat.sandbox.kept import KEPT, Kept
from hub.wechat.sandbox.scanned import meaning

ADDRESSES = ("https://hub.test/sandbox", "http://127.0.0.1:8000/sandbox")
TEXTS = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff")
)


@given(
    st.dictionaries(st.from_regex(r"[A-Z][A-Za-z]{0,12}", fullmatch=True), TEXTS | st.integers(0), min_size=1)
)
def test_what_is_written_is_read(members: dict[str, str | int]) -> None:
    """Every text comes back as it was, `]]>` included, and every number as its figures."""
    read = push_xml.read(push_xml.write(members).encode())
    assert read == {name: str(value) for name, value in members.items()}


@given(st.binary() | st.text().map(lambda text: f"<xml>{text}</xml>".encode("utf-8", "surrogatepass")))
def test_a_reply_is_read_or_refused(body: bytes) -> None:
    """Whatever a server answers is members or a ValueError."""
    try:
        assert isinstance(push_xml.read(body), dict)
    except ValueError:
        return


@pytest.mark.parametrize(
    "body",
    [
        b'<!DOCTYPE xml [<!ENTITY a "b">]><xml><a>&a;</a></xml>',
        b'<!DOCTYPE xml SYSTEM "file:///etc/passwd"><xml><a>x</a></xml>',
        b"<html><a>x</a></html>",
        b"<xml>text</xml>",
        b"<xml/>",
        b"<xml><a>x</xml>",
        b"",
    ],
)
def test_no_dtd_and_no_other_document(body: bytes) -> None:
    """A DTD is refused before it could define anything."""
    with pytest.raises(ValueError, match=r"DTD|members|syntax|mismatched|no element"):
        push_xml.read(body)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_a_sealed_text_is_opened_or_refused(sealed: bytes) -> None:
    """Whatever stands in `Encrypt` is a message or a ValueError."""
    try:
        push_crypto.unseal("A" * 43, "wx1", sealed.decode("latin-1"))
    except ValueError:
        return


@given(st.text() | st.text("<a href='\">/:tphs. ", max_size=60))
def test_cutting_a_text_keeps_what_is_no_markup(text: str) -> None:
    """Only addresses of web pages can be tapped, and a text without anchors stays whole."""
    found = pieces(text)
    assert all(piece.url.startswith(("http://", "https://")) for piece in found if piece.url)
    if "<a" not in text.lower():
        assert "".join(piece.text for piece in found) == text


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", "//evil.test", "/s/x", ""])
def test_only_web_addresses_can_be_tapped(url: str) -> None:
    """A link to anything else is text, in an anchor as in news."""
    assert [piece.url for piece in pieces(f'<a href="{url}">x</a>')] == [""]
    kind, found = understood({"MsgType": "news", "Articles": [("item", [("Title", "x"), ("Url", url)])]})
    assert (kind, found[0].url) == ("news", "")


@pytest.mark.parametrize(
    "reply", [{}, {"MsgType": "image"}, {"MsgType": "text"}, {"MsgType": "text", "Content": ""}]
)
def test_a_reply_that_the_phone_cannot_show(reply: dict[str, str]) -> None:
    """Other types, and a text without one, are refused."""
    with pytest.raises(ValueError, match="another type"):
        understood(reply)


@pytest.mark.parametrize(
    ("text", "kind", "target"),
    [
        ("https://hub.test/sandbox/q/02abc", "own", "/q/02abc"),
        ("http://127.0.0.1:8000/sandbox/connect/confirm?uuid=x", "own", "/connect/confirm?uuid=x"),
        ("https://hub.test/sandbox/m/wx1?scene=a%2Bb", "own", "/m/wx1?scene=a%2Bb"),
        ("https://hub.test/sandbox/phone/people/bob", "link", "https://hub.test/sandbox/phone/people/bob"),
        ("https://hub.test/s/x", "link", "https://hub.test/s/x"),
        ("https://hub.test/sandbox.evil/q/x", "link", "https://hub.test/sandbox.evil/q/x"),
        ("https://hub.test.evil/sandbox/q/x", "link", "https://hub.test.evil/sandbox/q/x"),
        ("hello", "text", "hello"),
        ("javascript:alert(1)", "text", "javascript:alert(1)"),
    ],
)
def test_what_a_scan_means(text: str, kind: str, target: str) -> None:
    """WeChat's own codes are those below the sandbox's own addresses, and nothing else."""
    assert meaning(text, ADDRESSES) == (kind, target)


def test_the_oldest_is_forgotten() -> None:
    """A memory keeps its newest entries only."""
    kept: Kept[int, int] = Kept()
    for number in range(KEPT + 2):
        kept[number] = number
    assert len(kept) == KEPT
    assert 1 not in kept
    assert KEPT + 1 in kept
