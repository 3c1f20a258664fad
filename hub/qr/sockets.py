"""The WebSocket edge of the QR sign-in: one conversation per waiting browser."""

import asyncio
from typing import Any, ClassVar

from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from hub.errors import HubError
from hub.limits.concurrency import OpenStreams
from hub.limits.guard import QR, Guard
from hub.qr.attempt import Snapshot
from hub.qr.attempts import Attempts
from hub.qr.follow import Follower
from hub.qr.identifiers import hashed
from hub.qr.phone import Phone
from hub.qr.routes import Watch
from hub.qr.states import Status
from hub.web.origins import Origins
from hub.web.parsing import client_address, query
from hub.web.problems import refuse
from hub.web.sockets import CLOSED_DONE, Conversation, OpenSockets, accept

LINGER = 60.0  # seconds a socket stays open after expiry or failure, for a refresh
_CLOSED_FINAL = {Status.CONFIRMED: CLOSED_DONE, Status.EXPIRED: 4510, Status.FAILED: 4511}


class QrSockets:
    """Serves `WS /api/auth/wechat/ws/{session_id}`."""

    def __init__(
        self,
        *,
        attempts: Attempts,
        phone: Phone,
        guard: Guard,
        streams: OpenStreams,
        sockets: OpenSockets,
        origins: Origins,
        base_url: str,
    ) -> None:
        self.attempts = attempts
        self.phone = phone
        self.guard = guard
        self.base_url = base_url
        self._streams = streams
        self._sockets = sockets
        self._origins = origins

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
                    await accept(websocket)
                    conversation = QrConversation(self, websocket, follower, address)
                    with self._sockets.hold(conversation):
                        conversation.start_telling()
                        await conversation.run()
        except HubError as error:
            await websocket.send_denial_response(await refuse(websocket, error))
        except WebSocketDisconnect:
            return


class QrConversation(Conversation):
    """A browser that waits for one attempt after another, and is sent each newer snapshot."""

    types: ClassVar = ("refresh", "cancel")

    def __init__(self, hub: QrSockets, websocket: WebSocket, follower: Follower, address: str) -> None:
        super().__init__(websocket)
        self._hub = hub
        self._follower = follower
        self._address = address

    async def tell(self) -> None:
        """Send each newer snapshot, up to the final one, and close."""
        follower = self._follower
        while not follower.finished:
            await self.send(self._frame(await follower.next()))
            follower.delivered()
        last = follower.current
        if last.status is not Status.CONFIRMED:
            await asyncio.sleep(LINGER)
        self.close(_CLOSED_FINAL[last.status], last.reason or "")

    async def obey(self, frame: dict[str, Any]) -> None:
        """Cancel the attempt, or go on with its successor on the same socket."""
        if frame["type"] == "cancel":
            await self._hub.phone.cancel(self._follower.session_id)
        else:
            await self._refresh()

    async def _refresh(self) -> None:
        attempts = self._hub.attempts
        attempt = await attempts.by_session(self._follower.session_id)
        if attempt.successor_id is None:
            await self._hub.guard.spend(QR, self._address)
        successor = await attempts.succeed(attempt)
        session_id = attempts.made.session_id(successor.session_seed, successor.key)
        await self.stop_telling()
        try:
            await self._follower.switch(session_id)
        except HubError as error:  # neither attempt is followed now: the client has to come back
            self.close(error.close_code, error.slug)
            return
        self.start_telling()

    def _frame(self, snapshot: Snapshot) -> dict[str, Any]:
        attempts = self._hub.attempts
        return snapshot.frame(self._follower.session_id, self._hub.base_url, attempts.store.now())
