"""Signing in by a one-time code, and registering with one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from prometheus_client import Counter

from hub.accounts.contacts import Choice, Contact, find_or_create
from hub.accounts.password_sign_in import SignInReply
from hub.accounts.passwords import Passwords
from hub.accounts.profile import Profile, Profiles
from hub.audit.signals import Noted, Signals
from hub.codes.outcomes import METHODS, outcome
from hub.codes.rules import Asker, Channel
from hub.codes.service import Codes, Proof
from hub.errors import AccountBlocked, CodeLocked, HubError, InvalidCode, UsernameTaken
from hub.store.database import Connection, Store
from hub.tokens.service import Device, Ended, Sessions, TokenPair

SIGN_INS = Counter("hub_code_sign_ins_total", "Sign-ins by code, by what came of it.", ["channel", "result"])

_AMR: Mapping[Channel, tuple[str, ...]] = {"phone": ("otp", "sms"), "email": ("otp", "email")}


@dataclass(frozen=True, slots=True)
class SignedIn:
    """The outcome: tokens, and the profile answer of their account. `ended` are sessions from before it."""

    tokens: TokenPair
    noted: Noted
    user: Profile = field(repr=False)
    is_new_user: bool
    ended: Ended | None = None

    def reply(self) -> SignInReply:
        """Return the token reply with its account."""
        return {**self.tokens.reply(), "user": self.user, "is_new_user": self.is_new_user}


class CodeSignIn:
    """The use cases. An address without an account gets one: its person has proved that it is theirs."""

    def __init__(
        self,
        store: Store,
        codes: Codes,
        sessions: Sessions,
        profiles: Profiles,
        signals: Signals,
        passwords: Passwords,
    ) -> None:
        self._store = store
        self._codes = codes
        self._sessions = sessions
        self._profiles = profiles
        self._signals = signals
        self._passwords = passwords

    async def sign_in(
        self,
        contact: Contact,
        code: str,
        asker: Asker,
        device: Device,
        *,
        purpose: Literal["login", "register"] = "login",
        username: str | None = None,
        password: str | None = None,
    ) -> SignedIn:
        """Sign in the person who has got *code*, in the account of *contact*, or in a new one.

        *username* and *password* (both in their accepted form) are only for a new account. Every try is put
        on record. Raises InvalidCode, CodeLocked, AccountBlocked, or UsernameTaken, which leaves the code
        usable; until the code has proved right, nothing depends on whether there is an account.
        """
        try:
            proof = await self._codes.check(contact.channel, contact.address, purpose, code, asker)
            password_hash = await self._passwords.hash(password) if password else None
            choice = Choice(username, password_hash)
            signed_in = await self._store.write(partial(self._open, contact, choice, proof, device))
        except (InvalidCode, CodeLocked, AccountBlocked, UsernameTaken) as refusal:
            SIGN_INS.labels(contact.channel, refusal.slug).inc()
            await self._refused(contact, device, refusal)
            raise
        if signed_in.ended:
            await self._sessions.announce_ended(signed_in.ended)
        await self._sessions.announce(signed_in.tokens)
        await self._signals.announce(signed_in.noted)
        SIGN_INS.labels(contact.channel, "new" if signed_in.is_new_user else "known").inc()
        return signed_in

    async def _open(
        self, contact: Contact, choice: Choice, proof: Proof, device: Device, tx: Connection
    ) -> SignedIn:
        await proof.use(tx)
        now = self._store.now()
        user, is_new, first = await find_or_create(tx, contact, choice, now)
        ended = await self._sessions.end_all(tx, user["id"], "address_verified", now) if first else None
        tokens = await self._sessions.open(tx, user, device, amr=_AMR[contact.channel], now=now)
        noted = await self._signals.signed_in(
            tx,
            user_id=user["id"],
            account=contact.address,
            method=METHODS[contact.channel],
            device=device,
            now=now,
        )
        return SignedIn(tokens, noted, await self._profiles.read(user["id"], tx), is_new, ended)

    async def _refused(self, contact: Contact, device: Device, refusal: HubError) -> None:
        """Put a refused try on record; whose account it was aimed at is only known with the right code."""
        user_id = None
        if isinstance(refusal, AccountBlocked):
            query = f"accounts.by_{contact.channel}"
            row = await self._store.one(query, **{contact.channel: contact.address})
            user_id = row["id"] if row else None
        status, reason = outcome(refusal)
        await self._signals.failed(
            user_id=user_id,
            account=contact.address,
            method=METHODS[contact.channel],
            status=status,
            reason=reason,
            device=device,
        )
