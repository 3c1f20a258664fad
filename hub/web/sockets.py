"""WebSocket conversations: what all sockets of the hub have in common.

A reader that is always on, for a handler that never receives hangs the shutdown; one frame out at a time,
with a time limit, for a stalled reader blocks a send for ever; and one way to close.
"""

import asyncio
import json
import random
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import structlog
from prometheus_client import Gauge
from starlette.websockets import WebSocket, WebSocketDisconnect

from hub.errors import BadRequest, FieldError, HubError, InvalidRequest
from hub.web.answers import dump, problem
from hub.web.language import language

log = structlog.stdlib.get_logger("hub.web")

SOCKETS = Gauge("hub_open_sockets", "Open WebSockets", multiprocess_mode="livesum")

SUBPROTOCOL = "login.v1"
FRAME_LIMIT = 4096  # bytes; the server refuses larger frames with 1009
SEND_TIME = 10.0  # seconds a reader may stall us
_STRIKES = 3

CLOSED_DONE = 1000
CLOSED_DEFECT = 1011
CLOSED_RESTART = 1012
CLOSED_SLOW = 4408
CLOSED_MISUSE = 4500


async def accept(websocket: WebSocket) -> None:
    """Accept the handshake; our subprotocol is taken up where it is offered, and not demanded."""
    offered = websocket.scope.get("subprotocols", [])
    await websocket.accept(SUBPROTOCOL if SUBPROTOCOL in offered else None)


class Conversation(ABC):
    """One open socket. A subclass says what to tell, and what each type of frame asks for.

    Frames in are JSON objects with a `type`; `ping` is answered here. One that is in error is answered by an
    `error` frame with the problem's members, and the third that is no frame of ours closes the socket.
    """

    types: ClassVar[tuple[str, ...]]
    """The frame types that `obey` knows."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        self._language = language(websocket)
        self._sending = asyncio.Lock()
        self._strikes = 0
        self._closed = False
        self._teller: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None

    @abstractmethod
    async def tell(self) -> None:
        """Send what there is to tell, in a task of its own. A HubError closes the socket with its code."""

    @abstractmethod
    async def obey(self, frame: dict[str, Any]) -> None:
        """Do what a frame asks whose type is one of `types`. Raises HubError, which the client is told."""

    async def run(self) -> None:
        """Talk until either side closes."""
        try:
            await self._read()
        except WebSocketDisconnect:
            pass
        finally:
            tasks = [task for task in (self._teller, self._ending) if task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def start_telling(self) -> None:
        """Begin to `tell`."""
        self._teller = asyncio.create_task(self._tell())

    async def stop_telling(self) -> None:
        """Interrupt `tell`."""
        if self._teller is not None:
            self._teller.cancel()
            await asyncio.gather(self._teller, return_exceptions=True)

    async def send(self, frame: dict[str, Any]) -> None:
        """Send one frame; a reader that is too slow for it loses the socket."""
        try:
            async with self._sending, asyncio.timeout(SEND_TIME):
                if not self._closed:
                    await self._websocket.send_text(dump(frame).decode())
        except TimeoutError:
            self.close(CLOSED_SLOW, "too slow")
        except WebSocketDisconnect:
            self._closed = True  # the reader may be about to answer something, which must not be tried
            raise

    def close(self, code: int, reason: str = "") -> None:
        """Begin to close; the reader then sees the end."""
        if self._ending is None:
            self._ending = asyncio.create_task(self._close(code, reason))

    async def _tell(self) -> None:
        try:
            await self.tell()
        except HubError as error:
            self.close(error.close_code, error.slug)
        except WebSocketDisconnect:
            return  # the reader sees it too
        except Exception:  # a socket that is open and tells nothing would be waited on for ever
            log.exception("defect")
            self.close(CLOSED_DEFECT)

    async def _read(self) -> None:
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            if self._closed:
                continue  # only the other side's farewell is waited for
            try:
                await self._take(message.get("text"))
            except HubError as error:
                self._strikes += isinstance(error, BadRequest | InvalidRequest)
                await self._refuse(error)

    async def _take(self, text: str | None) -> None:
        try:
            frame = json.loads(text) if text is not None and len(text) <= FRAME_LIMIT else None
        except (ValueError, RecursionError):
            frame = None
        if not isinstance(frame, dict):
            raise BadRequest("not a JSON object")
        kind = frame.get("type")
        if kind == "ping":
            await self.send({"type": "pong"})
        elif kind in self.types:
            await self.obey(frame)
        else:
            raise InvalidRequest([FieldError("type", f"must be {', '.join(self.types)} or ping")])

    async def _refuse(self, error: HubError) -> None:
        # The frame's own type wins; the problem's goes under a name of its own.
        body = problem(error, self._language)
        await self.send({**body, "type": "error", "problem": body["type"]})
        if self._strikes >= _STRIKES:
            await self._close(CLOSED_MISUSE, "three frames in error")

    async def _close(self, code: int, reason: str) -> None:
        try:
            async with asyncio.timeout(SEND_TIME), self._sending:
                if not self._closed:
                    self._closed = True
                    await self._websocket.close(code, reason)
        except (TimeoutError, WebSocketDisconnect):
            log.info("socket_closed_unheard", code=code)


class OpenSockets:
    """All conversations of this process, to be sent away on shutdown."""

    def __init__(self) -> None:
        self._open: set[Conversation] = set()

    @contextmanager
    def hold(self, conversation: Conversation) -> Iterator[None]:
        """Count a conversation for the length of a `with` block."""
        self._open.add(conversation)
        SOCKETS.inc()
        try:
            yield
        finally:
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
            conversation.close(CLOSED_RESTART, f"retry in {hint:.1f}")
            if index % step == 0:
                await asyncio.sleep(seconds * step / len(conversations))
