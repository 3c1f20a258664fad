"""What stands in the chats of the simulated phone: one chat a person has with the official account."""

import re
from collections import defaultdict, deque
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final, Literal

from hub.wechat.sandbox.clock import Clock
from hub.wechat.sandbox.scanned import web_link

_KEPT: Final = 200
_ANCHOR: Final = re.compile(
    r"""<a\s[^>]*?href\s*=\s*["']([^"']*)["'][^>]*>(.*?)</a>""", re.IGNORECASE | re.DOTALL
)
_ADDRESS: Final = re.compile(r"https?://[^\s<>\"'，。；！？、）】》]+")

Kind = Literal["text", "news", "note"]


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of a message's text; with *url* it can be tapped."""

    text: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """One line of a chat. A `note` is the phone's own grey line; its text is a catalogue key."""

    number: int
    at: float
    kind: Kind
    mine: bool
    pieces: list[Piece] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The text without its links' addresses."""
        return "".join(piece.text for piece in self.pieces)

    @property
    def links(self) -> list[str]:
        """The addresses that can be tapped."""
        return [piece.url for piece in self.pieces if piece.url]


class Chats:
    """All chats, by person."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._numbers = count(1)
        self._all: defaultdict[str, deque[Message]] = defaultdict(lambda: deque(maxlen=_KEPT))

    def add(self, person: str, kind: Kind, pieces: list[Piece], *, mine: bool = False) -> Message:
        """Append a message to *person*'s chat."""
        message = Message(next(self._numbers), self._clock.time(), kind, mine, pieces)
        self._all[person].append(message)
        return message

    def of(self, person: str, after: int = 0) -> list[Message]:
        """Return the messages of *person*'s chat that are newer than number *after*."""
        return [message for message in self._all[person] if message.number > after]


def pieces(text: str) -> list[Piece]:
    """Cut *text* into runs: `<a href>` and bare addresses can be tapped, and there is no other markup."""
    found: list[Piece] = []
    at = 0
    for anchor in _ANCHOR.finditer(text):
        found += _bare(text[at : anchor.start()])
        found.append(Piece(anchor[2], web_link(anchor[1]) or ""))
        at = anchor.end()
    return found + _bare(text[at:])


def understood(reply: dict[str, Any]) -> tuple[Kind, list[Piece]]:
    """Return what a reply's members say. Raises ValueError for a type that the phone does not show."""
    match reply.get("MsgType"):
        case "text" if isinstance(reply.get("Content"), str) and reply["Content"]:
            return "text", pieces(reply["Content"])
        case "news" if isinstance(reply.get("Articles"), list):
            articles = [dict(item) for name, item in reply["Articles"] if name == "item"]
            return "news", [
                Piece(str(each.get("Title", "")), web_link(str(each.get("Url", ""))) or "")
                for each in articles
            ]
    raise ValueError("a reply of another type")


def _bare(text: str) -> list[Piece]:
    found: list[Piece] = []
    at = 0
    for address in _ADDRESS.finditer(text):
        if text[at : address.start()]:
            found.append(Piece(text[at : address.start()]))
        found.append(Piece(address[0], address[0]))
        at = address.end()
    return [*found, Piece(text[at:])] if text[at:] else found
