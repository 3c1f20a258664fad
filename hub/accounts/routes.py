"""The HTTP edge of the accounts."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from hub.accounts.profile import Profiles
from hub.tokens.service import Sessions
from hub.web.answers import success
from hub.web.parsing import bearer


class AccountRoutes:
    """What a signed-in person asks of the own account."""

    def __init__(self, sessions: Sessions, profiles: Profiles) -> None:
        self._sessions = sessions
        self._profiles = profiles

    def routes(self) -> list[BaseRoute]:
        """Return the routes."""
        return [Route("/api/user/profile", self.profile, methods=["GET"])]

    async def profile(self, request: Request) -> Response:
        """`GET /api/user/profile`: the caller's own profile."""
        claims = await self._sessions.verify(bearer(request))
        return success(await self._profiles.read(claims.user_id))
