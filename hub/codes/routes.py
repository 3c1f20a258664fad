"""The HTTP edge of one-time codes: asking for one, and what rests on one."""

import hashlib
import secrets
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import StringConstraints
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from typing_extensions import TypedDict

from hub.accounts.contacts import Contact
from hub.accounts.password_sign_in import SignInReply
from hub.accounts.passwords import accepted
from hub.accounts.usernames import username
from hub.codes import addresses
from hub.codes.challenge import Challenge
from hub.codes.reauthentication import CodeReauthentication
from hub.codes.rules import Asker, Channel, Purpose
from hub.codes.service import Codes
from hub.codes.sign_in import CodeSignIn
from hub.codes.verification import EmailVerification
from hub.errors import (
    AccountBlocked,
    ChallengeRequired,
    CodeLocked,
    FieldError,
    InvalidCode,
    InvalidRequest,
    OriginNotAllowed,
    RateLimited,
    SmsBudgetSpent,
    Unauthorized,
    Unavailable,
    UsernameTaken,
)
from hub.limits.guard import SENDS, SENDS_NETWORK, VERIFY, Guard
from hub.limits.networks import network
from hub.tokens.claims import Claims
from hub.tokens.service import Device, Prove, Sessions
from hub.web.cookies import DEVICE, DEVICE_AGE, Cookies
from hub.web.language import language
from hub.web.operations import Auth, Operation
from hub.web.origins import Origins
from hub.web.parsing import Body, Printable, bearer, client_address
from hub.web.shapes import described

Number = Annotated[str, StringConstraints(min_length=1, max_length=40)]
CallingCode = Annotated[Printable, StringConstraints(min_length=1, max_length=8)]
Email = Annotated[Printable, StringConstraints(min_length=3, max_length=254)]
Code = Annotated[str, StringConstraints(pattern=r"^[0-9]{4,8}$")]
ChallengeResponse = Annotated[Printable, StringConstraints(max_length=4096)]
AnonId = Annotated[Printable, StringConstraints(min_length=1, max_length=64)]
_USER_AGENT_LENGTH = 512


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
SEND_CODE = Operation(
    method="POST",
    path="/api/send-code",
    asked=SendCode,
    told=CodeSent,
    limited=True,
    problems=_SENDING,
)
SEND_EMAIL_CODE = Operation(
    method="POST",
    path="/api/send-verification-code",
    asked=SendEmailCode,
    told=CodeSent,
    limited=True,
    problems=_SENDING,
)
LOGIN = Operation(
    method="POST",
    path="/api/login",
    asked=Login,
    told=SignInReply,
    limited=True,
    problems=_ENTERING,
)
EMAIL_LOGIN = Operation(
    method="POST",
    path="/api/login/email",
    asked=EmailLogin,
    told=SignInReply,
    limited=True,
    problems=_ENTERING,
)
REGISTER = Operation(
    method="POST",
    path="/api/register",
    asked=Register,
    told=SignInReply,
    limited=True,
    problems=(*_ENTERING, UsernameTaken, Unavailable),
)
VERIFY_EMAIL = Operation(
    method="POST",
    path="/api/verify-email-code",
    asked=VerifyEmail,
    told=Verified,
    limited=True,
    auth=_SIGNED_IN_OR_NOT,
    problems=(OriginNotAllowed, Unauthorized, InvalidCode, CodeLocked),
)
CHECK_EMAIL = Operation(
    method="GET",
    path="/api/check-email-verification",
    asked=CheckEmail,
    told=Verified,
    limited=True,
    auth=_SIGNED_IN_OR_NOT,
    problems=(Unauthorized,),
)


class CodeRoutes:
    """The endpoints. With a *challenge* only who has solved it is sent a code."""

    def __init__(
        self,
        codes: Codes,
        sign_in: CodeSignIn,
        verification: EmailVerification,
        reauthentication: CodeReauthentication,
        sessions: Sessions,
        guard: Guard,
        cookies: Cookies,
        origins: Origins,
        challenge: Challenge | None,
    ) -> None:
        self._challenge = challenge
        self._codes = codes
        self._sign_in = sign_in
        self._verification = verification
        self._reauthentication = reauthentication
        self._sessions = sessions
        self._guard = guard
        self._cookies = cookies
        self._origins = origins

    def routes(self) -> list[BaseRoute]:
        """Return the routes."""
        return [
            SEND_CODE.route(self.send_code),
            LOGIN.route(self.login),
            REGISTER.route(self.register),
            EMAIL_LOGIN.route(self.email_login),
            SEND_EMAIL_CODE.route(self.send_verification_code),
            VERIFY_EMAIL.route(self.verify_email_code),
            CHECK_EMAIL.route(self.check_email_verification),
        ]

    async def send_code(self, request: Request) -> Response:
        """`POST /api/send-code`: a code by SMS. The answer is the same whether or not there is an account."""
        self._origins.check(request)
        asked = await SEND_CODE.read(request)
        address = addresses.phone(asked.phone, asked.country_code)
        return await self._send(request, SEND_CODE, "phone", address, asked)

    async def send_verification_code(self, request: Request) -> Response:
        """`POST /api/send-verification-code`: a code by e-mail."""
        self._origins.check(request)
        asked = await SEND_EMAIL_CODE.read(request)
        address = addresses.email(asked.email)
        return await self._send(request, SEND_EMAIL_CODE, "email", address, asked, asked.anon_id)

    async def login(self, request: Request) -> Response:
        """`POST /api/login`: sign in by the code of an SMS; an unknown number gets an account."""
        headers = await self._guard.spend(VERIFY, client_address(request))
        self._origins.check(request)
        asked = await LOGIN.read(request)
        return await self._enter(request, LOGIN, asked, _phone(asked.phone, asked.country_code), headers)

    async def email_login(self, request: Request) -> Response:
        """`POST /api/login/email`: sign in by the code of an e-mail; an unknown address gets an account."""
        headers = await self._guard.spend(VERIFY, client_address(request))
        self._origins.check(request)
        asked = await EMAIL_LOGIN.read(request)
        return await self._enter(
            request, EMAIL_LOGIN, asked, Contact("email", addresses.email(asked.email)), headers
        )

    async def register(self, request: Request) -> Response:
        """`POST /api/register`: make an account with a code; where there is one, sign in to it as it is."""
        headers = await self._guard.spend(VERIFY, client_address(request))
        self._origins.check(request)
        asked = await REGISTER.read(request)
        contact = one_contact(asked.phone, asked.country_code, asked.email)
        name = None if asked.username is None else username(asked.username)
        password = None if asked.password is None else accepted(asked.password, (name, contact.address))
        return await self._enter(
            request, REGISTER, asked, contact, headers, purpose="register", username=name, password=password
        )

    async def verify_email_code(self, request: Request) -> Response:
        """`POST /api/verify-email-code`: show that the address answers."""
        headers = await self._guard.spend(VERIFY, client_address(request))
        self._origins.check(request)
        asked = await VERIFY_EMAIL.read(request)
        claims = await self._claims(request)
        asker = self._asker(request, asked.anon_id)
        await self._verification.finish(addresses.email(asked.email), asked.code, asker, claims)
        return VERIFY_EMAIL.answer({"verified": True}, headers)

    async def check_email_verification(self, request: Request) -> Response:
        """`GET /api/check-email-verification`: to the asker who began, whether the address has answered."""
        headers = await self._guard.spend(VERIFY, client_address(request))
        asked = await CHECK_EMAIL.read(request)
        claims = await self._claims(request)
        verified = await self._verification.is_verified(addresses.email(asked.email), asked.anon_id, claims)
        return CHECK_EMAIL.answer({"verified": verified}, headers)

    async def prove(self, request: Request, claims: Claims, channel: Channel | None, code: str) -> Prove:
        """Check a code of the caller's own number or address, and return what uses it up."""
        return await self._reauthentication.prove(
            claims.user_id, channel, code, self._asker(request), device(request)
        )

    async def _claims(self, request: Request) -> Claims | None:
        token = bearer(request)
        return await self._sessions.verify(token) if token else None

    async def _send(
        self,
        request: Request,
        operation: Operation[Any, CodeSent],
        channel: Channel,
        address: str,
        asked: SendCode | SendEmailCode,
        anon_id: str | None = None,
    ) -> Response:
        asker = self._asker(request, anon_id)
        headers = await self._guard.spend(SENDS, asker.ip)
        await self._guard.spend(SENDS_NETWORK, asker.network)
        if self._challenge:
            await self._challenge.demand(asked.challenge, asker.ip)
        if asked.purpose == "verify":
            sent = await self._verification.begin(address, asker, language(request))
        else:
            sent = await self._codes.send(channel, address, asked.purpose, asker, language(request))
        told: CodeSent = {"expires_in": sent.expires_in, "resend_in": sent.resend_in}
        return self._marked(request, operation.answer(told, headers))

    async def _enter(
        self,
        request: Request,
        operation: Operation[Any, SignInReply],
        asked: Entry,
        contact: Contact,
        headers: Mapping[str, str],
        *,
        purpose: Literal["login", "register"] = "login",
        username: str | None = None,
        password: str | None = None,
    ) -> Response:
        signed_in = await self._sign_in.sign_in(
            contact,
            asked.code,
            self._asker(request),
            device(request, asked),
            purpose=purpose,
            username=username,
            password=password,
        )
        reply = signed_in.reply()
        if asked.token_delivery == "cookie":
            del reply["refresh_token"]
        response = self._marked(request, operation.answer(reply, headers))
        if asked.token_delivery == "cookie":
            self._cookies.give_refresh(
                response, signed_in.tokens.refresh_token, signed_in.tokens.refresh_expires_in
            )
        return response

    def _asker(self, request: Request, anon_id: str | None = None) -> Asker:
        return asker(request, self._cookies, anon_id)

    def _marked(self, request: Request, response: Response) -> Response:
        """Give a device its cookie, so that the tries of others in its network are not counted as its own."""
        if self._cookies.read(request, DEVICE, DEVICE_AGE) is None:
            self._cookies.write(response, DEVICE, secrets.token_urlsafe(16), DEVICE_AGE)
        return response


def asker(request: Request, cookies: Cookies, anon_id: str | None = None) -> Asker:
    """Return who asks."""
    secret = cookies.read(request, DEVICE, DEVICE_AGE)
    ip = client_address(request)
    device = hashlib.sha256(secret.encode()).hexdigest() if secret else None
    return Asker(ip, network(ip), device, anon_id, _user_agent(request))


def one_contact(phone: str | None, country_code: str | None, email: str | None) -> Contact:
    """Return the one contact that a request names. Raises InvalidRequest for none, two or a broken one."""
    if phone is not None and email is None:
        return _phone(phone, country_code)
    if email is not None and phone is None:
        return Contact("email", addresses.email(email))
    raise InvalidRequest([FieldError("phone", "give either a phone or an email")])


def _phone(number: str, country_code: str | None) -> Contact:
    address = addresses.phone(number, country_code)
    return Contact("phone", address, addresses.calling_code(address))


def _user_agent(request: Request) -> str:
    return request.headers.get("user-agent", "")[:_USER_AGENT_LENGTH]


def device(request: Request, asked: Entry | None = None) -> Device:
    """Return the device that asks, with what the client tells of it."""
    told = (asked.device_name, asked.device_type, asked.device_id) if asked else (None, None, None)
    return Device(*told, client_address(request), _user_agent(request), None)
