"""The HTTP edge of one-time codes: asking for one, and what rests on one."""

import hashlib
import secrets
from typing import Any, Literal

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from hub.accounts.contacts import Contact
from hub.accounts.password_sign_in import SignInReply
from hub.accounts.passwords import accepted
from hub.accounts.usernames import username
from hub.codes import addresses
from hub.codes.challenge import Challenge
from hub.codes.operations import (
    CHECK_EMAIL,
    EMAIL_LOGIN,
    LOGIN,
    REGISTER,
    SEND_CODE,
    SEND_EMAIL_CODE,
    VERIFY_EMAIL,
    CodeSent,
    Entry,
    SendCode,
    SendEmailCode,
)
from hub.codes.reauthentication import CodeReauthentication
from hub.codes.rules import Asker, Channel
from hub.codes.service import Codes
from hub.codes.sign_in import CodeSignIn
from hub.codes.verification import EmailVerification
from hub.errors import FieldError, InvalidRequest, RateLimited
from hub.limits.guard import SENDS, SENDS_NETWORK, VERIFY, Guard
from hub.limits.networks import network
from hub.tokens.claims import Claims
from hub.tokens.service import Device, Prove, Sessions
from hub.web.cookies import DEVICE, DEVICE_AGE, Cookies
from hub.web.language import language
from hub.web.operations import Operation
from hub.web.origins import Origins
from hub.web.parsing import bearer, client_address, user_agent


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
        await self._guard.spend(VERIFY, client_address(request))
        self._origins.check(request)
        asked = await LOGIN.read(request)
        return await self._enter(request, LOGIN, asked, _phone(asked.phone, asked.country_code))

    async def email_login(self, request: Request) -> Response:
        """`POST /api/login/email`: sign in by the code of an e-mail; an unknown address gets an account."""
        await self._guard.spend(VERIFY, client_address(request))
        self._origins.check(request)
        asked = await EMAIL_LOGIN.read(request)
        return await self._enter(request, EMAIL_LOGIN, asked, Contact("email", addresses.email(asked.email)))

    async def register(self, request: Request) -> Response:
        """`POST /api/register`: make an account with a code; where there is one, sign in to it as it is."""
        await self._guard.spend(VERIFY, client_address(request))
        self._origins.check(request)
        asked = await REGISTER.read(request)
        contact = one_contact(asked.phone, asked.country_code, asked.email)
        name = None if asked.username is None else username(asked.username)
        password = None if asked.password is None else accepted(asked.password, (name, contact.address))
        return await self._enter(
            request, REGISTER, asked, contact, purpose="register", username=name, password=password
        )

    async def verify_email_code(self, request: Request) -> Response:
        """`POST /api/verify-email-code`: show that the address answers."""
        await self._guard.spend(VERIFY, client_address(request))
        self._origins.check(request)
        asked = await VERIFY_EMAIL.read(request)
        claims = await self._claims(request)
        asker = self._asker(request, asked.anon_id)
        await self._verification.finish(addresses.email(asked.email), asked.code, asker, claims)
        return VERIFY_EMAIL.answer({"verified": True})

    async def check_email_verification(self, request: Request) -> Response:
        """`GET /api/check-email-verification`: to the asker who began, whether the address has answered."""
        await self._guard.spend(VERIFY, client_address(request))
        asked = await CHECK_EMAIL.read(request)
        claims = await self._claims(request)
        verified = await self._verification.is_verified(addresses.email(asked.email), asked.anon_id, claims)
        return CHECK_EMAIL.answer({"verified": verified})

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
        await self._guard.spend(SENDS, asker.ip)
        await self._guard.spend(SENDS_NETWORK, asker.network)
        if self._challenge:
            await self._challenge.demand(asked.challenge, asker.ip)
        try:
            if asked.purpose == "verify":
                sent = await self._verification.begin(address, asker, language(request))
            else:
                sent = await self._codes.send(channel, address, asked.purpose, asker, language(request))
        except RateLimited as refusal:  # for the sake of the address: nothing was sent, so nothing is spent
            await self._guard.spend(VERIFY, asker.ip)  # else one could go on asking
            refusal.headers |= await self._guard.give_back(SENDS, asker.ip)
            await self._guard.give_back(SENDS_NETWORK, asker.network)
            raise
        told: CodeSent = {"expires_in": sent.expires_in, "resend_in": sent.resend_in}
        return self._marked(request, operation.answer(told))

    async def _enter(
        self,
        request: Request,
        operation: Operation[Any, SignInReply],
        asked: Entry,
        contact: Contact,
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
        response = self._marked(request, operation.answer(reply))
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
    return Asker(ip, network(ip), device, anon_id, user_agent(request))


def one_contact(phone: str | None, country_code: str | None, email: str | None) -> Contact:
    """Return the one contact that a request names. Raises InvalidRequest for none, two or a broken one."""
    if phone is not None and email is None:
        return _phone(phone, country_code)
    if email is not None and phone is None:
        return Contact("email", addresses.email(email))
    raise InvalidRequest([FieldError("phone", "phone_or_email")])


def _phone(number: str, country_code: str | None) -> Contact:
    address = addresses.phone(number, country_code)
    return Contact("phone", address, addresses.calling_code(address))


def device(request: Request, asked: Entry | None = None) -> Device:
    """Return the device that asks, with what the client tells of it."""
    told = (asked.device_name, asked.device_type, asked.device_id) if asked else (None, None, None)
    return Device(*told, client_address(request), user_agent(request), None)
