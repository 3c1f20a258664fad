"""The HTTP edge of binding WeChat."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from hub.accounts.profile import Profiles
from hub.limits.guard import VERIFY, Guard
from hub.qr.binding import Binding
from hub.qr.operations.redeeming import BIND
from hub.tokens.service import Sessions
from hub.web.parsing import bearer, client_address


class BindRoutes:
    """`POST /api/user/bind-wechat`."""

    def __init__(self, binding: Binding, sessions: Sessions, profiles: Profiles, guard: Guard) -> None:
        self._binding = binding
        self._sessions = sessions
        self._profiles = profiles
        self._guard = guard

    def routes(self) -> list[BaseRoute]:
        """Return the route."""
        return [BIND.route(self.bind)]

    async def bind(self, request: Request) -> Response:
        """Bind the WeChat that has confirmed, and answer the profile."""
        await self._guard.spend(VERIFY, client_address(request))
        claims = await self._sessions.verify(bearer(request))
        asked = await BIND.read(request)
        await self._binding.bind(claims, asked.session_id)
        return BIND.answer(await self._profiles.read(claims.user_id))
