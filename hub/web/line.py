"""An open WebSocket as its conversation sees it; and the kind that any ASGI server gives."""

import asyncio
from collections import deque
from typing import Protocol

import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect

log = structlog.stdlib.get_logger("hub.web")

SEND_TIME = 10.0  # seconds a reader may stall us
CLOSED_SLOW = 4408


class Line(Protocol):
    """One socket's way out; none of it waits."""

    @property
    def ready(self) -> bool:
        """True while the peer takes what it is sent. Who has news meanwhile keeps the newest only."""

    def send(self, payload: bytes) -> None:
        """Send a text message, UTF-8 already. What comes after `close` is dropped."""

    def close(self, code: int, reason: str) -> None:
        """Begin to close, behind what was sent before; only the first call counts."""


class Occupant(Protocol):
    """What talks on a line. The line calls it, never two messages at a time."""

    async def take(self, text: str | None) -> None:
        """Answer one message, None for a binary one. Nothing may be raised."""

    def resumed(self) -> None:
        """Go on sending: the line is ready again."""

    def ended(self) -> None:
        """Let go of everything: the socket is no more. Called once, after the last `take` has returned."""


class AsgiLine:
    """The line over ASGI's `receive` and `send`: a reader that is always on, and a writer, each in a task.

    A handler that never receives hangs the server's shutdown, and a stalled reader blocks a send for ever: so
    each send has a time limit.
    """

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        self._unsent: deque[bytes] = deque()
        self._end: tuple[int, str] | None = None
        self._wake = asyncio.Event()
        self._sent = asyncio.Event()

    @property
    def ready(self) -> bool:
        return not self._unsent and self._end is None

    def send(self, payload: bytes) -> None:
        if self._end is None:
            self._unsent.append(payload)
            self._wake.set()

    def close(self, code: int, reason: str) -> None:
        if self._end is None:
            self._end = code, reason
            self._wake.set()

    async def run(self, occupant: Occupant) -> None:
        """Serve *occupant* until the socket has ended."""
        tasks = {asyncio.create_task(self._read(occupant)), asyncio.create_task(self._write(occupant))}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            try:
                await asyncio.wait(tasks)
            finally:
                occupant.ended()

    async def _read(self, occupant: Occupant) -> None:
        while (message := await self._websocket.receive())["type"] != "websocket.disconnect":
            if self._end is None:  # else only the other side's farewell is waited for
                await occupant.take(message.get("text"))
            while self._unsent:  # who does not take our answers is not heard further
                self._sent.clear()
                await self._sent.wait()

    async def _write(self, occupant: Occupant) -> None:
        """Send what there is; returns when nothing more can be sent."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._unsent:
                    async with asyncio.timeout(SEND_TIME):
                        await self._websocket.send_text(self._unsent[0].decode())
                    self._unsent.popleft()
                    self._sent.set()
                    if self.ready:
                        occupant.resumed()
                if self._end is not None:
                    async with asyncio.timeout(SEND_TIME):
                        await self._websocket.close(*self._end)
                    break
        except TimeoutError:
            self._end = self._end or (CLOSED_SLOW, "too slow")
            log.info("socket_closed_unheard", code=self._end[0])
            return
        except WebSocketDisconnect:
            self._end = self._end or (1006, "")
            self._unsent.clear()
            self._sent.set()
        await asyncio.Event().wait()  # for the reader, which sees the end
