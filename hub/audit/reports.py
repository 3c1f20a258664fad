"""Reports of "this was not me", and what they and other signs demand of a confirmation."""

import ipaddress
from datetime import datetime
from time import monotonic
from typing import Final

from hub.audit import rules
from hub.audit.alerts import Alerts, Channel, count
from hub.audit.failures import owner_of
from hub.audit.log import SIGN_INS, Device, LoginLog
from hub.audit.rules import Caution, Signal, Suspicion
from hub.limits.networks import counted
from hub.store.database import Connection, Store

FRESH: Final = 5.0  # seconds
_MOST_REPORTED: Final = 10_000
_RAISED: Final = (Signal.REPORTED,)


class Reports:
    """The use cases. A *subject* names the person: `wechat:<appid>:<openid>` or `hub:<user id>`."""

    def __init__(self, store: Store, log: LoginLog, alerts: Alerts) -> None:
        self._store = store
        self._log = log
        self._alerts = alerts
        self._sources: frozenset[str] = frozenset()
        self._read_at = -FRESH

    async def report(self, subject: str, user_id: int | None, browser: Device, *, logged: bool) -> None:
        """Note that a person does not know *browser*, and tell the account, where there is one.

        *logged* puts it in the login log too.
        """
        now = self._store.now()

        async def work(tx: Connection) -> tuple[int | None, tuple[Channel, ...]]:
            owner = user_id if user_id is not None else await owner_of(tx, "wechat", subject)
            channels: tuple[Channel, ...] = ()
            if owner is not None:
                channels = await self._alerts.reported(tx, owner, browser, now)
            if not _is_local(browser.ip):
                source = counted(browser.ip)
                await tx.changed("audit.report", source=source, reporter=subject, reported_at=now)
            if logged:
                await self._log.record(
                    tx,
                    user_id=owner,
                    account=subject,
                    method="wechat",
                    status="failed",
                    reason="declined",
                    device=browser,
                    risk=rules.risk(_RAISED),
                    now=now,
                )
            return owner, channels

        owner, channels = await self._store.write(work)
        self._read_at = -FRESH
        count(_RAISED)
        if logged:
            SIGN_INS.labels("wechat", "failed").inc()
        if owner is not None:
            await self._alerts.announce(owner, channels)

    async def caution(self, browser_ip: str) -> Caution:
        """Return what it takes to confirm a sign-in for a browser at *browser_ip*.

        Costs no I/O for an address that nobody has reported; a report at another process counts after FRESH
        seconds at the latest.
        """
        source = counted(browser_ip)
        now = self._store.now()
        if source not in await self._reported(now):
            return Caution.NONE
        found = await self._store.one(
            "audit.suspicion",
            source=source,
            reported_at=now - rules.REPORTS_KEPT,
            created_at=now - rules.WINDOW,
            limit=rules.COUNTED,
        )
        return rules.caution(Suspicion(**found)) if found else Caution.NONE

    async def _reported(self, now: datetime) -> frozenset[str]:
        """Return the addresses that were reported, as they were at most FRESH seconds ago."""
        at = monotonic()
        if at - self._read_at >= FRESH:
            rows = await self._store.all(
                "audit.reported", reported_at=now - rules.REPORTS_KEPT, limit=_MOST_REPORTED
            )
            self._sources = frozenset(row["source"] for row in rows)
            self._read_at = at
        return self._sources


def _is_local(address: str) -> bool:
    """Tell whether an address is this machine's: then it is a proxy that is not named, and no browser's."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
