"""What the endpoints of the QR sign-in declare: what they read, and what they tell."""

from typing import Annotated, Literal, NotRequired

from pydantic import Field, StringConstraints
from typing_extensions import TypedDict

from hub.accounts.profile import Profile
from hub.errors import (
    AccountBlocked,
    AlreadyBound,
    AlreadyClaimed,
    AlreadyRedeemed,
    AttemptExpired,
    AttemptFailed,
    AttemptNotFound,
    BindingMismatch,
    ConfirmationRequired,
    CsrfFailed,
    GrantRequired,
    NotConfirmed,
    NotFound,
    NumberTaken,
    OriginNotAllowed,
    ProviderAway,
    ProviderFailed,
    ReauthRequired,
    SignInRefused,
    TooManySockets,
    Unauthorized,
    WechatBound,
    WechatCodeRefused,
    WechatNeeded,
    WrongState,
)
from hub.qr.official_account.links import PATH as LINKS
from hub.qr.request_info import Asking
from hub.tokens.session import TokenReply
from hub.web.operations import EVENT_STREAM, PAGE, Answer, Auth, Channel, Frame, Nothing, Operation
from hub.web.parsing import Body, Printable
from hub.web.shapes import Raw, described
from hub.web.sockets import CLOSED_DONE, CLOSES, SENT

AT = "/api/auth/wechat"
SessionId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{43}$")]
QrCode = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{22}$")]
Door = Literal["h5", "official_account", "open_platform", "mini_program", "app"]
JsCode = Annotated[str, StringConstraints(min_length=1, max_length=512)]

_SESSION_ID = {"session_id": "The attempt, by the secret id that its browser was given."}
_QR_CODE = {"qr_code": "The code that the browser shows."}
_PHONE_HEADERS = {"X-CSRF-Token": "The confirm page's token, where the grant comes by cookie."}


class Create(Body):
    """`POST /api/auth/wechat/qr-code`."""

    redirect_uri: Annotated[str, StringConstraints(min_length=1, max_length=2000)] | None = None
    """Where an authorization code is to be led to; exactly one of the allow list, or of a client."""
    state: Annotated[Printable, StringConstraints(max_length=512)] | None = None
    """Handed back beside the authorization code."""
    code_challenge: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{43}$")] | None = None
    """The PKCE challenge (RFC 7636); without one a cookie binds the attempt to this browser."""
    code_challenge_method: Literal["S256"] = "S256"
    """How the challenge was made."""
    door: Door | None = None
    """How a phone is to come in; by default the first that is configured."""
    purpose: Literal["login", "bind"] = "login"
    """To sign in, or to bind WeChat to the account of the access token."""


class Watch(Body):
    """The query of whoever waits for an attempt."""

    seq: Annotated[int, Field(ge=0, le=2**31)] | None = None
    """The last `seq` that the caller knows; only what is newer is told."""
    wait: Annotated[float, Field(ge=0, le=60)] = 0
    """Seconds that a poll may wait for something newer."""


class Scan(Body):
    """`POST /api/auth/wechat/scan`."""

    qr_code: QrCode
    """The code, as it was scanned."""


class MiniScan(Body):
    """`POST /api/auth/wechat/mini/scan`."""

    scene: Annotated[str, StringConstraints(min_length=1, max_length=32)]
    """The scene that the mini program was opened with."""
    js_code: JsCode
    """What `wx.login` has given."""


class Confirm(Body):
    """`POST /api/auth/wechat/confirm`."""

    session_id: SessionId
    """The attempt."""
    action: Literal["confirm", "cancel", "report"]
    """What the person says to it; `report` is that it was not them."""
    acknowledged: bool = False
    """Whether the person was shown what is unusual about it, and goes on."""


class MiniConfirm(Confirm):
    """`POST /api/auth/wechat/confirm`, sent with a grant as bearer."""

    phone_code: JsCode | None = None
    """What the button for the phone number has given, in a mini program."""


class Redeem(Body):
    """`POST /api/auth/wechat/token`."""

    session_id: SessionId
    """The attempt."""
    code_verifier: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._~-]{43,128}$")] | None = None
    """The PKCE verifier, where the attempt has a challenge."""
    device_name: Annotated[Printable, StringConstraints(max_length=100)] | None = None
    """What the device is called in the list of sessions."""
    device_type: Annotated[Printable, StringConstraints(max_length=20)] | None = None
    """What kind of device it is."""
    device_id: Annotated[Printable, StringConstraints(max_length=128)] | None = None
    """An id of the client's choice, by which a device can be signed out."""
    token_delivery: Literal["body", "cookie"] = "body"
    """Where the refresh token goes."""


class Bind(Body):
    """`POST /api/user/bind-wechat`."""

    qr_code: QrCode
    """Checked for its form only, for it rotates."""
    session_id: SessionId
    """The attempt, which the caller's own session began with the purpose `bind`."""


class Refresh(Frame):
    """Asks for another attempt, after the former one is over."""

    type: Literal["refresh"]
    """What kind of frame it is."""


class Cancel(Frame):
    """Ends the attempt."""

    type: Literal["cancel"]
    """What kind of frame it is."""


@described
class Created(TypedDict):
    """An attempt has begun."""

    session_id: str
    """The attempt's secret id; only this browser is to know it."""
    qr_code: str
    """The code that a phone scans; it rotates."""
    qr_url: str | None
    """A picture of the code, null at a door where WeChat shows its own page."""
    qr_content: str | None
    """What the picture says."""
    expires_in: int
    """Seconds until the attempt expires unless it is scanned."""
    qr_expires_in: int
    """Seconds until the visible code rotates."""
    ws_url: str
    """Where to wait, by WebSocket."""
    events_url: str
    """Where to wait, by server-sent events."""
    status_url: str
    """Where to poll."""
    authorize_url: NotRequired[str]
    """WeChat's own page, to go to or to show in a frame, at the door `open_platform`."""


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


@described
class Scanned(TypedDict):
    """The attempt is claimed by this phone."""

    session_id: str
    """The attempt, to be answered for."""
    request: Asking
    """What the person is to be shown before they confirm."""


@described
class MiniScanned(Scanned):
    """The attempt is claimed by this mini program."""

    grant: str
    """What the answer is to be sent with, as bearer."""
    account_name: NotRequired[str]
    """The account that WeChat is to be bound to."""


@described
class Answered(TypedDict):
    """The attempt has taken the phone's answer."""

    status: str
    """The attempt's status by now."""
    phone_bound: NotRequired[bool]
    """Whether the number of `phone_code` was bound, where there was one."""


CREATE = Operation(
    method="POST",
    path=f"{AT}/qr-code",
    asked=Create,
    told=Created,
    optional=True,
    limited=True,
    auth=(Auth.NOBODY, Auth.ACCESS_TOKEN),
    problems=(OriginNotAllowed, Unauthorized, ReauthRequired, ProviderAway, ProviderFailed),
)
_PICTURE_PROBLEMS = (NotFound, AttemptNotFound, ProviderAway, ProviderFailed)
_SVG, _PNG, _JPEG = "image/svg+xml", "image/png", "image/jpeg"
DRAW_SVG = Operation(
    method="GET",
    path=f"{AT}/qr-code/{{qr_code}}.svg",
    path_parameters=_QR_CODE,
    asked=Nothing,
    told=Raw,
    answers=(Answer(200, "The picture; WeChat's own for a mini program", (_SVG, _PNG, _JPEG)),),
    problems=_PICTURE_PROBLEMS,
)
DRAW_PNG = Operation(
    method="GET",
    path=f"{AT}/qr-code/{{qr_code}}.png",
    path_parameters=_QR_CODE,
    asked=Nothing,
    told=Raw,
    answers=(Answer(200, "The picture; WeChat's own for a mini program", (_PNG, _JPEG)),),
    problems=_PICTURE_PROBLEMS,
)
STATUS = Operation(
    method="GET",
    path=f"{AT}/status/{{session_id}}",
    path_parameters=_SESSION_ID,
    asked=Watch,
    told=StatusReply,
    auth=(Auth.NOBODY, Auth.BINDING_COOKIE),
    headers={"If-None-Match": "The ETag of the last answer."},
    answers=(Answer(304, "Nothing is newer", headers={"ETag": "The `seq`."}),),
    reply_headers={"ETag": "The `seq`."},
    problems=(AttemptNotFound, TooManySockets),
)
EVENTS = Operation(
    method="GET",
    path=f"{AT}/events/{{session_id}}",
    path_parameters=_SESSION_ID,
    asked=Watch,
    told=Raw,
    headers={"Last-Event-ID": "The `id` of the last event that the caller knows; it is the `seq`."},
    answers=(EVENT_STREAM, Answer(204, "The attempt is over, and the caller knows: do not come back")),
    events=(StatusFrame,),
    problems=(AttemptNotFound, OriginNotAllowed, TooManySockets),
)
SCAN = Operation(
    method="POST",
    path=f"{AT}/scan",
    asked=Scan,
    told=Scanned,
    limited=True,
    auth=(Auth.ACCESS_TOKEN,),
    problems=(
        *(Unauthorized, AttemptNotFound, WechatNeeded, AlreadyClaimed, AccountBlocked, WrongState),
        *(AttemptExpired, AttemptFailed, SignInRefused),
    ),
)
MINI_SCAN = Operation(
    method="POST",
    path=f"{AT}/mini/scan",
    asked=MiniScan,
    told=MiniScanned,
    limited=True,
    problems=(
        *(AttemptNotFound, AlreadyClaimed, WechatCodeRefused, AccountBlocked, WrongState),
        *(AttemptExpired, AttemptFailed, ProviderAway, ProviderFailed, SignInRefused),
    ),
)
CONFIRM = Operation(
    method="POST",
    path=f"{AT}/confirm",
    asked=MiniConfirm,
    told=Answered,
    limited=True,
    auth=(Auth.GRANT_COOKIE, Auth.ACCESS_TOKEN, Auth.SCAN_GRANT),
    headers=_PHONE_HEADERS,
    problems=(
        *(Unauthorized, OriginNotAllowed, CsrfFailed, GrantRequired, AttemptNotFound, WrongState),
        *(AttemptExpired, AttemptFailed, ConfirmationRequired, AccountBlocked, AlreadyBound, SignInRefused),
        *(AlreadyClaimed, NumberTaken, WechatBound, WechatCodeRefused, ProviderAway, ProviderFailed),
    ),
)
REDEEM = Operation(
    method="POST",
    path=f"{AT}/token",
    asked=Redeem,
    told=TokenReply,
    limited=True,
    auth=(Auth.NOBODY, Auth.BINDING_COOKIE),
    problems=(
        *(OriginNotAllowed, AttemptNotFound, BindingMismatch, NotConfirmed, AlreadyRedeemed, WrongState),
        *(AttemptExpired, AttemptFailed, AccountBlocked, SignInRefused),
    ),
)
BIND = Operation(
    method="POST",
    path="/api/user/bind-wechat",
    asked=Bind,
    told=Profile,
    limited=True,
    auth=(Auth.ACCESS_TOKEN,),
    problems=(
        *(Unauthorized, ReauthRequired, AttemptNotFound, BindingMismatch, NotConfirmed, AlreadyRedeemed),
        *(WrongState, AttemptExpired, AttemptFailed, AlreadyBound, WechatBound, AccountBlocked),
    ),
)
WAITING = Channel(
    path=f"{AT}/ws/{{session_id}}",
    path_parameters=_SESSION_ID,
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

SIGN_IN_PAGE = Operation(
    method="GET",
    path="/",
    asked=Nothing,
    told=Raw,
    answers=(PAGE,),
    lenient={
        "door": "How a phone is to come in.",
        "redirect_uri": "As in the call that begins an attempt.",
        "state": "As in the call that begins an attempt.",
        "code_challenge": "As in the call that begins an attempt.",
    },
)
ACCOUNT_PAGE = Operation(
    method="GET",
    path="/account",
    asked=Nothing,
    told=Raw,
    answers=(PAGE,),
)
_LANDING = (
    PAGE,
    Answer(302, "To WeChat's consent", headers={"Location": "WeChat's page."}),
    Answer(303, "To the page where it goes on", headers={"Location": "That page."}),
    Answer(404, "A page: there is no such attempt", ("text/html",)),
    Answer(410, "A page: the attempt is over", ("text/html",)),
    Answer(429, "A page: come back later", ("text/html",)),
    Answer(502, "A page: WeChat is away", ("text/html",)),
    Answer(503, "A page: come back later", ("text/html",)),
)
LAND = Operation(
    method="GET",
    path="/s/{qr_code}",
    path_parameters=_QR_CODE,
    asked=Nothing,
    told=Raw,
    auth=(Auth.NOBODY, Auth.GRANT_COOKIE),
    answers=_LANDING,
)
LINK = Operation(
    method="GET",
    path=f"{LINKS}{{link}}",
    path_parameters={"link": "The one-time link of the reply to a scan."},
    asked=Nothing,
    told=Raw,
    auth=(Auth.NOBODY, Auth.GRANT_COOKIE),
    answers=_LANDING,
)
CALLBACK = Operation(
    method="GET",
    path=f"{AT}/callback",
    asked=Nothing,
    told=Raw,
    auth=(Auth.NOBODY, Auth.BINDING_COOKIE),
    lenient={"code": "What WeChat gives for a consent.", "state": "The consent, as the hub has signed it."},
    answers=_LANDING,
)
PROBLEM = Operation(
    method="GET",
    path="/problems/{slug}",
    path_parameters={"slug": "The problem, as its `type` names it."},
    asked=Nothing,
    told=Raw,
    answers=(PAGE,),
    problems=(NotFound,),
)
