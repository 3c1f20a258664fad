"""The in-app consent page of `connect/oauth2/authorize`, and what follows from Allow and Reject."""

import secrets
from collections.abc import Collection
from typing import Final, NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hub.wechat.sandbox import asked as asking
from hub.wechat.sandbox.apps import Apps
from hub.wechat.sandbox.asked import Asked, BadLink, decision, led_back, named
from hub.wechat.sandbox.clock import Clock
from hub.wechat.sandbox.grants import Grants
from hub.wechat.sandbox.pages import Pages
from hub.wechat.sandbox.people import PEOPLE, Person
from hub.wechat.sandbox.phone import ask_whose, here, holder

_SCOPES: Final = ("snsapi_base", "snsapi_userinfo")
_TICKET_LIFE: Final = 600
_TICKETS_KEPT: Final = 1000


class Ticket(NamedTuple):
    """A consent page that is open: good for one decision, until a time of the sandbox's clock."""

    asked: Asked
    person: Person
    expires_at: float


class ConsentRoutes:
    """The consent page for the pages of official accounts; *callback_hosts* as in `asked.read`."""

    def __init__(
        self,
        apps: Apps,
        grants: Grants,
        clock: Clock,
        pages: Pages,
        *,
        callback_hosts: Collection[str],
    ) -> None:
        self._apps = apps
        self._grants = grants
        self._clock = clock
        self._pages = pages
        self._callback_hosts = callback_hosts
        self._tickets: dict[str, Ticket] = {}

    def routes(self) -> list[Route]:
        """Return the page and its two ways out."""
        return [
            Route("/connect/oauth2/authorize", self.authorize),
            Route("/connect/oauth2/allow/{ticket}", self.allow),
            Route("/connect/oauth2/reject/{ticket}", self.reject),
        ]

    async def authorize(self, request: Request) -> Response:
        """Ask for consent; `snsapi_base` is granted in silence, and the X-Sandbox headers decide at once."""
        try:
            asked = asking.read(
                request.query_params, self._apps.ids("account"), _SCOPES, self._callback_hosts
            )
            person = _person(request)
        except BadLink as bad:
            return self._pages.render(request, "notice.html", 400, notice=bad.key)
        silent = asked.scope == "snsapi_base"
        decided = decision(request, person, silent=silent)
        if decided == "deny":
            return led_back(asked.answered())
        if person is None:
            return ask_whose(self._pages, request)
        if decided == "allow" or silent:
            return led_back(asked.answered(self._grants.issue(asked.appid, person, asked.scope)))
        return self._pages.render(
            request,
            "consent.html",
            person=person,
            ticket=self._ticket(asked, person),
            here=here(request),
        )

    async def allow(self, request: Request) -> Response:
        """Lead back to the app with a code."""
        ticket = self._take(request)
        if ticket is None:
            return self._pages.render(request, "notice.html", 410, notice="notice.decided")
        asked = ticket.asked
        return led_back(asked.answered(self._grants.issue(asked.appid, ticket.person, asked.scope)))

    async def reject(self, request: Request) -> Response:
        """Lead back to the app with the state alone."""
        ticket = self._take(request)
        if ticket is None:
            return self._pages.render(request, "notice.html", 410, notice="notice.decided")
        return led_back(ticket.asked.answered())

    def _ticket(self, asked: Asked, person: Person) -> str:
        ticket = secrets.token_urlsafe(16)
        self._tickets[ticket] = Ticket(asked, person, self._clock.time() + _TICKET_LIFE)
        while len(self._tickets) > _TICKETS_KEPT:
            del self._tickets[next(iter(self._tickets))]
        return ticket

    def _take(self, request: Request) -> Ticket | None:
        ticket = self._tickets.pop(request.path_params["ticket"], None)
        return ticket if ticket and self._clock.time() < ticket.expires_at else None


def _person(request: Request) -> Person | None:
    person = named(request) or holder(request)
    if person is not None and request.query_params.get("forceSnapShot") == "true":
        return PEOPLE["snapshot"]
    return person
