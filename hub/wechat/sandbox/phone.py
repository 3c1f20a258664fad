"""The simulated phone: whose it is, what it has scanned, and the way to open that."""

from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from hub.wechat.sandbox.pages import Pages
from hub.wechat.sandbox.people import PEOPLE, Person
from hub.wechat.sandbox.scanned import web_link

_COOKIE: Final = "sandbox_person"
_YEAR: Final = 365 * 86400


class PhoneRoutes:
    """The phone's own pages. It scans nothing itself: `?scan=` says what its camera has seen."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    def routes(self) -> list[Route]:
        """Return the phone's home, the list of people, and the link that picks one of them."""
        return [
            Route("/", self.home),
            Route("/phone", self.phone, name="phone"),
            Route("/phone/people", self.people),
            Route("/phone/people/{name}", self.pick),
        ]

    async def home(self, request: Request) -> Response:
        """Lead to the phone."""
        return RedirectResponse(f"{request.scope['root_path']}/phone", 302)

    async def phone(self, request: Request) -> Response:
        """Show the phone; with `?scan=`, what it has scanned and a link that opens it in this window."""
        scan = request.query_params.get("scan", "").strip()
        link = web_link(scan)
        return self._pages.render(
            request,
            "phone.html",
            person=holder(request),
            people=PEOPLE.values(),
            scan=scan,
            link=link,
            host=urlsplit(link).netloc if link else "",
            here=here(request),
        )

    async def people(self, request: Request) -> Response:
        """Show everybody who can hold the phone; `?next=` is the page to come back to."""
        return self._pages.render(
            request,
            "people.html",
            person=holder(request),
            people=PEOPLE.values(),
            here=_local(request, request.query_params.get("next", "")),
        )

    async def pick(self, request: Request) -> Response:
        """Hand the phone to the named person, remembered by a cookie, and go back to `?next=`."""
        root = request.scope["root_path"]
        response = RedirectResponse(_local(request, request.query_params.get("next", "")), 303)
        name = request.path_params["name"]
        if name in PEOPLE:
            response.set_cookie(_COOKIE, name, max_age=_YEAR, path=root or "/", httponly=True, samesite="lax")
        return response


def holder(request: Request) -> Person | None:
    """Return whose phone it is, or None where nobody has been picked yet."""
    return PEOPLE.get(request.cookies.get(_COOKIE, ""))


def here(request: Request) -> str:
    """Return this page's own path and query, to come back to."""
    return f"{request.url.path}?{request.url.query}" if request.url.query else request.url.path


def _local(request: Request, path: str) -> str:
    root = request.scope["root_path"]
    if path.startswith(f"{root}/") and not path.startswith("//") and "\\" not in path and path.isprintable():
        return path
    return f"{root}/phone"
