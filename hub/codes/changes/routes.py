"""The HTTP edge of the changes that rest on a code."""

from typing import Annotated

from pydantic import StringConstraints
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from hub.accounts.profile import Profiles
from hub.codes.changes.contact_binding import ContactBinding
from hub.codes.changes.password_reset import PasswordReset
from hub.codes.routes import CallingCode, Code, Email, Number, asker, device, one_contact
from hub.limits.guard import VERIFY, Guard
from hub.tokens.claims import Claims
from hub.tokens.service import Sessions
from hub.web.answers import success
from hub.web.cookies import Cookies
from hub.web.origins import Origins
from hub.web.parsing import Body, bearer, body, client_address


class ResetPassword(Body):
    """`POST /api/password/reset`: one of *phone* and *email*."""

    phone: Number | None = None
    country_code: CallingCode | None = None
    email: Email | None = None
    code: Code
    new_password: Annotated[str, StringConstraints(min_length=1, max_length=512)]


class BindPhone(Body):
    """`POST /api/user/bind-phone`."""

    phone: Number
    country_code: CallingCode | None = None
    code: Code


class BindEmail(Body):
    """`POST /api/user/bind-email`."""

    email: Email
    code: Code


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
            Route("/api/password/reset", self.reset_password, methods=["POST"]),
            Route("/api/user/bind-phone", self.bind_phone, methods=["POST"]),
            Route("/api/user/bind-email", self.bind_email, methods=["POST"]),
        ]

    async def reset_password(self, request: Request) -> Response:
        """`POST /api/password/reset`: a new password by a code; all sessions of the account end."""
        headers = await self._guard.spend(VERIFY, client_address(request))
        self._origins.check(request)
        asked = await body(request, ResetPassword)
        contact = one_contact(asked.phone, asked.country_code, asked.email)
        await self._reset.reset(
            contact, asked.code, asked.new_password, asker(request, self._cookies), device(request)
        )
        return success(None, headers=headers)

    async def bind_phone(self, request: Request) -> Response:
        """`POST /api/user/bind-phone`: bind a number by a code, in place of the former one."""
        headers, claims = await self._entered(request)
        asked = await body(request, BindPhone)
        contact = one_contact(asked.phone, asked.country_code, None)
        await self._binding.bind(claims, contact, asked.code, asker(request, self._cookies))
        return success(await self._profiles.read(claims.user_id), headers=headers)

    async def bind_email(self, request: Request) -> Response:
        """`POST /api/user/bind-email`: bind an e-mail address by a code, in place of the former one."""
        headers, claims = await self._entered(request)
        asked = await body(request, BindEmail)
        contact = one_contact(None, None, asked.email)
        await self._binding.bind(claims, contact, asked.code, asker(request, self._cookies))
        return success(await self._profiles.read(claims.user_id), headers=headers)

    async def _entered(self, request: Request) -> tuple[dict[str, str], Claims]:
        headers = await self._guard.spend(VERIFY, client_address(request))
        return headers, await self._sessions.verify(bearer(request))
