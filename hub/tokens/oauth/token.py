"""What the OAuth token endpoint does (RFC 6749 sections 3.2, 4.1.3 and 6)."""

from typing import Annotated, Protocol

from pydantic import BeforeValidator, StringConstraints

from hub.errors import AccountBlocked, InvalidRefreshToken
from hub.tokens.clients import Client, Clients
from hub.tokens.errors import InvalidGrant, MalformedRequest, UnsupportedGrantType
from hub.tokens.service import Device, Sessions, TokenPair
from hub.web.parsing import Body

# Section 3.2: a parameter without a value is to be treated as if it were left out.
Parameter = Annotated[
    Annotated[str, StringConstraints(max_length=2048)] | None, BeforeValidator(lambda value: value or None)
]


class TokenRequest(Body):
    """`POST /oauth/token`."""

    grant_type: Parameter = None
    """`authorization_code` or `refresh_token`."""
    code: Parameter = None
    """The authorization code."""
    redirect_uri: Parameter = None
    """The one that the attempt was begun with."""
    code_verifier: Parameter = None
    """The PKCE verifier (RFC 7636)."""
    refresh_token: Parameter = None
    """The refresh token."""
    client_id: Parameter = None
    """The client, unless it authenticates by Basic."""
    client_secret: Parameter = None
    """Its secret."""


class Redeemed(Protocol):
    """The outcome of an authorization code."""

    @property
    def tokens(self) -> TokenPair: ...


class Redeem(Protocol):
    """Swaps an authorization code for a session's tokens. Raises InvalidGrant."""

    async def __call__(
        self, code: str, redirect_uri: str, device: Device, *, verifier: str | None, client: Client | None
    ) -> Redeemed: ...


class TokenEndpoint:
    """Authenticates the client, then serves its grant."""

    def __init__(self, sessions: Sessions, clients: Clients, redeem: Redeem) -> None:
        self._sessions = sessions
        self._clients = clients
        self._redeem = redeem

    async def serve(self, asked: TokenRequest, authorization: str | None, device: Device) -> TokenPair:
        """Swap an authorization code or a refresh token for a token pair. Raises OAuthError."""
        client = self._clients.authenticate(authorization, asked.client_id, asked.client_secret)
        match asked.grant_type:
            case "authorization_code":
                if asked.code is None or asked.redirect_uri is None:
                    raise MalformedRequest("code or redirect_uri is missing")
                redeemed = await self._redeem(
                    asked.code, asked.redirect_uri, device, verifier=asked.code_verifier, client=client
                )
                return redeemed.tokens
            case "refresh_token":
                if asked.refresh_token is None:
                    raise MalformedRequest("refresh_token is missing")
                try:
                    return await self._sessions.refresh(
                        asked.refresh_token,
                        ip=device.ip,
                        user_agent=device.user_agent,
                        client_id=client.client_id if client else None,
                    )
                except (InvalidRefreshToken, AccountBlocked) as error:
                    raise InvalidGrant(f"{error.slug}: {error.reason}") from error
            case None:
                raise MalformedRequest("grant_type is missing")
        raise UnsupportedGrantType(asked.grant_type)
