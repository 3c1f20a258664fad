"""What a session is opened for and with, how it ends, and where offences are put on record."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple, NotRequired, Protocol

from typing_extensions import TypedDict

from hub.store.database import Connection
from hub.web.shapes import described


class Device(NamedTuple):
    """What is known of the device that asks; the first three as the client told them."""

    name: str | None
    type: str | None
    id: str | None
    ip: str
    user_agent: str
    location: str | None


@described
class TokenReply(TypedDict):
    """The tokens of a session (RFC 6749 section 5.1), and members of our own."""

    access_token: str
    """A JWT (RFC 9068), to be sent as bearer."""
    refresh_token: NotRequired[str]
    """Good for one refresh; missing where it went into a cookie."""
    token_type: Literal["Bearer"]
    """How the access token is sent (RFC 6750)."""
    expires_in: int
    """Seconds until the access token ends."""
    refresh_expires_in: int
    """Seconds until the refresh token ends if it is not used."""
    session_id: str
    """The session that the tokens belong to, as in the list of sessions."""


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
    ended: tuple[str, ...] = ()
    event_seq: int = 0

    def reply(self) -> TokenReply:
        """Return the token reply."""
        return {
            "access_token": self.access_token,
            "refresh_token": self.refresh_token,
            "token_type": "Bearer",
            "expires_in": self.expires_in,
            "refresh_expires_in": self.refresh_expires_in,
            "session_id": self.session_id,
        }


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


Told = Literal["stream", "email", "sms"]


class Alerts(Protocol):
    """Who tells the person of a stolen refresh token: `hub.audit.alerts`."""

    async def token_reused(
        self, tx: Connection, user_id: int, sid: str, device: Device, now: datetime, /
    ) -> Sequence[Told]:
        """Write in the caller's transaction what is to be told, and return the ways that it goes."""

    async def announce(self, user_id: int, channels: Sequence[Told], /) -> None:
        """Let it go out, after the commit."""


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
