"""Every try to sign in: put on record, compared with those before it, and its person told where need be."""

from datetime import datetime
from typing import NamedTuple

from hub.audit import rules
from hub.audit.alerts import Alerts, Channel, count
from hub.audit.devices import device_key
from hub.audit.failures import Failure, Failures
from hub.audit.log import SIGN_INS, Device, LoginLog, Method, Reason, Status
from hub.audit.places import Places
from hub.audit.rules import Recent, Sighting, Signal
from hub.limits.networks import counted, network
from hub.store.database import Connection, Store


class Noted(NamedTuple):
    """A sign-in on record: what was unusual about it, and the ways in which its person was told."""

    user_id: int
    method: Method
    raised: tuple[Signal, ...]
    channels: tuple[Channel, ...]


class Signals:
    """What the services that sign people in tell of each try; *failures* follows up those that failed."""

    def __init__(
        self, store: Store, log: LoginLog, places: Places, alerts: Alerts, failures: Failures
    ) -> None:
        self._store = store
        self._log = log
        self._places = places
        self._alerts = alerts
        self._failures = failures

    async def signed_in(
        self,
        tx: Connection,
        *,
        user_id: int,
        account: str | None,
        method: Method,
        device: Device,
        now: datetime,
    ) -> Noted:
        """Put a sign-in on record, with its risk, in the transaction that opens its session.

        It comes after `Sessions.open`, whose lock on the account's row lets parallel sign-ins see each other.
        After the commit comes `announce`.
        """
        key = device_key(device)
        rows = await tx.all(
            "audit.circumstances",
            user_id=user_id,
            source=counted(device.ip),
            created_at=now - rules.WINDOW,
            limit=rules.COUNTED,
            remembered=rules.REMEMBERED,
        )
        recent = Recent(rows[0]["failures"], rows[0]["accounts"])
        past = [
            self._sighting(row["device_key"], row["ip_address"], row["created_at"])
            for row in rows
            if row["device_key"] is not None
        ]
        raised = rules.signals(self._sighting(key, device.ip, now), past, recent)
        channels: tuple[Channel, ...] = ()
        if rules.alerting(raised, past):
            channels = await self._alerts.unusual_sign_in(tx, user_id, raised, device, now)
        await self._log.record(
            tx,
            user_id=user_id,
            account=account,
            method=method,
            status="success",
            device=device,
            device_key=key,
            risk=rules.risk(raised),
            now=now,
        )
        return Noted(user_id, method, raised, channels)

    async def announce(self, noted: Noted) -> None:
        """Count and send what a sign-in has raised, once it is committed."""
        SIGN_INS.labels(noted.method, "success").inc()
        count(noted.raised)
        await self._alerts.announce(noted.user_id, noted.channels)

    async def proved(
        self,
        tx: Connection,
        *,
        user_id: int,
        account: str | None,
        method: Method,
        device: Device,
        now: datetime,
    ) -> None:
        """Put on record, in the caller's transaction, that a secret was shown without a sign-in.

        Nothing becomes known by it: else whoever resets a password would make the own device a usual one.
        """
        await self._log.record(
            tx, user_id=user_id, account=account, method=method, status="success", device=device, now=now
        )

    async def failed(
        self,
        *,
        user_id: int | None,
        account: str | None,
        method: Method,
        device: Device,
        status: Status = "failed",
        reason: Reason = "unknown",
        raised: tuple[Signal, ...] = (),
    ) -> None:
        """Put a refused try on record, with what is unusual about it as far as that is known at once.

        Whose account it was aimed at is found, and told, after the answer: so the answer waits for one and
        the same statement, whether or not there is such an account.
        """
        now = self._store.now()
        row_id = await self._log.record_alone(
            self._store,
            user_id=user_id,
            account=account,
            method=method,
            status=status,
            reason=reason,
            device=device,
            risk=rules.risk(raised),
            now=now,
        )
        SIGN_INS.labels(method, status).inc()
        self._failures.note(Failure(row_id, user_id, account, method, reason, device, now, raised))

    def _sighting(self, key: str, address: str, at: datetime) -> Sighting:
        place = self._places.find(address, "zh-CN")
        if place is None:
            return Sighting(key, network(address), None, None, at)
        return Sighting(key, network(address), place.key, place.coordinates, at)
