"""The HTTP edge of the changes that rest on a code."""

from types import NoneType
from typing import Annotated

from pydantic import StringConstraints
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from hub.accounts.profile import Profile, Profiles
from hub.codes.changes.contact_binding import ContactBinding
from hub.codes.changes.password_reset import PasswordReset
from hub.codes.operations import CallingCode, Code, Email, Number
from hub.codes.routes import asker, device, one_contact
from hub.errors import (
    AlreadyBound,
    CodeLocked,
    InvalidCode,
    OriginNotAllowed,
    ReauthRequired,
    Unauthorized,
    Unavailable,
)
from hub.limits.guard import VERIFY, Guard
from hub.tokens.claims import Claims
from hub.tokens.service import Sessions
from hub.web.cookies import Cookies
from hub.web.operations import Auth, Operation
from hub.web.origins import Origins
from hub.web.parsing import Body, bearer, client_address


class ResetPassword(Body):
    """`POST /api/password/reset`: one of *phone* and *email*."""

    phone: Number | None = None
    """The mobile number, unless there is an e-mail address."""
    country_code: CallingCode | None = None
    """Its calling code, `+86` by default; not needed for a number in E.164."""
    email: Email | None = None
    """The e-mail address, unless there is a number."""
    code: Code
    """The one-time code."""
    new_password: Annotated[str, StringConstraints(min_length=1, max_length=512)]
    """8 to 128 characters, none of the common ones."""


class BindPhone(Body):
    """`POST /api/user/bind-phone`."""

    phone: Number
    """The mobile number."""
    country_code: CallingCode | None = None
    """Its calling code, `+86` by default; not needed for a number in E.164."""
    code: Code
    """The one-time code."""


class BindEmail(Body):
    """`POST /api/user/bind-email`."""

    email: Email
    """The e-mail address."""
    code: Code
    """The one-time code."""


_BINDING = (Unauthorized, ReauthRequired, InvalidCode, CodeLocked, AlreadyBound)
RESET_PASSWORD = Operation(
    "POST",
    "/api/password/reset",
    ResetPassword,
    NoneType,
    limited=True,
    problems=(OriginNotAllowed, InvalidCode, CodeLocked, Unavailable),
)
BIND_PHONE = Operation(
    "POST",
    "/api/user/bind-phone",
    BindPhone,
    Profile,
    limited=True,
    auth=(Auth.ACCESS_TOKEN,),
    problems=_BINDING,
)
BIND_EMAIL = Operation(
    "POST",
    "/api/user/bind-email",
    BindEmail,
    Profile,
    limited=True,
    auth=(Auth.ACCESS_TOKEN,),
    problems=_BINDING,
)


class ChangeRoutes:
    """The endpoints."""

    def __init__(
        self,
        reset: PasswordReset,
        binding: ContactBinding,
        sessions: Sessions,
        profiles: Profiles,
        guard: Guard,
        cookies: Cookies,
        origins: Origins,
    ) -> None:
        self._reset = reset
        self._binding = binding
        self._sessions = sessions
        self._profiles = profiles
        self._guard = guard
        self._cookies = cookies
        self._origins = origins

    def routes(self) -> list[BaseRoute]:
        """Return the routes."""
        return [
            RESET_PASSWORD.route(self.reset_password),
            BIND_PHONE.route(self.bind_phone),
            BIND_EMAIL.route(self.bind_email),
        ]

    async def reset_password(self, request: Request) -> Response:
        """`POST /api/password/reset`: a new password by a code; all sessions of the account end."""
        await self._guard.spend(VERIFY, client_address(request))
        self._origins.check(request)
        asked = await RESET_PASSWORD.read(request)
        contact = one_contact(asked.phone, asked.country_code, asked.email)
        await self._reset.reset(
            contact, asked.code, asked.new_password, asker(request, self._cookies), device(request)
        )
        return RESET_PASSWORD.answer(None)

    async def bind_phone(self, request: Request) -> Response:
        """`POST /api/user/bind-phone`: bind a number by a code, in place of the former one."""
        claims = await self._entered(request)
        asked = await BIND_PHONE.read(request)
        contact = one_contact(asked.phone, asked.country_code, None)
        await self._binding.bind(claims, contact, asked.code, asker(request, self._cookies))
        return BIND_PHONE.answer(await self._profiles.read(claims.user_id))

    async def bind_email(self, request: Request) -> Response:
        """`POST /api/user/bind-email`: bind an e-mail address by a code, in place of the former one."""
        claims = await self._entered(request)
        asked = await BIND_EMAIL.read(request)
        contact = one_contact(None, None, asked.email)
        await self._binding.bind(claims, contact, asked.code, asker(request, self._cookies))
        return BIND_EMAIL.answer(await self._profiles.read(claims.user_id))

    async def _entered(self, request: Request) -> Claims:
        await self._guard.spend(VERIFY, client_address(request))
        return await self._sessions.verify(bearer(request))
