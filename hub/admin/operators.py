"""Who may: an access token is believed as to the person, and the database as to the role."""

from collections.abc import Collection

from hub.errors import Forbidden
from hub.store.database import Store
from hub.tokens.claims import Claims
from hub.tokens.service import Sessions


class Operators:
    """Tells administrators from everybody else."""

    def __init__(self, store: Store, sessions: Sessions) -> None:
        self._store = store
        self._sessions = sessions

    async def verify(self, access_token: str | None) -> Claims:
        """Return the claims of an administrator's access token. Raises Unauthorized or Forbidden."""
        claims = await self._sessions.verify(access_token)
        await self.demand(claims)
        return claims

    async def demand(self, claims: Claims) -> None:
        """Raise Forbidden unless the account is an administrator's now."""
        if not await self.among([claims.user_id]):
            raise Forbidden(f"user {claims.user_id} is no administrator")

    async def among(self, user_ids: Collection[int]) -> set[int]:
        """Return those of the accounts that are administrators now."""
        return {row["id"] for row in await self._store.all("admin.operators", id=list(user_ids))}
