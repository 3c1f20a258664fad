"""The HTTP edge of OAuth: token, revocation, introspection and keys, answered as the RFCs word it."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal, NotRequired

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from typing_extensions import TypedDict

from hub.errors import BadRequest, InvalidRequest, PayloadTooLarge, RateLimited, UnsupportedMediaType
from hub.limits.guard import VERIFY, Guard
from hub.tokens.clients import Client, Clients
from hub.tokens.errors import InvalidClient, MalformedRequest, OAuthError
from hub.tokens.oauth.inspection import Inspection, TokenInspection
from hub.tokens.oauth.token import Redeem, TokenEndpoint, TokenRequest
from hub.tokens.service import Device, Sessions
from hub.tokens.session import TokenReply
from hub.web.answers import dump
from hub.web.operations import Answer, Asked, Auth, Nothing, Operation
from hub.web.parsing import client_address
from hub.web.shapes import Raw, described

_HEADERS = {"cache-control": "no-store", "pragma": "no-cache"}
_CHALLENGE = {"www-authenticate": 'Basic realm="token", charset="UTF-8"'}

_JSON = ("application/json",)


@described
class OAuthRefusal(TypedDict):
    """An error as RFC 6749 section 5.2 words it."""

    error: Literal["invalid_request", "invalid_client", "invalid_grant", "unsupported_grant_type"]
    """What is wrong."""
    error_description: str
    """The same for developers."""


@described
class Introspection(TypedDict):
    """What is known of a token (RFC 7662 section 2.2); of one that is no good only that."""

    active: bool
    """Whether it is good."""
    token_type: NotRequired[Literal["Bearer", "refresh_token"]]
    """Which kind it is."""
    client_id: NotRequired[str]
    """The client it was issued to."""
    username: NotRequired[str]
    """The account's username."""
    iss: NotRequired[str]
    """Who issued it."""
    sub: NotRequired[str]
    """The account's number."""
    aud: NotRequired[str]
    """Whom it is for."""
    iat: NotRequired[int]
    """When it was issued, in POSIX seconds."""
    nbf: NotRequired[int]
    """When it begins."""
    exp: NotRequired[int]
    """When it ends."""
    jti: NotRequired[str]
    """The token's own id."""
    sid: NotRequired[str]
    """The session."""
    role: NotRequired[str]
    """The account's role."""
    amr: NotRequired[list[str]]
    """How the person signed in (RFC 8176)."""
    auth_time: NotRequired[int]
    """When the person signed in."""


@described
class KeySet(TypedDict):
    """A JWK Set (RFC 7517 section 5)."""

    keys: list[dict[str, str]]
    """The public keys; none where they are secrets."""


_REFUSED = (
    Answer(400, "What is wrong with the request or the grant", _JSON, OAuthRefusal),
    Answer(
        401,
        "Client authentication failed",
        _JSON,
        OAuthRefusal,
        {"WWW-Authenticate": "The scheme to authenticate by."},
    ),
)
_CLIENTS = (Auth.NOBODY, Auth.CLIENT)
TOKEN = Operation(
    "POST",
    "/oauth/token",
    TokenRequest,
    Raw,
    reads_form=True,
    limited=True,
    auth=_CLIENTS,
    answers=(Answer(200, "The tokens", _JSON, TokenReply), *_REFUSED),
)
REVOKE = Operation(
    "POST",
    "/oauth/revoke",
    TokenInspection,
    Raw,
    reads_form=True,
    limited=True,
    auth=_CLIENTS,
    answers=(Answer(200, "The token is no good any more"), *_REFUSED),
)
INTROSPECT = Operation(
    "POST",
    "/oauth/introspect",
    TokenInspection,
    Raw,
    reads_form=True,
    auth=(Auth.CLIENT,),
    answers=(Answer(200, "What is known of the token", _JSON, Introspection), *_REFUSED),
    problems=(RateLimited,),
)
JWKS = Operation(
    "GET", "/.well-known/jwks.json", Nothing, Raw, answers=(Answer(200, "The keys", _JSON, KeySet),)
)

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
            TOKEN.route(self.token),
            REVOKE.route(self.revoke),
            INTROSPECT.route(self.introspect),
            JWKS.route(self.jwks),
        ]

    async def token(self, request: Request) -> Response:
        """`POST /oauth/token`: a form in, and an answer or error as RFC 6749 sections 5.1 and 5.2 word it."""
        await self._guard.spend(VERIFY, client_address(request))
        user_agent = request.headers.get("user-agent", "")
        device = Device(None, None, None, client_address(request), user_agent, None)

        async def work() -> Mapping[str, Any]:
            asked = await _form(request, TOKEN)
            pair = await self._endpoint.serve(asked, request.headers.get("authorization"), device)
            return pair.reply()

        return await _answer(request, work)

    async def revoke(self, request: Request) -> Response:
        """`POST /oauth/revoke`: end the session of a token (RFC 7009)."""
        await self._guard.spend(VERIFY, client_address(request))

        async def work() -> None:
            asked = await _form(request, REVOKE)
            await self._inspection.revoke(asked, self._client(request, asked))

        return await _answer(request, work)

    async def introspect(self, request: Request) -> Response:
        """`POST /oauth/introspect`: tell an authenticated client whether a token is good (RFC 7662).

        Only failed authentication counts against the limit: a back end asks for each of its requests.
        """

        async def work() -> Mapping[str, Any]:
            asked = await _form(request, INTROSPECT)
            try:
                client = self._client(request, asked)
                if client is None:
                    raise InvalidClient("no client authentication")
            except InvalidClient:
                await self._guard.spend(VERIFY, client_address(request))
                raise
            return await self._inspection.introspect(asked, client)

        return await _answer(request, work)

    async def jwks(self, request: Request) -> Response:
        """`GET /.well-known/jwks.json`: the public keys (RFC 7517); a secret has none."""
        return _json(self._sessions.jwks(), {"cache-control": "public, max-age=300"})

    def _client(self, request: Request, asked: TokenInspection) -> Client | None:
        authorization = request.headers.get("authorization")
        return self._clients.authenticate(authorization, asked.client_id, asked.client_secret)


async def _answer(request: Request, work: Work) -> Response:
    """Answer what *work* returns, or the error it raises; nothing is an empty 200 (RFC 7009 section 2.2)."""
    try:
        members = await work()
    except OAuthError as error:
        request.scope["hub.reason"] = f"{error.error}: {error.reason}"
        challenge = _CHALLENGE if isinstance(error, InvalidClient) else {}
        body = {"error": error.error, "error_description": error.description}
        return _json(body, {**_HEADERS, **challenge}, error.status)
    if members is None:
        return Response(status_code=200, headers=_HEADERS)
    return _json(members, _HEADERS)


async def _form(request: Request, operation: Operation[Asked, Raw]) -> Asked:
    try:
        return await operation.read(request)
    except (BadRequest, InvalidRequest, UnsupportedMediaType, PayloadTooLarge) as error:
        raise MalformedRequest(f"{error.slug}: {error.reason}") from error


def _json(members: Mapping[str, Any], headers: Mapping[str, str], status: int = 200) -> Response:
    return Response(dump(members), status, headers, "application/json")
