"""WeChat's web consent for the in-app door: out to WeChat with a signed state, and back with a code.

The state of one consent is random, signed, short-lived and bound to the browser that landed. WeChat and
browsers hit callbacks twice: the row in `provider_callbacks` lets one hit exchange the code while the others
wait for its outcome.
"""

import asyncio
import hmac
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import structlog

from hub.accounts.identities import Identity, SealedTokens
from hub.errors import (
    AlreadyClaimed,
    AttemptExpired,
    AttemptFailed,
    AttemptNotFound,
    HubError,
    StoreUnavailable,
    WrongState,
)
from hub.qr.attempt import Attempt
from hub.qr.attempts import Attempts
from hub.qr.identifiers import hashed
from hub.qr.phone import Phone
from hub.store.database import UniqueViolation
from hub.store.encryption import DataKeys
from hub.wechat.doors import WebConsent
from hub.wechat.errors import Blocked, WeChatError

log = structlog.stdlib.get_logger("hub.qr")

STATE_LIFE = 600  # seconds: as long as a whole attempt
_LEASE = 15.0  # seconds one hit has to exchange the code
_MAC = 16


class Outcome(NamedTuple):
    """What came of a callback: a page's name, and after a claim the attempt and its subject."""

    name: str
    attempt: Attempt | None = None
    subject: str | None = None


class ConsentState:
    """Makes and reads the `state` of a consent: 80 hex characters, for WeChat allows only letters and digits.

    attempt id (8 bytes), end of life (4), nonce (12), then a MAC over these and the browser's binding secret.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = [hmac.digest(key.encode(), b"consent-state", "sha256") for key in keys]

    def make(self, attempt_id: int, secret: str, now: datetime) -> str:
        """Return a fresh state for this attempt and this browser."""
        ends = int(now.timestamp()) + STATE_LIFE
        body = attempt_id.to_bytes(8) + ends.to_bytes(4) + secrets.token_bytes(12)
        return (body + self._mac(self._keys[0], body, secret)).hex()

    def read(self, state: str, secret: str, now: datetime) -> int | None:
        """Return the attempt's id, or None if the state is forged, old, or of another browser."""
        try:
            raw = bytes.fromhex(state)
        except ValueError:
            return None
        body, mac = raw[:-_MAC], raw[-_MAC:]
        if raw.hex() != state:  # another spelling of the same bytes would pass for a fresh state
            return None
        if len(body) != 24 or int.from_bytes(body[8:12]) <= now.timestamp():
            return None
        if not any(hmac.compare_digest(self._mac(key, body, secret), mac) for key in self._keys):
            return None
        return int.from_bytes(body[:8])

    @staticmethod
    def _mac(key: bytes, body: bytes, secret: str) -> bytes:
        return hmac.digest(key, body + secret.encode(), "sha256")[:_MAC]


class Consent:
    """Sends a landed phone to WeChat's consent and takes it back."""

    def __init__(
        self, attempts: Attempts, phone: Phone, door: WebConsent, states: ConsentState, keys: DataKeys
    ) -> None:
        self._attempts = attempts
        self._phone = phone
        self._door = door
        self._states = states
        self._data_keys = keys

    def begin(self, attempt: Attempt, secret: str) -> str:
        """Return the address of WeChat's consent page for the browser with this binding secret."""
        return self._door.consent_url(self._states.make(attempt.id, secret, self._attempts.store.now()))

    async def finish(self, state: str, code: str | None, secret: str | None, language: str) -> Outcome:
        """Return the outcome of a callback; a second hit of the same browser gets the first one's.

        Without a code the person has declined. Never raises what a person could not act on.
        """
        store = self._attempts.store
        now = store.now()
        attempt_id = self._states.read(state, secret, now) if secret else None
        if attempt_id is None:
            return Outcome("neutral")
        if not code:
            return Outcome("provider_denied")
        state_hash = hashed(state)
        try:
            await store.insert(
                "qr.begin_callback",
                state_hash=state_hash,
                code_hash=hashed(code),
                attempt_id=attempt_id,
                leased_until=now + timedelta(seconds=_LEASE),
                created_at=now,
            )
        except UniqueViolation:
            return await self._await_first(state_hash)
        outcome = await self._claim(attempt_id, code, language)
        try:
            await store.changed("qr.end_callback", state_hash=state_hash, outcome=outcome.name)
        except StoreUnavailable as error:  # the claim is committed, and only a second hit would ask for this
            log.warning("callback_not_ended", attempt=attempt_id, reason=error.reason)
        return outcome

    async def _claim(self, attempt_id: int, code: str, language: str) -> Outcome:
        try:
            attempt = await self._attempts.by_id(attempt_id)
            person = await self._door.person(code, language)
            if person.is_snapshot:
                return Outcome("snapshot_user")
            sealed = SealedTokens.seal(self._data_keys, person, self._attempts.store.now())
            identity = Identity.from_person(person, sealed)
            claimed = await self._phone.claim(attempt, identity.subject, identity.profile())
        except Blocked:
            return Outcome("account_blocked")
        except WeChatError as error:
            log.warning("consent_failed", attempt=attempt_id, errcode=error.errcode, rid=error.rid)
            return Outcome("provider_away")
        except (AlreadyClaimed, WrongState):
            return Outcome("already_claimed")
        except (AttemptExpired, AttemptNotFound):
            return Outcome("expired")
        except AttemptFailed:
            return Outcome("failed")
        except HubError as error:
            log.warning("consent_failed", attempt=attempt_id, reason=error.reason)
            return Outcome("provider_away")
        return Outcome("scanned", claimed, claimed.scanned_by)

    async def _await_first(self, state_hash: str) -> Outcome:
        """Wait for the hit that exchanges the code, and return its outcome."""
        store = self._attempts.store
        pause = 0.05
        while True:
            row = await store.one("qr.callback", state_hash=state_hash)
            if row is None:
                return Outcome("neutral")
            if row["outcome"] == "scanned":
                attempt = await self._attempts.by_id(row["attempt_id"])
                return Outcome("scanned", attempt, attempt.scanned_by)
            if row["outcome"] is not None:
                return Outcome(row["outcome"])
            if store.now() >= row["leased_until"]:
                return Outcome("provider_away")  # the first hit died; a code is never sent twice
            await asyncio.sleep(pause)
            pause = min(pause * 2, 0.5)
