"""What the endpoints of administrators declare: what they read, and what they tell."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints
from typing_extensions import TypedDict

from hub.errors import Conflict, Forbidden, NotFound, Unauthorized
from hub.tokens.operations import SessionList
from hub.web.operations import PAGE, Auth, Nothing, Operation
from hub.web.parsing import Body, Printable
from hub.web.shapes import Raw, described


class Search(Body):
    """The query of `GET /api/admin/users`."""

    query: Annotated[Printable, StringConstraints(max_length=254, strip_whitespace=True)] = ""
    """An id, a number, an e-mail address, a username, or the beginning of a nickname; empty: everybody."""
    cursor: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,18}$")] = "0"
    """Where the page begins: the `next_cursor` of the page before. The first page without it."""
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    """How many accounts at most."""


class People(Search):
    """The query of `GET /api/admin/content`."""

    open: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,18}$")] = "0"
    """The account that is shown with its sessions and what can be done to it; 0 for none."""


class Why(Body):
    """A change to an account."""

    reason: Annotated[
        Printable, StringConstraints(min_length=1, max_length=200, strip_whitespace=True, pattern=r"\S")
    ]
    """Why, for the record."""


@described
class User(TypedDict):
    """An account, as administrators see it."""

    id: int
    """The account's number."""
    phone: str | None
    """The number in E.164."""
    email: str | None
    """The e-mail address."""
    username: str | None
    """The name to sign in with."""
    nickname: str | None
    """What others call the person."""
    status: Literal["active", "inactive", "pending", "banned"]
    """Whether it may sign in: only `active` ones do."""
    role: Literal["user", "admin"]
    """What the account may do."""
    created_at: str
    """When it was made, in ISO 8601 and UTC."""
    last_login_at: str | None
    """When it was signed in to last."""


@described
class UserPage(TypedDict):
    """Some accounts."""

    users: list[User]
    """The accounts, by id."""
    next_cursor: str | None
    """The `cursor` of the page that follows, null on the last one."""


@described
class PeopleContent(TypedDict):
    """What the dashboard shows of people."""

    html: str
    """A list to be put into the page, in the caller's language."""


@described
class EndedSessions(TypedDict):
    """What was ended."""

    ended: int
    """How many sessions."""


_USER_ID = {"id": "The account's number."}
_REFUSALS = (Unauthorized, Forbidden)
_ADMIN = (Auth.ACCESS_TOKEN,)
DASHBOARD = Operation("GET", "/admin", Nothing, Raw, answers=(PAGE,))
PEOPLE = Operation("GET", "/api/admin/content", People, PeopleContent, auth=_ADMIN, problems=_REFUSALS)
USERS = Operation(
    method="GET", path="/api/admin/users", asked=Search, told=UserPage, auth=_ADMIN, problems=_REFUSALS
)
BAN = Operation(
    method="POST",
    path="/api/admin/users/{id}/ban",
    path_parameters=_USER_ID,
    asked=Why,
    told=EndedSessions,
    auth=_ADMIN,
    problems=(*_REFUSALS, NotFound, Conflict),
)
UNBAN = Operation(
    method="POST",
    path="/api/admin/users/{id}/unban",
    path_parameters=_USER_ID,
    asked=Why,
    told=type(None),
    auth=_ADMIN,
    problems=(*_REFUSALS, NotFound, Conflict),
)
SESSIONS = Operation(
    method="GET",
    path="/api/admin/users/{id}/sessions",
    path_parameters=_USER_ID,
    asked=Nothing,
    told=SessionList,
    auth=_ADMIN,
    problems=(*_REFUSALS, NotFound),
)
END_SESSIONS = Operation(
    method="DELETE",
    path="/api/admin/users/{id}/sessions",
    path_parameters=_USER_ID,
    asked=Nothing,
    told=EndedSessions,
    auth=_ADMIN,
    problems=(*_REFUSALS, NotFound),
)
END_SESSION = Operation(
    method="DELETE",
    path="/api/admin/users/{id}/sessions/{session_id}",
    path_parameters={**_USER_ID, "session_id": "The session's id, as the list has it."},
    asked=Nothing,
    told=EndedSessions,
    auth=_ADMIN,
    problems=(*_REFUSALS, NotFound),
)
