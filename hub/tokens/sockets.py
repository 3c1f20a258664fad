"""Sockets of signed-in clients: they show an access token, and are open while the newest one is good."""

from abc import abstractmethod
from collections.abc import Callable
from contextlib import ExitStack
from typing import Final, Literal, TypeVar

from starlette.websockets import WebSocket, WebSocketDisconnect
from typing_extensions import TypedDict

from hub.errors import HubError, OriginNotAllowed, TooManySockets, Unauthorized
from hub.limits.concurrency import PER_ADDRESS, OpenStreams
from hub.limits.networks import counted
from hub.realtime.wheel import Wheel
from hub.tokens.claims import Claims
from hub.tokens.service import Sessions
from hub.web.language import language
from hub.web.operations import Channel, Frame
from hub.web.origins import Origins
from hub.web.parsing import Body, client_address
from hub.web.problems import refuse
from hub.web.shapes import described
from hub.web.sockets import CLOSES, Conversation, OpenSockets, accept

AUTH_TIME = 5.0  # seconds until the first access token
PER_SESSION = 20  # streams at once

CLOSED_UNAUTHORIZED = 4401
CLOSED_SIGNED_OUT = 4501

SIGNED_IN_CLOSES: Final = {
    **CLOSES,
    CLOSED_UNAUTHORIZED: "No good access token in time, or it has ended: come back with another one.",
    4429: "The session has too many streams, or the address too many tries: come back later.",
    CLOSED_SIGNED_OUT: "The session has ended: sign in again.",
}
"""The close codes of these sockets, with what they mean."""

SIGNED_IN_PROBLEMS: Final = (OriginNotAllowed, TooManySockets)
"""What their handshakes may be refused with."""

Asked = TypeVar("Asked", bound=Body)


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
    """The frame after which the stream goes on."""
    expires_in: int
    """Seconds until another access token is needed."""


class SignedInSockets:
    """What the sockets of one kind share: who may open them, how many, and the time that each has left."""

    def __init__(
        self, *, sessions: Sessions, streams: OpenStreams, sockets: OpenSockets, origins: Origins
    ) -> None:
        self.sessions = sessions
        self.streams = streams
        self.sockets = sockets
        self.limits: Wheel[SignedIn] = Wheel(lambda conversation: conversation.late())
        self.origins = origins

    async def talk(
        self,
        websocket: WebSocket,
        channel: Channel[Asked],
        conversation: "Callable[[str, str, Asked], SignedIn]",
    ) -> None:
        """Check, accept, wait for the access token, and talk until one side ends it.

        *conversation* is made of the language, the counted address and the query.
        """
        try:
            self.origins.check(websocket)
            asked = channel.read(websocket)
            address = counted(client_address(websocket))
            with ExitStack() as undo:
                self.streams.take_one(address, PER_ADDRESS)
                undo.callback(self.streams.give_back_one, address)
                await accept(websocket)
                undo.pop_all()
            await self.sockets.serve(websocket, conversation(language(websocket), address, asked))
        except HubError as error:
            await websocket.send_denial_response(await refuse(websocket, error))
        except WebSocketDisconnect:
            return

    def greeting(self, claims: Claims, seq: int) -> Authenticated:
        """Return the first frame, which is sent again for each further access token."""
        return {
            "type": "authenticated",
            "session_id": claims.sid,
            "seq": seq,
            "expires_in": max(0, int(self.sessions.life_left(claims))),
        }


class SignedIn(Conversation):
    """A signed-in client on a socket; it is open for as long as its newest access token is good."""

    __slots__ = ("_address", "_held", "_shared", "_slot", "sid")

    def __init__(self, shared: SignedInSockets, language: str, address: str) -> None:
        super().__init__(language)
        self.sid = ""
        """The session, once it is known."""
        self._shared = shared
        self._address = address
        self._held = ""  # the session's place, once it has one
        self._slot = 0  # when the time ends

    @abstractmethod
    async def enter(self, claims: Claims) -> int:
        """Open the stream, and return the seq after which it goes on. Raises HubError, which closes it."""

    @abstractmethod
    def seq(self) -> int:
        """Return the seq of the last frame."""

    @abstractmethod
    def entered(self) -> None:
        """Begin to tell: the client has been greeted."""

    @abstractmethod
    def leave(self) -> None:
        """Let go of the stream, whether or not it was opened."""

    def begin(self) -> None:
        self._slot = self._shared.limits.put(self, AUTH_TIME)

    def ended(self) -> None:
        shared = self._shared
        self.leave()
        if self._held:
            shared.streams.give_back_one(self._held)
        shared.limits.remove(self, self._slot)
        shared.streams.give_back_one(self._address)
        shared.sockets.remove(self)

    def late(self) -> None:
        """Close: the client has no good access token any more, or never had one."""
        reason = "the access token has ended" if self.sid else "no access token in time"
        self.line.close(CLOSED_UNAUTHORIZED, reason)

    def signed_out(self) -> None:
        """Close: the session has ended."""
        self.line.close(CLOSED_SIGNED_OUT, "signed out")

    async def obey(self, frame: Authenticate) -> None:
        """Take an access token: the first opens the stream, each further one of its session prolongs it."""
        if not self.sid:
            try:
                await self._open(frame.access_token)
            except HubError as error:
                self.line.close(error.close_code, error.slug)
            return
        claims = await self._shared.sessions.verify(frame.access_token)
        if claims.sid != self.sid:
            raise Unauthorized("an access token of another session")
        self._greet(claims, self.seq())

    async def _open(self, access_token: str) -> None:
        claims = await self._shared.sessions.verify(access_token)
        place = place_of(claims)
        self._shared.streams.take_one(place, PER_SESSION)
        self._held = place
        self.sid = claims.sid
        self._greet(claims, await self.enter(claims))
        self.entered()

    def _greet(self, claims: Claims, seq: int) -> None:
        shared = self._shared
        self._slot = shared.limits.put(self, shared.sessions.life_left(claims), self._slot)
        self.send(shared.greeting(claims, seq))


def place_of(claims: Claims) -> str:
    """Return the key under which a session's streams are counted."""
    return f"session:{claims.sid}"
