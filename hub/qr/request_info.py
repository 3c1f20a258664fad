"""What a person is told about the browser that asks: site, browser, system, address, place, time."""

from datetime import UTC

import ua_parser
from typing_extensions import TypedDict

from hub.audit.places import Place, Places
from hub.qr.attempt import Attempt
from hub.web.shapes import described


@described
class Asking(TypedDict):
    """The browser that asks; what is not known is null."""

    site: str
    """What is being signed in to."""
    browser: str | None
    """The browser's name."""
    os: str | None
    """Its system."""
    ip: str
    """Its address."""
    city: str | None
    """Where that is."""
    requested_at: str
    """When it asked, in ISO 8601 and UTC."""
    mismatch: bool
    """Whether phone and browser are known to be in different places."""


class RequestInfo:
    """Describes attempts for *site*, with the places of *places*."""

    def __init__(self, site: str, places: Places) -> None:
        self._site = site
        self._places = places
        # The rules take so long to load that the first person would wait for it.
        ua_parser.parse("Mozilla/5.0")

    def describe(self, attempt: Attempt, phone_address: str, language: str) -> Asking:
        """Return `{site, browser, os, ip, city, requested_at, mismatch}`; unknown parts are None.

        `mismatch` tells that phone and browser are known to be in different places.
        """
        agent = ua_parser.parse(attempt.user_agent)
        there = self._places.find(attempt.ip_address, language)
        here = self._places.find(phone_address, language)
        return {
            "site": self._site,
            "browser": agent.user_agent.family if agent.user_agent else None,
            "os": agent.os.family if agent.os else None,
            "ip": attempt.ip_address,
            "city": there.name if there else None,
            "requested_at": attempt.created_at.astimezone(UTC).isoformat(timespec="seconds"),
            "mismatch": _apart(there, here),
        }

    def mismatch(self, attempt: Attempt, phone_address: str) -> bool:
        """Tell whether phone and browser are known to be in different places."""
        there = self._places.find(attempt.ip_address, "en")
        return _apart(there, self._places.find(phone_address, "en"))


def _apart(there: Place | None, here: Place | None) -> bool:
    return bool(there and here and there.key != here.key)
