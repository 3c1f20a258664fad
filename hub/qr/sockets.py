"""The WebSocket edge of the QR sign-in: one conversation per waiting browser."""

import asyncio
import json
import random
from typing import Any

import structlog
from prometheus_client import Gauge
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from hub.errors import BadRequest, FieldError, HubError, InvalidRequest
from hub.limits.concurrency import OpenStreams
from hub.limits.guard import QR, Guard
from hub.qr.attempt import Snapshot
from hub.qr.attempts import Attempts
from hub.qr.follow import Follower
from hub.qr.identifiers import hashed
from hub.qr.phone import Phone
from hub.qr.routes import Watch
from hub.qr.states import Status
from hub.web.answers import dump, problem
from hub.web.language import language
from hub.web.origins import Origins
from hub.web.parsing import client_address, query
from hub.web.problems import refuse

log = structlog.stdlib.get_logger("hub.qr")

SOCKETS = Gauge("hub_open_sockets", "Open WebSockets", multiprocess_mode="livesum")

SUBPROTOCOL = "login.v1"
FRAME_LIMIT = 4096  # bytes; the server refuses larger frames with 1009
LINGER = 60.0  # seconds a socket stays open after expiry or failure, for a refresh
SEND_TIME = 10.0  # seconds a reader may stall us
_STRIKES = 3

CLOSED_DONE = 1000
CLOSED_RESTART = 1012
CLOSED_SLOW = 4408
CLOSED_MISUSE = 4500
_CLOSED_FINAL = {Status.CONFIRMED: CLOSED_DONE, Status.EXPIRED: 4510, Status.FAILED: 4511}


class QrSockets:
    """Serves `WS /api/auth/wechat/ws/{session_id}`, and sends everyone away on shutdown."""

    def __init__(
        self,
        *,
        attempts: Attempts,
        phone: Phone,
        guard: Guard,
        streams: OpenStreams,
        origins: Origins,
        base_url: str,
    ) -> None:
        self.attempts = attempts
        self.phone = phone
        self.guard = guard
        self.base_url = base_url
        self._streams = streams
        self._origins = origins
        self._open: set[Conversation] = set()

    def routes(self) -> list[BaseRoute]:
        """Return the route."""
        return [WebSocketRoute("/api/auth/wechat/ws/{session_id}", self.serve)]

    async def serve(self, websocket: WebSocket) -> None:
        """Check, subscribe, accept, and talk until one side ends it; refusals are plain HTTP answers."""
        session_id = websocket.path_params["session_id"]
        address = client_address(websocket)
        try:
            self._origins.check(websocket)
            asked = query(websocket, Watch)
            with self._streams.hold(address, hashed(session_id)):
                async with Follower(self.attempts, session_id, asked.seq or 0) as follower:
                    offered = websocket.scope.get("subprotocols", [])
                    await websocket.accept(SUBPROTOCOL if SUBPROTOCOL in offered else None)
                    conversation = Conversation(self, websocket, follower, address)
                    self._open.add(conversation)
                    SOCKETS.inc()
                    try:
                        await conversation.run()
                    finally:
                        SOCKETS.dec()
                        self._open.discard(conversation)
        except HubError as error:
            await websocket.send_denial_response(await refuse(websocket, error))
        except WebSocketDisconnect:
            return

    async def drain(self, seconds: float) -> None:
        """Close every socket with 1012, spread over *seconds*, so that not all come back at once."""
        conversations = list(self._open)
        random.shuffle(conversations)
        for index, conversation in enumerate(conversations):
            conversation.close(CLOSED_RESTART, f"retry in {random.uniform(0.1, 3):.1f}")  # noqa: S311 - jitter
            if index % 50 == 49:
                await asyncio.sleep(seconds * 50 / len(conversations))


class Conversation:
    """One open socket: a reader that is always on, and a writer that sends each newer snapshot."""

    def __init__(self, hub: QrSockets, websocket: WebSocket, follower: Follower, address: str) -> None:
        self._hub = hub
        self._websocket = websocket
        self._follower = follower
        self._address = address
        self._language = language(websocket)
        self._sending = asyncio.Lock()
        self._strikes = 0
        self._closed = False
        self._writer: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Talk until either side closes."""
        self._writer = asyncio.create_task(self._write())
        try:
            await self._read()
        except WebSocketDisconnect:
            pass
        finally:
            tasks = [task for task in (self._writer, self._ending) if task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def close(self, code: int, reason: str = "") -> None:
        """Begin to close; the reader then sees the end."""
        if self._ending is None:
            self._ending = asyncio.create_task(self._close(code, reason))

    async def _write(self) -> None:
        try:
            await self._tell()
        except HubError as error:
            self.close(error.close_code, error.slug)

    async def _tell(self) -> None:
        while True:
            snapshot = await self._follower.next()
            await self._send(self._frame(snapshot))
            if snapshot.status is Status.CONFIRMED:
                self.close(CLOSED_DONE)
                return
            if snapshot.final:
                await asyncio.sleep(LINGER)
                self.close(_CLOSED_FINAL[snapshot.status], snapshot.reason or "")
                return

    async def _read(self) -> None:
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            try:
                await self._obey(message.get("text"))
            except HubError as error:
                await self._refuse(error)

    async def _obey(self, text: str | None) -> None:
        try:
            frame = json.loads(text) if text is not None and len(text) <= FRAME_LIMIT else None
        except (ValueError, RecursionError):
            frame = None
        if not isinstance(frame, dict):
            self._strikes += 1
            raise BadRequest("not a JSON object")
        match frame.get("type"):
            case "ping":
                await self._send({"type": "pong"})
            case "cancel":
                await self._hub.phone.cancel(self._follower.session_id)
            case "refresh":
                await self._refresh()
            case _:
                self._strikes += 1
                raise InvalidRequest([FieldError("type", "must be refresh, cancel or ping")])

    async def _refresh(self) -> None:
        """Go on with the successor on the same socket."""
        attempts = self._hub.attempts
        attempt = await attempts.by_session(self._follower.session_id)
        if attempt.successor_id is None:
            await self._hub.guard.spend(QR, self._address)
        successor = await attempts.succeed(attempt)
        session_id = attempts.made.session_id(successor.session_seed, successor.key)
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
        try:
            await self._follower.switch(session_id)
        except HubError as error:  # neither attempt is followed now: the client has to come back
            self.close(error.close_code, error.slug)
            return
        self._writer = asyncio.create_task(self._write())

    async def _refuse(self, error: HubError) -> None:
        # The frame's own type wins; the problem's goes under a name of its own.
        body = problem(error, self._language)
        await self._send({**body, "type": "error", "problem": body["type"]})
        if self._strikes >= _STRIKES:
            await self._close(CLOSED_MISUSE, "three frames in error")  # and obey nothing more

    async def _send(self, frame: dict[str, Any]) -> None:
        try:
            async with self._sending, asyncio.timeout(SEND_TIME):
                if not self._closed:
                    await self._websocket.send_text(dump(frame).decode())
        except TimeoutError:
            self.close(CLOSED_SLOW, "too slow")

    async def _close(self, code: int, reason: str) -> None:
        try:
            async with asyncio.timeout(SEND_TIME), self._sending:
                if not self._closed:
                    self._closed = True
                    await self._websocket.close(code, reason)
        except (TimeoutError, WebSocketDisconnect):
            log.info("socket_closed_unheard", code=code)

    def _frame(self, snapshot: Snapshot) -> dict[str, Any]:
        attempts = self._hub.attempts
        return snapshot.frame(self._follower.session_id, self._hub.base_url, attempts.store.now())
