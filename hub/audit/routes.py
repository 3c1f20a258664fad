"""The HTTP edge of the login log."""

import json
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Protocol

from pydantic import Field, PlainValidator
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from hub.audit.history import FIRST, Cursor, LoginHistory
from hub.store.database import Row
from hub.web.answers import moment, success
from hub.web.language import language
from hub.web.parsing import Body, bearer, query

_TOLD = ("device_name", "device_type", "ip_address", "user_agent")


class Claims(Protocol):
    """What the edge wants to know of an access token."""

    @property
    def user_id(self) -> int: ...


class Asked(Body):
    """The query of `GET /api/login-logs`."""

    cursor: Annotated[Cursor, PlainValidator(Cursor.parse)] = FIRST
    limit: Annotated[int, Field(ge=1, le=100)] = 20


class AuditRoutes:
    """The endpoints. *verify* checks an access token or raises Unauthorized; *place* names the city of an
    IP address in a language, where it is known.
    """

    def __init__(
        self,
        history: LoginHistory,
        verify: Callable[[str | None], Awaitable[Claims]],
        place: Callable[[str, str], str | None],
    ) -> None:
        self._history = history
        self._verify = verify
        self._place = place

    def routes(self) -> list[BaseRoute]:
        """Return the routes."""
        return [Route("/api/login-logs", self.listed, methods=["GET"])]

    async def listed(self, request: Request) -> Response:
        """`GET /api/login-logs`: a page of the caller's own login history, newest first."""
        claims = await self._verify(bearer(request))
        asked = query(request, Asked)
        page = await self._history.page(claims.user_id, asked.cursor, asked.limit)
        return success(
            {
                "login_logs": [self._answer(row, language(request)) for row in page.rows],
                "next_cursor": page.next and page.next.text(),
            }
        )

    def _answer(self, row: Row, spoken: str) -> dict[str, Any]:
        place = self._place(row["ip_address"], spoken) if row["ip_address"] else None
        return {
            "id": row["id"],
            "method": row["login_method"],
            "status": row["login_status"],
            "reason": row["failure_reason"],
            "risk": row["risk"] and json.loads(row["risk"]),
            **{name: row[name] for name in _TOLD},
            "location": place or row["location"],
            "created_at": moment(row["created_at"]),
        }
