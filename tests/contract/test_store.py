"""What the store promises, on both engines."""

import asyncio
import contextlib
import datetime as dt
from datetime import UTC, datetime, timedelta, timezone

import pytest

from hub.errors import NotFound, StoreUnavailable
from hub.store.database import Connection, QueryFailed, Store, UniqueViolation

NOW = datetime(2025, 3, 4, 5, 6, 7, 89_000, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)


async def add_user(db: Store | Connection, phone: str | None = None, **values: object) -> int:
    """Insert a user and return the id."""
    row = {"nickname": None, "profile": None, "birth_date": None, "created_at": NOW} | values
    return await db.insert("probe.add_user", phone=phone, **row)


async def add_message(db: Store | Connection, payload: str = "") -> int:
    """Insert an outbox row and return the id."""
    return await db.insert("probe.add_message", payload=payload, created_at=NOW)


async def test_now_is_an_aware_time_in_whole_milliseconds(store: Store) -> None:
    """The clock is the database's: UTC, cut to milliseconds, and close to ours on one machine."""
    now = store.now()
    assert now.tzinfo is UTC
    assert now.microsecond % 1000 == 0
    assert abs(now - datetime.now(UTC)) < timedelta(seconds=5)


async def test_now_never_runs_backwards_between_samples(store: Store) -> None:
    """It advances by the monotonic clock."""
    times = [store.now() for _ in range(1000)]
    assert times == sorted(times)


async def test_a_row_comes_back_as_it_was_written(probe: Store) -> None:
    """Text of any script, JSON, dates and times survive the round trip on both engines."""
    nickname = '张\t"o\'Neil"\\%s :id ?\n𠮷😀'
    local = NOW.astimezone(timezone(timedelta(hours=8)))
    user = await add_user(
        probe,
        "+8613800000000",
        nickname=nickname,
        profile='{"a": 1}',
        birth_date="2001-02-03",
        created_at=local,
    )
    row = await probe.one("probe.user", id=user)
    assert row is not None
    assert row["id"] == user
    assert row["nickname"] == nickname
    assert row["profile"] == '{"a": 1}'
    assert row["birth_date"] == "2001-02-03"
    assert row["created_at"] == NOW
    assert row["created_at"].tzinfo is UTC
    assert row["last_login_at"] is None
    assert (row["status"], row["is_premium"]) == ("active", 0)


@pytest.mark.parametrize(
    "moment", [NOW, NOW.replace(microsecond=0), datetime(2025, 12, 31, 23, 59, 59, 999_000, UTC)]
)
async def test_times_compare_in_order(probe: Store, moment: datetime) -> None:
    """A stored time is found by <= at its own millisecond and not at the one before."""
    await probe.insert("probe.add_message", payload="", created_at=moment)
    at = await probe.one("probe.due", next_attempt_at=moment)
    before = await probe.one("probe.due", next_attempt_at=moment - timedelta(milliseconds=1))
    assert at is not None
    assert before is not None
    assert (at["due"], before["due"]) == (1, 0)


async def test_a_sum_is_an_integer(probe: Store) -> None:
    """SUM() answers the same type on both engines."""
    await add_message(probe)
    row = await probe.one("probe.due", next_attempt_at=NOW)
    assert row == {"due": 1, "attempts": 0}
    assert type(row["attempts"]) is int


async def test_no_row_is_none_and_no_rows_are_an_empty_list(probe: Store) -> None:
    """A query that finds nothing says so."""
    assert await probe.one("probe.user", id=1) is None
    assert await probe.all("probe.messages") == []


async def test_a_list_of_values_finds_each(probe: Store) -> None:
    """IN (:id) takes a list."""
    ids = [await add_user(probe) for _ in range(4)]
    assert [row["id"] for row in await probe.all("probe.users_among", id=ids[1:])] == ids[1:]


async def test_changed_counts_the_rows_that_matched(probe: Store) -> None:
    """An UPDATE to the value that is there already counts as well, a missing row does not."""
    user = await add_user(probe, nickname="a")
    assert await probe.changed("probe.rename", id=user, nickname="a") == 1
    assert await probe.changed("probe.rename", id=user + 1, nickname="a") == 0
    assert await probe.changed("probe.remove_user", id=user) == 1
    assert await probe.changed("probe.remove_user", id=user) == 0


async def test_changed_is_not_fooled_by_an_earlier_insert(probe: Store) -> None:
    """An UPDATE that hits nothing, after an INSERT in the same transaction, is no hit."""

    async def work(tx: Connection) -> int:
        await add_message(tx)
        return await tx.changed("probe.rename", id=404, nickname="x")

    assert await probe.write(work) == 0


async def test_insert_answers_the_new_id_and_zero_when_ignored(probe: Store) -> None:
    """An ignored INSERT changes nothing and has no id, even after another one had."""
    first, second = await add_message(probe), await add_message(probe)
    assert second > first > 0

    async def work(tx: Connection) -> tuple[int, int, int]:
        await add_message(tx)
        return (
            await tx.changed("probe.add_lock", address="a", locked_until=NOW),
            await tx.changed("probe.add_lock", address="a", locked_until=NOW),
            await tx.insert("probe.add_lock", address="a", locked_until=NOW),
        )

    assert await probe.write(work) == (1, 0, 0)


async def test_a_unique_key_is_told_by_its_name_and_without_the_value(probe: Store) -> None:
    """UniqueViolation names table and column; the number itself stays out of texts and causes."""
    await add_user(probe, "+8613800000000")
    with pytest.raises(UniqueViolation) as caught:
        await add_user(probe, "+8613800000000")
    assert caught.value.key == "users_phone"
    assert "13800000000" not in str(caught.value)
    assert caught.value.__suppress_context__


async def test_a_unique_violation_undoes_only_its_statement(probe: Store) -> None:
    """The transaction may go on and commit the rest."""

    async def work(tx: Connection) -> None:
        await add_user(tx, "+8613800000000")
        with pytest.raises(UniqueViolation):
            await add_user(tx, "+8613800000000")
        await add_user(tx, "+8613800000001")

    await probe.write(work)
    assert await probe.one("probe.user_by_phone", phone="+8613800000001")


async def test_openids_that_differ_by_case_stay_apart(probe: Store) -> None:
    """WeChat's openids are bytes: oAbC and oabc are two people."""
    values: dict[str, object] = {"appid": "wx1", "created_at": NOW}
    first = await probe.insert("probe.add_identity", openid="oAbCdEf", **values)
    second = await probe.insert("probe.add_identity", openid="oabcdef", **values)
    found = await probe.all("probe.identity", appid="wx1", openid="oAbCdEf")
    assert [row["id"] for row in found] == [first]
    assert first != second
    assert await probe.one("probe.identity", appid="wx1", openid="OABCDEF") is None


async def test_a_unit_that_returns_is_committed(probe: Store) -> None:
    """What write() did is there afterwards, for everybody."""

    async def work(tx: Connection) -> int:
        return await add_message(tx, "kept")

    message = await probe.write(work)
    row = await probe.one("probe.message", id=message)
    assert row is not None
    assert row["payload"] == "kept"


async def test_a_unit_that_raises_is_undone(probe: Store) -> None:
    """The error reaches the caller as it is, and nothing stays."""

    async def work(tx: Connection) -> None:
        await add_message(tx)
        raise NotFound("as planned")

    with pytest.raises(NotFound, match="as planned"):
        await probe.write(work)
    assert await probe.all("probe.messages") == []


async def test_a_unit_sees_its_own_writes_and_others_do_not(probe: Store) -> None:
    """Nothing of a transaction shows before its commit."""

    async def work(tx: Connection) -> None:
        message = await add_message(tx)
        assert await tx.one("probe.message", id=message)
        assert await probe.one("probe.message", id=message) is None

    await probe.write(work)
    assert len(await probe.all("probe.messages")) == 1


async def test_an_empty_unit_is_harmless(probe: Store) -> None:
    """A unit that asks for nothing leaves nothing open, whether it returns or raises."""

    async def nothing(_: Connection) -> str:
        return "done"

    async def failing(_: Connection) -> None:
        raise NotFound

    assert await probe.write(nothing) == "done"
    with pytest.raises(NotFound):
        await probe.write(failing)
    assert await probe.insert("probe.add_message", payload="", created_at=NOW)


async def test_what_is_posted_runs_in_its_turn(probe: Store) -> None:
    """Later statements of the unit see it, and so does everybody after the commit."""

    async def work(tx: Connection) -> list[str]:
        await tx.post("probe.add_message", payload="first", created_at=NOW)
        await add_message(tx, "second")
        await tx.post("probe.add_message", payload="third", created_at=NOW)
        seen = [row["payload"] for row in await tx.all("probe.messages")]
        await tx.post("probe.add_message", payload="fourth", created_at=NOW)
        return seen

    assert await probe.write(work) == ["first", "second", "third"]
    rows = await probe.all("probe.messages")
    assert [row["payload"] for row in rows] == ["first", "second", "third", "fourth"]


async def test_a_unit_that_only_posts_is_committed(probe: Store) -> None:
    """No statement with an outcome is needed for that."""
    await probe.write(lambda tx: tx.post("probe.add_message", payload="alone", created_at=NOW))
    assert [row["payload"] for row in await probe.all("probe.messages")] == ["alone"]


async def test_what_is_posted_is_undone_with_its_unit(probe: Store) -> None:
    """A unit that raises leaves nothing of it, whether or not it had been sent."""

    async def work(tx: Connection) -> None:
        await tx.post("probe.add_message", payload="sent", created_at=NOW)
        await tx.all("probe.messages")
        await tx.post("probe.add_message", payload="not sent", created_at=NOW)
        raise NotFound("never mind")

    with pytest.raises(NotFound):
        await probe.write(work)
    assert await probe.all("probe.messages") == []


@pytest.mark.parametrize("followed", [True, False])
async def test_a_failed_post_fails_the_unit(probe: Store, followed: bool) -> None:
    """Its own failure is what the caller gets, though a later statement or the commit met it."""
    await add_user(probe, "+8613800000001")

    async def work(tx: Connection) -> None:
        await add_message(tx)
        row = {"nickname": None, "profile": None, "birth_date": None, "created_at": NOW}
        await tx.post("probe.add_user", phone="+8613800000001", **row)
        if followed:
            await add_message(tx)

    with pytest.raises(UniqueViolation) as raised:
        await probe.write(work)
    assert raised.value.key == "users_phone"
    assert await probe.all("probe.messages") == []


async def test_a_failed_post_cannot_be_swallowed(probe: Store) -> None:
    """A unit that goes on after it does not commit: half of what it meant to do is missing."""
    await add_user(probe, "+8613800000001")

    async def work(tx: Connection) -> None:
        row = {"nickname": None, "profile": None, "birth_date": None, "created_at": NOW}
        with contextlib.suppress(UniqueViolation):
            await tx.post("probe.add_user", phone="+8613800000001", **row)
            await add_message(tx)
        with contextlib.suppress(UniqueViolation):
            await add_message(tx)

    with pytest.raises(UniqueViolation):
        await probe.write(work)
    assert await probe.all("probe.messages") == []


async def test_a_reading_unit_has_one_connection_and_no_transaction(probe: Store) -> None:
    """Its second read sees what was committed after its first one."""

    async def work(db: Connection) -> tuple[object, object, int, int]:
        first, count = await db.one("probe.connection_id"), len(await db.all("probe.messages"))
        await add_message(probe)
        second = await db.one("probe.connection_id")
        return first, second, count, len(await db.all("probe.messages"))

    first, second, before, after = await probe.read(work)
    assert first == second
    assert (before, after) == (0, 1)


async def test_a_reading_unit_cannot_write(probe: Store) -> None:
    """A write in read() would be outside any transaction."""

    async def work(db: Connection) -> int:
        return await add_message(db)

    with pytest.raises(RuntimeError, match=r"probe\.add_message: a unit that reads cannot write"):
        await probe.read(work)


async def test_a_connection_is_dead_after_its_unit(probe: Store) -> None:
    """Work that kept it cannot reach into somebody else's transaction."""
    kept: list[Connection] = []

    async def work(tx: Connection) -> None:
        kept.append(tx)

    await probe.write(work)
    with pytest.raises(RuntimeError, match="has ended"):
        await kept[0].all("probe.messages")


async def test_two_statements_at_once_are_refused(probe: Store) -> None:
    """A child task is outside its parent's transaction, so gather() inside one fails and harms nobody."""

    async def work(tx: Connection) -> None:
        await asyncio.gather(add_message(tx), tx.all("probe.messages"))

    for _ in range(20):
        with pytest.raises(RuntimeError, match="one statement at a time"):
            await probe.write(work)
        with pytest.raises(RuntimeError, match="one statement at a time"):
            await probe.read(lambda db: asyncio.gather(db.all("probe.messages"), db.all("probe.messages")))
    ids = await asyncio.gather(*(add_message(probe) for _ in range(40)))
    assert len(set(ids) - {0}) == 40
    assert len(await probe.all("probe.messages")) == 40


async def test_a_child_task_that_outlives_the_unit_is_refused(probe: Store) -> None:
    """A statement that nobody waits for undoes the unit, and its connection is not used again."""
    children = []

    async def work(tx: Connection) -> None:
        await add_message(tx)
        children.append(asyncio.create_task(add_message(tx)))
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="one statement at a time"):
        await probe.write(work)
    await asyncio.wait(children)
    children[0].exception()
    assert await probe.all("probe.messages") == []
    assert await add_message(probe)


async def test_a_statement_the_database_refuses_is_named(probe: Store) -> None:
    """A defect of ours is no outage."""
    with pytest.raises(QueryFailed, match=r"probe\.broken: "):
        await probe.all("probe.broken")
    await probe.ping()


async def test_a_select_changes_nothing_and_an_update_answers_no_rows(probe: Store) -> None:
    """Mixing them up is a defect that shows before anything is written."""
    user = await add_user(probe, nickname="before")
    with pytest.raises(TypeError, match=r"probe\.messages changes nothing"):
        await probe.changed("probe.messages")
    with pytest.raises(TypeError, match=r"probe\.rename answers no rows"):
        await probe.one("probe.rename", id=user, nickname="after")
    row = await probe.one("probe.user", id=user)
    assert row is not None
    assert row["nickname"] == "before"


async def test_wrong_values_never_reach_the_database(probe: Store) -> None:
    """Names are checked where the mistake is made."""
    with pytest.raises(KeyError, match=r"probe\.nothing"):
        await probe.all("probe.nothing")
    with pytest.raises(TypeError, match=r"probe\.user: missing id"):
        await probe.one("probe.user")
    with pytest.raises(TypeError, match=r"probe\.user: :id cannot be a date"):
        await probe.one("probe.user", id=dt.date(2025, 1, 1))


async def test_half_a_surrogate_pair_is_refused_and_leaves_the_transaction_open(probe: Store) -> None:
    """Text that has no UTF-8 fails alike on both engines, and what follows is still undone with the rest."""

    async def work(tx: Connection) -> None:
        with pytest.raises(UnicodeEncodeError):
            await add_message(tx, "\ud83d")
        await add_message(tx, "undone")
        raise NotFound

    with pytest.raises(NotFound):
        await probe.write(work)
    assert await probe.all("probe.messages") == []


async def test_checks_of_the_schema_hold_on_both_engines(probe: Store) -> None:
    """A short phone, an empty nickname and broken JSON are refused everywhere."""
    for phone, values in (
        ("+861", {}),
        (None, {"nickname": ""}),
        (None, {"profile": "{"}),
        ("+" + "1" * 20, {}),
    ):
        with pytest.raises(QueryFailed):
            await add_user(probe, phone, **values)


async def test_a_foreign_key_must_exist_and_cascades(probe: Store) -> None:
    """No session without its user, and none after it."""
    with pytest.raises(QueryFailed):
        await probe.insert("probe.add_session", sid="s", user_id=404, created_at=NOW)
    user = await add_user(probe)
    await probe.insert("probe.add_session", sid="s", user_id=user, created_at=NOW)
    await probe.changed("probe.remove_user", id=user)
    assert await probe.one("probe.session", sid="s") is None


async def test_connections_are_set_up(probe: Store) -> None:
    """MySQL: UTC, strict, READ COMMITTED, a time limit; SQLite: foreign keys and a write-ahead log."""
    settings = await probe.one("probe.settings")
    if probe.engine == "mysql":
        assert settings == {
            "time_zone": "+00:00",
            "isolation": "READ-COMMITTED",
            "seconds": 10,
            "strict": 1,
            "text_order": "utf8mb4_general_ci",
        }
    else:
        assert settings == {"foreign_keys": 1, "journal_mode": "wal", "synchronous": 1}


async def test_a_stopped_store_takes_nothing(database_url: str) -> None:
    """Before start() and after stop() the answer is StoreUnavailable, not a hang."""
    store = Store(database_url)
    with pytest.raises(StoreUnavailable):
        await store.ping()
    await store.start()
    await store.ping()
    await store.stop()
    with pytest.raises(StoreUnavailable):
        await store.ping()


async def test_stop_lets_a_begun_unit_end(probe: Store) -> None:
    """A shutdown in the middle of a transaction commits it."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def work(tx: Connection) -> int:
        message = await add_message(tx)
        begun.set()
        await go_on.wait()
        return message

    unit = asyncio.create_task(probe.write(work))
    await begun.wait()
    stopping = asyncio.create_task(probe.stop())
    await asyncio.sleep(0)
    go_on.set()
    await stopping
    message = await unit
    await probe.start()
    assert await probe.one("probe.message", id=message)


async def test_a_store_starts_only_where_there_is_a_database() -> None:
    """A folder that does not exist is told in the error."""
    store = Store("sqlite:////nonexistent/hub.db", wait=0.2)
    with pytest.raises(StoreUnavailable, match="the folder /nonexistent does not exist"):
        await store.start()
