"""What the endpoints of tokens and sessions declare: what they read, and what they tell."""

from collections.abc import Callable
from types import NoneType
from typing import Annotated, Literal

from pydantic import StringConstraints
from typing_extensions import TypedDict

from hub.errors import (
    AccountBlocked,
    CodeLocked,
    InvalidCode,
    InvalidCredentials,
    InvalidRefreshToken,
    NotFound,
    OriginNotAllowed,
    PasswordLocked,
    Unauthorized,
    Unavailable,
)
from hub.store.database import Row
from hub.tokens.session import TokenReply
from hub.web.answers import moment
from hub.web.operations import Auth, Nothing, Operation
from hub.web.parsing import Body, Printable, Visible
from hub.web.shapes import described


class Refresh(Body):
    """`POST /api/token/refresh`."""

    refresh_token: Annotated[str, StringConstraints(min_length=1, max_length=512)] | None = None
    """The refresh token; without it that of the cookie is taken."""


class Logout(Body):
    """`POST /api/logout`."""

    device_id: Annotated[Printable, StringConstraints(min_length=1, max_length=128)] | None = None
    """Ends the sessions on this device instead of the caller's own."""


class LogoutAll(Body):
    """`POST /api/logout-all`."""

    except_current: bool = False
    """Whether the caller's own session stays."""


class Rename(Body):
    """`PATCH /api/sessions/{id}`."""

    device_name: Annotated[Visible, StringConstraints(min_length=1, max_length=100, pattern=r"\S")]
    """What the person calls the device."""


class Reauth(Body):
    """`POST /api/reauth`: the password, or a code that was sent to the account's number or address."""

    code: Annotated[str, StringConstraints(pattern=r"^[0-9]{4,8}$")] | None = None
    """A one-time code with the purpose `login`."""
    password: Annotated[str, StringConstraints(min_length=1, max_length=512)] | None = None
    """The account's password."""
    channel: Literal["phone", "email"] | None = None
    """Where the code went, for an account that has both."""


@described
class FreshToken(TypedDict):
    """An access token whose `auth_time` is now; the refresh token stays as it is."""

    access_token: str
    """A JWT (RFC 9068), to be sent as bearer."""
    token_type: Literal["Bearer"]
    """How it is sent (RFC 6750)."""
    expires_in: int
    """Seconds until it ends."""
    session_id: str
    """The caller's session, which goes on."""


@described
class Session(TypedDict):
    """One device on which the person is signed in."""

    id: str
    """The session's id, `sid` in its access tokens."""
    current: bool
    """Whether it is the caller's own."""
    device_name: str | None
    """The device's name, as the client or the person gave it."""
    device_type: str | None
    """The device's type, as the client gave it."""
    device_id: str | None
    """The device's id, as the client gave it."""
    ip_address: str | None
    """Where it was last used from."""
    user_agent: str | None
    """The browser or app."""
    location: str | None
    """The city of the address, where it is known."""
    amr: list[str]
    """How the person signed in (RFC 8176)."""
    client_id: str | None
    """The OAuth client it was opened for."""
    created_at: str
    """When it was opened, in ISO 8601 and UTC."""
    last_active_at: str
    """When it was last used."""
    expires_at: str
    """When it ends at the latest."""


@described
class SessionList(TypedDict):
    """Where the person is signed in."""

    sessions: list[Session]
    """The sessions, last used first."""


def described_session(
    row: Row, current: str, place: Callable[[str, str], str | None], language: str
) -> Session:
    """Return the row of a session as it is told; *current* is the caller's own, *place* names a city."""
    found = place(row["ip_address"], language) if row["ip_address"] else None
    return {
        "id": row["sid"],
        "current": row["sid"] == current,
        "device_name": row["device_name"],
        "device_type": row["device_type"],
        "device_id": row["device_id"],
        "ip_address": row["ip_address"],
        "user_agent": row["user_agent"],
        "location": found or row["location"],
        "amr": (row["amr"] or "").split(),
        "client_id": row["client_id"],
        "created_at": moment(row["created_at"]),
        "last_active_at": moment(row["last_active_at"]),
        "expires_at": moment(row["expires_at"]),
    }


_SESSION_ID = {"id": "The session's id, as the list has it."}
_SIGNED_IN = (Auth.ACCESS_TOKEN,)
REFRESH_TOKENS = Operation(
    "POST",
    "/api/token/refresh",
    Refresh,
    TokenReply,
    optional=True,
    limited=True,
    auth=(Auth.NOBODY, Auth.REFRESH_COOKIE),
    problems=(InvalidRefreshToken, AccountBlocked, OriginNotAllowed),
)
LOGOUT = Operation(
    "POST", "/api/logout", Logout, NoneType, optional=True, auth=_SIGNED_IN, problems=(Unauthorized,)
)
LOGOUT_ALL = Operation(
    "POST", "/api/logout-all", LogoutAll, NoneType, optional=True, auth=_SIGNED_IN, problems=(Unauthorized,)
)
REAUTH = Operation(
    "POST",
    "/api/reauth",
    Reauth,
    FreshToken,
    limited=True,
    auth=_SIGNED_IN,
    problems=(Unauthorized, InvalidCode, InvalidCredentials, CodeLocked, PasswordLocked, Unavailable),
)
LIST = Operation("GET", "/api/sessions", Nothing, SessionList, auth=_SIGNED_IN, problems=(Unauthorized,))
RENAME = Operation(
    "PATCH",
    "/api/sessions/{id}",
    Rename,
    Session,
    path_parameters=_SESSION_ID,
    auth=_SIGNED_IN,
    problems=(Unauthorized, NotFound),
)
END = Operation(
    "DELETE",
    "/api/sessions/{id}",
    Nothing,
    NoneType,
    path_parameters=_SESSION_ID,
    auth=_SIGNED_IN,
    problems=(Unauthorized, NotFound),
)
