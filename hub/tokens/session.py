"""What a session is opened for and with, how it ends, and where offences are put on record."""

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple, Protocol

from hub.store.database import Connection


class Device(NamedTuple):
    """What is known of the device that asks; the first three as the client told them."""

    name: str | None
    type: str | None
    id: str | None
    ip: str
    user_agent: str
    location: str | None


@dataclass(frozen=True, slots=True)
class TokenPair:
    """The tokens of one session; lives in seconds.

    `ended` are the sessions that made room for a new one, `event_seq` is the account's newest event then.
    """

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in: int
    refresh_expires_in: int
    session_id: str
    user_id: int
    token_type: str = "Bearer"
    ended: tuple[str, ...] = ()
    event_seq: int = 0

    def reply(self) -> dict[str, Any]:
        """Return the members of the token reply (RFC 6749 section 5.1, and two of our own)."""
        members = asdict(self)
        del members["ended"], members["event_seq"], members["user_id"]
        return members


EndReason = Literal[
    "logout",  # by the person, there
    "revoked",  # by the person, from elsewhere
    "replaced",  # to make room for a newer one
    "reuse_detected",  # its refresh token was stolen, or its authorization code came again
    "account_blocked",
    "account_deleted",
    "address_verified",  # for the first time; who opened it had not shown that the address is theirs
    "password_changed",
    "unbound",
    "administrator",  # by an operator
    "expired",  # its time was over when its refresh token came in
]


class Ended(NamedTuple):
    """Sessions of one account that ended together; to be announced after the commit."""

    user_id: int
    sids: tuple[str, ...]
    reason: EndReason


Offence = Literal["reuse_detected", "account_blocked", "expired_code"]


class LoginLog(Protocol):
    """Where refused refreshes are put on record: `hub.audit.log`."""

    async def record(
        self,
        db: Connection,
        /,
        *,
        user_id: int,
        account: str | None,
        method: Literal["refresh"],
        status: Literal["failed", "blocked"],
        reason: Offence,
        device: Device,
        now: datetime,
    ) -> object:
        """Write one row of the login log."""
