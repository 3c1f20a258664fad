"""Warnings stay within their bounds, however many things happen at once."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from hub.audit.rules import MANY_FAILURES
from hub.audit.signals import Noted
from hub.realtime.memory import MemoryBroker
from hub.store.database import Connection, Store
from hub.tokens.events import AccountEvents
from tests.code_sign_in import sent
from tests.signing_in import (
    LAPTOP,
    Watching,
    execute,
    make_sessions,
    make_user,
    make_watching,
    rows,
    warm,
)

PROCESSES = 2
TRIES = 100
DEVICES = 20


@pytest.fixture
async def watchings(store: Store) -> AsyncIterator[list[Watching]]:
    """The same services twice, as two processes have them."""
    found = [make_watching(store, MemoryBroker()) for _ in range(PROCESSES)]
    for watching in found:
        await watching.failures.start()
    await warm(store)
    yield found
    for watching in found:
        await watching.failures.stop()


async def told(store: Store, user_id: int, kind: str) -> int:
    """How many events of this kind the account has; none may be missing between them."""
    events = await AccountEvents(store, MemoryBroker()).after(user_id, 0)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    return sum(event.type == kind for event in events)


async def test_a_hundred_refused_tries_are_told_once(
    store: Store, database_url: str, watchings: list[Watching]
) -> None:
    """Each is on record and finds its account; of the account's events one tells of them."""
    user = await make_user(store)
    await asyncio.gather(
        *(
            watchings[number % PROCESSES].signals.failed(
                user_id=None, account="wechat:wx1:oAbC", method="wechat", device=LAPTOP
            )
            for number in range(TRIES)
        )
    )
    for watching in watchings:
        await watching.failures.settled()
    found = await rows(database_url, "SELECT user_id, risk FROM login_logs")
    assert [row["user_id"] for row in found] == [user["id"]] * TRIES
    assert sum(row["risk"] is not None for row in found) >= TRIES - MANY_FAILURES * PROCESSES
    assert await told(store, user["id"], "login.failed") == 1


async def test_twenty_new_devices_send_one_message(
    store: Store, database_url: str, watchings: list[Watching]
) -> None:
    """All are on record and on the stream; of one kind one message goes out."""
    sessions = make_sessions(store, MemoryBroker())
    user = await make_user(store)
    await execute(database_url, "UPDATE users SET email = 'li.na@example.com', email_verified = 1")

    async def sign_in(number: int) -> Noted:
        watching = watchings[number % PROCESSES]

        async def work(tx: Connection) -> Noted:
            now = store.now()
            device = LAPTOP._replace(id=f"device-{number}")
            await sessions.open(tx, user, device, amr=("wechat",), now=now)
            return await watching.signals.signed_in(
                tx, user_id=user["id"], account=None, method="wechat", device=device, now=now
            )

        return await store.write(work)

    first = await sign_in(DEVICES)
    noted = await asyncio.gather(*map(sign_in, range(DEVICES)))
    assert first.channels == ()
    assert [each.raised for each in noted] == [("new_device",)] * DEVICES
    assert sorted(each.channels for each in noted) == [("stream",)] * (DEVICES - 1) + [("stream", "email")]
    assert await told(store, user["id"], "security.alert") == DEVICES
    assert len(await sent(store, "email")) == 1
