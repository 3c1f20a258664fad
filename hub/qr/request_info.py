"""What a person is told about the browser that asks: site, browser, system, address, time."""

from datetime import UTC
from typing import Any

import ua_parser

from hub.qr.attempt import Attempt


def request_info(attempt: Attempt, site: str) -> dict[str, Any]:
    """Return `{site, browser, os, ip, city, requested_at, mismatch}`; unknown parts are None.

    `mismatch` tells that phone and browser are known to be in different places.
    """
    found = ua_parser.parse(attempt.user_agent)
    return {
        "site": site,
        "browser": found.user_agent.family if found.user_agent else None,
        "os": found.os.family if found.os else None,
        "ip": attempt.ip_address,
        "city": attempt.city,
        "requested_at": attempt.created_at.astimezone(UTC).isoformat(timespec="seconds"),
        "mismatch": False,
    }


def warm() -> None:
    """Load the user-agent rules now: it takes so long that the first person would wait for it."""
    ua_parser.parse("Mozilla/5.0")
