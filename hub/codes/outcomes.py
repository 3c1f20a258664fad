"""How the login log calls a try with a one-time code, and what came of it."""

from collections.abc import Mapping

from hub.audit.log import Method, Reason, Status
from hub.codes.rules import Channel
from hub.errors import AccountBlocked, CodeLocked, HubError, InvalidCode

METHODS: Mapping[Channel, Method] = {"phone": "sms_code", "email": "email_code"}


def outcome(refusal: HubError) -> tuple[Status, Reason]:
    """Return how the login log calls a refusal."""
    if isinstance(refusal, AccountBlocked):
        return "blocked", "account_blocked"
    if isinstance(refusal, CodeLocked):
        return "blocked", "rate_limit"
    if isinstance(refusal, InvalidCode):
        return "failed", "expired_code" if refusal.expired else "invalid_code"
    return "failed", "unknown"
