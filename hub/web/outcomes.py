"""The pages that tell a person what has become of a step, and what to do next."""

from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from hub.errors import RateLimited, Unavailable
from hub.web.pages import Pages
from hub.web.problems import refuse

Endpoint = Callable[[Request], Awaitable[Response]]

_STATUS: Final[Mapping[str, int]] = {"not_found": 404, "expired": 410, "provider_away": 502, "busy": 503}


class Outcomes:
    """Shows the outcomes that `page.outcome.<name>` describes."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    def show(
        self,
        request: Request,
        name: str,
        status: int | None = None,
        *,
        again: str | None = None,
        picture: str | None = None,
    ) -> Response:
        """Return the page of outcome *name*.

        *again* is where a browser that signs in by itself starts over; the other pages speak to whoever has
        scanned a code of another device. *picture* is the address of the code to scan instead.
        """
        status = status or _STATUS.get(name, 200)
        return self._pages.render(
            request, "outcome.html", status=status, outcome=name, again=again, picture=picture
        )

    def readable(self, endpoint: Endpoint) -> Endpoint:
        """Let people read that they shall come back, where programs get a problem body."""

        @wraps(endpoint)
        async def page(request: Request) -> Response:
            try:
                return await endpoint(request)
            except (RateLimited, Unavailable) as error:
                problem = await refuse(request, error)
                shown = self.show(request, "busy", problem.status_code)
                shown.headers["retry-after"] = problem.headers["retry-after"]
                return shown

        return page
