"""The dashboard's page, and the list of people in it, rendered for the administrator who asks."""

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from hub.accounts.admin import Administration
from hub.admin.operations import DASHBOARD, PEOPLE
from hub.admin.operators import Operators
from hub.admin.users import Users
from hub.store.database import Row
from hub.web.answers import moment
from hub.web.language import language
from hub.web.pages import Pages
from hub.web.parsing import bearer


class AdminPages:
    """The endpoints. *administer* gives the use cases in the name of an account; *place* names the city of
    an IP address in a language, *called* a device by its user agent.
    """

    def __init__(
        self,
        *,
        operators: Operators,
        users: Users,
        administer: Callable[[int], Administration],
        place: Callable[[str, str], str | None],
        called: Callable[[str], str],
        pages: Pages,
    ) -> None:
        self._operators = operators
        self._users = users
        self._administer = administer
        self._place = place
        self._called = called
        self._pages = pages

    def routes(self) -> list[BaseRoute]:
        """Return the routes."""
        return [DASHBOARD.route(self.page), PEOPLE.route(self.content)]

    async def page(self, request: Request) -> Response:
        """Show the live figures, and the search for people.

        The page itself tells nothing: what it shows, it asks for with an administrator's access token.
        """
        return self._pages.render(request, "admin.html")

    async def content(self, request: Request) -> Response:
        """`GET /api/admin/content`: people and what can be done to them, for the dashboard to show."""
        claims = await self._operators.verify(bearer(request))
        asked = await PEOPLE.read(request)
        page = await self._users.page(asked.query, int(asked.cursor), asked.limit)
        opened = int(asked.open)
        sessions: list[Row] = []
        if any(row["id"] == opened for row in page.rows):
            sessions = await self._administer(claims.user_id).sessions(str(opened))
        html = self._pages.html(
            request,
            "admin_content.html",
            people=page.rows,
            opened=opened,
            own=claims.user_id,
            sessions=[self._session(row, language(request)) for row in sessions],
            next_cursor=page.next,
        )
        return PEOPLE.answer({"html": html})

    def _session(self, row: Row, spoken: str) -> dict[str, Any]:
        address = row["ip_address"] or ""
        return {
            "id": row["sid"],
            "name": row["device_name"] or self._called(row["user_agent"] or ""),
            "place": (address and self._place(address, spoken)) or row["location"],
            "address": address,
            "last_active_at": moment(row["last_active_at"]),
        }
