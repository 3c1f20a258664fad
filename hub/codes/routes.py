"""The HTTP edge of one-time codes: asking for one, and what rests on one."""

import hashlib
import secrets
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import StringConstraints
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from hub.accounts.contacts import Contact
from hub.accounts.passwords import accepted
from hub.accounts.usernames import username
from hub.codes import addresses
from hub.codes.challenge import Challenge
from hub.codes.reauthentication import CodeReauthentication
from hub.codes.rules import Asker, Channel, Purpose
from hub.codes.service import Codes
from hub.codes.sign_in import CodeSignIn
from hub.codes.verification import EmailVerification
from hub.errors import FieldError, InvalidRequest
from hub.limits.guard import SENDS, SENDS_NETWORK, VERIFY, Guard
from hub.limits.networks import network
from hub.tokens.claims import Claims
from hub.tokens.service import Device, Prove, Sessions
from hub.web.answers import success
from hub.web.cookies import DEVICE, DEVICE_AGE, Cookies
from hub.web.language import language
from hub.web.origins import Origins
from hub.web.parsing import Body, Model, Printable, bearer, body, client_address, query

Number = Annotated[Printable, StringConstraints(min_length=1, max_length=40)]
CallingCode = Annotated[Printable, StringConstraints(min_length=1, max_length=8)]
Email = Annotated[Printable, StringConstraints(min_length=3, max_length=254)]
Code = Annotated[str, StringConstraints(pattern=r"^[0-9]{4,8}$")]
ChallengeResponse = Annotated[Printable, StringConstraints(max_length=4096)]
AnonId = Annotated[Printable, StringConstraints(min_length=1, max_length=64)]
_USER_AGENT_LENGTH = 512


class SendCode(Body):
    """`POST /api/send-code`."""

    phone: Number
    country_code: CallingCode | None = None
    purpose: Literal["login", "register", "reset_password", "bind"] = "login"
    challenge: ChallengeResponse | None = None


class SendEmailCode(Body):
    """`POST /api/send-verification-code`."""

    email: Email
    anon_id: AnonId | None = None
    purpose: Purpose = "verify"
    challenge: ChallengeResponse | None = None


class Entry(Body):
    """What every way in takes: the code, and what the client tells of its device."""

    code: Code
    device_name: Annotated[Printable, StringConstraints(max_length=100)] | None = None
    device_type: Annotated[Printable, StringConstraints(max_length=20)] | None = None
    device_id: Annotated[Printable, StringConstraints(max_length=128)] | None = None


class Login(Entry):
    """`POST /api/login`."""

    phone: Number
    country_code: CallingCode | None = None


class EmailLogin(Entry):
    """`POST /api/login/email`."""

    email: Email


class Register(Entry):
    """`POST /api/register`: one of *phone* and *email*."""

    phone: Number | None = None
    country_code: CallingCode | None = None
    email: Email | None = None
    password: Annotated[str, StringConstraints(max_length=512)] | None = None
    username: Annotated[str, StringConstraints(max_length=128)] | None = None


class VerifyEmail(Body):
    """`POST /api/verify-email-code`."""

    email: Email
    code: Code
    anon_id: AnonId | None = None


class CheckEmail(Body):
    """The query of `GET /api/check-email-verification`."""

    email: Email
    anon_id: AnonId | None = None


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
            Route("/api/send-code", self.send_code, methods=["POST"]),
            Route("/api/login", self.login, methods=["POST"]),
            Route("/api/register", self.register, methods=["POST"]),
            Route("/api/login/email", self.email_login, methods=["POST"]),
            Route("/api/send-verification-code", self.send_verification_code, methods=["POST"]),
            Route("/api/verify-email-code", self.verify_email_code, methods=["POST"]),
            Route("/api/check-email-verification", self.check_email_verification, methods=["GET"]),
        ]

    async def send_code(self, request: Request) -> Response:
        """`POST /api/send-code`: a code by SMS. The answer is the same whether or not there is an account."""
        asked = await self._asked(request, SendCode)
        return await self._send(request, "phone", addresses.phone(asked.phone, asked.country_code), asked)

    async def send_verification_code(self, request: Request) -> Response:
        """`POST /api/send-verification-code`: a code by e-mail."""
        asked = await self._asked(request, SendEmailCode)
        return await self._send(request, "email", addresses.email(asked.email), asked, asked.anon_id)

    async def login(self, request: Request) -> Response:
        """`POST /api/login`: sign in by the code of an SMS; an unknown number gets an account."""
        headers = await self._guard.spend(VERIFY, client_address(request))
        asked = await self._asked(request, Login)
        return await self._enter(request, asked, _phone(asked.phone, asked.country_code), headers)

    async def email_login(self, request: Request) -> Response:
        """`POST /api/login/email`: sign in by the code of an e-mail; an unknown address gets an account."""
        headers = await self._guard.spend(VERIFY, client_address(request))
        asked = await self._asked(request, EmailLogin)
        return await self._enter(request, asked, Contact("email", addresses.email(asked.email)), headers)

    async def register(self, request: Request) -> Response:
        """`POST /api/register`: make an account with a code; where there is one, sign in to it as it is."""
        headers = await self._guard.spend(VERIFY, client_address(request))
        asked = await self._asked(request, Register)
        contact = one_contact(asked.phone, asked.country_code, asked.email)
        name = None if asked.username is None else username(asked.username)
        password = None if asked.password is None else accepted(asked.password, (name, contact.address))
        return await self._enter(
            request, asked, contact, headers, purpose="register", username=name, password=password
        )

    async def verify_email_code(self, request: Request) -> Response:
        """`POST /api/verify-email-code`: show that the address answers."""
        headers = await self._guard.spend(VERIFY, client_address(request))
        asked = await self._asked(request, VerifyEmail)
        claims = await self._claims(request)
        asker = self._asker(request, asked.anon_id)
        await self._verification.finish(addresses.email(asked.email), asked.code, asker, claims)
        return success({"verified": True}, headers=headers)

    async def check_email_verification(self, request: Request) -> Response:
        """`GET /api/check-email-verification`: to the asker who began, whether the address has answered."""
        headers = await self._guard.spend(VERIFY, client_address(request))
        asked = query(request, CheckEmail)
        claims = await self._claims(request)
        verified = await self._verification.is_verified(addresses.email(asked.email), asked.anon_id, claims)
        return success({"verified": verified}, headers=headers)

    async def prove(self, request: Request, claims: Claims, channel: Channel | None, code: str) -> Prove:
        """Check a code of the caller's own number or address, and return what uses it up."""
        return await self._reauthentication.prove(
            claims.user_id, channel, code, self._asker(request), device(request)
        )

    async def _asked(self, request: Request, model: type[Model]) -> Model:
        self._origins.check(request)
        return await body(request, model)

    async def _claims(self, request: Request) -> Claims | None:
        token = bearer(request)
        return await self._sessions.verify(token) if token else None

    async def _send(
        self,
        request: Request,
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
        return self._marked(request, success(sent._asdict(), headers=headers))

    async def _enter(
        self,
        request: Request,
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
        return self._marked(request, success(signed_in.reply(), headers=headers))

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
