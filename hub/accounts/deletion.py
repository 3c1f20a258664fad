"""The end of an account, by its own person."""

import structlog
from prometheus_client import Counter

from hub.errors import Unauthorized
from hub.store.database import Connection, Store
from hub.tokens.claims import Claims, recent
from hub.tokens.service import Ended, Sessions

log = structlog.stdlib.get_logger("hub.accounts")

DELETED = Counter("hub_accounts_deleted_total", "Accounts deleted by their own person.")


class Deletion:
    """The use case."""

    def __init__(self, store: Store, sessions: Sessions) -> None:
        self._store = store
        self._sessions = sessions

    async def delete(self, claims: Claims) -> None:
        """Delete the account of *claims*, with its sessions, bindings and subscription.

        The login log keeps the numbers and addresses that were tried. Raises ReauthRequired, or Unauthorized
        where the account is gone.
        """
        recent(claims, self._store.now())

        async def work(tx: Connection) -> Ended:
            user_id = claims.user_id
            now = self._store.now()
            ended = await self._sessions.end_all(tx, user_id, "account_deleted", now)
            await self._sessions.outlive(tx, user_id, now)
            await tx.changed("accounts.delete_wechat", uid=user_id)
            await tx.changed("accounts.delete_subscription", id=user_id)
            if not await tx.changed("accounts.delete", id=user_id):
                raise Unauthorized(f"user {user_id} is no more")
            return ended

        ended = await self._store.write(work)
        DELETED.inc()
        log.info("account_deleted", user_id=claims.user_id, sessions_ended=len(ended.sids))
        await self._sessions.announce_ended(ended)
