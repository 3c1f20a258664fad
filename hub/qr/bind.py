"""The HTTP edge of binding WeChat."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from hub.accounts.profile import Profiles
from hub.limits.guard import VERIFY, Guard
from hub.qr.binding import Binding
from hub.qr.routes import QrCode, SessionId
from hub.tokens.service import Sessions
from hub.web.answers import success
from hub.web.parsing import Body, bearer, body, client_address


class Bind(Body):
    """`POST /api/user/bind-wechat`; `qr_code` is checked for its form only, for it rotates."""

    qr_code: QrCode
    session_id: SessionId


class BindRoutes:
    """`POST /api/user/bind-wechat`."""

    def __init__(self, binding: Binding, sessions: Sessions, profiles: Profiles, guard: Guard) -> None:
        self._binding = binding
        self._sessions = sessions
        self._profiles = profiles
        self._guard = guard

    def routes(self) -> list[BaseRoute]:
        """Return the route."""
        return [Route("/api/user/bind-wechat", self.bind, methods=["POST"])]

    async def bind(self, request: Request) -> Response:
        """Bind the WeChat that has confirmed, and answer the profile."""
        headers = await self._guard.spend(VERIFY, client_address(request))
        claims = await self._sessions.verify(bearer(request))
        asked = await body(request, Bind)
        await self._binding.bind(claims, asked.session_id)
        return success(await self._profiles.read(claims.user_id), headers=headers)
