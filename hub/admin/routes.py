"""The HTTP edge of administrators: what they do to accounts."""

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from hub.accounts.admin import Administration
from hub.admin.operations import (
    BAN,
    END_SESSION,
    END_SESSIONS,
    SESSIONS,
    UNBAN,
    USERS,
    User,
)
from hub.admin.operators import Operators
from hub.admin.users import Users
from hub.errors import NotFound
from hub.store.database import Row
from hub.tokens.claims import Claims
from hub.tokens.operations import described_session
from hub.web.answers import moment
from hub.web.language import language
from hub.web.parsing import bearer

Place = Callable[[str, str], str | None]


class AdminRoutes:
    """The endpoints. *administer* gives the use cases in the name of an account; *place* names the city of
    an IP address in a language, where it is known.
    """

    def __init__(
        self,
        operators: Operators,
        users: Users,
        administer: Callable[[int], Administration],
        place: Place,
    ) -> None:
        self._operators = operators
        self._users = users
        self._administer = administer
        self._place = place

    def routes(self) -> list[BaseRoute]:
        """Return the routes."""
        return [
            USERS.route(self.search),
            BAN.route(self.ban),
            UNBAN.route(self.unban),
            SESSIONS.route(self.sessions),
            END_SESSIONS.route(self.end_all),
            END_SESSION.route(self.end),
        ]

    async def search(self, request: Request) -> Response:
        """`GET /api/admin/users`: accounts by id, those that a text may mean, or all."""
        await self._claims(request)
        asked = await USERS.read(request)
        page = await self._users.page(asked.query, int(asked.cursor), asked.limit)
        return USERS.answer(
            {
                "users": [_user(row) for row in page.rows],
                "next_cursor": None if page.next is None else str(page.next),
            }
        )

    async def ban(self, request: Request) -> Response:
        """`POST /api/admin/users/{id}/ban`: shut an account out and end its sessions, at once.

        Its tokens are refused and its sockets close, on every node. Nobody bans themselves. Like every change
        of administrators it is on record.
        """
        claims = await self._claims(request)
        asked = await BAN.read(request)
        ended = await self._administer(claims.user_id).ban(_id(request), asked.reason)
        return BAN.answer({"ended": len(ended.sids)})

    async def unban(self, request: Request) -> Response:
        """`POST /api/admin/users/{id}/unban`: let a banned account in again."""
        claims = await self._claims(request)
        asked = await UNBAN.read(request)
        await self._administer(claims.user_id).unban(_id(request), asked.reason)
        return UNBAN.answer(None)

    async def sessions(self, request: Request) -> Response:
        """`GET /api/admin/users/{id}/sessions`: where somebody is signed in, last used first."""
        claims = await self._claims(request)
        rows = await self._administer(claims.user_id).sessions(_id(request))
        spoken = language(request)
        return SESSIONS.answer(
            {"sessions": [described_session(row, claims.sid, self._place, spoken) for row in rows]}
        )

    async def end_all(self, request: Request) -> Response:
        """`DELETE /api/admin/users/{id}/sessions`: end all sessions of somebody."""
        claims = await self._claims(request)
        ended = await self._administer(claims.user_id).revoke(_id(request))
        return END_SESSIONS.answer({"ended": len(ended.sids)})

    async def end(self, request: Request) -> Response:
        """`DELETE /api/admin/users/{id}/sessions/{session_id}`: end one session of somebody."""
        claims = await self._claims(request)
        sid = request.path_params["session_id"]
        ended = await self._administer(claims.user_id).revoke(_id(request), sid)
        return END_SESSION.answer({"ended": len(ended.sids)})

    async def _claims(self, request: Request) -> Claims:
        return await self._operators.verify(bearer(request))


def _id(request: Request) -> str:
    """Return the account that the path names; the use cases would also find it by a number or a name."""
    who: str = request.path_params["id"]
    if not (who.isascii() and who.isdecimal()):
        raise NotFound(f"no such user: {who[:64]!r}")
    return who


def _user(row: Row) -> User:
    seen = row["last_login_at"]
    return {
        "id": row["id"],
        "phone": row["phone"],
        "email": row["email"],
        "username": row["username"],
        "nickname": row["nickname"],
        "status": row["status"],
        "role": row["role"],
        "created_at": moment(row["created_at"]),
        "last_login_at": seen and moment(seen),
    }
