"""Proving again, by a one-time code, that it is the account's own person who asks."""

from hub.audit.signals import Signals
from hub.codes.outcomes import METHODS, outcome
from hub.codes.rules import Asker, Channel
from hub.codes.service import Codes
from hub.errors import CodeLocked, InvalidCode
from hub.store.database import Connection, Store
from hub.tokens.service import Device, Prove


class CodeReauthentication:
    """Checks codes that were sent, with purpose `login`, to the account's own number or address."""

    def __init__(self, store: Store, codes: Codes, signals: Signals) -> None:
        self._store = store
        self._codes = codes
        self._signals = signals

    async def prove(
        self, user_id: int, channel: Channel | None, code: str, asker: Asker, device: Device
    ) -> Prove:
        """Check *code*, and return what uses it up.

        Without a *channel* it is the number's, where the account has one. Every try is put on record. Raises
        InvalidCode, also for an account that has no such contact, and CodeLocked.
        """
        user = await self._store.one("accounts.user", id=user_id)
        contacts: dict[Channel, str] = {"phone": user["phone"], "email": user["email"]} if user else {}
        asked = channel or ("phone" if contacts.get("phone") else "email")
        address = contacts.get(asked)
        method = METHODS[asked]
        try:
            if not address:
                raise InvalidCode(f"user {user_id} has no {asked}")
            proof = await self._codes.check(asked, address, "login", code, asker)
        except (InvalidCode, CodeLocked) as refusal:
            status, reason = outcome(refusal)
            await self._signals.failed(
                user_id=user_id, account=address, method=method, status=status, reason=reason, device=device
            )
            raise

        async def use(tx: Connection) -> None:
            await proof.use(tx)
            await self._signals.proved(
                tx, user_id=user_id, account=address, method=method, device=device, now=proof.checked_at
            )

        return use
