"""Whether somebody knows the password of an account, at a price for each try."""

import asyncio
from dataclasses import dataclass, field
from typing import Final

from hub.accounts.passwords import Passwords, normalised
from hub.accounts.tries import Asker, Tries, Try, account_key, name_key
from hub.errors import InvalidCredentials
from hub.store.database import Connection, Row, Store

# A wrong one is answered after this many seconds at the earliest, however quickly it was found to be wrong:
# hashes from elsewhere take another time than ours.
REFUSAL_TIME: Final = 0.5


@dataclass(frozen=True, slots=True)
class Checked:
    """A right password; whoever acts on it settles it, in the same transaction."""

    user: Row = field(repr=False)
    tried: Try
    password_hash: str | None = field(repr=False)  # a better one than is kept


class PasswordCheck:
    """Checks passwords: the count first, then the comparison."""

    def __init__(self, store: Store, passwords: Passwords, tries: Tries) -> None:
        self._store = store
        self._passwords = passwords
        self._tries = tries

    async def check(self, user: Row | None, name: str, password: str, asker: Asker) -> Checked:
        """Compare *password* with that of *user*, found by *name*; it takes as long where there is none.

        *user* is a row of `passwords.by_*`. Raises InvalidCredentials, RateLimited or PasswordLocked.
        """
        not_before = asyncio.get_running_loop().time() + REFUSAL_TIME
        tried = await self._tries.count(account_key(user["id"]) if user else name_key(name), asker)
        password_hash = user["password_hash"] if user else None
        right, stale = await self._passwords.verify(password, password_hash)
        if user is None or not right:
            await asyncio.sleep(not_before - asyncio.get_running_loop().time())
            raise InvalidCredentials("another password" if user else "no such account")
        fresh = await self._passwords.hash(normalised(password)) if stale else None
        return Checked(user, tried, fresh)

    async def settle(self, tx: Connection, checked: Checked) -> None:
        """Take the try back and keep the better hash, in the caller's transaction.

        Raises InvalidCredentials when the password was changed since it was checked.
        """
        kept = checked.user["password_hash"]
        replaced = await tx.changed(
            "passwords.replace",
            id=checked.user["id"],
            password_hash=checked.password_hash or kept,
            password_hash_before=kept,
            updated_at=self._store.now(),
        )
        if not replaced:
            raise InvalidCredentials("the password was changed meanwhile")
        await self._tries.right(tx, checked.tried)
