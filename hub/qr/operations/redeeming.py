"""What becomes of a confirmed attempt: a session, or a binding."""

from typing import Annotated, Literal

from pydantic import StringConstraints

from hub.accounts.profile import Profile
from hub.errors import (
    AccountBlocked,
    AlreadyBound,
    AlreadyRedeemed,
    AttemptExpired,
    AttemptFailed,
    AttemptNotFound,
    BindingMismatch,
    NotConfirmed,
    OriginNotAllowed,
    ReauthRequired,
    Unauthorized,
    WechatBound,
    WrongState,
)
from hub.qr.operations.fields import AT, QrCode, SessionId
from hub.tokens.session import TokenReply
from hub.web.operations import Auth, Operation
from hub.web.parsing import Body, Printable


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


REDEEM = Operation(
    "POST",
    f"{AT}/token",
    Redeem,
    TokenReply,
    limited=True,
    auth=(Auth.NOBODY, Auth.BINDING_COOKIE),
    problems=(
        *(OriginNotAllowed, AttemptNotFound, BindingMismatch, NotConfirmed, AlreadyRedeemed, WrongState),
        *(AttemptExpired, AttemptFailed, AccountBlocked),
    ),
)
BIND = Operation(
    "POST",
    "/api/user/bind-wechat",
    Bind,
    Profile,
    limited=True,
    auth=(Auth.ACCESS_TOKEN,),
    problems=(
        *(Unauthorized, ReauthRequired, AttemptNotFound, BindingMismatch, NotConfirmed, AlreadyRedeemed),
        *(WrongState, AttemptExpired, AttemptFailed, AlreadyBound, WechatBound, AccountBlocked),
    ),
)
