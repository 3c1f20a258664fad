"""The edge of the account stream: what happens to an account, told at once to its signed-in clients.

A WebSocket and server-sent events with one shape. A client that comes back names the last `seq` it knows, and
is told what it missed.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import ExitStack
from typing import Annotated, ClassVar, Literal

import structlog
from prometheus_client import Counter
from pydantic import Field
from sse_starlette import ServerSentEvent
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from typing_extensions import TypedDict

from hub.errors import HubError, OriginNotAllowed, TooManySockets, Unauthorized
from hub.limits.concurrency import PER_ADDRESS, OpenStreams
from hub.limits.networks import counted
from hub.realtime.wheel import Wheel
from hub.tokens.claims import Claims
from hub.tokens.events import Event, EventFrame
from hub.tokens.follow import Follower, Followers
from hub.tokens.service import Sessions
from hub.web.answers import dump
from hub.web.language import language
from hub.web.operations import EVENT_STREAM, Auth, Channel, Frame, Operation
from hub.web.origins import Origins
from hub.web.parsing import Body, bearer, client_address
from hub.web.problems import refuse
from hub.web.shapes import Raw, described
from hub.web.sockets import CLOSED_DEFECT, CLOSES, SENT, Conversation, OpenSockets, accept
from hub.web.streams import event_stream, last_event_id

log = structlog.stdlib.get_logger("hub.events")

EVENTS = Counter("hub_account_events_sent_total", "Account events sent to clients.", ["type", "channel"])

AUTH_TIME = 5.0  # seconds until the first access token
PER_SESSION = 20  # streams at once

CLOSED_UNAUTHORIZED = 4401
CLOSED_SIGNED_OUT = 4501


class Resume(Body):
    """The query of both channels."""

    seq: Annotated[int, Field(ge=0, le=2**63 - 1)] | None = None
    """The last event that the client knows; without it only new ones are told."""


class Authenticate(Frame):
    """Shows an access token: the first one within 5 seconds, the next one before it ends."""

    type: Literal["auth"]
    """What kind of frame it is."""
    access_token: str
    """The access token; each later one is of the same session."""


@described
class Authenticated(TypedDict):
    """The stream is open, or goes on with another access token."""

    type: Literal["authenticated"]
    """What kind of frame it is."""
    session_id: str
    """The session of the access token."""
    seq: int
    """The event after which the stream goes on."""
    expires_in: int
    """Seconds until another access token is needed."""


_RESUMING = {"Last-Event-ID": "The `id` of the last event that the caller knows; it goes before `seq`."}
ACCOUNT = Channel(
    path="/api/sessions/stream",
    asked=Resume,
    takes=(Authenticate,),
    sends=(Authenticated, EventFrame, *SENT),
    closes={
        **CLOSES,
        CLOSED_UNAUTHORIZED: "No good access token in time, or it has ended: come back with another one.",
        4429: "The session has too many streams, or the address too many tries: come back later.",
        CLOSED_SIGNED_OUT: "The session has ended: sign in again.",
    },
    problems=(OriginNotAllowed, TooManySockets),
)
ACCOUNT_EVENTS = Operation(
    "GET",
    "/api/sessions/events",
    Resume,
    Raw,
    auth=(Auth.ACCESS_TOKEN,),
    headers=_RESUMING,
    answers=(EVENT_STREAM,),
    events=(Authenticated, EventFrame),
    problems=(Unauthorized, OriginNotAllowed, TooManySockets),
)


class AccountStream:
    """Serves `WS /api/sessions/stream` and `GET /api/sessions/events`."""

    def __init__(
        self,
        *,
        sessions: Sessions,
        followers: Followers,
        streams: OpenStreams,
        sockets: OpenSockets,
        origins: Origins,
    ) -> None:
        self.sessions = sessions
        self.followers = followers
        self.streams = streams
        self.sockets = sockets
        self.limits: Wheel[AccountConversation] = Wheel(lambda conversation: conversation.late())
        self._origins = origins

    def routes(self) -> list[BaseRoute]:
        """Return the routes."""
        return [
            ACCOUNT.route(self.serve),
            ACCOUNT_EVENTS.route(self.events),
        ]

    async def serve(self, websocket: WebSocket) -> None:
        """Check, accept, wait for the access token, and talk until one side ends it."""
        try:
            self._origins.check(websocket)
            asked = ACCOUNT.read(websocket)
            address = counted(client_address(websocket))
            with ExitStack() as undo:
                self.streams.take_one(address, PER_ADDRESS)
                undo.callback(self.streams.give_back_one, address)
                await accept(websocket)
                undo.pop_all()
            conversation = AccountConversation(self, language(websocket), address, asked.seq)
            await self.sockets.serve(websocket, conversation)
        except HubError as error:
            await websocket.send_denial_response(await refuse(websocket, error))
        except WebSocketDisconnect:
            return

    async def events(self, request: Request) -> Response:
        """`GET /api/sessions/events`: the events as server-sent events, until the access token ends."""
        self._origins.check(request)
        claims = await self.sessions.verify(bearer(request))
        seq = last_event_id(request)
        if seq is None:
            seq = (await ACCOUNT_EVENTS.read(request)).seq
        address, held = counted(client_address(request)), _key(claims)
        self.streams.check_one(address, PER_ADDRESS)
        self.streams.check_one(held, PER_SESSION)
        return event_stream(self._stream(claims, address, held, seq))

    async def _stream(
        self, claims: Claims, address: str, held: str, seq: int | None
    ) -> AsyncGenerator[ServerSentEvent]:
        deadline = asyncio.get_running_loop().time() + self.sessions.life_left(claims)
        with self.streams.hold_one(address, PER_ADDRESS), self.streams.hold_one(held, PER_SESSION):
            async with Follower(self.followers, claims, seq) as follower:
                yield _sent(self.greeting(claims, follower))
                while event := await _before(deadline, follower):
                    EVENTS.labels(event.type, "sse").inc()
                    yield _sent(event.frame())

    def greeting(self, claims: Claims, follower: Follower) -> Authenticated:
        """Return the first frame, which is sent again for each further access token."""
        return {
            "type": "authenticated",
            "session_id": claims.sid,
            "seq": follower.seq,
            "expires_in": max(0, int(self.sessions.life_left(claims))),
        }


class AccountConversation(Conversation):
    """A signed-in client on a socket; it is open for as long as its newest access token is good."""

    __slots__ = ("_address", "_follower", "_held", "_room", "_seq", "_slot", "_stream", "_telling")

    channel: ClassVar = ACCOUNT

    def __init__(self, stream: AccountStream, language: str, address: str, seq: int | None) -> None:
        super().__init__(language)
        self._stream = stream
        self._address = address
        self._seq = seq
        self._follower: Follower | None = None
        self._held = ""  # the session's place, once it has one
        self._slot = 0  # when the time ends
        self._telling: asyncio.Task[None] | None = None
        self._room: asyncio.Future[None] | None = None

    def begin(self) -> None:
        self._slot = self._stream.limits.put(self, AUTH_TIME)

    def resumed(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    def ended(self) -> None:
        stream = self._stream
        if self._telling is not None:
            self._telling.cancel()
        if self._follower is not None:
            self._follower.close()
        if self._held:
            stream.streams.give_back_one(self._held)
        stream.limits.remove(self, self._slot)
        stream.streams.give_back_one(self._address)
        stream.sockets.remove(self)

    def late(self) -> None:
        """Close: the client has no good access token any more, or never had one."""
        reason = "the access token has ended" if self._follower else "no access token in time"
        self.line.close(CLOSED_UNAUTHORIZED, reason)

    async def obey(self, frame: Authenticate) -> None:
        """Take an access token: the first opens the stream, each further one of its session prolongs it."""
        if self._follower is None:
            try:
                await self._open(frame.access_token)
            except HubError as error:
                self.line.close(error.close_code, error.slug)
            return
        claims = await self._stream.sessions.verify(frame.access_token)
        if claims.sid != self._follower.sid:
            raise Unauthorized("an access token of another session")
        self._greet(claims, self._follower)

    async def _open(self, access_token: str) -> None:
        claims = await self._stream.sessions.verify(access_token)
        self._stream.streams.take_one(_key(claims), PER_SESSION)
        self._held = _key(claims)
        follower = Follower(self._stream.followers, claims, self._seq, self._tell_soon)
        self._follower = await follower.__aenter__()
        self._greet(claims, follower)
        self._tell_soon()

    def _greet(self, claims: Claims, follower: Follower) -> None:
        self._slot = self._stream.limits.put(self, self._stream.sessions.life_left(claims), self._slot)
        self.send(self._stream.greeting(claims, follower))

    def _tell_soon(self) -> None:
        if self._telling is None and self._follower is not None:
            self._telling = asyncio.create_task(self._tell(self._follower))

    async def _tell(self, follower: Follower) -> None:
        """Send each event that there is; after the end of the own session, close."""
        try:
            while (event := await follower.poll()) is not None:
                while not self.line.ready:
                    self._room = asyncio.get_running_loop().create_future()
                    await self._room
                self.send(event.frame())
                EVENTS.labels(event.type, "websocket").inc()
            if follower.over:
                self.line.close(CLOSED_SIGNED_OUT, "signed out")
        except Exception:  # a socket that is open and tells nothing would be waited on for ever
            log.exception("defect")
            self.line.close(CLOSED_DEFECT, "")
        finally:
            self._telling = None


async def _before(deadline: float, follower: Follower) -> Event | None:
    """Return the follower's next event, None where the deadline (of the loop's clock) comes first."""
    try:
        async with asyncio.timeout_at(deadline):
            return await follower.next()
    except TimeoutError:
        return None


def _sent(frame: Authenticated | EventFrame) -> ServerSentEvent:
    return ServerSentEvent(dump(frame).decode(), id=str(frame["seq"]))


def _key(claims: Claims) -> str:
    return f"session:{claims.sid}"
