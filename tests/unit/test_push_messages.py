"""The bodies of pushes and of replies."""

import json
from collections.abc import Mapping

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from wechatpy import parse_message

from hub.wechat.messages import parse, render, text_reply

SCAN = (
    "<xml><ToUserName><![CDATA[gh_hub]]></ToUserName>\n<FromUserName><![CDATA[oAlice]]></FromUserName>\n"
    "<CreateTime>1700000000</CreateTime>\n<MsgType><![CDATA[event]]></MsgType>\n"
    "<Event><![CDATA[SCAN]]></Event>\n<EventKey><![CDATA[abc]]></EventKey>\n<Ticket><![CDATA[t]]></Ticket></xml>"
)
MEMBERS = {
    "ToUserName": "gh_hub",
    "FromUserName": "oAlice",
    "CreateTime": "1700000000",
    "MsgType": "event",
    "Event": "SCAN",
    "EventKey": "abc",
    "Ticket": "t",
}


def test_xml() -> None:
    """The members of a push, as text."""
    assert parse(SCAN.encode()) == (MEMBERS, False)


def test_json() -> None:
    """The same from JSON, where the account has chosen that."""
    body = json.dumps({**MEMBERS, "CreateTime": 1700000000, "List": [1], "Share": 1.5}).encode()
    assert parse(body) == (MEMBERS, True)


def test_what_is_nested_is_left_out() -> None:
    """A structure inside a member neither shows nor shadows anything."""
    body = b"<xml><ScanCodeInfo>a<Event>SCAN</Event>b</ScanCodeInfo><Event>CLICK</Event></xml>"
    assert parse(body).members == {"ScanCodeInfo": "ab", "Event": "CLICK"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        b"<html></html>",
        b"<xml><a>",
        b"<xml><Event>SCAN</Event><Event>subscribe</Event></xml>",
        b"<xml>" + b"<a>" * 40 + b"</a>" * 40 + b"</xml>",
        b'<?xml version="1.0"?><!DOCTYPE xml><xml></xml>',
        b'<!DOCTYPE xml [<!ENTITY a "aaaa">]><xml><Event>&a;</Event></xml>',
        b'<!DOCTYPE xml [<!ENTITY a SYSTEM "file:///etc/passwd">]><xml><Event>&a;</Event></xml>',
        b'<!DOCTYPE xml SYSTEM "http://127.0.0.1/x.dtd"><xml></xml>',
        b"<xml>&a;</xml>",
        b'<?xml version="1.0" encoding="no-such"?><xml></xml>',
        b'<?xml version="1.0" encoding="gb18030"?><xml>\xd6\xd0</xml>',
        b"<xml>\xff</xml>",
        b"{",
        b"{}{}",
        b'{"Event":"SCAN","Event":"subscribe"}',
        b'{"a":' * 50_000,
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":"\xff"}',
    ],
)
def test_what_is_no_message(body: bytes) -> None:
    """DTDs, entities, members given twice, broken and bottomless bodies are refused alike."""
    with pytest.raises(ValueError, match=r"."):
        parse(body)


@given(
    body=st.binary() | st.text().map(str.encode) | st.text().map(lambda text: f"<xml>{text}</xml>".encode())
)
@example(b'<?xml version="1.0" encoding="utf-7"?><xml>+ADw-</xml>')
@example(b'<?xml version="1.0" encoding="idna"?><xml/>')
@example(b'{"a":"\\ud800"}')
def test_any_bytes(body: bytes) -> None:
    """Whatever comes is read as text members or refused."""
    try:
        message = parse(body)
    except ValueError:
        return
    assert all(isinstance(part, str) for member in message.members.items() for part in member)


@given(members=st.dictionaries(st.sampled_from(["Event", "EventKey", "a"]), st.text()), as_json=st.booleans())
def test_what_is_rendered_is_read(members: Mapping[str, str], as_json: bool) -> None:
    """A reply says what it was given, whatever marks are in it; XML leaves out what it cannot carry."""
    read = parse(render(members, as_json=as_json)).members
    if as_json:
        assert read == members
    else:
        kept = {
            name: "".join(c for c in value if (c >= " " and c not in "\ufffe\uffff") or c in "\t\n\r")
            for name, value in members.items()
        }
        assert read == {name: value.replace("\r\n", "\n").replace("\r", "\n") for name, value in kept.items()}


def test_a_reply_cannot_be_broken_out_of() -> None:
    """An end mark in a text is text to WeChat's side as well."""
    content = "]]></Content><Content>oops]]>"
    body = render(text_reply(MEMBERS, content, 1700000001), as_json=False)
    read = parse_message(body.decode())
    assert (read.source, read.target, read.content) == ("gh_hub", "oAlice", content)
