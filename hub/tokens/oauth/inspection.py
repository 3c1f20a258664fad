"""Revocation and introspection: what is done about a token that somebody else holds up."""

from typing import Any

from hub.errors import Unauthorized
from hub.store.database import Row
from hub.tokens.claims import Claims
from hub.tokens.clients import Client
from hub.tokens.errors import InvalidGrant, MalformedRequest
from hub.tokens.oauth.token import Parameter
from hub.tokens.rotation import PREFIX, Verdict
from hub.tokens.service import Sessions
from hub.web.parsing import Body


class TokenInspection(Body):
    """`POST /oauth/revoke` and `/oauth/introspect`. The token tells by itself what it is: no hint is read."""

    token: Parameter = None
    """The token."""
    client_id: Parameter = None
    """The client, unless it authenticates by Basic."""
    client_secret: Parameter = None
    """Its secret."""


class Inspection:
    """Finds the session behind a token of either kind, and ends or describes it."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def revoke(self, asked: TokenInspection, client: Client | None) -> None:
        """End the session of a token (RFC 7009 section 2); one that is no good any more changes nothing.

        An authentic refresh token counts, however old, for its holder could as well present it and be taken
        for a thief. Raises MalformedRequest, or InvalidGrant for a token of another client.
        """
        token = _token(asked)
        if token.startswith(PREFIX):
            found = await self._sessions.recognise(token)
            row = found[0] if found and found[1] is not Verdict.ENDED else None
        else:
            row = await self._session(await self._claims(token))
        if row is None:
            return
        if row["client_id"] != (client.client_id if client else None):
            raise InvalidGrant(f"session of client {row['client_id']!r}")
        await self._sessions.revoke(row["sid"], "logout")

    async def introspect(self, asked: TokenInspection, client: Client) -> dict[str, Any]:
        """Describe a token to an authenticated client (RFC 7662 section 2.2).

        Any client may ask about an access token, as resource servers do; about a refresh token only the one
        it was issued to. Raises MalformedRequest.
        """
        token = _token(asked)
        if token.startswith(PREFIX):
            return await self._refresh_token(token, client)
        claims = await self._claims(token)
        row = await self._session(claims)
        if claims is None or row is None or not row["is_active"] or row["status"] != "active":
            return {"active": False}
        return {
            "active": True,
            "token_type": "Bearer",
            **_about(row),
            **claims.model_dump(exclude_none=True, exclude={"email"}),
        }

    async def _refresh_token(self, token: str, client: Client) -> dict[str, Any]:
        found = await self._sessions.recognise(token)
        if found is None:
            return {"active": False}
        row, verdict = found
        good = verdict in (Verdict.ROTATE, Verdict.REPEAT) and row["status"] == "active"
        if not good or row["client_id"] != client.client_id:
            return {"active": False}
        return {
            "active": True,
            "token_type": "refresh_token",
            **_about(row),
            "sub": str(row["user_id"]),
            "sid": row["sid"],
            "exp": int(self._sessions.refreshable_until(row).timestamp()),
        }

    async def _claims(self, token: str) -> Claims | None:
        try:
            return await self._sessions.verify(token)
        except Unauthorized:
            return None

    async def _session(self, claims: Claims | None) -> Row | None:
        return await self._sessions.find(claims.sid) if claims else None


def _token(asked: TokenInspection) -> str:
    if asked.token is None:
        raise MalformedRequest("token is missing")
    return asked.token


def _about(row: Row) -> dict[str, Any]:
    """The members that an access token does not carry, as far as there is something to tell."""
    members = {"client_id": row["client_id"], "username": row["username"]}
    return {name: value for name, value in members.items() if value is not None}
