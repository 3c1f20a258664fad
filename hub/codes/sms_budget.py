"""What all SMS of a day may cost: a bound on their number, by country and for the whole hub."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import structlog
from prometheus_client import Gauge

from hub.codes.addresses import calling_code
from hub.errors import FieldError, InvalidRequest, SmsBudgetSpent
from hub.store.database import Connection, Store

log = structlog.stdlib.get_logger("hub.codes")

SPENT = Gauge(
    "hub_sms_budget_spent", "SMS counted today (UTC).", ["scope"], multiprocess_mode="livemostrecent"
)
BUDGET = Gauge("hub_sms_budget", "SMS that a day may have.", ["scope"], multiprocess_mode="livemostrecent")

_ALL = "all"  # the scope of the whole hub's budget


class SmsBudget:
    """Counts in SQL. *countries* has the calling codes, with their plus sign, that get SMS.

    Each has its own budget of a day (UTC), None for all of *daily*.
    """

    def __init__(self, countries: Mapping[str, int | None], daily: int) -> None:
        self._countries = countries
        self._daily = daily

    def country(self, number: str) -> str:
        """Return the calling code of *number*, in E.164. Raises InvalidRequest where it gets no SMS."""
        country = calling_code(number)
        if country not in self._countries:
            raise InvalidRequest([FieldError("phone", "no_sms_there", {"country": country})])
        return country

    async def spend(self, tx: Connection, country: str, now: datetime) -> None:
        """Count an SMS in the caller's transaction, late in it: all sends meet in the hub's own row.

        Raises SmsBudgetSpent.
        """
        day = now.date().isoformat()
        for scope, budget in ((country, self._countries[country]), (_ALL, self._daily)):
            if budget is None:
                continue
            await tx.changed("codes.spend", day=day, scope=scope)
            row = await tx.one("codes.spent", day=day, scope=scope)
            if row is None or row["sent"] > budget:
                log.error("sms_budget_spent", scope=scope, budget=budget)
                midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
                raise SmsBudgetSpent(f"{scope}: {budget} a day", retry_after=(midnight - now).total_seconds())

    async def measure(self, store: Store) -> None:
        """Set the gauges of what today has used up. Raises StoreUnavailable."""
        rows = await store.all("codes.spent_today", day=store.now().date().isoformat())
        spent = {row["scope"]: row["sent"] for row in rows}
        for scope, budget in {**self._countries, _ALL: self._daily}.items():
            if budget is not None:
                BUDGET.labels(scope).set(budget)
                SPENT.labels(scope).set(spent.get(scope, 0))
