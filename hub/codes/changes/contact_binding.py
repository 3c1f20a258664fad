"""Binding a number or an e-mail address to the account of who is signed in."""

from hub.accounts.bindings import Bindings, Changed
from hub.accounts.contacts import Contact
from hub.codes.rules import Asker
from hub.codes.service import Codes
from hub.store.database import Connection, Store
from hub.tokens.claims import Claims, recent


class ContactBinding:
    """The use case."""

    def __init__(self, store: Store, codes: Codes, bindings: Bindings) -> None:
        self._store = store
        self._codes = codes
        self._bindings = bindings

    async def bind(self, claims: Claims, contact: Contact, code: str, asker: Asker) -> None:
        """Bind *contact*, to which *code* was sent, in place of the former one.

        Raises ReauthRequired, InvalidCode, CodeLocked, or AlreadyBound, which leaves the code usable.
        """
        recent(claims, self._store.now())
        proof = await self._codes.check(contact.channel, contact.address, "bind", code, asker)

        async def work(tx: Connection) -> Changed:
            await proof.use(tx)
            return await self._bindings.bind_contact(tx, claims, contact, self._store.now())

        await self._bindings.announce(await self._store.write(work))
