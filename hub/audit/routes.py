"""The HTTP edge of the login log."""

import json
from collections.abc import Awaitable, Callable
from typing import Annotated, Protocol

from pydantic import Field, PlainValidator, WithJsonSchema
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from typing_extensions import TypedDict

from hub.audit.history import FIRST, STATUSES, Cursor, LoginHistory
from hub.audit.log import Method, Reason, Status
from hub.audit.rules import Risk
from hub.errors import Unauthorized
from hub.store.database import Row
from hub.web.answers import moment
from hub.web.language import language
from hub.web.operations import Auth, Operation
from hub.web.parsing import Body, bearer
from hub.web.shapes import described


class Claims(Protocol):
    """What the edge wants to know of an access token."""

    @property
    def user_id(self) -> int: ...


class Asked(Body):
    """The query of `GET /api/login-logs`."""

    cursor: Annotated[Cursor, PlainValidator(Cursor.parse), WithJsonSchema({"type": "string"})] = Field(
        default_factory=lambda: FIRST
    )
    """Where the page begins: the `next_cursor` of the page before. The first page without it."""
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    """How many rows at most."""
    status: Status | None = None
    """Only the tries that ended so."""
    unusual: bool = False
    """Only the tries that were unusual enough to be told of."""


@described
class LoginLog(TypedDict):
    """One try to sign in to the account."""

    id: int
    """The row's number."""
    method: Method
    """How it was tried."""
    status: Status
    """What came of it."""
    reason: Reason | None
    """Why it failed, null for one that did not."""
    risk: Risk | None
    """What was unusual about it, null where nothing was."""
    device_name: str | None
    """The device's name, as its client told it."""
    device_type: str | None
    """The device's type, as its client told it."""
    ip_address: str | None
    """Where it came from."""
    user_agent: str | None
    """The browser or app."""
    location: str | None
    """The city of the address, where it is known."""
    created_at: str
    """When, in ISO 8601 and UTC."""


@described
class LoginLogs(TypedDict):
    """A page of the login history."""

    login_logs: list[LoginLog]
    """The tries, newest first."""
    next_cursor: str | None
    """The `cursor` of the page that follows, null on the last one."""


HISTORY = Operation(
    "GET", "/api/login-logs", Asked, LoginLogs, auth=(Auth.ACCESS_TOKEN,), problems=(Unauthorized,)
)


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
        return [HISTORY.route(self.listed)]

    async def listed(self, request: Request) -> Response:
        """`GET /api/login-logs`: a page of the caller's own login history, newest first."""
        claims = await self._verify(bearer(request))
        asked = await HISTORY.read(request)
        statuses = (asked.status,) if asked.status else STATUSES
        page = await self._history.page(claims.user_id, asked.cursor, asked.limit, statuses, asked.unusual)
        return HISTORY.answer(
            {
                "login_logs": [self._answer(row, language(request)) for row in page.rows],
                "next_cursor": page.next and page.next.text(),
            }
        )

    def _answer(self, row: Row, spoken: str) -> LoginLog:
        place = self._place(row["ip_address"], spoken) if row["ip_address"] else None
        return {
            "id": row["id"],
            "method": row["login_method"],
            "status": row["login_status"],
            "reason": row["failure_reason"],
            "risk": row["risk"] and json.loads(row["risk"]),
            "device_name": row["device_name"],
            "device_type": row["device_type"],
            "ip_address": row["ip_address"],
            "user_agent": row["user_agent"],
            "location": place or row["location"],
            "created_at": moment(row["created_at"]),
        }
