"""What a phone says: that it has scanned, and its answer."""

from typing import Annotated, Literal, NotRequired

from pydantic import StringConstraints
from typing_extensions import TypedDict

from hub.errors import (
    AccountBlocked,
    AlreadyBound,
    AlreadyClaimed,
    AttemptExpired,
    AttemptFailed,
    AttemptNotFound,
    ConfirmationRequired,
    CsrfFailed,
    GrantRequired,
    NumberTaken,
    OriginNotAllowed,
    ProviderAway,
    ProviderFailed,
    SignInRefused,
    Unauthorized,
    WechatCodeRefused,
    WechatNeeded,
    WrongState,
)
from hub.qr.operations.fields import AT, JsCode, QrCode, SessionId
from hub.qr.request_info import Asking
from hub.web.operations import Auth, Operation
from hub.web.parsing import Body
from hub.web.shapes import described

_PHONE_HEADERS = {"X-CSRF-Token": "The confirm page's token, where the grant comes by cookie."}


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


SCAN = Operation(
    "POST",
    f"{AT}/scan",
    Scan,
    Scanned,
    limited=True,
    auth=(Auth.ACCESS_TOKEN,),
    problems=(
        *(Unauthorized, AttemptNotFound, WechatNeeded, AlreadyClaimed, AccountBlocked, WrongState),
        *(AttemptExpired, AttemptFailed),
    ),
)
MINI_SCAN = Operation(
    "POST",
    f"{AT}/mini/scan",
    MiniScan,
    MiniScanned,
    limited=True,
    problems=(
        *(AttemptNotFound, AlreadyClaimed, WechatCodeRefused, AccountBlocked, WrongState),
        *(AttemptExpired, AttemptFailed, ProviderAway, ProviderFailed),
    ),
)
CONFIRM = Operation(
    "POST",
    f"{AT}/confirm",
    MiniConfirm,
    Answered,
    limited=True,
    auth=(Auth.GRANT_COOKIE, Auth.ACCESS_TOKEN, Auth.SCAN_GRANT),
    headers=_PHONE_HEADERS,
    problems=(
        *(Unauthorized, OriginNotAllowed, CsrfFailed, GrantRequired, AttemptNotFound, WrongState),
        *(AttemptExpired, AttemptFailed, ConfirmationRequired, AccountBlocked, AlreadyBound, SignInRefused),
        *(AlreadyClaimed, NumberTaken, WechatCodeRefused, ProviderAway, ProviderFailed),
    ),
)
