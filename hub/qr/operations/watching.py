"""To wait for what becomes of an attempt: by poll, by server-sent events, by WebSocket."""

from typing import Annotated, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from hub.errors import AttemptNotFound, OriginNotAllowed, TooManySockets
from hub.qr.operations.fields import AT, SESSION_ID
from hub.web.operations import EVENT_STREAM, Answer, Auth, Channel, Frame, Operation
from hub.web.parsing import Body
from hub.web.shapes import Raw, described
from hub.web.sockets import CLOSED_DONE, CLOSES, SENT


class Watch(Body):
    """The query of whoever waits for an attempt."""

    seq: Annotated[int, Field(ge=0, le=2**31)] | None = None
    """The last `seq` that the caller knows; only what is newer is told."""
    wait: Annotated[float, Field(ge=0, le=60)] = 0
    """Seconds that a poll may wait for something newer."""


class Refresh(Frame):
    """Asks for another attempt, after the former one is over."""

    type: Literal["refresh"]
    """What kind of frame it is."""


class Cancel(Frame):
    """Ends the attempt."""

    type: Literal["cancel"]
    """What kind of frame it is."""


@described
class UserInfo(TypedDict):
    """Who has scanned."""

    user_id: int | None
    """The account, once the attempt is confirmed."""
    nickname: str | None
    """The person's name at WeChat, or in the app."""
    avatar_url: str | None
    """The person's picture there."""


@described
class StatusFrame(TypedDict):
    """The public state of an attempt, the same on every channel."""

    type: Literal["status"]
    """What kind of frame it is."""
    session_id: str
    """The attempt; after a `refresh` another one."""
    seq: int
    """Grows with every change."""
    status: Literal["pending", "scanned", "confirmed", "expired", "failed"]
    """The last three are final."""
    reason: str | None
    """Why it failed."""
    expires_in: int
    """Seconds until this state ends."""
    qr_code: str | None
    """The visible code, while the attempt is pending."""
    qr_url: str | None
    """Its picture."""
    qr_expires_in: int | None
    """Seconds until it rotates."""
    user_info: UserInfo | None
    """Who has scanned."""


@described
class StatusReply(StatusFrame):
    """The public state of an attempt, and what only its own browser is told beside it."""

    authorize_url: NotRequired[str]
    """WeChat's own page, at the door `open_platform`."""
    redirect_url: NotRequired[str]
    """Where to go with the authorization code, once the attempt is confirmed."""


STATUS = Operation(
    "GET",
    f"{AT}/status/{{session_id}}",
    Watch,
    StatusReply,
    path_parameters=SESSION_ID,
    auth=(Auth.NOBODY, Auth.BINDING_COOKIE),
    headers={"If-None-Match": "The ETag of the last answer."},
    answers=(Answer(304, "Nothing is newer", headers={"ETag": "The `seq`."}),),
    reply_headers={"ETag": "The `seq`."},
    problems=(AttemptNotFound, TooManySockets),
)
EVENTS = Operation(
    "GET",
    f"{AT}/events/{{session_id}}",
    Watch,
    Raw,
    path_parameters=SESSION_ID,
    headers={"Last-Event-ID": "The `id` of the last event that the caller knows; it is the `seq`."},
    answers=(EVENT_STREAM, Answer(204, "The attempt is over, and the caller knows: do not come back")),
    events=(StatusFrame,),
    problems=(AttemptNotFound, OriginNotAllowed, TooManySockets),
)
WAITING = Channel(
    path=f"{AT}/ws/{{session_id}}",
    path_parameters=SESSION_ID,
    asked=Watch,
    takes=(Refresh, Cancel),
    sends=(StatusFrame, *SENT),
    closes={
        **CLOSES,
        CLOSED_DONE: "The attempt is confirmed: redeem it.",
        4510: "The attempt has expired, and nobody has asked for another one.",
        4511: "The attempt has failed, and nobody has asked for another one.",
    },
    problems=(AttemptNotFound, OriginNotAllowed, TooManySockets),
)
