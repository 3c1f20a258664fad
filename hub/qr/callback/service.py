"""The callback of all consents, once each: a second hit gets the first one's outcome.

Browsers and WeChat hit callbacks twice, often at the same time. The row in `provider_callbacks` lets one hit
exchange the code, in whatever process, while the others wait for its outcome. It has a lease: when the first
hit's process dies, one of the others ends it, for a code is never sent twice.
"""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import NamedTuple

import structlog
from prometheus_client import Counter

from hub.errors import (
    AccountBlocked,
    AlreadyBound,
    AlreadyClaimed,
    AttemptExpired,
    AttemptFailed,
    AttemptNotFound,
    HubError,
    StoreUnavailable,
    Unavailable,
    WrongState,
)
from hub.qr.attempt import Attempt
from hub.qr.attempts import Attempts
from hub.qr.consent import Consent, ConsentState, Hit, Kind, Outcome
from hub.qr.identifiers import hashed
from hub.qr.phone import Phone
from hub.store.database import Connection, UniqueViolation
from hub.wechat.errors import Blocked, WeChatError

log = structlog.stdlib.get_logger("hub.qr")

CALLBACKS = Counter(
    "hub_qr_callbacks_total", "Consents that came back, second hits too.", ["kind", "outcome"]
)

LEASE = 20.0  # seconds one hit has: longer than both calls to WeChat may take
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 0.5

_NAMES: tuple[tuple[tuple[type[HubError], ...], str], ...] = (
    ((Blocked, AccountBlocked), "account_blocked"),
    ((AlreadyBound,), "already_bound"),
    ((AlreadyClaimed, WrongState), "already_claimed"),
    ((AttemptExpired, AttemptNotFound), "expired"),
    ((AttemptFailed,), "failed"),
    ((Unavailable,), "busy"),
)


class Answer(NamedTuple):
    """The outcome of a callback, and of which kind the consent was; None for one that is nobody's."""

    kind: Kind | None
    outcome: Outcome


class Callback:
    """Receives the consents of *consents*, the kinds that are configured."""

    def __init__(
        self,
        attempts: Attempts,
        phone: Phone,
        states: ConsentState,
        consents: Mapping[Kind, Consent],
        *,
        lease: float = LEASE,
    ) -> None:
        self._attempts = attempts
        self._phone = phone
        self._states = states
        self._consents = consents
        self._lease = timedelta(seconds=lease)

    async def receive(self, state: str, code: str | None, secret: str | None, language: str) -> Answer:
        """Return what came of the consent; `neutral` where *secret* is not that of the browser which asked.

        Without a code the person has declined. Raises StoreUnavailable while nothing is consumed yet.
        """
        stated = self._states.read(state, secret, self._attempts.store.now()) if secret else None
        consent = self._consents.get(stated.kind) if stated else None
        if stated is None or consent is None:
            CALLBACKS.labels("none", "neutral").inc()
            return Answer(None, Outcome("neutral"))
        if code:
            outcome = await self._once(consent, stated.attempt_id, hashed(state), code, language)
        else:
            outcome = await self._declined(consent, stated.attempt_id)
        CALLBACKS.labels(stated.kind.name.lower(), outcome.name).inc()
        return Answer(stated.kind, outcome)

    async def _once(
        self, consent: Consent, attempt_id: int, state_hash: str, code: str, language: str
    ) -> Outcome:
        store = self._attempts.store
        now = store.now()
        try:
            await store.insert(
                "qr.begin_callback",
                state_hash=state_hash,
                code_hash=hashed(code),
                attempt_id=attempt_id,
                leased_until=now + self._lease,
                created_at=now,
            )
        except UniqueViolation:
            return await self._await_first(consent, state_hash)
        hit = Hit(attempt_id, code, language, partial(_settle, state_hash))
        try:
            outcome = await consent.accept(hit)
        except _OvertakenError:
            return await self._await_first(consent, state_hash)
        except HubError as error:
            outcome = await self._failed(consent, attempt_id, error)
        try:
            if await store.changed("qr.end_callback", state_hash=state_hash, outcome=outcome.name):
                return outcome
        except StoreUnavailable as error:  # what happened is committed; only a second hit would ask for this
            log.warning("callback_not_ended", attempt=attempt_id, reason=error.reason)
            return outcome
        return await self._await_first(consent, state_hash)  # it is settled, or another hit has ended it

    async def _declined(self, consent: Consent, attempt_id: int) -> Outcome:
        try:
            return await consent.decline(attempt_id)
        except StoreUnavailable:
            raise
        except HubError as error:
            return Outcome(_name(error), await self._attempt(attempt_id))

    async def _failed(self, consent: Consent, attempt_id: int, error: HubError) -> Outcome:
        """Tell the logs and the attempt; the person gets a page whatever becomes of that."""
        wechat = error if isinstance(error, WeChatError) else None
        log.warning(
            "consent_failed",
            attempt=attempt_id,
            reason=error.reason or error.slug,
            errcode=wechat and wechat.errcode,
            rid=wechat and wechat.rid,
        )
        await self._give_up(consent, attempt_id, error)
        attempt = await self._attempt(attempt_id)
        if wechat and attempt:
            await self._phone.refusals.record_refusal(attempt, wechat)
        return Outcome(_name(error), attempt)

    async def _give_up(self, consent: Consent, attempt_id: int, error: HubError | None = None) -> None:
        try:
            await consent.give_up(attempt_id, error)
        except HubError as refusal:  # the attempt has ended otherwise, or time will end it
            log.info("attempt_not_ended", attempt=attempt_id, reason=refusal.reason)

    async def _attempt(self, attempt_id: int) -> Attempt | None:
        try:
            return await self._attempts.by_id(attempt_id)
        except HubError:  # the page can do without
            return None

    async def _await_first(self, consent: Consent, state_hash: str) -> Outcome:
        """Wait for the hit that exchanges the code, and return its outcome."""
        store = self._attempts.store
        pause = _FIRST_PAUSE
        while True:
            row = await store.one("qr.callback", state_hash=state_hash)
            if row is None:
                return Outcome("neutral")
            if row["outcome"] is not None:
                return Outcome(row["outcome"], await self._attempt(row["attempt_id"]))
            now = store.now()
            if now >= row["leased_until"]:
                if await store.changed(
                    "qr.abandon_callback", state_hash=state_hash, outcome="provider_away", leased_until=now
                ):
                    log.warning("callback_abandoned", attempt=row["attempt_id"])
                    await self._give_up(consent, row["attempt_id"])
                    if attempt := await self._attempt(row["attempt_id"]):
                        await self._phone.refusals.record_refusal(attempt, None)
                continue
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)


class _OvertakenError(Exception):
    """Another hit has taken this one for dead; this one's transaction is rolled back."""


async def _settle(state_hash: str, tx: Connection, name: str) -> None:
    if not await tx.changed("qr.end_callback", state_hash=state_hash, outcome=name):
        raise _OvertakenError


def _name(error: HubError) -> str:
    return next((name for kinds, name in _NAMES if isinstance(error, kinds)), "provider_away")
