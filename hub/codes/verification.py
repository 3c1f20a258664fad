"""Showing that an e-mail address answers: for those who only subscribe, and for accounts."""

from datetime import datetime

from hub.accounts.contacts import Contact, verify
from hub.codes.rules import Asker
from hub.codes.service import Codes, Proof, Sent
from hub.store.database import Connection, Store
from hub.tokens.claims import Claims
from hub.tokens.service import Ended, Sessions


class EmailVerification:
    """The use cases. A subscriber's *anon_id* is that of the asker to whom the code was sent."""

    def __init__(self, store: Store, codes: Codes, sessions: Sessions) -> None:
        self._store = store
        self._codes = codes
        self._sessions = sessions

    async def begin(self, email: str, asker: Asker, language: str) -> Sent:
        """Note the subscriber, and send a code. Raises as `Codes.send`."""
        await self._store.changed(
            "codes.subscribe", email=email, anon_id=asker.anon_id, created_at=self._store.now()
        )
        return await self._codes.send("email", email, "verify", asker, language)

    async def finish(self, email: str, code: str, asker: Asker, claims: Claims | None) -> None:
        """Mark the subscriber as verified, and the account of *claims* where the address is its own.

        Of that account, sessions other than this one end if the address was not verified before. Raises as
        `Codes.check`.
        """
        proof = await self._codes.check("email", email, "verify", code, asker)
        ended = await self._store.write(lambda tx: self._mark(tx, proof, asker, claims, self._store.now()))
        if ended:
            await self._sessions.announce_ended(ended)

    async def is_verified(self, email: str, anon_id: str | None, claims: Claims | None) -> bool:
        """Tell whether *email* is verified, to who had the code sent or is signed in with that address."""
        if claims is not None:
            user = await self._store.one("accounts.by_email", email=email)
            if user and user["id"] == claims.user_id:
                return bool(user["email_verified"])
        subscriber = await self._store.one("codes.subscriber", email=email)
        known = subscriber is not None and anon_id is not None and subscriber["anon_id"] == anon_id
        return bool(known and subscriber and subscriber["verified"])

    async def _mark(
        self, tx: Connection, proof: Proof, asker: Asker, claims: Claims | None, now: datetime
    ) -> Ended | None:
        await proof.use(tx)
        await tx.changed(
            "codes.verify_subscriber",
            email=proof.address,
            anon_id=proof.anon_id or asker.anon_id,
            updated_at=now,
        )
        if claims is None or not await verify(tx, claims.user_id, Contact("email", proof.address), now):
            return None
        return await self._sessions.end_all(
            tx, claims.user_id, "address_verified", now, except_sid=claims.sid
        )
