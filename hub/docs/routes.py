"""The HTTP edge of the description: two documents, a page made of them, and the guides."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from hub import __version__
from hub.docs.asyncapi import asyncapi
from hub.docs.guide import NAMES, guide
from hub.docs.openapi import openapi
from hub.docs.page import calls, lines, shapes
from hub.errors import NotFound
from hub.web.answers import dump
from hub.web.language import language
from hub.web.operations import PAGE, Answer, ChannelRoute, Nothing, Operation, OperationRoute
from hub.web.pages import Pages
from hub.web.shapes import Raw

_CACHED = {"cache-control": "public, max-age=300"}
OPENAPI = Operation(
    "GET", "/openapi.json", Nothing, Raw, answers=(Answer(200, "The document", ("application/json",)),)
)
ASYNCAPI = Operation(
    "GET", "/asyncapi.json", Nothing, Raw, answers=(Answer(200, "The document", ("application/json",)),)
)
API = Operation("GET", "/docs", Nothing, Raw, answers=(PAGE,))
GUIDES = Operation("GET", "/docs/guides", Nothing, Raw, answers=(PAGE,))
GUIDE = Operation(
    "GET",
    "/docs/guides/{name}",
    Nothing,
    Raw,
    path_parameters={"name": "The guide, as `/docs/guides` lists it."},
    answers=(PAGE,),
    problems=(NotFound,),
)


class DocsRoutes:
    """Describes *described*, all that the application routes, and itself; *cookie* tells a cookie's name."""

    def __init__(
        self,
        described: Sequence[BaseRoute],
        pages: Pages,
        *,
        title: str,
        base_url: str,
        cookie: Callable[[str], str],
    ) -> None:
        self._own = [
            OPENAPI.route(self.openapi),
            ASYNCAPI.route(self.asyncapi),
            API.route(self.page),
            GUIDES.route(self.guides),
            GUIDE.route(self.guide),
        ]
        self._described = [*described, *self._own]
        self._pages = pages
        self._title = title
        self._base_url = base_url
        self._cookie = cookie

    def routes(self) -> list[BaseRoute]:
        """Return the routes."""
        return [*self._own]

    async def openapi(self, request: Request) -> Response:
        """`GET /openapi.json`: the calls, as OpenAPI 3.1."""
        return Response(dump(self.calls), media_type="application/json", headers=_CACHED)

    async def asyncapi(self, request: Request) -> Response:
        """`GET /asyncapi.json`: the sockets and event streams, as AsyncAPI 3.0."""
        return Response(dump(self.channels), media_type="application/json", headers=_CACHED)

    async def page(self, request: Request) -> Response:
        """`GET /docs`: both of them, for people to read."""
        return self._pages.render(request, "api.html", **self.shown)

    async def guides(self, request: Request) -> Response:
        """`GET /docs/guides`: what each guide is about."""
        listed = [guide(name, language(request)) for name in NAMES]
        return self._pages.render(request, "guides.html", guides=listed)

    async def guide(self, request: Request) -> Response:
        """`GET /docs/guides/{name}`: a guide, in English where it is not translated."""
        try:
            shown = guide(request.path_params["name"], language(request))
        except FileNotFoundError:
            raise NotFound("no such guide") from None
        return self._pages.render(request, "guide.html", guide=shown, html=Markup(shown.html))  # noqa: S704 - our own files

    @cached_property
    def calls(self) -> dict[str, Any]:
        """The OpenAPI document; made when it is first asked for."""
        routes = [route for route in self._described if isinstance(route, OperationRoute)]
        return openapi(
            routes, title=self._title, version=__version__, base_url=self._base_url, cookie=self._cookie
        )

    @cached_property
    def channels(self) -> dict[str, Any]:
        """The AsyncAPI document."""
        channels = [route for route in self._described if isinstance(route, ChannelRoute)]
        streams = [
            route for route in self._described if isinstance(route, OperationRoute) and route.operation.events
        ]
        return asyncapi(channels, streams, title=self._title, version=__version__, base_url=self._base_url)

    @cached_property
    def shown(self) -> dict[str, Any]:
        """What the page shows."""
        return {
            "calls": calls(self.calls),
            "shapes": shapes(self.calls),
            "lines": lines(self.channels),
            "tags": {tag["name"]: tag["description"] for tag in self.calls["tags"]},
        }
