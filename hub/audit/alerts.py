"""Telling a person what looks wrong: on the account's stream, and by e-mail or SMS.

What is told is written in the transaction of its cause. How often is decided there too, by a conditional
UPDATE of `account_warnings`, so that no race sends a second message.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal, Protocol

from prometheus_client import Counter

from hub.audit.devices import called
from hub.audit.log import Device, Method, Reason
from hub.audit.places import Places
from hub.audit.rules import FAILURES_GAP, MESSAGE_GAP, Signal
from hub.store.database import Connection

SIGNALS = Counter("hub_signals_total", "What was unusual about tries to sign in.", ["signal"])
ALERTS = Counter("hub_alerts_total", "Warnings to people, by the way they went.", ["channel"])

Channel = Literal["stream", "email", "sms"]


class Events(Protocol):
    """The account stream: `hub.tokens.events`."""

    async def append(
        self,
        tx: Connection,
        user_id: int,
        kind: Literal["login.failed", "security.alert"],
        payload: Mapping[str, object],
        now: datetime,
    ) -> None:
        """Write one event in the caller's transaction."""

    async def announce(self, user_id: int) -> None:
        """Let the account's streams look for it, after the commit."""


class Post(Protocol):
    """Messages to an account's own address or number: `hub.codes.security_alert`."""

    async def send(
        self, tx: Connection, user_id: int, device: str, ip: str, now: datetime
    ) -> Literal["email", "sms"] | None:
        """Queue a warning of what *device* did in the caller's transaction; None where none can go."""

    def wake(self) -> None:
        """Let it be sent, after the commit."""


class Alerts:
    """Appends events and queues messages. Each method returns the ways it took, for `announce`."""

    def __init__(self, events: Events, post: Post, places: Places) -> None:
        self._events = events
        self._post = post
        self._places = places

    async def unusual_sign_in(
        self, tx: Connection, user_id: int, raised: Sequence[Signal], device: Device, now: datetime
    ) -> tuple[Channel, ...]:
        """Tell of a sign-in; the gravest signal is the message's kind, and MESSAGE_GAP holds for each kind.

        The caller's transaction holds the lock on the account's row.
        """
        payload = {"kind": "unusual_sign_in", "signals": [str(signal) for signal in raised]}
        await self._events.append(tx, user_id, "security.alert", payload | self._told(device), now)
        return await self._posted(tx, user_id, raised[0], device, now)

    async def token_reused(
        self, tx: Connection, user_id: int, sid: str, device: Device, now: datetime
    ) -> tuple[Channel, ...]:
        """Tell that a session was ended because its refresh token was used twice, last by *device*.

        The caller's transaction holds the lock on the account's row.
        """
        payload = {"kind": "refresh_token_reused", "session_id": sid, **self._told(device)}
        await self._events.append(tx, user_id, "security.alert", payload, now)
        return await self._posted(tx, user_id, "refresh_token_reused", device, now)

    async def reported(
        self, tx: Connection, user_id: int, device: Device, now: datetime
    ) -> tuple[Channel, ...]:
        """Tell that the account's own person has reported a browser (*device*): nobody was signed in."""
        payload = {"kind": "sign_in_reported", **self._told(device)}
        await self._events.append(tx, user_id, "security.alert", payload, now)
        return ("stream",)

    async def failed(
        self,
        tx: Connection,
        user_id: int,
        method: Method,
        reason: Reason | None,
        failures: int,
        device: Device,
        now: datetime,
    ) -> tuple[Channel, ...]:
        """Tell of refused tries, once in FAILURES_GAP; () where that is not over, or nobody is left."""
        if await tx.one("audit.lock_user", id=user_id) is None:
            return ()
        if not await may_warn(tx, user_id, "login_failed", FAILURES_GAP, now):
            return ()
        payload = {"method": method, "reason": reason, "failures": failures, **self._told(device)}
        await self._events.append(tx, user_id, "login.failed", payload, now)
        return ("stream",)

    async def announce(self, user_id: int, channels: Sequence[Channel]) -> None:
        """Let what was told go out, after the commit."""
        for channel in channels:
            ALERTS.labels(channel).inc()
        if channels:
            await self._events.announce(user_id)
        if set(channels) - {"stream"}:
            self._post.wake()

    async def _posted(
        self, tx: Connection, user_id: int, kind: str, device: Device, now: datetime
    ) -> tuple[Channel, ...]:
        """Queue the message, unless one of its *kind* went out within MESSAGE_GAP; return all ways taken."""
        if not await may_warn(tx, user_id, kind, MESSAGE_GAP, now):
            return ("stream",)
        sent = await self._post.send(tx, user_id, called(device), device.ip, now)
        return ("stream", sent) if sent else ("stream",)

    def _told(self, device: Device) -> dict[str, object]:
        return {
            "device_name": device.name,
            "device_type": device.type,
            "ip_address": device.ip,
            "location": device.location or self._places.name(device.ip, "zh-CN"),
        }


def count(raised: Iterable[Signal]) -> None:
    """Count what a try has raised, after the commit."""
    for signal in raised:
        SIGNALS.labels(signal).inc()


async def may_warn(tx: Connection, user_id: int, kind: str, gap: timedelta, now: datetime) -> bool:
    """Take the one warning of *kind* that an account gets in *gap*; the account's row is locked."""
    return bool(
        await tx.changed(
            "audit.warn_again", user_id=user_id, kind=kind, told_at=now, told_at_before=now - gap
        )
        or await tx.changed("audit.warn_first", user_id=user_id, kind=kind, told_at=now)
    )
