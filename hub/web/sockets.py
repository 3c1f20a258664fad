"""WebSocket conversations: what all sockets of the hub have in common."""

import asyncio
import json
import random
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, ClassVar, Final, Literal, get_args

import structlog
from prometheus_client import Gauge
from starlette.websockets import WebSocket
from typing_extensions import TypedDict

from hub.errors import BadRequest, FieldError, HubError, InvalidRequest
from hub.web.answers import Refusal, dump, problem
from hub.web.line import CLOSED_SLOW, AsgiLine, Line
from hub.web.operations import Channel, Frame
from hub.web.parsing import members
from hub.web.shapes import described

log = structlog.stdlib.get_logger("hub.web")

SOCKETS = Gauge("hub_open_sockets", "Open WebSockets", multiprocess_mode="livesum")

SUBPROTOCOL = "login.v1"
FRAME_LIMIT = 4096  # bytes; the server refuses larger frames with 1009
_STRIKES = 3

CLOSED_DONE = 1000
CLOSED_DEFECT = 1011
CLOSED_RESTART = 1012
CLOSED_OVERLOAD = 1013
CLOSED_BROKEN = 1002
CLOSED_GARBLED = 1007
CLOSED_LARGE = 1009
CLOSED_MISUSE = 4500

CLOSES: Final[Mapping[int, str]] = {
    CLOSED_BROKEN: "What came is no WebSocket frame; do not come back like that.",
    CLOSED_GARBLED: "A text frame was not UTF-8; do not come back like that.",
    CLOSED_LARGE: f"A frame was over {FRAME_LIMIT} bytes.",
    CLOSED_DEFECT: "A defect of the hub; come back, with jitter.",
    CLOSED_RESTART: "The hub stops or restarts; come back when the reason says, on any node.",
    CLOSED_OVERLOAD: "A part that is needed is away; come back, with jitter.",
    CLOSED_SLOW: "The client takes too long to read, or does not answer pings; come back.",
    CLOSED_MISUSE: "Three frames in error, or what was followed is gone; do not come back like that.",
}
"""The close codes of every socket, with what they mean."""


class Ping(Frame):
    """Asks for a `pong`."""

    type: Literal["ping"]
    """What kind of frame it is."""


@described
class Pong(TypedDict):
    """Answers a `ping`."""

    type: Literal["pong"]
    """What kind of frame it is."""


@described
class ErrorFrame(Refusal):
    """Refuses a frame, with the members of a problem body."""

    type: Literal["error"]
    """What kind of frame it is."""
    problem: str
    """Which problem it is, the `type` of its body."""


SENT: Final = (Pong, ErrorFrame)
"""What every socket may send."""


async def accept(websocket: WebSocket) -> None:
    """Accept the handshake; our subprotocol is taken up where it is offered, and not demanded."""
    offered = websocket.scope.get("subprotocols", [])
    await websocket.accept(SUBPROTOCOL if SUBPROTOCOL in offered else None)


class Conversation(ABC):
    """One open socket. It has no task of its own: it is called by its line, and by whoever has news.

    Frames in are JSON objects with a `type`; `ping` is answered here. One that is in error is answered by an
    `error` frame with the problem's members, and the third that is no frame of ours closes the socket.
    """

    __slots__ = ("_language", "_strikes", "line")

    channel: ClassVar[Channel[Any]]
    """What the socket declares; `obey` is given each of the frames that it takes."""

    def __init__(self, language: str) -> None:
        self._language = language
        self._strikes = 0
        self.line: Line

    @abstractmethod
    def begin(self) -> None:
        """Say what is to be said first: the line is there."""

    @abstractmethod
    def resumed(self) -> None:
        """Send what had to wait for the line."""

    @abstractmethod
    def ended(self) -> None:
        """Let go of everything: the socket is no more."""

    @abstractmethod
    async def obey(self, frame: Any) -> None:
        """Do what a frame of the channel asks. Raises HubError, which the client is told."""

    def send(self, frame: Mapping[str, Any]) -> None:
        """Send one frame."""
        self.line.send(dump(frame))

    async def take(self, text: str | None) -> None:
        """Answer one message."""
        try:
            await self._take(text)
        except HubError as error:
            self._strikes += isinstance(error, BadRequest | InvalidRequest)
            # The frame's own type wins; the problem's goes under a name of its own.
            body = problem(error, self._language)
            self.send({**body, "type": "error", "problem": body["type"]})
            if self._strikes >= _STRIKES:
                self.line.close(CLOSED_MISUSE, "three frames in error")
        except Exception:  # a socket that is open and answers nothing would be waited on for ever
            log.exception("defect")
            self.line.close(CLOSED_DEFECT, "")

    async def _take(self, text: str | None) -> None:
        try:
            frame = json.loads(text) if text is not None and len(text) <= FRAME_LIMIT else None
        except (ValueError, RecursionError):
            frame = None
        if not isinstance(frame, dict):
            raise BadRequest("not a JSON object")
        kind = frame.get("type")
        known = _kinds(self.channel.takes)
        if kind == "ping":
            pong: Pong = {"type": "pong"}
            self.send(pong)
        elif isinstance(kind, str) and kind in known:
            await self.obey(members(frame, known[kind]))
        else:
            raise InvalidRequest([FieldError("type", "not_listed", {"limit": ", ".join((*known, "ping"))})])


@cache
def _kinds(takes: Sequence[type[Frame]]) -> dict[str, type[Frame]]:
    return {get_args(kind.model_fields["type"].annotation)[0]: kind for kind in takes}


class OpenSockets:
    """All conversations of this process, to be sent away on shutdown."""

    def __init__(self) -> None:
        self._open: set[Conversation] = set()

    async def serve(self, websocket: WebSocket, conversation: Conversation) -> None:
        """Talk on a socket that was accepted: to its end, or until the server has parked it."""
        park = websocket.scope.get("extensions", {}).get("hub.park")
        self._open.add(conversation)
        SOCKETS.inc()
        if park is not None:
            conversation.line = park["park"](conversation)
            conversation.begin()
        else:
            conversation.line = line = AsgiLine(websocket)
            conversation.begin()
            await line.run(conversation)

    def remove(self, conversation: Conversation) -> None:
        """Forget a conversation that has ended."""
        SOCKETS.dec()
        self._open.discard(conversation)

    async def drain(self, seconds: float) -> None:
        """Close every socket with 1012, spread over up to *seconds*, each with a hint when to come back.

        The more there are, the longer the hints: no second should see more than a tenth of them return.
        """
        conversations = list(self._open)
        random.shuffle(conversations)
        at_most = min(max(len(conversations) / 20, 1.0), 15.0)
        seconds = min(seconds, len(conversations) / 20)
        step = max(1, len(conversations) // 100)
        for index, conversation in enumerate(conversations, 1):
            hint = random.uniform(0.1, at_most)  # noqa: S311 - jitter
            conversation.line.close(CLOSED_RESTART, f"retry in {hint:.1f}")
            if index % step == 0:
                await asyncio.sleep(seconds * step / len(conversations))
