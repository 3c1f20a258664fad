"""Where WeChat's callback leads the browser that signs in through WeChat's own page."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from hub.qr.attempt import Attempt
from hub.qr.attempts import Attempts
from hub.qr.consent import Outcome
from hub.qr.redemption import Redemption
from hub.web.cookies import Cookies
from hub.web.outcomes import Outcomes

ShowSignIn = Callable[[Request, str, dict[str, Any]], Response]
ShowAccount = Callable[[Request, str], Response]


class OpenPlatformPages:
    """Ends the sign-in in the window that was at WeChat's: the page which began it is gone from there.

    *show_sign_in* renders the sign-in page, for a door and with what it is to finish; *show_account* the
    account page, with the attempt that is to be bound.
    """

    def __init__(
        self,
        attempts: Attempts,
        redemption: Redemption,
        cookies: Cookies,
        outcomes: Outcomes,
        show_sign_in: ShowSignIn,
        show_account: ShowAccount,
    ) -> None:
        self._attempts = attempts
        self._redemption = redemption
        self._cookies = cookies
        self._outcomes = outcomes
        self._show_sign_in = show_sign_in
        self._show_account = show_account

    async def returned(self, request: Request, outcome: Outcome) -> Response:
        """Lead on to the client's `redirect_uri`, or have our page redeem; a failure offers a new start."""
        attempt = outcome.attempt
        if attempt is None:
            return self._outcomes.show(request, outcome.name, again="/")
        if outcome.name != "confirmed":
            return self._outcomes.show(request, outcome.name, again=start_url(attempt))
        session_id = self._attempts.made.session_id(attempt.session_seed, attempt.key)
        if attempt.purpose == "bind":
            return self._show_account(request, session_id)
        if attempt.redirect_uri is None:
            by_cookie = attempt.binding.startswith("cookie:")
            finishing = {"session_id": session_id, "by_cookie": by_cookie, "home": start_url(attempt)}
            return self._show_sign_in(request, attempt.door, finishing)
        url = await self._redemption.redirect_url(session_id, self._cookies.binding(request))
        if url is None:
            return self._outcomes.show(request, "expired", again=start_url(attempt))
        return RedirectResponse(url, 303, {"cache-control": "no-store"})


def start_url(attempt: Attempt) -> str:
    """Return the sign-in page that begins an attempt like *attempt*."""
    members = {"door": attempt.door}
    if attempt.redirect_uri is not None:
        members["redirect_uri"] = attempt.redirect_uri
        if attempt.state is not None:
            members["state"] = attempt.state
        method, _, challenge = attempt.binding.partition(":")
        if method == "S256":
            members |= {"code_challenge": challenge, "code_challenge_method": method}
    return f"/?{urlencode(members)}"
