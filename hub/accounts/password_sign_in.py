"""Signing in by a password."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import Counter

from hub.accounts.contacts import Contact
from hub.accounts.login_record import Signals, outcome
from hub.accounts.password_check import Checked, PasswordCheck
from hub.accounts.profile import Profile, Profiles
from hub.accounts.tries import Asker
from hub.accounts.usernames import username
from hub.errors import AccountBlocked, InvalidCredentials, InvalidRequest, RateLimited
from hub.store.database import Connection, Store
from hub.tokens.service import Device, Sessions, TokenPair
from hub.tokens.session import TokenReply
from hub.web.shapes import described

SIGN_INS = Counter("hub_password_sign_ins_total", "Sign-ins by password, by what came of it.", ["result"])


@described
class SignInReply(TokenReply):
    """The tokens, with the account that they are for."""

    user: Profile
    """The account's profile."""
    is_new_user: bool
    """Whether this sign-in has made the account."""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """The outcome: tokens, and the profile answer of their account."""

    tokens: TokenPair
    noted: Any
    user: Profile = field(repr=False)

    def reply(self) -> SignInReply:
        """Return the token reply with its account."""
        return {**self.tokens.reply(), "user": self.user, "is_new_user": False}


class PasswordSignIn:
    """The use case. *contact* reads a number or an e-mail address; it gives None for any other text."""

    def __init__(
        self,
        store: Store,
        check: PasswordCheck,
        sessions: Sessions,
        profiles: Profiles,
        signals: Signals,
        contact: Callable[[str], Contact | None],
    ) -> None:
        self._store = store
        self._check = check
        self._sessions = sessions
        self._profiles = profiles
        self._signals = signals
        self._contact = contact

    async def sign_in(self, account: str, password: str, asker: Asker, device: Device) -> SignedIn:
        """Sign in to *account*: a number, an e-mail address or a username.

        Every try is put on record. Raises InvalidCredentials, RateLimited or PasswordLocked, in the same
        words and time whether or not there is such an account; with the right password AccountBlocked.
        """
        column, name = self._named(account)
        user = await self._store.one(f"passwords.by_{column}", **{column: name})
        try:
            checked = await self._check.check(user, name, password, asker)
            signed_in = await self._store.write(lambda tx: self._open(tx, checked, name, device))
        except (InvalidCredentials, RateLimited, AccountBlocked) as refusal:
            SIGN_INS.labels(refusal.slug).inc()
            # A name that nobody has may be a password, typed into the wrong field.
            named = user is not None or column != "username"
            await self._signals.failed(
                user_id=user["id"] if user else None,
                account=name if named else None,
                method="password",
                device=device,
                **outcome(refusal),
            )
            raise
        await self._sessions.announce(signed_in.tokens)
        await self._signals.announce(signed_in.noted)
        SIGN_INS.labels("success").inc()
        return signed_in

    def _named(self, account: str) -> tuple[str, str]:
        """Return the column that *account* is looked for in, and its form there."""
        contact = self._contact(account)
        if contact is not None:
            return contact.channel, contact.address
        try:
            return "username", username(account)
        except InvalidRequest:  # nobody has such a name, and looking for it takes as long
            return "username", account

    async def _open(self, tx: Connection, checked: Checked, name: str, device: Device) -> SignedIn:
        now = self._store.now()
        user = checked.user
        tokens = await self._sessions.open(tx, user, device, amr=("pwd",), now=now)
        await self._check.settle(tx, checked)
        noted = await self._signals.signed_in(
            tx, user_id=user["id"], account=name, method="password", device=device, now=now
        )
        return SignedIn(tokens, noted, await self._profiles.read(user["id"], tx))
