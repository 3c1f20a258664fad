"""What the phone does: claim an attempt by scanning, then answer it."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Any

from hub.audit.log import Reason
from hub.audit.rules import Signal
from hub.errors import (
    AccountBlocked,
    AlreadyBound,
    AlreadyClaimed,
    AttemptNotFound,
    ConfirmationRequired,
    GrantRequired,
    HubError,
    SignInRefused,
    WechatNeeded,
)
from hub.limits.rules import Limit, Limiter
from hub.qr.attempt import Attempt
from hub.qr.attempts import Attempts, refused
from hub.qr.identifiers import QR_CODE
from hub.qr.identify import identify
from hub.qr.precautions import Precautions
from hub.qr.refusals import Refusals
from hub.qr.states import ROTATING_DOORS, Event, Move, Status, code_accepted, decide
from hub.store.database import Connection, Row
from hub.tokens.service import Device

Within = Callable[[Connection, int, datetime], Awaitable[None]]

BURNS = Limit("burn", 2, 600)


class Answer(StrEnum):
    """What a phone may say to the attempt it has claimed."""

    CONFIRM = "confirm"
    CANCEL = "cancel"
    REPORT = "report"


_EVENTS = {Answer.CONFIRM: Event.CONFIRM, Answer.CANCEL: Event.DECLINE, Answer.REPORT: Event.REPORT}
_REFUSALS: Mapping[type[HubError], tuple[Event, Reason]] = {
    AccountBlocked: (Event.ACCOUNT_BLOCKED, "account_blocked"),
    AlreadyBound: (Event.ALREADY_BOUND, "unknown"),
    SignInRefused: (Event.RISK, "unknown"),
}


class Phone:
    """Scans and answers. A *subject* names the person: `wechat:<appid>:<openid>` or `hub:<user id>`.

    With *burn* a second person's scan ends the attempt.
    """

    def __init__(
        self,
        attempts: Attempts,
        refusals: Refusals,
        precautions: Precautions,
        limiter: Limiter,
        *,
        burn: bool,
    ) -> None:
        self._attempts = attempts
        self.refusals = refusals
        self._precautions = precautions
        self._limiter = limiter
        self._burn = burn

    async def land(self, qr_code: str) -> Attempt:
        """Return the attempt that a phone lands on with *qr_code*.

        Raises AttemptNotFound for an unknown code, or one that is no longer the visible one.
        """
        attempt = await self._attempts.by_qr_code(qr_code)
        fresh = code_accepted(attempt, qr_code, self._attempts.store.now(), self._attempts.lives)
        if attempt.status is Status.PENDING and not fresh:
            raise AttemptNotFound("the code has been rotated")
        return attempt

    async def scan_in_app(self, qr_code: str, user_id: int) -> Attempt:
        """Claim by the customer's own app, whose person is signed in.

        Raises AttemptNotFound, WechatNeeded where WeChat is to be bound, AlreadyClaimed, AccountBlocked, or
        what the attempt's state says.
        """
        if not QR_CODE.fullmatch(qr_code):
            raise AttemptNotFound("malformed qr_code")
        attempt = await self.land(qr_code)
        if attempt.door not in ROTATING_DOORS:
            raise AttemptNotFound(f"door {attempt.door} takes no app")
        if attempt.purpose == "bind":
            raise WechatNeeded(f"attempt {attempt.id} is to bind WeChat")
        subject = f"hub:{user_id}"
        try:
            user = await self._active(user_id)
        except AccountBlocked:
            tried = replace(attempt, scanned_by=subject, user_id=user_id)
            await self.refusals.record(tried, "blocked", "account_blocked")
            raise
        profile = {"nickname": user["nickname"], "avatar_url": user["avatar_url"]}
        return await self.claim(attempt, subject, profile, user_id)

    async def claim(
        self,
        attempt: Attempt,
        subject: str,
        profile: Mapping[str, Any],
        user_id: int | None = None,
        *,
        confirm_link: str | None = None,
    ) -> Attempt:
        """Claim *attempt* for *subject*; the same person may claim again, another one burns it.

        *confirm_link* is the hash of the link that leads its person to the confirm page, where one is used.
        Raises AlreadyClaimed, AttemptExpired, AttemptFailed or WrongState.
        """

        def event(current: Attempt) -> Event:
            if current.status is not Status.SCANNED:
                return Event.SCAN
            return Event.RESCAN if current.scanned_by == subject else Event.SECOND_SCAN

        async def write(current: Attempt, move: Move, now: datetime) -> Attempt | None:
            if move.to is Status.FAILED:
                try:
                    await self._refuse_second(current)
                except AlreadyClaimed:
                    tried = replace(current, scanned_by=subject, user_id=user_id)
                    await self.refusals.record(tried, "failed", "unknown")
                    raise
                return await self._attempts.write(current, move, now)
            claimed = replace(
                self._attempts.moved(current, move, now),
                scanned_by=subject,
                profile=profile,
                user_id=user_id,
                confirm_link=confirm_link,
            )
            changed = await self._attempts.store.changed(
                "qr.scan",
                id=current.id,
                seq_before=current.seq,
                seq=claimed.seq,
                expires_at=claimed.expires_at,
                scanned_by=subject,
                user_id=user_id,
                confirm_link=confirm_link,
                provider_profile=json.dumps(profile, ensure_ascii=False),
                updated_at=now,
            )
            return claimed if changed else None

        claimed = await self._attempts.move(attempt, event, write)
        if claimed.status is not Status.SCANNED:
            await self.refusals.record(claimed, "failed", "unknown")
            raise AlreadyClaimed("a second person scanned")
        return claimed

    async def answer(
        self,
        session_id: str,
        subject: str,
        answer: Answer,
        device: Device,
        *,
        within: Within | None = None,
        on_page: bool = False,
        acknowledged: bool = False,
    ) -> Attempt:
        """Confirm, decline or report the attempt that *subject* has claimed.

        *on_page* tells that it was pressed on a page of ours, *acknowledged* that its second step was taken.
        *within* is run in the transaction of a confirmation that signs in, with the account's id; what it
        raises undoes the confirmation. Raises GrantRequired for anyone else, ConfirmationRequired,
        SignInRefused, AccountBlocked, AlreadyBound, or what the attempt's state says.
        """
        attempt = await self._attempts.by_session(session_id)
        if attempt.scanned_by != subject:
            raise GrantRequired("not the phone that scanned")
        if answer is not Answer.CONFIRM:
            answered = await self._attempts.move(attempt, lambda _: _EVENTS[answer])
            if answer is Answer.REPORT:
                await self.refusals.report(answered, subject)
            else:
                await self.refusals.record(answered, "failed", "declined")
            return answered
        try:
            if decide(attempt, Event.CONFIRM, self._attempts.store.now()):
                await self.check(attempt, device.ip, on_page=on_page, acknowledged=acknowledged)
            return await self._attempts.move(attempt, lambda _: Event.CONFIRM, partial(self._confirm, within))
        except (AccountBlocked, AlreadyBound, SignInRefused) as error:
            event, reason = _REFUSALS[type(error)]
            failed = await self._attempts.move(attempt, lambda _: event)
            raised = (Signal.REPORTED,) if isinstance(error, SignInRefused) else ()
            await self.refusals.record(failed, "blocked", reason, raised)
            raise

    async def check(
        self, attempt: Attempt, ip: str, *, on_page: bool = False, acknowledged: bool = False
    ) -> None:
        """Raise SignInRefused or ConfirmationRequired where what is known of *attempt* demands it."""
        try:
            await self._precautions.check(attempt, ip, on_page=on_page, acknowledged=acknowledged)
        except ConfirmationRequired:
            current = await self._attempts.by_id(attempt.id)
            if current.final:  # the report that calls for caution has ended this one
                raise refused(current, self._attempts.store.now()) from None
            raise

    async def cancel(self, session_id: str) -> Attempt:
        """Cancel by the browser that waits. Raises what the attempt's state says."""
        return await self._attempts.move(await self._attempts.by_session(session_id), lambda _: Event.CANCEL)

    async def _confirm(
        self, within: Within | None, attempt: Attempt, move: Move, now: datetime
    ) -> Attempt | None:
        store = self._attempts.store
        confirmed = self._attempts.moved(attempt, move, now)
        values = {
            "id": attempt.id,
            "seq_before": attempt.seq,
            "seq": confirmed.seq,
            "expires_at": confirmed.expires_at,
            "updated_at": now,
        }
        if confirmed.user_id is not None:
            if await store.changed("qr.confirm_known", **values):
                return confirmed
            await self._active(confirmed.user_id)  # else another move came first
            return None

        async def work(tx: Connection) -> Attempt | None:
            if not await tx.changed("qr.confirm", **values):
                return None
            identified = await identify(tx, confirmed, now)
            if within and identified.user_id is not None:
                await within(tx, identified.user_id, now)
            return identified

        return await store.write(work)

    async def _active(self, user_id: int) -> Row:
        user = await self._attempts.store.one("qr.user", id=user_id)
        if user is None or user["status"] != "active":
            raise AccountBlocked(f"user {user_id}")
        return user

    async def _refuse_second(self, attempt: Attempt) -> None:
        """Raise AlreadyClaimed where a second scan must not burn the attempt."""
        if not self._burn:
            raise AlreadyClaimed("a second person scanned; not burnt by setting")
        browser = attempt.binding if attempt.binding.startswith("cookie:") else attempt.ip_address
        verdict = await self._limiter.hit(BURNS, browser)
        if not verdict.allowed:
            # Else whoever photographs the screen could keep its owner from ever signing in.
            raise AlreadyClaimed("a second person scanned; burnt too often")
