"""The in-app consent page of `connect/oauth2/authorize`, and what follows from Allow and Reject."""

import secrets
from collections.abc import Collection, Mapping
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from starlette.datastructures import URL
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from hub.wechat.sandbox.clock import Clock
from hub.wechat.sandbox.grants import Grants
from hub.wechat.sandbox.pages import Pages
from hub.wechat.sandbox.people import PEOPLE, Person
from hub.wechat.sandbox.phone import here, holder, web_link

_SCOPES: Final = ("snsapi_base", "snsapi_userinfo")
_STATE_LIMIT: Final = 128
_TICKET_LIFE: Final = 600
_TICKETS_KEPT: Final = 1000


class Asked(NamedTuple):
    """What an app asks of the person, read from the consent address and found in order."""

    appid: str
    redirect_uri: str
    scope: str
    state: str


class Ticket(NamedTuple):
    """A consent page that is open: good for one decision, until a time of the sandbox's clock."""

    asked: Asked
    person: Person
    expires_at: float


class BadLink(Exception):
    """The consent address is wrong; *key* is the catalogue key that says how."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


class ConsentRoutes:
    """The consent page for the apps in *apps*.

    *callback_hosts* are the registered callback domains, with their port where it is not the scheme's own;
    none registered means that any will do.
    """

    def __init__(
        self,
        apps: Collection[str],
        grants: Grants,
        clock: Clock,
        pages: Pages,
        *,
        app_name: str,
        callback_hosts: Collection[str],
    ) -> None:
        self._apps = apps
        self._grants = grants
        self._clock = clock
        self._pages = pages
        self._app_name = app_name
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
            asked = self._asked(request.query_params)
            person = _person(request)
        except BadLink as bad:
            return self._pages.render(request, "notice.html", 400, notice=bad.key)
        decision = request.headers.get("x-sandbox-decision")
        if decision is None and "x-sandbox-person" in request.headers:
            decision = "deny" if person and person.declines and asked.scope != "snsapi_base" else "allow"
        if decision == "deny":
            return _back(asked)
        if person is None:
            return self._pages.render(
                request, "people.html", person=None, people=PEOPLE.values(), here=here(request)
            )
        if decision == "allow" or asked.scope == "snsapi_base":
            return _back(asked, self._grants.issue(asked.appid, person, asked.scope))
        return self._pages.render(
            request,
            "consent.html",
            app_name=self._app_name,
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
        return _back(asked, self._grants.issue(asked.appid, ticket.person, asked.scope))

    async def reject(self, request: Request) -> Response:
        """Lead back to the app with the state alone."""
        ticket = self._take(request)
        if ticket is None:
            return self._pages.render(request, "notice.html", 410, notice="notice.decided")
        return _back(ticket.asked)

    def _asked(self, query: Mapping[str, str]) -> Asked:
        asked = Asked(*(query.get(name, "") for name in Asked._fields))
        if asked.appid not in self._apps:
            raise BadLink("notice.appid")
        if web_link(asked.redirect_uri) is None:
            raise BadLink("notice.redirect_uri")
        if self._callback_hosts and urlsplit(asked.redirect_uri).netloc not in self._callback_hosts:
            raise BadLink("notice.domain")
        if query.get("response_type") != "code":
            raise BadLink("notice.response_type")
        if asked.scope not in _SCOPES:
            raise BadLink("notice.scope")
        if len(asked.state.encode()) > _STATE_LIMIT:
            raise BadLink("notice.state")
        return asked

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
    name = request.headers.get("x-sandbox-person")
    if name is not None and name not in PEOPLE:
        raise BadLink("notice.person")
    person = PEOPLE[name] if name is not None else holder(request)
    if person is not None and request.query_params.get("forceSnapShot") == "true":
        return PEOPLE["snapshot"]
    return person


def _back(asked: Asked, code: str | None = None) -> Response:
    answer = {"state": asked.state} if code is None else {"code": code, "state": asked.state}
    url = URL(asked.redirect_uri).include_query_params(**answer)
    return RedirectResponse(url, 302, headers={"cache-control": "no-store", "referrer-policy": "no-referrer"})
