"""What a person is told about the browser that asks: site, browser, system, address, place, time."""

from datetime import UTC
from typing import Any

import ua_parser

from hub.audit.places import Place, Places
from hub.qr.attempt import Attempt


class RequestInfo:
    """Describes attempts for *site*, with the places of *places*."""

    def __init__(self, site: str, places: Places) -> None:
        self._site = site
        self._places = places
        # The rules take so long to load that the first person would wait for it.
        ua_parser.parse("Mozilla/5.0")

    def describe(self, attempt: Attempt, phone_address: str, language: str) -> dict[str, Any]:
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
