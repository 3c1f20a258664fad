"""Approval by WeChat itself: two moves in one, for the person has scanned and agreed on WeChat's page.

There may be no phone in it at all: a computer on which WeChat runs can approve by itself.
"""

import hmac
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial

from hub.accounts.identities import Identity, SealedTokens
from hub.audit.log import Reason
from hub.errors import AccountBlocked, AlreadyBound, HubError, SignInRefused, WrongState
from hub.qr.attempt import Attempt
from hub.qr.attempts import Attempts, refused
from hub.qr.consent import ConsentState, Hit, Kind, Outcome
from hub.qr.identifiers import hashed
from hub.qr.identify import identify
from hub.qr.phone import Phone
from hub.qr.states import Event, Move, Status, decide
from hub.store.database import Connection
from hub.store.encryption import DataKeys
from hub.wechat.doors import WebsiteConsent
from hub.wechat.errors import Blocked

_REASONS: Mapping[type[Exception], str] = {
    AccountBlocked: "account_blocked",
    AlreadyBound: "already_bound",
    SignInRefused: "risk",
}


class OpenPlatform:
    """Sends a browser to WeChat's page and takes its person back; a `Consent`."""

    name = "open_platform"

    def __init__(
        self, attempts: Attempts, phone: Phone, door: WebsiteConsent, states: ConsentState, keys: DataKeys
    ) -> None:
        self._attempts = attempts
        self._phone = phone
        self._door = door
        self._states = states
        self._data_keys = keys

    def authorize_url(self, attempt: Attempt, secret: str | None) -> str | None:
        """Return WeChat's page for *attempt*, with a fresh state; it is to be gone to, or shown in a frame.

        None at another door, when the attempt is no longer pending, and for a browser whose binding *secret*
        is not that of the one which began: else its person could be made to approve somebody else's sign-in.
        """
        if attempt.door != self.name or attempt.status is not Status.PENDING or not secret:
            return None
        if not hmac.compare_digest(attempt.cookie_hash or "", hashed(secret)):
            return None
        now = self._attempts.store.now()
        return self._door.qrconnect_url(self._states.make(Kind.OPEN_PLATFORM, attempt.id, secret, now))

    async def accept(self, hit: Hit) -> Outcome:
        """Approve the attempt for who has consented; an approval of the same browser before counts too."""
        attempt = await self._attempts.by_id(hit.attempt_id)
        now = self._attempts.store.now()
        if attempt.status is Status.CONFIRMED:
            return Outcome("confirmed", attempt)
        if decide(attempt, Event.APPROVE, now) is None:
            raise refused(attempt, now)
        person = await self._door.person(hit.code, hit.language)
        if person.is_snapshot:
            return Outcome(
                "snapshot_user", await self._attempts.move(attempt, lambda _: Event.PROVIDER_ERROR)
            )
        sealed = SealedTokens.seal(self._data_keys, person, self._attempts.store.now())
        try:
            approved = await self._approve(attempt, Identity.from_person(person, sealed), hit)
        except WrongState:
            attempt = await self._attempts.by_id(attempt.id)
            if attempt.status is not Status.CONFIRMED:
                raise
            return Outcome("confirmed", attempt)
        return Outcome(approved.reason or "confirmed", approved)

    async def decline(self, attempt_id: int) -> Outcome:
        """Cancel the attempt: who declines is the person whose browser waits."""
        attempt = await self._attempts.by_id(attempt_id)
        if attempt.reason != "cancelled":
            attempt = await self._attempts.move(attempt, lambda _: Event.CANCEL)
        return Outcome("provider_denied", attempt)

    async def give_up(self, attempt_id: int, error: HubError | None) -> None:
        """End the attempt: its page of WeChat's is used up, and a new one belongs to a new attempt."""
        event = Event.ACCOUNT_BLOCKED if isinstance(error, Blocked) else Event.PROVIDER_ERROR
        await self._attempts.move(await self._attempts.by_id(attempt_id), lambda _: event)

    async def _approve(self, attempt: Attempt, identity: Identity, hit: Hit) -> Attempt:
        store = self._attempts.store

        async def write(current: Attempt, move: Move, now: datetime) -> Attempt | None:
            named = replace(current, scanned_by=identity.subject, profile=identity.profile())
            try:
                # Who has asked is in front of that browser; only what nobody can answer for is refused.
                await self._phone.check(named, named.ip_address, acknowledged=True)
                return await store.write(partial(self._write, hit, named, move, now))
            except tuple(_REASONS) as error:
                failing = Move(Status.FAILED, _REASONS[type(error)], move.steps)
                nobody = replace(named, profile=replace(identity, tokens=None).profile())
                return await store.write(partial(self._write, hit, nobody, failing, now))

        approved = await self._attempts.move(attempt, lambda _: Event.APPROVE, write)
        if approved.status is Status.FAILED:
            reason: Reason = "account_blocked" if approved.reason == "account_blocked" else "unknown"
            await self._phone.refusals.record(approved, "blocked", reason)
        return approved

    async def _write(
        self, hit: Hit, named: Attempt, move: Move, now: datetime, tx: Connection
    ) -> Attempt | None:
        """Write both moves, find the account, settle the callback; None if another move came first."""
        moved = self._attempts.moved(named, move, now)
        changed = await tx.changed(
            "qr.approve",
            id=named.id,
            seq_before=named.seq,
            seq=moved.seq,
            status=moved.status,
            reason=moved.reason,
            expires_at=moved.expires_at,
            scanned_by=moved.scanned_by,
            provider_profile=json.dumps(moved.profile, ensure_ascii=False),
            confirmed_at=now if moved.status is Status.CONFIRMED else None,
            updated_at=now,
        )
        if not changed:
            return None
        if moved.status is Status.CONFIRMED:
            moved = await identify(tx, moved, now)
        await hit.settle(tx, moved.reason or "confirmed")
        return moved
