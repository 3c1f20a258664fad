"""One-time codes: sending one to a number or an e-mail address, and checking what came back."""

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from typing import NamedTuple

import structlog
from prometheus_client import Counter

from hub.codes.messages import Kind, Message
from hub.codes.outbox import Outbox
from hub.codes.rules import (
    GAP,
    LIVES,
    LOCK,
    PURPOSES,
    REMEMBERED,
    TRIES,
    Asker,
    Channel,
    Peppers,
    Purpose,
    Target,
    burnt,
    draw,
    wait,
)
from hub.codes.sms_budget import SmsBudget
from hub.errors import CodeLocked, HubError, InvalidCode, RateLimited
from hub.store.database import Connection, Store

log = structlog.stdlib.get_logger("hub.codes")

SENT = Counter("hub_codes_sent_total", "Codes asked for, by what came of it.", ["channel", "result"])
CHECKS = Counter("hub_code_checks_total", "Codes that came back, by what came of it.", ["channel", "result"])

_KINDS: Mapping[Channel, Kind] = {"phone": "sms", "email": "email"}
_REFUSAL_TIME = 0.05  # seconds; longer than any of the ways to a refusal takes
_TIMER_ERROR = 0.0006  # seconds that a timer may end late: the loop's count whole milliseconds


class _Try(Enum):
    """What came of one comparison."""

    DEAD = auto()  # it was not made
    RIGHT = auto()
    WRONG = auto()
    LAST = auto()  # wrong, and whoever made it is locked out


class Sent(NamedTuple):
    """A code is on its way: it lives *expires_in* seconds, the next one may be asked for in *resend_in*."""

    expires_in: int
    resend_in: int


@dataclass(frozen=True, slots=True)
class Proof:
    """The right code for an address and purpose; whoever acts on it uses it, once, in the same transaction.

    *anon_id* is that of the asker to whom it was sent.
    """

    id: int
    address: str = field(repr=False)
    anon_id: str | None
    checked_at: datetime

    async def use(self, tx: Connection) -> None:
        """Use it up. Raises InvalidCode when another request was first, or a newer code has replaced it."""
        if not await tx.changed("codes.use", id=self.id, used_at=self.checked_at):
            raise InvalidCode(f"code {self.id} is used or replaced")


class Codes:
    """The use cases. *lengths* are the digits of a code by channel, *budget* bounds those by SMS.

    With *limited* off, an address may ask as often as it likes.
    """

    def __init__(
        self,
        store: Store,
        outbox: Outbox,
        peppers: Peppers,
        *,
        lengths: Mapping[Channel, int],
        budget: SmsBudget,
        limited: bool,
    ) -> None:
        self._store = store
        self._outbox = outbox
        self._peppers = peppers
        self._lengths = lengths
        self._budget = budget
        self._limited = limited

    async def send(
        self, channel: Channel, address: str, purpose: Purpose, asker: Asker, language: str
    ) -> Sent:
        """Queue a fresh code, which replaces the former one of this address and purpose.

        Accounts are not looked at, so nothing tells whether there is one. Raises InvalidRequest for a country
        that gets no SMS, CodeLocked, RateLimited, SmsBudgetSpent, or Unavailable where nothing can be queued.
        """
        target = Target(channel, address, purpose)
        try:
            country = self._budget.country(address) if channel == "phone" else None
            code = draw(channel, self._lengths[channel])

            async def work(tx: Connection) -> None:
                now = await self._turn(tx, target, asker)
                await self._replace(tx, target, asker, code, now)
                await self._outbox.enqueue(tx, _KINDS[channel], _message(target, code, language, now), now)
                if country:
                    await self._budget.spend(tx, country, now)

            await self._store.write(work)
        except HubError as error:
            SENT.labels(channel, error.slug).inc()
            raise
        self._outbox.wake()
        SENT.labels(channel, "queued").inc()
        return Sent(round(LIVES[channel].total_seconds()), round(GAP.total_seconds()))

    async def check(self, channel: Channel, address: str, purpose: Purpose, code: str, asker: Asker) -> Proof:
        """Compare *code* with the live one of this address and purpose, at most TRIES times in all.

        Raises CodeLocked while this asker is locked out, else InvalidCode: in the same words, and after the
        same time, for a wrong, an old, a used and a missing one.
        """
        until = time.monotonic() + _REFUSAL_TIME
        try:
            proof = await self._check(Target(channel, address, purpose), code, asker)
        except HubError as error:
            CHECKS.labels(channel, error.slug).inc()
            # Whether a code was sent lately, which takes a statement more to refuse, tells who signs in here.
            await _sleep_until(until)
            raise
        CHECKS.labels(channel, "right").inc()
        return proof

    async def _check(self, target: Target, code: str, asker: Asker) -> Proof:
        now = self._store.now()
        row = await self._store.one(
            "codes.newest", address=target.address, purpose=target.purpose, asker=asker.name
        )
        if row is None:
            raise InvalidCode("none was sent")
        _demand_unlocked(row["locked_until"], now)

        async def work(tx: Connection) -> _Try:
            if not await tx.changed(
                "codes.count_try", id=row["id"], tried_by=asker.name, attempt_count=TRIES, expires_at=now
            ):
                return _Try.DEAD
            if self._peppers.match(row["code_hash"], target, code):
                return _Try.RIGHT
            tries = await tx.one("codes.tries", id=row["id"])
            if tries is None or not burnt(tries["attempt_count"], tries["tried_by"], asker):
                return _Try.WRONG
            await tx.changed(
                "codes.lock_out",
                address=target.address,
                purpose=target.purpose,
                asker=asker.name,
                locked_until=now + LOCK,
            )
            return _Try.LAST

        # Nobody learns of the comparison before the try and its lock are committed.
        match await self._store.write(work):
            case _Try.RIGHT:
                return Proof(row["id"], target.address, row["anon_id"], now)
            case _Try.DEAD:
                raise InvalidCode(f"code {row['id']} is not live", expired=row["expires_at"] <= now)
            case _Try.LAST:
                log.warning("code_asker_locked_out", purpose=target.purpose, code=row["id"])
        raise InvalidCode(f"code {row['id']} is another")

    async def _turn(self, tx: Connection, target: Target, asker: Asker) -> datetime:
        """Wait for this address' turn, see that it may get a code, and return the time."""
        await tx.changed("codes.hold", address=target.address, locked_until=self._store.now())
        now = self._store.now()
        lock = await tx.one("codes.lock", address=target.address, purpose=target.purpose, asker=asker.name)
        _demand_unlocked(lock["locked_until"] if lock else None, now)
        if self._limited:
            rows = await tx.all(
                "codes.sent", address=target.address, purpose=PURPOSES, created_at=now - REMEMBERED
            )
            if pause := wait([row["created_at"] for row in rows], now):
                raise RateLimited(f"{len(rows)} codes to one address in a day", retry_after=pause)
        return now

    async def _replace(self, tx: Connection, target: Target, asker: Asker, code: str, now: datetime) -> None:
        await tx.changed("codes.replace", address=target.address, purpose=target.purpose)
        await tx.insert(
            "codes.add",
            **target._asdict(),
            code_hash=self._peppers.hash(target, code),
            anon_id=asker.anon_id,
            expires_at=now + LIVES[target.channel],
            ip_address=asker.ip,
            device_info=json.dumps({"user_agent": asker.user_agent, "device": asker.device}),
            created_at=now,
        )


async def _sleep_until(moment: float) -> None:
    """Return at *moment* of the monotonic clock, and exactly: a timer's error tells when it was set."""
    await asyncio.sleep(moment - _TIMER_ERROR - time.monotonic())
    while time.monotonic() < moment:  # noqa: ASYNC110 - for less than a millisecond, and no event tells
        await asyncio.sleep(0)


def _demand_unlocked(locked_until: datetime | None, now: datetime) -> None:
    if locked_until and locked_until > now:
        raise CodeLocked("this asker has burnt a code", retry_after=(locked_until - now).total_seconds())


def _message(target: Target, code: str, language: str, now: datetime) -> Message:
    life = LIVES[target.channel]
    minutes = str(round(life.total_seconds() / 60))
    return Message(target.address, f"{target.purpose}_code", code, {"minutes": minutes}, language, now + life)
