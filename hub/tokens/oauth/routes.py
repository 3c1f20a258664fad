"""The HTTP edge of OAuth: token, revocation, introspection and keys, answered as the RFCs word it."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from hub.errors import BadRequest, InvalidRequest, PayloadTooLarge, UnsupportedMediaType
from hub.limits.guard import VERIFY, Guard
from hub.tokens.clients import Client, Clients
from hub.tokens.errors import InvalidClient, MalformedRequest, OAuthError
from hub.tokens.oauth.inspection import Inspection, TokenInspection
from hub.tokens.oauth.token import Redeem, TokenEndpoint, TokenRequest
from hub.tokens.service import Device, Sessions
from hub.web.answers import dump
from hub.web.parsing import Model, client_address, form

_HEADERS = {"cache-control": "no-store", "pragma": "no-cache"}
_CHALLENGE = {"www-authenticate": 'Basic realm="token", charset="UTF-8"'}

Work = Callable[[], Awaitable[Mapping[str, Any] | None]]


class OAuthRoutes:
    """The endpoints; *redeem* swaps an authorization code."""

    def __init__(self, sessions: Sessions, clients: Clients, redeem: Redeem, guard: Guard) -> None:
        self._sessions = sessions
        self._clients = clients
        self._guard = guard
        self._endpoint = TokenEndpoint(sessions, clients, redeem)
        self._inspection = Inspection(sessions)

    def routes(self) -> list[BaseRoute]:
        """Return the routes."""
        return [
            Route("/oauth/token", self.token, methods=["POST"]),
            Route("/oauth/revoke", self.revoke, methods=["POST"]),
            Route("/oauth/introspect", self.introspect, methods=["POST"]),
            Route("/.well-known/jwks.json", self.jwks, methods=["GET"]),
        ]

    async def token(self, request: Request) -> Response:
        """`POST /oauth/token`: a form in, and an answer or error as RFC 6749 sections 5.1 and 5.2 word it."""
        headers = await self._guard.spend(VERIFY, client_address(request))
        user_agent = request.headers.get("user-agent", "")
        device = Device(None, None, None, client_address(request), user_agent, None)

        async def work() -> Mapping[str, Any]:
            asked = await _form(request, TokenRequest)
            pair = await self._endpoint.serve(asked, request.headers.get("authorization"), device)
            return pair.reply()

        return await _answer(request, work, headers)

    async def revoke(self, request: Request) -> Response:
        """`POST /oauth/revoke`: end the session of a token (RFC 7009)."""
        headers = await self._guard.spend(VERIFY, client_address(request))

        async def work() -> None:
            asked = await _form(request, TokenInspection)
            await self._inspection.revoke(asked, self._client(request, asked))

        return await _answer(request, work, headers)

    async def introspect(self, request: Request) -> Response:
        """`POST /oauth/introspect`: tell an authenticated client whether a token is good (RFC 7662).

        Only failed authentication counts against the limit: a back end asks for each of its requests.
        """

        async def work() -> Mapping[str, Any]:
            asked = await _form(request, TokenInspection)
            try:
                client = self._client(request, asked)
                if client is None:
                    raise InvalidClient("no client authentication")
            except InvalidClient:
                await self._guard.spend(VERIFY, client_address(request))
                raise
            return await self._inspection.introspect(asked, client)

        return await _answer(request, work, {})

    async def jwks(self, request: Request) -> Response:
        """`GET /.well-known/jwks.json`: the public keys (RFC 7517); a secret has none."""
        return _json(self._sessions.jwks(), {"cache-control": "public, max-age=300"})

    def _client(self, request: Request, asked: TokenInspection) -> Client | None:
        authorization = request.headers.get("authorization")
        return self._clients.authenticate(authorization, asked.client_id, asked.client_secret)


async def _answer(request: Request, work: Work, headers: Mapping[str, str]) -> Response:
    """Answer what *work* returns, or the error it raises; nothing is an empty 200 (RFC 7009 section 2.2)."""
    try:
        members = await work()
    except OAuthError as error:
        request.scope["hub.reason"] = f"{error.error}: {error.reason}"
        challenge = _CHALLENGE if isinstance(error, InvalidClient) else {}
        body = {"error": error.error, "error_description": error.description}
        return _json(body, {**_HEADERS, **headers, **challenge}, error.status)
    if members is None:
        return Response(status_code=200, headers={**_HEADERS, **headers})
    return _json(members, {**_HEADERS, **headers})


async def _form(request: Request, model: type[Model]) -> Model:
    try:
        return await form(request, model)
    except (BadRequest, InvalidRequest, UnsupportedMediaType, PayloadTooLarge) as error:
        raise MalformedRequest(f"{error.slug}: {error.reason}") from error


def _json(members: Mapping[str, Any], headers: Mapping[str, str], status: int = 200) -> Response:
    return Response(dump(members), status, headers, "application/json")
