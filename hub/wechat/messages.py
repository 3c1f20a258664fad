"""The bodies of what WeChat pushes, and of our replies: XML, or JSON where the account has chosen that."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from defusedxml.ElementTree import DefusedXMLParser, ParseError

from hub.wechat.crypto import Sealed

Members = Mapping[str, str]

_DEPTH: Final = 16
_FORBIDDEN: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, 2.2


class Message(NamedTuple):
    """A message's members as text, without what is nested deeper, and the format it came in."""

    members: Members
    is_json: bool


def parse(body: bytes) -> Message:
    """Read a message. Raises ValueError for anything else, and for XML with a DTD or entities of its own."""
    if body.lstrip()[:1] == b"{":
        return Message(_from_json(body), is_json=True)
    return Message(_from_xml(body), is_json=False)


def text_reply(message: Members, content: str, at: int) -> dict[str, str | int]:
    """Return the members of a text that answers *message*; *at* is in Unix seconds."""
    return {
        "ToUserName": message.get("FromUserName", ""),
        "FromUserName": message.get("ToUserName", ""),
        "CreateTime": at,
        "MsgType": "text",
        "Content": content,
    }


def sealed_reply(sealed: Sealed) -> dict[str, str | int]:
    """Return the members that carry an encrypted reply."""
    return {
        "Encrypt": sealed.encrypted,
        "MsgSignature": sealed.signature,
        "TimeStamp": int(sealed.timestamp),
        "Nonce": sealed.nonce,
    }


def render(members: Mapping[str, str | int], *, as_json: bool) -> bytes:
    """Return *members* in the format of the message that they answer."""
    if as_json:
        return json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
    inner = "".join(f"<{name}>{_xml_value(value)}</{name}>" for name, value in members.items())
    return f"<xml>{inner}</xml>".encode()


def _xml_value(value: str | int) -> str:
    if isinstance(value, int):
        return str(value)
    # An end mark inside is cut in two, so that it ends neither section.
    return f"<![CDATA[{_FORBIDDEN.sub('', value).replace(']]>', ']]]]><![CDATA[>')}]]>"


class _Flat:
    """What the XML parser fills: the text of the root's children."""

    def __init__(self) -> None:
        self._members: dict[str, str] = {}
        self._depth = 0
        self._text: list[str] = []

    def start(self, tag: str, _: Mapping[str, str]) -> None:
        self._depth += 1
        if self._depth > _DEPTH or (self._depth == 1 and tag != "xml"):
            raise ValueError("not a message")
        if self._depth == 2:
            if tag in self._members:
                raise ValueError("a member is given twice")
            self._text.clear()

    def data(self, text: str) -> None:
        if self._depth == 2:
            self._text.append(text)

    def end(self, tag: str) -> None:
        if self._depth == 2:
            self._members[tag] = "".join(self._text)
        self._depth -= 1

    def close(self) -> dict[str, str]:
        return self._members


def _from_xml(body: bytes) -> dict[str, str]:
    parser = DefusedXMLParser(target=_Flat(), forbid_dtd=True)
    try:
        parser.feed(body)
        members: dict[str, str] = parser.close()
    except (ParseError, LookupError) as error:
        raise ValueError(f"broken XML: {error}") from None
    return members


def _from_json(body: bytes) -> dict[str, str]:
    try:
        members = json.loads(body, object_pairs_hook=_once)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    plain = {name: value for name, value in members.items() if isinstance(value, str | int)}
    return {name: value if isinstance(value, str) else str(value) for name, value in plain.items()}


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a member is given twice")
    return members
