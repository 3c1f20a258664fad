"""The HTTP edge of the changes that rest on a code."""

from typing import Annotated

from pydantic import StringConstraints
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from hub.codes.changes.password_reset import PasswordReset
from hub.codes.routes import CallingCode, Code, Email, Number, asker, one_contact
from hub.limits.guard import VERIFY, Guard
from hub.web.answers import success
from hub.web.cookies import Cookies
from hub.web.origins import Origins
from hub.web.parsing import Body, body, client_address


class ResetPassword(Body):
    """`POST /api/password/reset`: one of *phone* and *email*."""

    phone: Number | None = None
    country_code: CallingCode | None = None
    email: Email | None = None
    code: Code
    new_password: Annotated[str, StringConstraints(min_length=1, max_length=512)]


class ChangeRoutes:
    """The endpoints."""

    def __init__(self, reset: PasswordReset, guard: Guard, cookies: Cookies, origins: Origins) -> None:
        self._reset = reset
        self._guard = guard
        self._cookies = cookies
        self._origins = origins

    def routes(self) -> list[BaseRoute]:
        """Return the routes."""
        return [Route("/api/password/reset", self.reset_password, methods=["POST"])]

    async def reset_password(self, request: Request) -> Response:
        """`POST /api/password/reset`: a new password by a code; all sessions of the account end."""
        headers = await self._guard.spend(VERIFY, client_address(request))
        self._origins.check(request)
        asked = await body(request, ResetPassword)
        contact = one_contact(asked.phone, asked.country_code, asked.email)
        await self._reset.reset(contact, asked.code, asked.new_password, asker(request, self._cookies))
        return success(None, headers=headers)
