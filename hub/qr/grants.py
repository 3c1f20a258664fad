"""The scan grant that only the phone which scanned first has: a page's signed cookie, a program's bearer."""

import base64
from typing import NamedTuple

from starlette.requests import HTTPConnection
from starlette.responses import Response

from hub.errors import CsrfFailed, GrantRequired
from hub.qr.attempt import Attempt
from hub.web.cookies import GRANT, Cookies

PREFIX = "hubg_"
LIFE = 300  # seconds; the attempt's own deadline is shorter
_TOKEN = "hub_grant_bearer"


class Grant(NamedTuple):
    """Which attempt (its stored hash) which subject has claimed."""

    key: str
    subject: str

    def __str__(self) -> str:
        return f"{self.key}:{self.subject}"


class Grants:
    """Gives and checks the scan grants."""

    def __init__(self, cookies: Cookies) -> None:
        self._cookies = cookies

    def give(self, response: Response, attempt: Attempt, subject: str) -> None:
        """Let the browser that gets *response* answer for *attempt* as *subject*."""
        self._cookies.write(response, GRANT, str(Grant(attempt.key, subject)), LIFE)

    def read(self, connection: HTTPConnection) -> Grant | None:
        """Return the grant this browser carries."""
        return _grant(self._cookies.read(connection, GRANT, LIFE) or "")

    def token(self, key: str, subject: str) -> str:
        """Return the bearer by which a program answers for the attempt stored as *key*: `hubg_…`."""
        text = base64.urlsafe_b64encode(str(Grant(key, subject)).encode()).decode().rstrip("=")
        return PREFIX + self._cookies.sign(_TOKEN, text)

    def demand_token(self, token: str, key: str) -> Grant:
        """Return the grant of a bearer for the attempt stored as *key*. Raises GrantRequired."""
        text = self._cookies.unsign(_TOKEN, token.removeprefix(PREFIX), LIFE) or ""
        try:
            grant = _grant(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode())
        except ValueError:
            grant = None
        if grant is None or grant.key != key:
            raise GrantRequired("no scan grant for this attempt")
        return grant

    def csrf_token(self, grant: Grant) -> str:
        """Return the token that the confirm page sends back as X-CSRF-Token."""
        return self._cookies.csrf_token(str(grant))

    def demand(self, connection: HTTPConnection, key: str) -> Grant:
        """Return the grant for the attempt stored as *key*. Raises GrantRequired or CsrfFailed."""
        grant = self.read(connection)
        if grant is None or grant.key != key:
            raise GrantRequired("no scan grant for this attempt")
        token = connection.headers.get("x-csrf-token", "")
        if not self._cookies.csrf_matches(str(grant), token):
            raise CsrfFailed("missing or wrong X-CSRF-Token")
        return grant


def _grant(text: str) -> Grant | None:
    key, colon, subject = text.partition(":")
    return Grant(key, subject) if colon else None
