"""The edge of the confirm link: it leads to WeChat, which says who has opened it, and back."""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute

from hub.errors import AttemptNotFound
from hub.limits.guard import VERIFY, Guard
from hub.qr.grants import Grants
from hub.qr.image import inline
from hub.qr.official_account.consent import LinkConsent
from hub.qr.operations.pages import LINK
from hub.qr.states import Status
from hub.web.cookies import Cookies
from hub.web.outcomes import Outcomes
from hub.web.parsing import client_address, is_wechat


class LinkPages:
    """`GET /c/{link}`, below *base_url*. With *wechat_only* other browsers show it as a code to scan."""

    def __init__(
        self,
        consent: LinkConsent,
        grants: Grants,
        guard: Guard,
        cookies: Cookies,
        outcomes: Outcomes,
        *,
        base_url: str,
        wechat_only: bool,
    ) -> None:
        self._consent = consent
        self._grants = grants
        self._guard = guard
        self._cookies = cookies
        self._outcomes = outcomes
        self._base_url = base_url
        self._wechat_only = wechat_only

    def routes(self) -> list[BaseRoute]:
        """Return the route."""
        return [LINK.route(self._outcomes.readable(self.open))]

    async def open(self, request: Request) -> Response:
        """Send whoever opens the link to WeChat; who has been there before goes on to the confirm page."""
        await self._guard.spend(VERIFY, client_address(request))
        try:
            attempt, alive = await self._consent.open(request.path_params["link"])
        except AttemptNotFound:
            return self._outcomes.show(request, "not_found")
        grant = self._grants.read(request)
        granted = grant is not None and grant.key == attempt.key and grant.subject == attempt.scanned_by
        if granted or attempt.status not in (Status.SCANNED, Status.CONFIRMED):
            return _redirect(f"/s/{attempt.qr_code}", 303)
        if not alive:
            return self._outcomes.show(request, "dead_link")
        if self._wechat_only and not is_wechat(request):
            here = f"{self._base_url}{request.url.path}"
            return self._outcomes.show(request, "open_in_wechat", picture=inline(here))
        secret = self._cookies.binding_or_new(request)
        response = _redirect(self._consent.consent_url(attempt, secret), 302)
        self._cookies.bind(request, response, secret)
        return response


def _redirect(url: str, status: int) -> Response:
    return RedirectResponse(url, status, {"cache-control": "no-store"})
