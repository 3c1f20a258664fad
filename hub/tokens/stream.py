"""The edge of the account stream: what happens to an account, told at once to its signed-in clients.

A WebSocket and server-sent events with one shape. A client that comes back names the last `seq` it knows, and
is told what it missed.
"""

import asyncio
from collections.abc import AsyncGenerator
from typing import Annotated, ClassVar

import structlog
from prometheus_client import Counter
from pydantic import Field
from sse_starlette import ServerSentEvent
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.websockets import WebSocket

from hub.errors import OriginNotAllowed, TooManySockets, Unauthorized
from hub.limits.concurrency import PER_ADDRESS
from hub.limits.networks import counted
from hub.tokens.claims import Claims
from hub.tokens.events import Event, EventFrame
from hub.tokens.follow import Follower, Followers
from hub.tokens.sockets import (
    PER_SESSION,
    SIGNED_IN_CLOSES,
    SIGNED_IN_PROBLEMS,
    Authenticate,
    Authenticated,
    SignedIn,
    SignedInSockets,
    place_of,
)
from hub.web.answers import dump
from hub.web.operations import EVENT_STREAM, Auth, Channel, Operation
from hub.web.parsing import Body, bearer, client_address
from hub.web.shapes import Raw
from hub.web.sockets import CLOSED_DEFECT, SENT
from hub.web.streams import event_stream, last_event_id

log = structlog.stdlib.get_logger("hub.events")

EVENTS = Counter("hub_account_events_sent_total", "Account events sent to clients.", ["type", "channel"])


class Resume(Body):
    """The query of both channels."""

    seq: Annotated[int, Field(ge=0, le=2**63 - 1)] | None = None
    """The last event that the client knows; without it only new ones are told."""


_RESUMING = {"Last-Event-ID": "The `id` of the last event that the caller knows; it goes before `seq`."}
ACCOUNT = Channel(
    path="/api/sessions/stream",
    asked=Resume,
    takes=(Authenticate,),
    sends=(Authenticated, EventFrame, *SENT),
    closes=SIGNED_IN_CLOSES,
    problems=SIGNED_IN_PROBLEMS,
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

    def __init__(self, shared: SignedInSockets, followers: Followers) -> None:
        self._shared = shared
        self._followers = followers

    def routes(self) -> list[BaseRoute]:
        """Return the routes."""
        return [
            ACCOUNT.route(self.serve),
            ACCOUNT_EVENTS.route(self.events),
        ]

    async def serve(self, websocket: WebSocket) -> None:
        """Check, accept, wait for the access token, and talk until one side ends it."""

        def conversation(language: str, address: str, asked: Resume) -> AccountConversation:
            return AccountConversation(self._shared, self._followers, language, address, asked.seq)

        await self._shared.talk(websocket, ACCOUNT, conversation)

    async def events(self, request: Request) -> Response:
        """`GET /api/sessions/events`: the events as server-sent events, until the access token ends."""
        shared = self._shared
        shared.origins.check(request)
        claims = await shared.sessions.verify(bearer(request))
        seq = last_event_id(request)
        if seq is None:
            seq = (await ACCOUNT_EVENTS.read(request)).seq
        address, held = counted(client_address(request)), place_of(claims)
        shared.streams.check_one(address, PER_ADDRESS)
        shared.streams.check_one(held, PER_SESSION)
        return event_stream(self._stream(claims, address, held, seq))

    async def _stream(
        self, claims: Claims, address: str, held: str, seq: int | None
    ) -> AsyncGenerator[ServerSentEvent]:
        shared = self._shared
        deadline = asyncio.get_running_loop().time() + shared.sessions.life_left(claims)
        with shared.streams.hold_one(address, PER_ADDRESS), shared.streams.hold_one(held, PER_SESSION):
            async with Follower(self._followers, claims, seq) as follower:
                yield _sent(shared.greeting(claims, follower.seq))
                while event := await _before(deadline, follower):
                    EVENTS.labels(event.type, "sse").inc()
                    yield _sent(event.frame())


class AccountConversation(SignedIn):
    """A signed-in client that is told what happens to its account."""

    __slots__ = ("_follower", "_followers", "_from", "_room", "_telling")

    channel: ClassVar = ACCOUNT

    def __init__(
        self, shared: SignedInSockets, followers: Followers, language: str, address: str, seq: int | None
    ) -> None:
        super().__init__(shared, language, address)
        self._followers = followers
        self._from = seq
        self._follower: Follower | None = None
        self._telling: asyncio.Task[None] | None = None
        self._room: asyncio.Future[None] | None = None

    async def enter(self, claims: Claims) -> int:
        follower = Follower(self._followers, claims, self._from, self.entered)
        self._follower = await follower.__aenter__()
        return follower.seq

    def entered(self) -> None:
        """Tell soon what there is."""
        if self._telling is None and self._follower is not None:
            self._telling = asyncio.create_task(self._tell(self._follower))

    def seq(self) -> int:
        return self._follower.seq if self._follower else 0

    def resumed(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    def leave(self) -> None:
        if self._telling is not None:
            self._telling.cancel()
        if self._follower is not None:
            self._follower.close()
            self._follower = None  # it calls us

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
                self.signed_out()
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
