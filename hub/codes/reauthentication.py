"""Proving again, by a one-time code, that it is the account's own person who asks."""

from hub.codes.rules import Asker, Channel
from hub.codes.service import Codes, Proof
from hub.errors import InvalidCode
from hub.store.database import Store


class CodeReauthentication:
    """Checks codes that were sent, with purpose `login`, to the account's own number or address."""

    def __init__(self, store: Store, codes: Codes) -> None:
        self._store = store
        self._codes = codes

    async def check(self, user_id: int, channel: Channel | None, code: str, asker: Asker) -> Proof:
        """Return the proof of *code*; without a *channel* the number's counts, where the account has one.

        Raises InvalidCode, also for an account that has no such contact, and CodeLocked.
        """
        user = await self._store.one("accounts.user", id=user_id)
        contacts: dict[Channel, str] = {"phone": user["phone"], "email": user["email"]} if user else {}
        asked = channel or ("phone" if contacts.get("phone") else "email")
        address = contacts.get(asked)
        if not address:
            raise InvalidCode(f"user {user_id} has no {asked}")
        return await self._codes.check(asked, address, "login", code, asker)
