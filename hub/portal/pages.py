"""The content of the account page, rendered for the person whose access token comes along."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from typing_extensions import TypedDict

from hub.accounts.profile import Profiles
from hub.audit.devices import called
from hub.audit.history import STATUSES, LoginHistory
from hub.audit.routes import Asked
from hub.audit.rules import ALERT_SCORE
from hub.errors import Unauthorized
from hub.store.database import Row
from hub.tokens.service import Device, Sessions
from hub.web.answers import moment
from hub.web.language import language
from hub.web.operations import PAGE, Auth, Nothing, Operation
from hub.web.pages import Pages
from hub.web.parsing import bearer
from hub.web.shapes import Raw, described
from hub.web.ways import Ways

_JUST_NOW: Final = timedelta(minutes=2)
_HANDHELD: Final = ("iPhone", "Android", "Mobile")


class Part(Asked):
    """The query of `GET /api/account/content`: which part of the history is shown."""

    limit: Annotated[int, Field(ge=1, le=100)] = 10
    """How many rows of the history at most."""


@described
class Content(TypedDict):
    """What the account page shows."""

    html: str
    """Sections to be put into the page, in the caller's language."""


CONTENT = Operation(
    "GET", "/api/account/content", Part, Content, auth=(Auth.ACCESS_TOKEN,), problems=(Unauthorized,)
)
RESET_PAGE = Operation(
    "GET",
    "/password",
    Nothing,
    Raw,
    answers=(PAGE,),
    lenient={"by": "Where the code goes: `phone`, or `email`."},
)


class PortalPages:
    """The endpoints. *now* is the store's clock; *place* names the city of an IP address in a language."""

    def __init__(
        self,
        *,
        sessions: Sessions,
        profiles: Profiles,
        history: LoginHistory,
        place: Callable[[str, str], str | None],
        now: Callable[[], datetime],
        pages: Pages,
        ways: Ways,
    ) -> None:
        self._sessions = sessions
        self._profiles = profiles
        self._history = history
        self._place = place
        self._now = now
        self._pages = pages
        self._ways = ways

    def routes(self) -> list[BaseRoute]:
        """Return the routes."""
        return [CONTENT.route(self.content), RESET_PAGE.route(self.reset)]

    async def content(self, request: Request) -> Response:
        """`GET /api/account/content`: devices, ways to sign in and history, for the account page to show."""
        claims = await self._sessions.verify(bearer(request))
        asked = await CONTENT.read(request)
        spoken = language(request)
        profile = await self._profiles.read(claims.user_id)
        running = await self._sessions.running(claims.user_id)
        page = await self._history.page(
            claims.user_id,
            asked.cursor,
            asked.limit,
            (asked.status,) if asked.status else STATUSES,
            asked.unusual,
        )
        html = self._pages.html(
            request,
            "account_content.html",
            profile=profile,
            devices=sorted(
                (self._device(row, spoken, claims.sid) for row in running),
                key=lambda each: not each["current"],
            ),
            tries=[self._try(row, spoken) for row in page.rows],
            next_cursor=page.next and page.next.text(),
            chosen="unusual=true" if asked.unusual else f"status={asked.status}" if asked.status else "",
            proof=self._proof(profile),
            ways=self._ways,
        )
        return CONTENT.answer({"html": html})

    async def reset(self, request: Request) -> Response:
        """Show the page on which a forgotten password is replaced by a code."""
        by_email = request.query_params.get("by") == "email" or not self._ways.phone
        return self._pages.render(
            request, "reset.html", ways=self._ways, by="email" if by_email and self._ways.email else "phone"
        )

    def _device(self, row: Row, spoken: str, sid: str) -> dict[str, Any]:
        return {
            "id": row["sid"],
            "current": row["sid"] == sid,
            "active": self._now() - row["last_active_at"] < _JUST_NOW,
            "last_active_at": moment(row["last_active_at"]),
            **self._origin(row, spoken),
        }

    def _try(self, row: Row, spoken: str) -> dict[str, Any]:
        risk = row["risk"] and json.loads(row["risk"])
        return {
            "method": row["login_method"],
            "reason": row["failure_reason"],
            "signals": risk["signals"] if risk else [],
            "status": "unusual" if risk and risk["score"] >= ALERT_SCORE else row["login_status"],
            "created_at": moment(row["created_at"]),
            **self._origin(row, spoken),
        }

    def _origin(self, row: Row, spoken: str) -> dict[str, Any]:
        """Return what a row tells of a device and of where it was."""
        agent, address = row["user_agent"] or "", row["ip_address"] or ""
        return {
            "name": row["device_name"] or called(Device(None, None, None, address, agent, None)),
            "handheld": any(mark in agent for mark in _HANDHELD),
            "place": (address and self._place(address, spoken)) or row["location"],
            "address": address,
        }

    def _proof(self, profile: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return where a code can go that proves who is there, and how many digits it has."""
        for channel, digits in (("phone", self._ways.phone), ("email", self._ways.email)):
            if profile[channel] and digits:
                return {"channel": channel, "address": profile[channel], "digits": digits}
        return None
