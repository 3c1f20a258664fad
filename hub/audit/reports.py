"""Reports of "this was not me", and what they and other signs demand of a confirmation."""

import ipaddress

from hub.audit import rules
from hub.audit.alerts import Alerts, Channel, count
from hub.audit.failures import owner_of
from hub.audit.log import Device, LoginLog
from hub.audit.rules import Caution, Recent, Signal, Suspicion
from hub.limits.networks import counted
from hub.store.database import Connection, Store

_RAISED = (Signal.REPORTED,)


class Reports:
    """The use cases. A *subject* names the person: `wechat:<appid>:<openid>` or `hub:<user id>`."""

    def __init__(self, store: Store, log: LoginLog, alerts: Alerts) -> None:
        self._store = store
        self._log = log
        self._alerts = alerts

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
        count(_RAISED)
        if owner is not None:
            await self._alerts.announce(owner, channels)

    async def caution(self, subject: str, browser_ip: str) -> Caution:
        """Return what it takes that this person confirms a sign-in for a browser at *browser_ip*."""
        now = self._store.now()
        found = await self._store.one(
            "audit.suspicion",
            source=counted(browser_ip),
            account=subject,
            reported_at=now - rules.REPORTS_KEPT,
            created_at=now - rules.WINDOW,
            limit=rules.COUNTED,
        )
        if found is None:
            return Caution.NONE
        recent = Recent(found["failures"], found["accounts"])
        return rules.caution(Suspicion(found["reporters"], found["reporters_lately"], recent))


def _is_local(address: str) -> bool:
    """Tell whether an address is this machine's: then it is a proxy that is not named, and no browser's."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
