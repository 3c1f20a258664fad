"""The HTTP edge of the tokens and sessions under `/api`."""

from collections.abc import Callable
from typing import Any, Literal, Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from hub.errors import FieldError, InvalidRefreshToken, InvalidRequest
from hub.limits.guard import VERIFY, Guard
from hub.store.database import Row
from hub.tokens.claims import Claims
from hub.tokens.operations import (
    END,
    LIST,
    LOGOUT,
    LOGOUT_ALL,
    REAUTH,
    REFRESH_TOKENS,
    RENAME,
    Session,
    described_session,
)
from hub.tokens.service import Prove, Sessions
from hub.web.cookies import REFRESH, Cookies
from hub.web.language import language
from hub.web.operations import Operation
from hub.web.origins import Origins
from hub.web.parsing import bearer, client_address

_COOKIE_AGE = 400 * 86400  # seconds, the longest that browsers keep one; the token itself ends earlier

Place = Callable[[str, str], str | None]


class ProveByCode(Protocol):
    """Checks a one-time code for the caller's own account, and returns what uses it up."""

    async def __call__(
        self, request: Request, claims: Claims, channel: Literal["phone", "email"] | None, code: str, /
    ) -> Prove: ...


class ProveByPassword(Protocol):
    """Checks the password of the caller's own account, and returns what is to be done with the proof."""

    async def __call__(self, request: Request, claims: Claims, password: str, /) -> Prove: ...


class TokenRoutes:
    """The endpoints; *place* names the city of an IP address in a language, where it is known."""

    def __init__(
        self,
        sessions: Sessions,
        cookies: Cookies,
        origins: Origins,
        guard: Guard,
        place: Place,
        prove_by_code: ProveByCode,
        prove_by_password: ProveByPassword,
    ) -> None:
        self._sessions = sessions
        self._cookies = cookies
        self._origins = origins
        self._guard = guard
        self._place = place
        self._prove_by_code = prove_by_code
        self._prove_by_password = prove_by_password

    def routes(self) -> list[BaseRoute]:
        """Return the routes."""
        return [
            REFRESH_TOKENS.route(self.refresh),
            LOGOUT.route(self.logout),
            LOGOUT_ALL.route(self.logout_all),
            REAUTH.route(self.reauth),
            LIST.route(self.listed),
            RENAME.route(self.rename),
            END.route(self.end),
        ]

    async def refresh(self, request: Request) -> Response:
        """`POST /api/token/refresh`: swap the refresh token of the body, or else of the cookie.

        One that came by cookie goes back by cookie only, and needs an Origin of ours.
        """
        await self._guard.spend(VERIFY, client_address(request))
        refresh_token = (await REFRESH_TOKENS.read(request)).refresh_token
        by_cookie = refresh_token is None
        if refresh_token is None:
            refresh_token = self._from_cookie(request)
        pair = await self._sessions.refresh(
            refresh_token, ip=client_address(request), user_agent=request.headers.get("user-agent", "")
        )
        reply = pair.reply()
        if not by_cookie:
            return REFRESH_TOKENS.answer(reply)
        del reply["refresh_token"]
        response = REFRESH_TOKENS.answer(reply)
        self._cookies.give_refresh(response, pair.refresh_token, pair.refresh_expires_in)
        return response

    async def logout(self, request: Request) -> Response:
        """`POST /api/logout`: end this session, or those of the same person on the device that is named."""
        claims = await self._claims(request)
        device_id = (await LOGOUT.read(request)).device_id
        if device_id is not None:
            await self._sessions.revoke_device(claims.user_id, device_id, "logout")
            return LOGOUT.answer(None)
        await self._sessions.revoke(claims.sid, "logout")
        return self._signed_out(request, LOGOUT)

    async def logout_all(self, request: Request) -> Response:
        """`POST /api/logout-all`: end all sessions of the person, this one too unless it is spared."""
        claims = await self._claims(request)
        spared = (await LOGOUT_ALL.read(request)).except_current
        await self._sessions.revoke_all(claims.user_id, "logout", except_sid=claims.sid if spared else None)
        return LOGOUT_ALL.answer(None) if spared else self._signed_out(request, LOGOUT_ALL)

    async def reauth(self, request: Request) -> Response:
        """`POST /api/reauth`: prove again who asks, for an access token with a fresh `auth_time`."""
        await self._guard.spend(VERIFY, client_address(request))
        claims = await self._claims(request)
        asked = await REAUTH.read(request)
        if asked.code is not None and asked.password is None:
            prove = await self._prove_by_code(request, claims, asked.channel, asked.code)
        elif asked.password is not None and asked.code is None:
            prove = await self._prove_by_password(request, claims, asked.password)
        else:
            raise InvalidRequest([FieldError("code", "code_or_password")])
        access_token, expires_in = await self._sessions.reauthenticate(claims, prove)
        return REAUTH.answer(
            {
                "access_token": access_token,
                "token_type": "Bearer",
                "expires_in": expires_in,
                "session_id": claims.sid,
            },
        )

    async def listed(self, request: Request) -> Response:
        """`GET /api/sessions`: where the person is signed in, last used first, this session marked."""
        claims = await self._claims(request)
        rows = await self._sessions.running(claims.user_id)
        return LIST.answer({"sessions": [self._answer(request, row, claims) for row in rows]})

    async def rename(self, request: Request) -> Response:
        """`PATCH /api/sessions/{id}`: give the device of an own session another name."""
        claims = await self._claims(request)
        asked = await RENAME.read(request)
        row = await self._sessions.rename(claims.user_id, request.path_params["id"], asked.device_name)
        return RENAME.answer(self._answer(request, row, claims))

    async def end(self, request: Request) -> Response:
        """`DELETE /api/sessions/{id}`: end an own session."""
        claims = await self._claims(request)
        sid = request.path_params["id"]
        if sid != claims.sid:
            await self._sessions.revoke_own(claims.user_id, sid, "revoked")
            return END.answer(None)
        await self._sessions.revoke_own(claims.user_id, sid, "logout")
        return self._signed_out(request, END)

    async def _claims(self, request: Request) -> Claims:
        return await self._sessions.verify(bearer(request))

    def _answer(self, request: Request, row: Row, claims: Claims) -> Session:
        return described_session(row, claims.sid, self._place, language(request))

    def _signed_out(self, request: Request, operation: Operation[Any, None]) -> Response:
        response = operation.answer(None)
        self._cookies.take_refresh(request, response)
        return response

    def _from_cookie(self, request: Request) -> str:
        if self._cookies.name(REFRESH) not in request.cookies:
            raise InvalidRequest([FieldError("refresh_token", "no_refresh_token")])
        self._origins.check(request, demanded=True)
        refresh_token = self._cookies.read(request, REFRESH, _COOKIE_AGE)
        if refresh_token is None:
            raise InvalidRefreshToken("the cookie is not signed by us")
        return refresh_token
