"""The database dies, freezes, deadlocks and comes back; the store heals without a restart."""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pymysql
import pytest

from hub.errors import StoreUnavailable
from hub.store.database import Connection, Store
from hub.store.failures import Contended
from hub.store.migrate import migrate
from hub.store.workers import RETRIES
from tests.servers.mariadb import MariaDB

NOW = datetime(2025, 3, 4, 5, 6, 7, tzinfo=UTC)


@pytest.fixture
async def fragile(probe_queries: None, own_mariadb: MariaDB) -> AsyncIterator[Store]:
    """A store on a server of the test's own, with short limits."""
    own_mariadb.execute("CREATE DATABASE hub_faults")
    await migrate(own_mariadb.url("hub_faults"))
    store = Store(own_mariadb.url("hub_faults"), connections=4, wait=1, statement_limit=1)
    await store.start()
    yield store
    await store.stop()


@pytest.fixture
async def hasty(probe_queries: None, database_url: str) -> AsyncIterator[Store]:
    """A store whose units may hold a connection for half a second."""
    store = Store(database_url, wait=1, statement_limit=0.5)
    await store.start()
    yield store
    await store.stop()


async def add(db: Store | Connection, payload: str = "") -> int:
    """Insert an outbox row and return the id."""
    return await db.insert("probe.add_message", payload=payload, created_at=NOW)


async def payloads(store: Store) -> list[str]:
    """The payload of every outbox row."""
    return [row["payload"] for row in await store.all("probe.messages")]


async def healed(store: Store, seconds: float = 10) -> None:
    """Pass as soon as the store serves again; fail when it does not within *seconds*."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                await store.ping()
            except StoreUnavailable:
                continue
            return


async def connect_all(store: Store, count: int = 4) -> None:
    """Have *count* connections open and idle."""
    together = asyncio.Barrier(count)

    async def work(db: Connection) -> None:
        await together.wait()

    await asyncio.gather(*(store.read(work) for _ in range(count)))


def retries(cause: str) -> float:
    """How often units were run again for this cause, so far."""
    value: float = RETRIES.labels(cause)._value.get()
    return value


async def test_a_statement_over_its_limit_is_given_up(hasty: Store) -> None:
    """The caller gets StoreUnavailable, the statement is undone, and the next one is served."""
    user = await hasty.insert(
        "probe.add_user", phone=None, nickname="before", profile=None, birth_date=None, created_at=NOW
    )
    with pytest.raises(StoreUnavailable, match=r"not done within 0\.5 s|max_statement_time"):
        await hasty.changed("probe.rename_slowly", id=user, nickname="after")
    assert await hasty.changed("probe.rename", id=user, nickname="next") == 1
    row = await hasty.one("probe.user", id=user)
    assert row is not None
    assert row["nickname"] == "next"


async def test_a_unit_that_dawdles_is_given_up_and_undone(hasty: Store) -> None:
    """The limit holds for the whole unit, whatever it waits for."""

    async def work(tx: Connection) -> None:
        await add(tx, "half")
        await asyncio.Event().wait()

    with pytest.raises(StoreUnavailable, match="not done within"):
        await hasty.write(work)
    await add(hasty, "whole")
    assert await payloads(hasty) == ["whole"]


async def test_a_units_own_timeout_stays_its_own(hasty: Store) -> None:
    """TimeoutError out of the work is no outage."""

    async def work(tx: Connection) -> None:
        await add(tx)
        raise TimeoutError("mine")

    with pytest.raises(TimeoutError, match="mine"):
        await hasty.write(work)
    assert await payloads(hasty) == []


async def test_idle_connections_that_the_server_closed_are_replaced(
    fragile: Store, own_mariadb: MariaDB
) -> None:
    """A restart while nobody asks is not noticed by anybody."""
    await connect_all(fragile)
    own_mariadb.stop()
    own_mariadb.start()
    ids = await asyncio.gather(*(add(fragile) for _ in range(8)))
    assert len(set(ids)) == 8


async def test_an_outage_is_told_and_heals(fragile: Store, own_mariadb: MariaDB) -> None:
    """While the server is dead every caller gets StoreUnavailable in time; then it serves again."""
    await add(fragile, "before")
    own_mariadb.kill()
    async with asyncio.timeout(5):
        answers = await asyncio.gather(*(add(fragile, "during") for _ in range(20)), return_exceptions=True)
    assert {type(answer) for answer in answers} == {StoreUnavailable}
    own_mariadb.start()
    await healed(fragile)
    await add(fragile, "after")
    assert await payloads(fragile) == ["before", "after"]


async def test_a_transaction_that_loses_its_connection_is_run_again(
    fragile: Store, own_mariadb: MariaDB
) -> None:
    """Nothing of it was committed, so the second run does it once."""
    lost = retries("lost")
    runs = 0

    async def work(tx: Connection) -> None:
        nonlocal runs
        runs += 1
        await add(tx, "once")
        row = await tx.one("probe.connection_id")
        assert row is not None
        if runs == 1:
            own_mariadb.execute(f"KILL {row['id']}")
        await add(tx, "twice")

    await fragile.write(work)
    assert runs == 2
    assert retries("lost") == lost + 1
    assert await payloads(fragile) == ["once", "twice"]


async def test_a_lost_commit_is_not_run_again(fragile: Store, own_mariadb: MariaDB) -> None:
    """Whether it took effect is not known, so the caller is told and nothing is done twice."""
    runs = 0

    async def work(tx: Connection) -> None:
        nonlocal runs
        runs += 1
        await add(tx)
        own_mariadb.kill()

    with pytest.raises(StoreUnavailable, match="outcome unknown"):
        await fragile.write(work)
    assert runs == 1


async def test_a_frozen_server_costs_the_limit_and_heals(fragile: Store, own_mariadb: MariaDB) -> None:
    """Its connections stay open and silent: units are given up in time, and served after the thaw."""
    await connect_all(fragile)
    own_mariadb.pause()
    try:
        async with asyncio.timeout(6):
            answers = await asyncio.gather(*(fragile.ping() for _ in range(20)), return_exceptions=True)
    finally:
        own_mariadb.resume()
    assert {type(answer) for answer in answers} == {StoreUnavailable}
    await healed(fragile)
    await connect_all(fragile)


async def test_a_read_only_server_is_an_outage_for_writers(fragile: Store, own_mariadb: MariaDB) -> None:
    """Reads go on; writes are StoreUnavailable and come back with the server."""
    own_mariadb.execute("SET GLOBAL read_only = ON")
    with pytest.raises(StoreUnavailable, match="read-only"):
        await add(fragile)
    assert await payloads(fragile) == []
    own_mariadb.execute("SET GLOBAL read_only = OFF")
    assert await add(fragile)


async def test_rights_that_are_taken_are_an_outage(fragile: Store, own_mariadb: MariaDB) -> None:
    """What the server refuses to the account for now is no defect of a statement."""
    grant = "ON hub_faults.* TO narrow@'%'"
    own_mariadb.execute("CREATE USER narrow@'%' IDENTIFIED BY 'secret'", f"GRANT SELECT {grant}")
    store = Store(own_mariadb.url("hub_faults", user="narrow", password="secret"), connections=1)
    await store.start()
    try:
        assert await payloads(store) == []
        with pytest.raises(StoreUnavailable, match="denied"):
            await add(store)
        own_mariadb.execute(f"GRANT INSERT {grant}")
        assert await add(store)
    finally:
        await store.stop()


async def test_a_locked_table_is_an_outage(fragile: Store, own_mariadb: MariaDB) -> None:
    """A backup that locks whole tables is waited for as long as another transaction is, not longer."""
    patient = Store(own_mariadb.url("hub_faults"), connections=1)
    await patient.start()
    backup = pymysql.connect(unix_socket=str(own_mariadb.socket), user="root", database="hub_faults")
    try:
        backup.cursor().execute("LOCK TABLES outbox WRITE")
        with pytest.raises(StoreUnavailable, match="Lock wait timeout"):
            await add(patient)
        backup.cursor().execute("UNLOCK TABLES")
        assert await add(patient)
    finally:
        backup.close()
        await patient.stop()


async def test_deadlocked_transactions_are_run_again(probe_queries: None, mariadb_url: str) -> None:
    """Two that lock two rows in opposite order both get through."""
    contended = retries("contended")
    store = Store(mariadb_url)
    await store.start()
    rows = [await add(store), await add(store)]
    together = asyncio.Barrier(2)
    runs = 0

    async def both(first: int, second: int) -> None:
        tries = 0

        async def work(tx: Connection) -> None:
            nonlocal runs, tries
            runs, tries = runs + 1, tries + 1
            await tx.changed("probe.count_up", id=first)
            if tries == 1:
                await together.wait()
            await tx.changed("probe.count_up", id=second)

        await store.write(work)

    async with asyncio.timeout(10):
        await asyncio.gather(both(*rows), both(*reversed(rows)))
    assert [row["attempts"] for row in await store.all("probe.messages")] == [2, 2]
    assert runs == 3
    assert retries("contended") == contended + 1
    await store.stop()


async def test_a_deadlock_that_the_work_swallows_is_run_again_all_the_same(
    probe_queries: None, mariadb_url: str
) -> None:
    """The server has undone the first half, so the second half must not be committed alone."""
    store = Store(mariadb_url)
    await store.start()
    rows = [await add(store), await add(store)]
    together = asyncio.Barrier(2)

    async def both(first: int, second: int) -> None:
        tries = 0

        async def work(tx: Connection) -> None:
            nonlocal tries
            tries += 1
            await tx.changed("probe.count_up", id=first)
            if tries == 1:
                await together.wait()
            with contextlib.suppress(Contended):
                await tx.changed("probe.count_up", id=second)

        await store.write(work)

    async with asyncio.timeout(10):
        await asyncio.gather(both(*rows), both(*reversed(rows)))
    assert [row["attempts"] for row in await store.all("probe.messages")] == [2, 2]
    await store.stop()


async def test_a_lock_that_is_not_let_go_is_an_outage(probe_queries: None, mariadb_url: str) -> None:
    """Who has waited for a row as long as anybody may is told so, and does not wait for it again."""
    contended = retries("contended")
    store = Store(mariadb_url)
    await store.start()
    row = await add(store)
    held, free = asyncio.Event(), asyncio.Event()

    async def hold(tx: Connection) -> None:
        await tx.changed("probe.count_up", id=row)
        held.set()
        await free.wait()

    holding = asyncio.create_task(store.write(hold))
    await held.wait()
    with pytest.raises(StoreUnavailable, match="Lock wait timeout"):
        await store.changed("probe.count_up", id=row)
    assert retries("contended") == contended
    free.set()
    await holding
    assert await store.changed("probe.count_up", id=row) == 1
    await store.stop()


async def test_a_file_locked_by_another_process_is_waited_for(probe_queries: None, sqlite_url: str) -> None:
    """Another process writes for a while: the unit waits and then gets through."""
    store = Store(sqlite_url)
    await store.start()
    other = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    unit = asyncio.create_task(add(store, "patient"))
    assert await payloads(store) == []  # readers are not held up
    other.execute("ROLLBACK")
    other.close()
    await unit
    assert await payloads(store) == ["patient"]
    await store.stop()


async def test_a_file_locked_for_too_long_is_an_outage(probe_queries: None, sqlite_url: str) -> None:
    """The writer gives up in time, and serves once the lock is gone."""
    store = Store(sqlite_url, statement_limit=1)
    await store.start()
    other = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    async with asyncio.timeout(8):
        with pytest.raises(StoreUnavailable):
            await add(store, "never")
    other.execute("ROLLBACK")
    other.close()
    await add(store, "later")
    assert "later" in await payloads(store)
    await store.stop()


async def test_a_late_answer_tells_no_time(fragile: Store, own_mariadb: MariaDB) -> None:
    """The clock is not moved by an answer that may have waited as long as it seems to be off."""
    for _ in range(10):  # how exact the first reading was decides whether it seems to be off by more
        store = Store(own_mariadb.url("hub_faults"), connections=1, wait=1, statement_limit=1)
        await store.start()
        ahead = store.now().timestamp() - time.monotonic()
        own_mariadb.pause()
        reading = asyncio.create_task(store.read_clock())
        await asyncio.sleep(0.2)  # the freeze itself, not an event
        own_mariadb.resume()
        await reading
        assert store.now().timestamp() - time.monotonic() == pytest.approx(ahead, abs=0.05)
        await store.stop()
