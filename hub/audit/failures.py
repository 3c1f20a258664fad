"""What follows on a refused try, behind its answer: whose account it was, how many there were, who is told.

Nobody waits for any of it, and it begins a while after the answer: so the time of neither this answer nor the
next one tells whether there is such an account.
"""

import asyncio
import json
import random
from datetime import datetime
from time import monotonic
from typing import Final, NamedTuple

import structlog
from prometheus_client import Counter

from hub.audit import rules
from hub.audit.alerts import Alerts, count
from hub.audit.log import Device, Method, Reason
from hub.audit.rules import Recent, Signal
from hub.errors import StoreUnavailable
from hub.limits.networks import counted
from hub.store.database import Connection, Row, Store

log = structlog.stdlib.get_logger("hub.audit")

FOLLOWED = Counter(
    "hub_login_failures_total", "Refused tries to sign in, by what became of them.", ["result"]
)

WAITING: Final = 1000  # tries; under a flood the rest stay on record as they are
_GRACE: Final = 5.0  # seconds
_LATER: Final = (0.1, 0.5)  # seconds after which a try is followed up, at random between them


class Failure(NamedTuple):
    """A refused try as its row *id* tells it; *user_id* where the account was known at once."""

    id: int
    user_id: int | None
    account: str | None
    method: Method
    reason: Reason | None
    device: Device
    at: datetime
    raised: tuple[Signal, ...] = ()


class Failures:
    """Follows up refused tries, one after another."""

    def __init__(self, store: Store, alerts: Alerts) -> None:
        self._store = store
        self._alerts = alerts
        self._waiting: asyncio.Queue[tuple[float, Failure]] = asyncio.Queue(WAITING)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to work."""
        self._task = asyncio.create_task(self._work(), name="login-failures")

    async def stop(self) -> None:
        """End after what waits, or after a few seconds."""
        if self._task is None:
            return
        try:
            async with asyncio.timeout(_GRACE):
                await self.settled()
        except TimeoutError:
            log.warning("login_failures_left", tries=self._waiting.qsize())
        self._task.cancel()
        await asyncio.wait([self._task])
        self._task = None

    async def settled(self) -> None:
        """Return once nothing waits."""
        await self._waiting.join()

    def note(self, failure: Failure) -> None:
        """Take a try that is on record."""
        try:
            self._waiting.put_nowait((monotonic() + random.uniform(*_LATER), failure))  # noqa: S311 - jitter
        except asyncio.QueueFull:
            FOLLOWED.labels("dropped").inc()

    async def _work(self) -> None:
        while True:
            due, failure = await self._waiting.get()
            try:
                await asyncio.sleep(due - monotonic())
                await self._follow(failure)
            except StoreUnavailable as error:
                FOLLOWED.labels("store_unavailable").inc()
                log.warning("login_failure_not_followed", reason=error.reason)
            except Exception:
                FOLLOWED.labels("defect").inc()
                log.exception("login_failure_not_followed")
            finally:
                self._waiting.task_done()

    async def _follow(self, failure: Failure) -> None:
        owner = failure.user_id
        if owner is None:
            owner = await owner_of(self._store, failure.method, failure.account)
        recent = await self._recent(failure, owner)
        raised = (*failure.raised, *rules.failure_signals(recent))
        risk = rules.risk(raised)
        await self._store.changed(
            "audit.follow_up", id=failure.id, user_id=owner, risk=None if risk is None else json.dumps(risk)
        )
        count(raised)
        FOLLOWED.labels("known" if owner is not None else "unknown").inc()
        if owner is None or recent.failures < rules.FAILURES_TOLD:
            return
        channels = await self._store.write(
            lambda tx: self._alerts.failed(
                tx, owner, failure.method, failure.reason, recent.failures, failure.device, failure.at
            )
        )
        await self._alerts.announce(owner, channels)

    async def _recent(self, failure: Failure, owner: int | None) -> Recent:
        """Count the tries of WINDOW, this one too."""
        window = {
            "source": counted(failure.device.ip),
            "created_at": failure.at - rules.WINDOW,
            "limit": rules.COUNTED,
        }
        if owner is None:
            counts = await self._store.one("audit.recent_of_account", account=failure.account, **window)
            return Recent(**counts) if counts else Recent()
        counts = await self._store.one("audit.recent", user_id=owner, **window)
        recent = Recent(**counts) if counts else Recent()
        unlinked = failure.user_id is None
        return recent._replace(failures=recent.failures + unlinked)


async def owner_of(db: Store | Connection, method: Method, account: str | None) -> int | None:
    """Return whose number, address or WeChat identity *account* is, None where that is nobody's."""
    row: Row | None = None
    if account is None:
        return None
    if method == "sms_code":
        row = await db.one("audit.owner_by_phone", phone=account)
    elif method == "email_code":
        row = await db.one("audit.owner_by_email", email=account)
    elif method == "wechat" and account.startswith("wechat:"):
        _, appid, openid = account.split(":", 2)
        row = await db.one("audit.owner_by_wechat", appid=appid, openid=openid)
    return row["id"] if row else None
