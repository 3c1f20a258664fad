"""Where tries with a password are put on record: what this room needs of `hub.audit.signals`."""

from datetime import datetime
from typing import Any, Literal, Protocol, TypedDict

from hub.errors import AccountBlocked, HubError, RateLimited
from hub.store.database import Connection
from hub.tokens.service import Device


class Outcome(TypedDict):
    """How the login log calls a refusal."""

    status: Literal["failed", "blocked"]
    reason: Literal["invalid_code", "account_blocked", "rate_limit"]


class Signals(Protocol):
    """The login log, which also watches for what is unusual."""

    async def signed_in(
        self,
        tx: Connection,
        *,
        user_id: int,
        account: str | None,
        method: Literal["password"],
        device: Device,
        now: datetime,
    ) -> Any:
        """Put a sign-in on record in the caller's transaction; what it returns is for `announce`."""

    async def announce(self, noted: Any, /) -> None:
        """Count and send what a sign-in has raised, once it is committed."""

    async def proved(
        self,
        tx: Connection,
        *,
        user_id: int,
        account: str | None,
        method: Literal["password"],
        device: Device,
        now: datetime,
    ) -> None:
        """Put on record that the password was shown without a sign-in, in the caller's transaction."""

    async def failed(
        self,
        *,
        user_id: int | None,
        account: str | None,
        method: Literal["password"],
        device: Device,
        status: Literal["failed", "blocked"],
        reason: Literal["invalid_code", "account_blocked", "rate_limit"],
    ) -> None:
        """Put a refused try on record."""


def outcome(refusal: HubError) -> Outcome:
    """Return how the login log calls *refusal*."""
    if isinstance(refusal, AccountBlocked):
        return {"status": "blocked", "reason": "account_blocked"}
    if isinstance(refusal, RateLimited):
        return {"status": "blocked", "reason": "rate_limit"}
    return {"status": "failed", "reason": "invalid_code"}  # the log's word for a wrong secret of any kind
