"""How long each table keeps its rows, and the removal of what is older, in batches; tokens go earlier."""

from datetime import datetime, timedelta
from typing import Final, NamedTuple

import structlog
from prometheus_client import Counter

from hub.store.database import Store

log = structlog.stdlib.get_logger("hub.worker")

REMOVED = Counter("hub_worker_removed_total", "Rows removed after their time.", ["table"])

BATCH: Final = 500

_LATE: Final = timedelta(minutes=1)  # beyond an attempt's deadline, for clocks that differ


class Rule(NamedTuple):
    """Rows of *table* go once their *column* is older than *age*; *query* removes a batch of them."""

    table: str
    query: str
    column: str
    age: timedelta
    status: str | None = None


_DAY: Final = timedelta(days=1)
# An ended session is remembered for longer than its access tokens live (at most a day, and some jitter).
_SESSION: Final = timedelta(days=2)
_BUDGET: Final = timedelta(days=2)  # from the beginning of its day
_EVENTS: Final = timedelta(days=30)
_DEAD_LETTER: Final = timedelta(days=7)
_PASSWORD_TRIES: Final = timedelta(days=180)  # and so long a device stays known that no longer signs in

RULES: Final = (
    Rule("verification_codes", "remove_codes", "expires_at", _DAY),
    Rule("code_locks", "remove_locks", "locked_until", timedelta(hours=1)),
    Rule("sms_budgets", "remove_budgets", "day", _BUDGET),
    Rule("account_warnings", "remove_warnings", "told_at", _DAY),
    Rule("sign_in_reports", "remove_reports", "reported_at", _DAY),
    Rule("password_tries", "remove_password_tries", "updated_at", _PASSWORD_TRIES),
    *(
        Rule("login_sessions", "remove_attempts", "expires_at", _DAY, status)
        for status in ("pending", "scanned", "confirmed", "expired", "failed")
    ),
    Rule("provider_callbacks", "remove_callbacks", "created_at", _DAY),
    Rule("wechat_pushes", "remove_pushes", "received_at", timedelta(hours=1)),
    Rule("user_sessions", "remove_ended_sessions", "revoked_at", _SESSION),
    Rule("user_sessions", "remove_expired_sessions", "expires_at", _SESSION),
    Rule("ended_sessions", "remove_outlived_sessions", "ended_at", _SESSION),
    Rule("account_events", "remove_events", "created_at", _EVENTS),
    Rule("outbox", "remove_sent_messages", "sent_at", _DAY),
    Rule("outbox", "remove_dead_messages", "dead_at", _DEAD_LETTER),
)


async def remove(store: Store, rule: Rule, now: datetime) -> int:
    """Remove what is over by *rule*, BATCH rows at a time, and return how many that were."""
    values: dict[str, object] = {rule.column: now - rule.age}
    if rule.status:
        values["status"] = rule.status
    removed = 0
    while True:
        batch = await store.changed(f"worker.{rule.query}", **values, limit=BATCH)
        removed += batch
        REMOVED.labels(rule.table).inc(batch)
        if batch < BATCH:
            break
    if removed:
        log.info("rows_removed", table=rule.table, rows=removed)
    return removed


async def wipe_tokens(store: Store, now: datetime) -> None:
    """Wipe WeChat's tokens from attempts that are over and have neither signed in nor bound anybody.

    These are the ones that nobody watched: a scan that was never answered, a binding that was never fetched.
    """
    for status in ("scanned", "confirmed"):
        over = {"status": status, "expires_at": now - _LATE}
        while await store.changed("worker.wipe_tokens", **over, limit=BATCH) == BATCH:
            pass
