"""The HTTP edge of the tokens: refresh, logout, the OAuth token endpoint, and the public keys."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import StringConstraints
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from hub.errors import (
    BadRequest,
    FieldError,
    InvalidRefreshToken,
    InvalidRequest,
    PayloadTooLarge,
    UnsupportedMediaType,
)
from hub.limits.guard import VERIFY, Guard
from hub.tokens.clients import Clients
from hub.tokens.errors import InvalidClient, MalformedRequest, OAuthError
from hub.tokens.oauth import Redeem, TokenEndpoint, TokenRequest
from hub.tokens.service import Device, Sessions
from hub.web.answers import dump, success
from hub.web.cookies import REFRESH, Cookies
from hub.web.origins import Origins
from hub.web.parsing import Body, Printable, bearer, body, client_address, form

_OAUTH_HEADERS = {"cache-control": "no-store", "pragma": "no-cache"}
_CLIENT_CHALLENGE = {"www-authenticate": 'Basic realm="token", charset="UTF-8"'}
_COOKIE_AGE = 400 * 86400  # seconds, the longest that browsers keep one; the token itself ends earlier


class Refresh(Body):
    """`POST /api/token/refresh`."""

    refresh_token: Annotated[str, StringConstraints(min_length=1, max_length=512)] | None = None


class Logout(Body):
    """`POST /api/logout`."""

    device_id: Annotated[Printable, StringConstraints(min_length=1, max_length=128)] | None = None


class TokenRoutes:
    """The endpoints of tokens and sessions; *redeem* swaps an authorization code."""

    def __init__(
        self,
        sessions: Sessions,
        clients: Clients,
        redeem: Redeem,
        cookies: Cookies,
        origins: Origins,
        guard: Guard,
    ) -> None:
        self._sessions = sessions
        self._cookies = cookies
        self._origins = origins
        self._guard = guard
        self._endpoint = TokenEndpoint(sessions, clients, redeem)

    def routes(self) -> list[BaseRoute]:
        """Return the routes."""
        return [
            Route("/api/token/refresh", self.refresh, methods=["POST"]),
            Route("/api/logout", self.logout, methods=["POST"]),
            Route("/oauth/token", self.token, methods=["POST"]),
            Route("/.well-known/jwks.json", self.jwks, methods=["GET"]),
        ]

    async def refresh(self, request: Request) -> Response:
        """`POST /api/token/refresh`: swap the refresh token of the body, or else of the cookie.

        One that came by cookie goes back by cookie only, and needs an Origin of ours.
        """
        headers = await self._guard.spend(VERIFY, client_address(request))
        refresh_token = (await body(request, Refresh, optional=True)).refresh_token
        by_cookie = refresh_token is None
        if refresh_token is None:
            refresh_token = self._from_cookie(request)
        pair = await self._sessions.refresh(
            refresh_token, ip=client_address(request), user_agent=request.headers.get("user-agent", "")
        )
        reply = pair.reply()
        if not by_cookie:
            return success(reply, headers=headers)
        del reply["refresh_token"]
        response = success(reply, headers=headers)
        self._cookies.write(
            response, REFRESH, pair.refresh_token, pair.refresh_expires_in, same_site="strict"
        )
        return response

    async def logout(self, request: Request) -> Response:
        """`POST /api/logout`: end this session, or those of the same person on the device that is named."""
        claims = await self._sessions.verify(bearer(request))
        device_id = (await body(request, Logout, optional=True)).device_id
        if device_id is not None:
            await self._sessions.revoke_device(claims.user_id, device_id, "logout")
            return success(None)
        await self._sessions.revoke(claims.sid, "logout")
        response = success(None)
        if self._cookies.name(REFRESH) in request.cookies:
            self._cookies.clear(response, REFRESH)
        return response

    async def token(self, request: Request) -> Response:
        """`POST /oauth/token`: a form in, and an answer or error as RFC 6749 sections 5.1 and 5.2 word it."""
        headers = _OAUTH_HEADERS | await self._guard.spend(VERIFY, client_address(request))
        user_agent = request.headers.get("user-agent", "")
        device = Device(None, None, None, client_address(request), user_agent, None)
        try:
            asked = await _token_request(request)
            pair = await self._endpoint.serve(asked, request.headers.get("authorization"), device)
        except OAuthError as error:
            request.scope["hub.reason"] = f"{error.error}: {error.reason}"
            if isinstance(error, InvalidClient):
                headers |= _CLIENT_CHALLENGE
            members = {"error": error.error, "error_description": error.description}
            return _json(members, headers, error.status)
        return _json(pair.reply(), headers)

    async def jwks(self, request: Request) -> Response:
        """`GET /.well-known/jwks.json`: the public keys (RFC 7517); a secret has none."""
        return _json(self._sessions.jwks(), {"cache-control": "public, max-age=300"})

    def _from_cookie(self, request: Request) -> str:
        if self._cookies.name(REFRESH) not in request.cookies:
            raise InvalidRequest([FieldError("refresh_token", "neither in the body nor in a cookie")])
        self._origins.check(request, demanded=True)
        refresh_token = self._cookies.read(request, REFRESH, _COOKIE_AGE)
        if refresh_token is None:
            raise InvalidRefreshToken("the cookie is not signed by us")
        return refresh_token


async def _token_request(request: Request) -> TokenRequest:
    try:
        return await form(request, TokenRequest)
    except (BadRequest, InvalidRequest, UnsupportedMediaType, PayloadTooLarge) as error:
        raise MalformedRequest(f"{error.slug}: {error.reason}") from error


def _json(members: Mapping[str, Any], headers: Mapping[str, str], status: int = 200) -> Response:
    return Response(dump(members), status, headers, "application/json")
