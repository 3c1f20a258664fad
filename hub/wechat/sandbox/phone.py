"""The simulated phone: whose it is, what it has scanned, and the way to open that."""

from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from hub.wechat.sandbox.calls import Address, reached
from hub.wechat.sandbox.messages import Messages
from hub.wechat.sandbox.pages import Pages
from hub.wechat.sandbox.people import PEOPLE, Person
from hub.wechat.sandbox.scanned import meaning

_COOKIE: Final = "sandbox_person"
_YEAR: Final = 365 * 86400


class PhoneRoutes:
    """The phone's own pages: `?scan=` says what its camera has seen, `?picture=` where a code is to be seen.

    *has_account* and *messages* decide what is listed under chats.
    """

    def __init__(
        self, pages: Pages, address: Address, *, has_account: bool, messages: Messages | None
    ) -> None:
        self._pages = pages
        self._address = address
        self._has_account = has_account
        self._messages = messages

    def routes(self) -> list[Route]:
        """Return the scanner, the chats, the list of people, and the link that picks one of them."""
        return [
            Route("/", self.home),
            Route("/phone", self.phone, name="phone"),
            Route("/phone/chats", self.chats),
            Route("/phone/inbox", self.inbox),
            Route("/phone/people", self.people),
            Route("/phone/people/{name}", self.pick),
        ]

    async def home(self, request: Request) -> Response:
        """Lead to the phone."""
        return RedirectResponse(f"{request.scope['root_path']}/phone", 302)

    async def phone(self, request: Request) -> Response:
        """Scan: what WeChat knows as its own opens at once, a link in this window when it is tapped.

        The page reads `?picture=` by itself and goes on, so whose phone it is must be settled before.
        """
        picture, person = request.query_params.get("picture", ""), holder(request)
        if picture and person is None:
            return ask_whose(self._pages, request)
        text = request.query_params.get("scan", "").strip()
        kind, target = meaning(text, (self._address(request), reached(request)))
        if kind == "own":
            return RedirectResponse(request.scope["root_path"] + target, 303)
        link = target if kind == "link" else ""
        return self._pages.render(
            request,
            "phone.html",
            tab="scan",
            person=person,
            people=PEOPLE.values(),
            scan=text,
            link=link,
            host=urlsplit(link).netloc if link else "",
            picture=picture,
            here=here(request),
        )

    async def chats(self, request: Request) -> Response:
        """List the chats."""
        return self._pages.render(
            request,
            "chats.html",
            tab="chats",
            person=holder(request),
            has_account=self._has_account,
            has_inbox=self._messages is not None,
        )

    async def inbox(self, request: Request) -> Response:
        """Show the SMS and e-mails that the console senders have sent."""
        sent = await self._messages("") if self._messages else ()
        return self._pages.render(request, "inbox.html", sent=sent)

    async def people(self, request: Request) -> Response:
        """Show everybody who can hold the phone; `?next=` is the page to come back to."""
        return self._pages.render(
            request,
            "people.html",
            tab="people",
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


def ask_whose(pages: Pages, request: Request) -> Response:
    """Ask who holds the phone, and come back to this page."""
    return pages.render(request, "people.html", person=None, people=PEOPLE.values(), here=here(request))


def here(request: Request) -> str:
    """Return this page's own path and query, to come back to."""
    return f"{request.url.path}?{request.url.query}" if request.url.query else request.url.path


def _local(request: Request, path: str) -> str:
    root = request.scope["root_path"]
    if path.startswith(f"{root}/") and not path.startswith("//") and "\\" not in path and path.isprintable():
        return path
    return f"{root}/phone"
