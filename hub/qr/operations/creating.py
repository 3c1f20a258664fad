"""To begin an attempt, and to draw its code."""

from typing import Annotated, Literal, NotRequired

from pydantic import StringConstraints
from typing_extensions import TypedDict

from hub.errors import (
    AttemptNotFound,
    NotFound,
    OriginNotAllowed,
    ProviderAway,
    ProviderFailed,
    ReauthRequired,
    Unauthorized,
)
from hub.qr.operations.fields import AT, QR_CODE, Door
from hub.web.operations import Answer, Auth, Nothing, Operation
from hub.web.parsing import Body, Printable
from hub.web.shapes import Raw, described


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


CREATE = Operation(
    "POST",
    f"{AT}/qr-code",
    Create,
    Created,
    optional=True,
    limited=True,
    auth=(Auth.NOBODY, Auth.ACCESS_TOKEN),
    problems=(OriginNotAllowed, Unauthorized, ReauthRequired, ProviderAway, ProviderFailed),
)
_PICTURE_PROBLEMS = (NotFound, AttemptNotFound, ProviderAway, ProviderFailed)
_SVG, _PNG, _JPEG = "image/svg+xml", "image/png", "image/jpeg"
DRAW_SVG = Operation(
    "GET",
    f"{AT}/qr-code/{{qr_code}}.svg",
    Nothing,
    Raw,
    path_parameters=QR_CODE,
    answers=(Answer(200, "The picture; WeChat's own for a mini program", (_SVG, _PNG, _JPEG)),),
    problems=_PICTURE_PROBLEMS,
)
DRAW_PNG = Operation(
    "GET",
    f"{AT}/qr-code/{{qr_code}}.png",
    Nothing,
    Raw,
    path_parameters=QR_CODE,
    answers=(Answer(200, "The picture; WeChat's own for a mini program", (_PNG, _JPEG)),),
    problems=_PICTURE_PROBLEMS,
)
