"""The challenge before a code is sent: a widget on the client's page, whose verdict its verifier tells us.

The wire is that of the `siteverify` services (reCAPTCHA, hCaptcha, Turnstile): a form with `secret`,
`response` and `remoteip`, answered by a JSON object with `success` and, of some, the widget's `action`.
"""

from typing import Final, Literal
from urllib.parse import urlencode

import structlog
from prometheus_client import Counter

from hub.codes.senders.http import Http
from hub.codes.senders.port import Temporary
from hub.errors import ChallengeRequired, Unavailable

log = structlog.stdlib.get_logger("hub.codes")

CHALLENGES = Counter(
    "hub_code_challenges_total", "Challenges before codes, by what came of them.", ["result"]
)

ACTION: Final = "send_code"
_CALL_LIMIT: Final = 3.0  # seconds
_OK: Final = 200
_FORM: Final = {"content-type": "application/x-www-form-urlencoded"}


class Challenge:
    """Asks the verifier at *url*. While it is away nothing is sent, or with *when_away* `open` everything."""

    def __init__(self, url: str, secret: str, when_away: Literal["closed", "open"]) -> None:
        self._url = url
        self._secret = secret
        self._open = when_away == "open"
        self._http = Http(call_limit=_CALL_LIMIT)

    async def start(self) -> None:
        """Open the connection pool."""
        await self._http.start()

    async def stop(self) -> None:
        """Close the connections."""
        await self._http.stop()

    async def demand(self, response: str | None, ip: str) -> None:
        """Let pass who has solved the challenge: *response* is what the widget gave the client.

        Raises ChallengeRequired, or Unavailable.
        """
        if not response:
            CHALLENGES.labels("missing").inc()
            raise ChallengeRequired("no response")
        form = {"secret": self._secret, "response": response, "remoteip": ip}
        try:
            reply = await self._http.post(self._url, _FORM, urlencode(form).encode())
            if reply.status != _OK or not isinstance(reply.body.get("success"), bool):
                raise Temporary(f"status {reply.status}")
        except Temporary as failure:
            CHALLENGES.labels("away").inc()
            log.warning("challenge_not_verified", reason=failure.code, sends=self._open)
            if self._open:
                return
            raise Unavailable(f"the challenge's verifier: {failure.code}") from None
        if not reply.body["success"] or (reply.body.get("action") or ACTION) != ACTION:
            CHALLENGES.labels("refused").inc()
            raise ChallengeRequired(f"{reply.body.get('error-codes')} {reply.body.get('action')}")
        CHALLENGES.labels("passed").inc()
