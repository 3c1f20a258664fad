"""The pages: what a phone sees after a scan, and the account page."""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute

from hub.errors import AttemptNotFound, NotFound, kinds
from hub.limits.guard import VERIFY, Guard
from hub.qr.attempt import Attempt
from hub.qr.attempts import Attempts
from hub.qr.binding import Binding
from hub.qr.consent import Outcome
from hub.qr.grants import Grant, Grants
from hub.qr.h5 import H5
from hub.qr.operations.pages import ACCOUNT_PAGE, LAND, PROBLEM
from hub.qr.phone import Phone
from hub.qr.request_info import RequestInfo
from hub.qr.states import ROTATING_DOORS, Status
from hub.web.cookies import Cookies
from hub.web.language import language
from hub.web.outcomes import Outcomes
from hub.web.pages import Pages
from hub.web.parsing import client_address, is_wechat
from hub.web.ways import Ways

_REASONS = {
    "declined": "declined",
    "reported": "reported",
    "cancelled": "cancelled",
    "already_claimed": "already_claimed",
    "account_blocked": "account_blocked",
    "already_bound": "already_bound",
    "risk": "risk",
}


class QrPages:
    """`/account`, `/s/{qr_code}` and the problem pages.

    *h5* is None where the in-app door is not configured. With *wechat_only* other browsers are told where to
    open the code. *ways* are what else than a code is offered.
    """

    def __init__(
        self,
        *,
        attempts: Attempts,
        phone: Phone,
        binding: Binding,
        h5: H5 | None,
        grants: Grants,
        guard: Guard,
        cookies: Cookies,
        pages: Pages,
        outcomes: Outcomes,
        info: RequestInfo,
        wechat_only: bool,
        ways: Ways,
    ) -> None:
        self._attempts = attempts
        self._phone = phone
        self._binding = binding
        self._h5 = h5
        self._grants = grants
        self._guard = guard
        self._cookies = cookies
        self._pages = pages
        self._outcomes = outcomes
        self._info = info
        self._wechat_only = wechat_only
        self._ways = ways

    def routes(self) -> list[BaseRoute]:
        """Return the routes."""
        return [
            LAND.route(self._outcomes.readable(self.land)),
            ACCOUNT_PAGE.route(self.account),
            PROBLEM.route(self.problem),
        ]

    async def account(self, request: Request) -> Response:
        """Show the page on which people look after their account; it asks the API for all that it shows."""
        return self.show_account(request)

    def show_account(self, request: Request, bound: str | None = None) -> Response:
        """Render the account page; *bound* is the attempt to bind that WeChat's page has led back from."""
        return self._pages.render(request, "account.html", ways=self._ways, bound=bound)

    async def land(self, request: Request) -> Response:
        """Take a phone that has scanned: to the consent, to the confirm page, or to what has become of it."""
        await self._guard.spend(VERIFY, client_address(request))
        grant = self._grants.read(request)
        try:
            attempt = await self._phone.land(request.path_params["qr_code"])
        except AttemptNotFound:
            return self._outcomes.show(request, "not_found")
        attempt = await self._attempts.tick(attempt)
        granted = grant is not None and grant.key == attempt.key and grant.subject == attempt.scanned_by
        if grant is not None and granted and attempt.status is Status.SCANNED:
            return await self._confirm(request, attempt, grant)
        if attempt.status in (Status.PENDING, Status.SCANNED):
            return self._to_consent(request, attempt)
        if attempt.status is Status.FAILED:
            return self._outcomes.show(request, _REASONS.get(attempt.reason or "", "failed"))
        if attempt.status is Status.CONFIRMED and granted:
            return self._outcomes.show(request, "confirmed")
        return self._outcomes.show(request, "expired")

    async def claimed(self, request: Request, outcome: Outcome) -> Response:
        """Lead a phone on that comes back from its consent: after a claim to the confirm page."""
        attempt = outcome.attempt
        if outcome.name != "scanned" or attempt is None or attempt.scanned_by is None:
            return self._outcomes.show(request, outcome.name)
        response = RedirectResponse(f"/s/{attempt.qr_code}", 303, {"cache-control": "no-store"})
        self._grants.give(response, attempt, attempt.scanned_by)
        return response

    async def problem(self, request: Request) -> Response:
        """Explain the problem type that a `type` member names (RFC 9457 section 3.1.1)."""
        kind = kinds().get(request.path_params["slug"])
        if kind is None:
            raise NotFound("no such problem")
        return self._pages.render(request, "problem.html", slug=kind.slug, error_status=kind.status)

    def _to_consent(self, request: Request, attempt: Attempt) -> Response:
        if attempt.door == "official_account":
            return self._open_in_wechat(request, attempt)  # by the picture, whose content is WeChat's
        if attempt.door not in ROTATING_DOORS:  # its code leads elsewhere
            return self._outcomes.show(request, "not_found")
        if self._h5 is None or attempt.door == "app":
            return self._outcomes.show(request, "open_in_app")
        if self._wechat_only and not is_wechat(request):
            return self._open_in_wechat(request, attempt)
        secret = self._cookies.binding_or_new(request)
        response = RedirectResponse(self._h5.consent_url(attempt, secret), 302, {"cache-control": "no-store"})
        self._cookies.bind(request, response, secret)
        return response

    def _open_in_wechat(self, request: Request, attempt: Attempt) -> Response:
        picture = f"/api/auth/wechat/qr-code/{attempt.qr_code}.svg"
        return self._outcomes.show(request, "open_in_wechat", picture=picture)

    async def _confirm(self, request: Request, attempt: Attempt, grant: Grant) -> Response:
        left = (attempt.expires_at - self._attempts.store.now()).total_seconds()
        return self._pages.render(
            request,
            "confirm.html",
            session_id=self._attempts.made.session_id(attempt.session_seed, attempt.key),
            csrf_token=self._grants.csrf_token(grant),
            person={
                "nickname": attempt.profile.get("nickname"),
                "avatar_url": attempt.profile.get("avatar_url"),
            },
            sign_in=self._info.describe(attempt, client_address(request), language(request)),
            expires_in=max(0, round(left)),
            purpose=attempt.purpose,
            account_name=await self._binding.account_name(attempt),
        )
