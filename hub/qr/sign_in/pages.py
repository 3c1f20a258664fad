"""The sign-in page, and its card for the pages of other sites."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from hub.assets import folder
from hub.qr.operations.pages import CARD, SIGN_IN_PAGE
from hub.qr.states import PROVIDER_DOORS
from hub.web.context import CONTENT_SECURITY, note
from hub.web.origins import Origins
from hub.web.pages import Pages
from hub.web.ways import Ways

_ASKED: Final = ("redirect_uri", "state", "code_challenge", "code_challenge_method")
_STYLES: Final = ("hub.css", "sign-in.css")


class SignInPages:
    """`/` and `/api/card`, which show the same card.

    The first of *doors* is the default; *frame_origin* is that of WeChat's pages where they are to be shown
    in a frame. *phone_url* is the simulated phone's address, which only development has. With *scan_confirms*
    a scan of the official account's code is all it takes. *ways* are what else is offered.
    """

    def __init__(
        self,
        *,
        pages: Pages,
        origins: Origins,
        doors: Sequence[str],
        frame_origin: str | None,
        phone_url: str | None,
        scan_confirms: bool,
        ways: Ways,
    ) -> None:
        self._pages = pages
        self._origins = origins
        self._doors = doors
        self._frame_origin = frame_origin
        self._phone_url = phone_url
        self._scan_confirms = scan_confirms
        self._ways = ways

    def routes(self) -> list[BaseRoute]:
        """Return the routes."""
        return [SIGN_IN_PAGE.route(self.sign_in), CARD.route(self.card)]

    async def sign_in(self, request: Request) -> Response:
        """Show the sign-in page, for the door that `?door=` names or the default one."""
        return self.show(request, self._door(request, self._doors))

    def show(self, request: Request, door: str, finishing: Mapping[str, object] | None = None) -> Response:
        """Render the sign-in page; with *finishing* for a person who comes back from WeChat's own page."""
        framed = self._frame_origin is not None and door in PROVIDER_DOORS
        query = request.query_params
        asked = {} if finishing else {name: query[name] for name in _ASKED if name in query}
        page = self._pages.render(
            request,
            "sign_in.html",
            **self._card(request, door, ["scan"] if finishing else None),
            leads_to=None,
            framed=framed,
            finishing=finishing,
            asked=asked,
            doors=self._doors,
            phone_url=self._phone_url,
        )
        if framed:
            page.headers["content-security-policy"] = f"{CONTENT_SECURITY}; frame-src {self._frame_origin}"
        return page

    async def card(self, request: Request) -> Response:
        """Answer the card of the sign-in, for the element `<login-hub>` on a page of another site.

        Any site may read the refusal, so that its page can say why there is no card.
        """
        note({"access-control-allow-origin": "*", "vary": "Origin, Accept-Language"})
        self._origins.check(request)
        doors, leads_to = self._doors, None
        if "origin" in request.headers and self._door(request, doors) in PROVIDER_DOORS:
            if "redirect_uri" in request.query_params:
                leads_to = f"/?{request.url.query}"
            else:  # it takes a cookie, which no call from there can set
                doors = [door for door in doors if door not in PROVIDER_DOORS]
        shown = self._card(request, self._door(request, doors))
        html = self._pages.html(
            request, "card.html", **shown, framed=False, finishing=None, leads_to=leads_to
        )
        return CARD.answer({"html": html, "css": _css()})

    def _card(self, request: Request, door: str, methods: Sequence[str] | None = None) -> dict[str, Any]:
        """Return what the template of the card needs to know."""
        sent = {"phone": self._ways.phone, "email": self._ways.email}
        offered = [way for way in ("scan", "phone", "email", "password") if sent.get(way, True)]
        leads_back = "redirect_uri" in request.query_params
        if leads_back:
            methods = ["scan"]  # the others lead to no code
        elif methods is None:
            methods = request.query_params.get("methods", "").split()
        return {
            "door": door,
            "methods": [way for way in offered if way in methods] or offered,
            "ways": self._ways,
            "scan_confirms": self._scan_confirms,
            "leads_back": leads_back,
        }

    @staticmethod
    def _door(request: Request, doors: Sequence[str]) -> str:
        door = request.query_params.get("door", "")
        return door if door in doors else doors[0]


@cache
def _css() -> str:
    return "".join((folder("static") / name).read_text("utf-8") for name in _STYLES)
