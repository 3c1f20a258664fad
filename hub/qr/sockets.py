"""The WebSocket edge of the QR sign-in: one conversation per waiting browser."""

from contextlib import ExitStack
from typing import ClassVar

from starlette.routing import BaseRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from hub.errors import HubError
from hub.limits.concurrency import OpenStreams
from hub.limits.guard import QR, Guard
from hub.qr.attempt import Snapshot
from hub.qr.attempts import Attempts
from hub.qr.follow import delivered
from hub.qr.following import Following
from hub.qr.identifiers import hashed
from hub.qr.operations.watching import WAITING, Cancel, Refresh
from hub.qr.phone import Phone
from hub.qr.states import Status
from hub.realtime.wheel import Wheel
from hub.web.language import language
from hub.web.origins import Origins
from hub.web.parsing import client_address
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
        self.streams = streams
        self.sockets = sockets
        self.base_url = base_url
        self.lingering: Wheel[QrConversation] = Wheel(lambda conversation: conversation.leave())
        self._origins = origins

    def routes(self) -> list[BaseRoute]:
        """Return the route."""
        return [WAITING.route(self.serve)]

    async def serve(self, websocket: WebSocket) -> None:
        """Check, subscribe, accept, and talk until one side ends it; refusals are plain HTTP answers."""
        try:
            self._origins.check(websocket)
            known = WAITING.read(websocket).seq or 0
            following = Following(self.attempts, websocket.path_params["session_id"])
            place = client_address(websocket), hashed(following.session_id)
            with ExitStack() as undo:
                self.streams.take(*place)
                undo.callback(self.streams.give_back, *place)
                first = await following.open()
                undo.callback(following.close)
                await accept(websocket)
                undo.pop_all()
            conversation = QrConversation(self, language(websocket), place, following, first, known)
            await self.sockets.serve(websocket, conversation)
        except HubError as error:
            await websocket.send_denial_response(await refuse(websocket, error))
        except WebSocketDisconnect:
            return


class QrConversation(Conversation):
    """A browser that waits for one attempt after another, and is sent each newer snapshot.

    *place* is what it holds of the limits, *first* what it finds, *known* the seq that it need not be told.
    """

    __slots__ = ("_final", "_following", "_hub", "_place", "_slot", "_unsent")

    channel: ClassVar = WAITING

    def __init__(
        self,
        hub: QrSockets,
        language: str,
        place: tuple[str, str],
        following: Following,
        first: Snapshot,
        known: int,
    ) -> None:
        super().__init__(language)
        self._hub = hub
        self._place = place
        self._following = following
        self._unsent = first if first.seq > known else None
        self._final = first if first.final else None
        self._slot = 0  # among those that linger

    def begin(self) -> None:
        if self._unsent is not None:
            self._tell(self._unsent)
        elif self._final is not None:
            self._finish(self._final)
        self._following.start(self)

    def news(self, snapshot: Snapshot) -> None:
        """Send a newer snapshot, or keep it until the client can take it."""
        if self.line.ready:
            self._tell(snapshot)
        else:
            self._unsent = snapshot

    def gone(self, error: HubError) -> None:
        """Close: nothing is followed any more."""
        self.line.close(error.close_code, error.slug)

    def resumed(self) -> None:
        if self._unsent is not None:
            self._tell(self._unsent)

    def ended(self) -> None:
        self._following.close()
        del self._following  # it has us as its listener: see ParkedSocket
        self._hub.lingering.remove(self, self._slot)
        self._hub.streams.give_back(*self._place)
        self._hub.sockets.remove(self)

    def leave(self) -> None:
        """Close: nobody has asked for another attempt."""
        if self._final is not None:
            self.line.close(_CLOSED_FINAL[self._final.status], self._final.reason or "")

    async def obey(self, frame: Cancel | Refresh) -> None:
        """Cancel the attempt, or go on with its successor on the same socket."""
        if isinstance(frame, Cancel):
            await self._hub.phone.cancel(self._following.session_id)
        else:
            await self._refresh()

    async def _refresh(self) -> None:
        attempts = self._hub.attempts
        attempt = await attempts.by_session(self._following.session_id)
        if attempt.successor_id is None:
            await self._hub.guard.spend(QR, self._place[0])
        successor = await attempts.succeed(attempt)
        session_id = attempts.made.session_id(successor.session_seed, successor.key)
        following = Following(attempts, session_id)
        first = await following.open()
        self._following.close()
        self._following = following
        self._hub.lingering.remove(self, self._slot)
        self._final = None
        self.news(first)
        following.start(self)

    def _tell(self, snapshot: Snapshot) -> None:
        self._unsent = None
        now = self._hub.attempts.store.now()
        self.line.send(snapshot.frame(self._following.session_id, self._hub.base_url, now))
        delivered(snapshot, now)
        if snapshot.final:
            self._finish(snapshot)

    def _finish(self, snapshot: Snapshot) -> None:
        self._final = snapshot
        if snapshot.status is Status.CONFIRMED:
            self.leave()
        else:
            self._slot = self._hub.lingering.put(self, LINGER)
