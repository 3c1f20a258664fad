"""What the worker removes and what it keeps, on both engines."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from hub.ops.retention import BATCH, RULES, Rule, remove, wipe_tokens
from hub.store.database import Store
from tests.signing_in import execute, make_user, rows

SEEDS = {
    "verification_codes": (
        "INSERT INTO verification_codes (channel, address, purpose, code_hash, expires_at, created_at)"
        " VALUES ('phone', '+8613800138000', 'login', 'h', :at, :at)"
    ),
    "code_locks": (
        "INSERT INTO code_locks (address, purpose, asker, locked_until) VALUES (:key, 'login', 'a', :at)"
    ),
    "password_tries": (
        "INSERT INTO password_tries (account, asker, wait_until, updated_at) VALUES (:key, '', :at, :at)"
    ),
    "account_warnings": "INSERT INTO account_warnings (user_id, kind, told_at) VALUES (:user, :key, :at)",
    "sign_in_reports": "INSERT INTO sign_in_reports (source, reporter, reported_at) VALUES (:key, 'r', :at)",
    "login_sessions": (
        "INSERT INTO login_sessions (session_id, session_seed, qr_code, status, purpose, door, binding,"
        " expires_at, created_at, updated_at)"
        " VALUES (:key, 's', :key, :status, 'login', 'h5', 'b', :at, :at, :at)"
    ),
    "provider_callbacks": (
        "INSERT INTO provider_callbacks (state_hash, attempt_id, created_at) VALUES (:key, 1, :at)"
    ),
    "ended_sessions": "INSERT INTO ended_sessions (sid, ended_at) VALUES (:key, :at)",
    "wechat_pushes": "INSERT INTO wechat_pushes (push_key, received_at) VALUES (:key, :at)",
    "account_events": (
        "INSERT INTO account_events (user_id, seq, type, payload, created_at)"
        " VALUES (:user, :number, 'session.created', '{}', :at)"
    ),
}
SESSION = (
    "INSERT INTO user_sessions (sid, user_id, salt, auth_time, created_at, last_active_at, revoked_at,"
    " is_active, expires_at) VALUES (:key, :user, 's', :at, :at, :at, :revoked_at, :is_active, :expires_at)"
)
MESSAGE = (
    "INSERT INTO outbox (kind, reference, payload, next_attempt_at, sent_at, dead_at, created_at)"
    " VALUES ('sms', :key, '', :at, :sent_at, :dead_at, :at)"
)


class Shelf:
    """A database whose rows are put there with a given age."""

    def __init__(self, store: Store, url: str, user: int) -> None:
        self.store = store
        self.url = url
        self.user = user
        self.number = 0

    def ago(self, age: timedelta) -> datetime:
        """The moment that long ago."""
        return self.store.now() - age

    async def put(self, rule: Rule, age: timedelta) -> None:
        """Add a row that *rule* finds once *age* is over its own."""
        self.number += 1
        at = self.ago(age)
        values: dict[str, object] = {"key": f"k{self.number}", "at": at}
        if rule.table == "user_sessions":
            revoked = rule.column == "revoked_at"
            values |= {"user": self.user, "revoked_at": at if revoked else None, "is_active": not revoked}
            values["expires_at"] = at + timedelta(days=30) if revoked else at
            await execute(self.url, SESSION, **values)
        elif rule.table == "outbox":
            marks = {"sent_at": None, "dead_at": None, rule.column: at}
            await execute(self.url, MESSAGE, **values, **marks)
        else:
            values |= {"status": rule.status, "user": self.user, "number": self.number}
            sql = SEEDS[rule.table]
            await execute(self.url, sql, **{name: values[name] for name in values if f":{name}" in sql})

    async def count(self, table: str) -> int:
        """How many rows a table has."""
        (row,) = await rows(self.url, f"SELECT COUNT(*) AS n FROM {table}")  # noqa: S608 - a name of RULES
        return int(row["n"])


@pytest.fixture
async def shelf(store: Store, database_url: str) -> Shelf:
    """An empty database with one account."""
    return Shelf(store, database_url, (await make_user(store))["id"])


@pytest.mark.parametrize(
    "rule",
    [rule for rule in RULES if rule.column != "day"],
    ids=lambda rule: f"{rule.query}-{rule.status or rule.column}",
)
async def test_only_what_is_over_goes(shelf: Shelf, rule: Rule) -> None:
    """A row a minute past its time goes, a row a minute before it stays."""
    minute = timedelta(minutes=1)
    await shelf.put(rule, rule.age + minute)
    await shelf.put(rule, rule.age - minute)
    assert await remove(shelf.store, rule, shelf.store.now()) == 1
    assert await shelf.count(rule.table) == 1
    assert await remove(shelf.store, rule, shelf.store.now()) == 0


async def test_budgets_go_by_days(shelf: Shelf) -> None:
    """Those of today and yesterday stay; a day's own row goes a day after its end."""
    (rule,) = [rule for rule in RULES if rule.table == "sms_budgets"]
    noon = datetime(2026, 3, 3, 12, tzinfo=UTC)
    for day in ("2025-12-31", "2026-03-01", "2026-03-02", "2026-03-03"):
        for scope in ("all", "+86"):
            await execute(
                shelf.url,
                "INSERT INTO sms_budgets (day, scope, sent) VALUES (:day, :scope, 1)",
                day=day,
                scope=scope,
            )
    assert await remove(shelf.store, rule, noon) == 4
    left = await rows(shelf.url, "SELECT day, scope FROM sms_budgets ORDER BY day, scope")
    assert [row["day"] for row in left] == ["2026-03-02", "2026-03-02", "2026-03-03", "2026-03-03"]


async def test_what_still_runs_stays(shelf: Shelf) -> None:
    """No rule touches a running session, a waiting message or a live code, however old it is."""
    old = shelf.ago(timedelta(days=29))
    later = shelf.ago(-timedelta(days=1))
    await execute(
        shelf.url,
        SESSION,
        key="s",
        user=shelf.user,
        at=old,
        revoked_at=None,
        is_active=True,
        expires_at=later,
    )
    await execute(shelf.url, MESSAGE, key="m", at=old, sent_at=None, dead_at=None)
    await execute(shelf.url, SEEDS["verification_codes"], at=later)
    for rule in RULES:
        assert await remove(shelf.store, rule, shelf.store.now()) == 0


async def test_many_rows_go_in_batches(shelf: Shelf) -> None:
    """Two workers at once remove more than a batch, share the work, and count each row once."""
    rule = RULES[0]
    await execute(shelf.url, SEEDS["verification_codes"], at=shelf.ago(timedelta(days=2)))
    double = (
        "INSERT INTO verification_codes (channel, address, purpose, code_hash, expires_at, created_at)"
        " SELECT channel, address, purpose, code_hash, expires_at, created_at FROM verification_codes"
    )
    for _ in range(11):
        await execute(shelf.url, double)
    assert await shelf.count("verification_codes") == 2048 > 4 * BATCH
    now = shelf.store.now()
    assert sum(await asyncio.gather(*(remove(shelf.store, rule, now) for _ in range(2)))) == 2048
    assert await shelf.count("verification_codes") == 0


@pytest.mark.parametrize("status", ["scanned", "confirmed"])
async def test_tokens_go_soon_after_an_attempt(shelf: Shelf, status: str) -> None:
    """What an attempt of nobody's watching holds of WeChat's goes minutes after its end, the rest stays."""
    rule = Rule("login_sessions", "", "expires_at", timedelta(), status)
    for age in (timedelta(minutes=-1), timedelta(minutes=2)):
        await shelf.put(rule, age)
    profile = '{"nickname": "李", "tokens": {"access_token": "v1.access"}}'
    await execute(shelf.url, "UPDATE login_sessions SET provider_profile = :profile", profile=profile)
    for _ in range(2):
        await wipe_tokens(shelf.store, shelf.store.now())
    kept = await rows(shelf.url, "SELECT provider_profile AS kept FROM login_sessions ORDER BY expires_at")
    assert [json.loads(str(row["kept"])) for row in kept] == [{"nickname": "李"}, json.loads(profile)]
