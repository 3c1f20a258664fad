"""The edge of the live figures: a WebSocket for administrators."""

import asyncio
from typing import ClassVar, Final

import structlog
from starlette.routing import BaseRoute
from starlette.websockets import WebSocket

from hub.admin.dashboard import Dashboard
from hub.admin.figures import Figures
from hub.admin.operators import Operators
from hub.errors import Forbidden, StoreUnavailable, Unauthorized
from hub.tokens.claims import Claims
from hub.tokens.sockets import (
    SIGNED_IN_CLOSES,
    SIGNED_IN_PROBLEMS,
    Authenticate,
    Authenticated,
    SignedIn,
    SignedInSockets,
)
from hub.web.answers import dump
from hub.web.operations import Channel, Nothing
from hub.web.sockets import CLOSED_MISUSE, SENT

log = structlog.stdlib.get_logger("hub.admin")

_ASK_EVERY: Final = 5  # frames between two looks at the roles: ten seconds

METRICS = Channel(
    path="/api/admin/stream",
    asked=Nothing,
    takes=(Authenticate,),
    sends=(Authenticated, Figures, *SENT),
    closes={
        **SIGNED_IN_CLOSES,
        CLOSED_MISUSE: "Three frames in error, or the account is no administrator's; do not come back.",
    },
    problems=SIGNED_IN_PROBLEMS,
)


class MetricsStream:
    """Serves `WS /api/admin/stream`; it watches the dashboard while somebody is there."""

    def __init__(self, shared: SignedInSockets, operators: Operators, dashboard: Dashboard) -> None:
        self.operators = operators
        self.dashboard = dashboard
        self._shared = shared
        self._there: set[MetricsConversation] = set()
        self._told = 0
        self._asking: asyncio.Task[None] | None = None
        shared.sessions.on_ended(self._end)

    def routes(self) -> list[BaseRoute]:
        """Return the routes."""
        return [METRICS.route(self.serve)]

    async def serve(self, websocket: WebSocket) -> None:
        """The figures that operators watch: all that is known, then what changes, every two seconds.

        The access token is an administrator's. `seq` in the query is ignored: the first frame has everything.
        """

        def conversation(language: str, address: str, _: Nothing) -> MetricsConversation:
            return MetricsConversation(self._shared, self, language, address)

        await self._shared.talk(websocket, METRICS, conversation)

    async def has_ended(self, sid: str) -> bool:
        """Tell whether a session has ended."""
        return await self._shared.sessions.has_ended(sid)

    def add(self, conversation: "MetricsConversation") -> None:
        """Tell *conversation* from now on."""
        if not self._there:
            self.dashboard.watch(self._tell)
        self._there.add(conversation)

    def remove(self, conversation: "MetricsConversation") -> None:
        """Forget *conversation*."""
        self._there.discard(conversation)
        if not self._there:
            self.dashboard.leave(self._tell)

    def _tell(self, figures: Figures) -> None:
        payload = dump(figures)  # once for all
        for conversation in list(self._there):
            conversation.tell(payload)
        self._told += 1
        if self._told % _ASK_EVERY == 0 and self._asking is None:
            self._asking = asyncio.create_task(self._ask(), name="operators")

    async def _ask(self) -> None:
        """Send those away who are administrators no more."""
        try:
            there = list(self._there)
            operators = await self.operators.among({each.user_id for each in there}) if there else set()
            for conversation in there:
                if conversation.user_id not in operators:
                    conversation.line.close(Forbidden.close_code, Forbidden.slug)
        except StoreUnavailable as error:
            log.warning("operators_unread", reason=error.reason)
        except Exception:
            log.exception("defect")
        finally:
            self._asking = None

    def _end(self, sid: str) -> None:
        for conversation in list(self._there):
            if conversation.sid == sid:
                conversation.signed_out()


class MetricsConversation(SignedIn):
    """An administrator who watches. Who reads slowly misses deltas, and is then told everything anew."""

    __slots__ = ("_behind", "_greeted", "_stream", "user_id")

    channel: ClassVar = METRICS

    def __init__(self, shared: SignedInSockets, stream: MetricsStream, language: str, address: str) -> None:
        super().__init__(shared, language, address)
        self._stream = stream
        self._behind = self._greeted = False
        self.user_id = 0

    async def enter(self, claims: Claims) -> int:
        await self._stream.operators.demand(claims)
        self.user_id = claims.user_id
        self._stream.add(self)
        # The session may have ended between the check of its token and this registration.
        if await self._stream.has_ended(claims.sid):
            raise Unauthorized(f"session {claims.sid} has ended")
        return 0

    def entered(self) -> None:
        self._greeted = True
        self.send(self._stream.dashboard.snapshot())

    def seq(self) -> int:
        return 0

    def leave(self) -> None:
        self._stream.remove(self)

    def resumed(self) -> None:
        if self._behind:
            self._behind = False
            self.send(self._stream.dashboard.snapshot())

    def tell(self, payload: bytes) -> None:
        """Send a delta, or wait with it until the line is ready."""
        if self._greeted and self.line.ready:
            self.line.send(payload)
        else:
            self._behind = self._greeted
