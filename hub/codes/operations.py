"""What the endpoints of one-time codes declare: what they read, and what they tell."""

from typing import Annotated, Literal

from pydantic import StringConstraints
from typing_extensions import TypedDict

from hub.accounts.password_sign_in import SignInReply
from hub.codes.rules import Purpose
from hub.errors import (
    AccountBlocked,
    ChallengeRequired,
    CodeLocked,
    InvalidCode,
    OriginNotAllowed,
    RateLimited,
    SmsBudgetSpent,
    Unauthorized,
    Unavailable,
    UsernameTaken,
)
from hub.web.operations import Auth, Operation
from hub.web.parsing import Body, Printable
from hub.web.shapes import described

Number = Annotated[str, StringConstraints(min_length=1, max_length=40)]
CallingCode = Annotated[Printable, StringConstraints(min_length=1, max_length=8)]
Email = Annotated[Printable, StringConstraints(min_length=3, max_length=254)]
Code = Annotated[str, StringConstraints(pattern=r"^[0-9]{4,8}$")]
ChallengeResponse = Annotated[Printable, StringConstraints(max_length=4096)]
AnonId = Annotated[Printable, StringConstraints(min_length=1, max_length=64)]


class SendCode(Body):
    """`POST /api/send-code`."""

    phone: Number
    """The mobile number."""
    country_code: CallingCode | None = None
    """Its calling code, `+86` by default; not needed for a number in E.164."""
    purpose: Literal["login", "register", "reset_password", "bind"] = "login"
    """What the code is good for."""
    challenge: ChallengeResponse | None = None
    """The answer to the challenge, where the installation has one."""


class SendEmailCode(Body):
    """`POST /api/send-verification-code`."""

    email: Email
    """The e-mail address."""
    anon_id: AnonId | None = None
    """An id of the client's choice for a subscriber who has no account."""
    purpose: Purpose = "verify"
    """What the code is good for."""
    challenge: ChallengeResponse | None = None
    """The answer to the challenge, where the installation has one."""


class Entry(Body):
    """What every way in takes: the code, and what the client tells of its device."""

    code: Code
    """The one-time code."""
    device_name: Annotated[Printable, StringConstraints(max_length=100)] | None = None
    """What the device is called in the list of sessions."""
    device_type: Annotated[Printable, StringConstraints(max_length=20)] | None = None
    """What kind of device it is."""
    device_id: Annotated[Printable, StringConstraints(max_length=128)] | None = None
    """An id of the client's choice, by which a device can be signed out."""
    token_delivery: Literal["body", "cookie"] = "body"
    """Where the refresh token goes; with `cookie` no script can read it."""


class Login(Entry):
    """`POST /api/login`."""

    phone: Number
    """The mobile number."""
    country_code: CallingCode | None = None
    """Its calling code, `+86` by default; not needed for a number in E.164."""


class EmailLogin(Entry):
    """`POST /api/login/email`."""

    email: Email
    """The e-mail address."""


class Register(Entry):
    """`POST /api/register`: one of *phone* and *email*."""

    phone: Number | None = None
    """The mobile number, unless there is an e-mail address."""
    country_code: CallingCode | None = None
    """Its calling code, `+86` by default; not needed for a number in E.164."""
    email: Email | None = None
    """The e-mail address, unless there is a number."""
    password: Annotated[str, StringConstraints(max_length=512)] | None = None
    """A password for the new account, 8 to 128 characters."""
    username: Annotated[str, StringConstraints(max_length=128)] | None = None
    """A name to sign in with; it begins with a letter and has no `@`."""


class VerifyEmail(Body):
    """`POST /api/verify-email-code`."""

    email: Email
    """The e-mail address."""
    code: Code
    """The one-time code."""
    anon_id: AnonId | None = None
    """An id of the client's choice for a subscriber who has no account."""


class CheckEmail(Body):
    """The query of `GET /api/check-email-verification`."""

    email: Email
    """The e-mail address."""
    anon_id: AnonId | None = None
    """An id of the client's choice for a subscriber who has no account."""


@described
class CodeSent(TypedDict):
    """A code is on its way, to whoever the address belongs to."""

    expires_in: int
    """Seconds that the code lives."""
    resend_in: int
    """Seconds until the next one may be asked for."""


@described
class Verified(TypedDict):
    """Whether an e-mail address has answered."""

    verified: bool
    """True once the code that was sent there has come back."""


_SENDING = (OriginNotAllowed, ChallengeRequired, RateLimited, CodeLocked, Unavailable, SmsBudgetSpent)
_ENTERING = (OriginNotAllowed, InvalidCode, CodeLocked, AccountBlocked)
_SIGNED_IN_OR_NOT = (Auth.NOBODY, Auth.ACCESS_TOKEN)
SEND_CODE = Operation("POST", "/api/send-code", SendCode, CodeSent, limited=True, problems=_SENDING)
SEND_EMAIL_CODE = Operation(
    "POST", "/api/send-verification-code", SendEmailCode, CodeSent, limited=True, problems=_SENDING
)
LOGIN = Operation("POST", "/api/login", Login, SignInReply, limited=True, problems=_ENTERING)
EMAIL_LOGIN = Operation("POST", "/api/login/email", EmailLogin, SignInReply, limited=True, problems=_ENTERING)
REGISTER = Operation(
    "POST",
    "/api/register",
    Register,
    SignInReply,
    limited=True,
    problems=(*_ENTERING, UsernameTaken, Unavailable),
)
VERIFY_EMAIL = Operation(
    "POST",
    "/api/verify-email-code",
    VerifyEmail,
    Verified,
    limited=True,
    auth=_SIGNED_IN_OR_NOT,
    problems=(OriginNotAllowed, Unauthorized, InvalidCode, CodeLocked),
)
CHECK_EMAIL = Operation(
    "GET",
    "/api/check-email-verification",
    CheckEmail,
    Verified,
    limited=True,
    auth=_SIGNED_IN_OR_NOT,
    problems=(Unauthorized,),
)
