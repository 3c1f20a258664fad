"""The XML of pushes and replies: flat elements out, nested ones in, and never a DTD."""

from collections.abc import Mapping
from typing import Any
from xml.parsers import expat


def write(members: Mapping[str, str | int]) -> str:
    """Return `<xml>` with these members, texts in CDATA as WeChat sends them."""
    lines = [
        f"<{name}>{value}</{name}>"
        if isinstance(value, int)
        else f"<{name}><![CDATA[{value.replace(']]>', ']]]]><![CDATA[>')}]]></{name}>"
        for name, value in members.items()
    ]
    return "<xml>" + "\n".join(lines) + "</xml>"


def read(body: bytes) -> dict[str, Any]:
    """Return the members of `<xml>`: texts, or for an element with children their list of (name, value).

    Raises ValueError for what is no such document.
    """
    parser = expat.ParserCreate()
    stack: list[tuple[str, list[tuple[str, Any]], list[str]]] = [("", [], [])]

    def refuse(*_: object) -> None:
        raise ValueError("a DTD")

    def start(name: str, _: dict[str, str]) -> None:
        stack.append((name, [], []))

    def end(_: str) -> None:
        name, children, text = stack.pop()
        stack[-1][1].append((name, children or "".join(text)))

    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = lambda text: stack[-1][2].append(text)
    try:
        parser.Parse(body, True)
    except expat.ExpatError as error:
        raise ValueError(str(error)) from None
    (root,) = stack[0][1]
    if root[0] != "xml" or isinstance(root[1], str):
        raise ValueError("no <xml> with members")
    return dict(root[1])
