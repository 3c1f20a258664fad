"""The edge of WeChat's callback: it takes the person back, and each kind of consent says where to."""

from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from hub.limits.guard import VERIFY, Guard
from hub.qr.callback.service import Callback
from hub.qr.consent import Kind, Outcome
from hub.qr.operations.pages import CALLBACK
from hub.web.cookies import Cookies
from hub.web.language import language
from hub.web.outcomes import Outcomes
from hub.web.parsing import client_address

Way = Callable[[Request, Outcome], Awaitable[Response]]


class CallbackPages:
    """`GET /api/auth/wechat/callback`; *ways* says where the outcomes of each kind of consent lead."""

    def __init__(
        self, callback: Callback, ways: Mapping[Kind, Way], guard: Guard, cookies: Cookies, outcomes: Outcomes
    ) -> None:
        self._callback = callback
        self._ways = ways
        self._guard = guard
        self._cookies = cookies
        self._outcomes = outcomes

    def routes(self) -> list[BaseRoute]:
        """Return the route."""
        return [CALLBACK.route(self._outcomes.readable(self.receive))]

    async def receive(self, request: Request) -> Response:
        """Take the person back from WeChat."""
        await self._guard.spend(VERIFY, client_address(request))
        kind, outcome = await self._callback.receive(
            request.query_params.get("state", "")[:200],
            request.query_params.get("code", "")[:512] or None,
            self._cookies.binding(request),
            language(request),
        )
        if kind is None:
            return self._outcomes.show(request, outcome.name)
        return await self._ways[kind](request, outcome)
