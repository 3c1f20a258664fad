"""A new password for who has forgotten the old one."""

from hub.accounts.contacts import Contact, verify
from hub.accounts.password_change import PasswordChange, names
from hub.accounts.passwords import Passwords, accepted
from hub.audit.signals import Signals
from hub.codes.outcomes import METHODS, outcome
from hub.codes.rules import Asker
from hub.codes.service import Codes
from hub.errors import CodeLocked, InvalidCode
from hub.store.database import Connection, Store
from hub.tokens.service import Device, Ended


class PasswordReset:
    """The use case."""

    def __init__(
        self, store: Store, codes: Codes, passwords: Passwords, change: PasswordChange, signals: Signals
    ) -> None:
        self._store = store
        self._codes = codes
        self._passwords = passwords
        self._change = change
        self._signals = signals

    async def reset(self, contact: Contact, code: str, new: str, asker: Asker, device: Device) -> None:
        """Set the password of the account of *contact*, and end all its sessions.

        Every try is put on record. Until the code has proved right, nothing depends on whether there is an
        account; without one the code is called wrong too. Raises InvalidRequest, InvalidCode or CodeLocked.
        """
        try:
            await self._reset(contact, code, new, asker, device)
        except (InvalidCode, CodeLocked) as refusal:
            status, reason = outcome(refusal)
            await self._signals.failed(
                user_id=None,
                account=contact.address,
                method=METHODS[contact.channel],
                status=status,
                reason=reason,
                device=device,
            )
            raise

    async def _reset(self, contact: Contact, code: str, new: str, asker: Asker, device: Device) -> None:
        accepted(new, (contact.address,), "new_password")
        proof = await self._codes.check(contact.channel, contact.address, "reset_password", code, asker)
        query = f"passwords.by_{contact.channel}"
        found = await self._store.one(query, **{contact.channel: contact.address})
        password_hash = await self._passwords.hash(accepted(new, names(found), "new_password"))

        async def work(tx: Connection) -> Ended:
            await proof.use(tx)
            user = await tx.one(query, **{contact.channel: contact.address})
            if user is None:
                raise InvalidCode("there is no such account")
            now = self._store.now()
            await verify(tx, user["id"], contact, now)
            await tx.changed("passwords.set", id=user["id"], password_hash=password_hash, updated_at=now)
            ended = await self._change.replaced(tx, user["id"], now)
            await self._signals.proved(
                tx,
                user_id=user["id"],
                account=contact.address,
                method=METHODS[contact.channel],
                device=device,
                now=now,
            )
            return ended

        await self._change.announce(await self._store.write(work))
