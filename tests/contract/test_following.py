"""Following attempts without a task, on both engines and brokers: what is heard, read, and due."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from hub.errors import AttemptNotFound, HubError, StoreUnavailable
from hub.qr.attempt import Snapshot
from hub.qr.follow import Sweep
from hub.qr.following import Following
from hub.qr.states import Status
from hub.realtime.broker import Broker
from hub.realtime.memory import MemoryBroker
from hub.realtime.watch import Message
from hub.store.database import Store
from tests.scanning import Desk, Waiting
from tests.signing_in import execute

LIMIT = 10.0


class Listener:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: asyncio.Queue[Snapshot | HubError] = asyncio.Queue()

    def news(self, snapshot: Snapshot) -> None:
        self.told.put_nowait(snapshot)

    def gone(self, error: HubError) -> None:
        self.told.put_nowait(error)

    async def next(self) -> Snapshot:
        """The next snapshot."""
        told = await asyncio.wait_for(self.told.get(), LIMIT)
        assert isinstance(told, Snapshot), told
        return told


@pytest.fixture
async def desk(store: Store, broker: Broker) -> Desk:
    """The services over each pair of back ends."""
    return Desk(store, broker)


async def follow(desk: Desk, waiting: Waiting) -> tuple[Following, Listener]:
    """Open and start."""
    following, listener = Following(desk.attempts, waiting.session_id), Listener()
    await following.open()
    following.start(listener)
    return following, listener


async def test_each_move_is_told_once(desk: Desk) -> None:
    """In order, with the state that was found at the beginning left out."""
    waiting = await desk.begin()
    following, listener = await follow(desk, waiting)
    await desk.scan(waiting)
    await desk.answer(waiting)
    assert [(await listener.next()).status for _ in range(2)] == [Status.SCANNED, Status.CONFIRMED]
    following.read_again()
    await desk.attempts.rereading.read(following.key)
    await asyncio.sleep(0)
    assert listener.told.empty()
    following.close()


async def test_what_happens_while_it_opens_is_told_at_the_start(desk: Desk) -> None:
    """Nothing falls between the reading and the start, be it late on its way."""
    waiting = await desk.begin()
    following, listener = Following(desk.attempts, waiting.session_id), Listener()
    first = await following.open()
    await desk.scan(waiting)
    following.read_again()
    following.start(listener)
    assert first.status is Status.PENDING
    assert (await listener.next()).status is Status.SCANNED
    following.close()


async def test_an_unknown_attempt_is_not_followed(desk: Desk) -> None:
    """Nor is one whose database is away: nothing stays registered."""
    for session_id in ("s" * 43, "s"):
        with pytest.raises(AttemptNotFound):
            await Following(desk.attempts, session_id).open()
    waiting = await desk.begin()
    await desk.store.stop()
    with pytest.raises(StoreUnavailable):
        await Following(desk.attempts, waiting.session_id).open()
    await desk.store.start()
    assert desk.broker.watched() == []


async def test_who_is_closed_hears_nothing(desk: Desk) -> None:
    """And nothing is kept of it: no watch, no deadline."""
    waiting = await desk.begin()
    following, listener = await follow(desk, waiting)
    assert len(desk.attempts.attention._wheel) == 1
    following.read_again()
    following.close()
    following.close()
    await desk.scan(waiting)
    assert listener.told.empty()
    assert desk.broker.watched() == []
    assert len(desk.attempts.attention._wheel) == 0
    assert not desk.attempts.attention._unread


async def test_the_sweep_tells_whoever_has_not_heard(store: Store) -> None:
    """Though somebody else in the process has, for having come later."""

    class Deaf(MemoryBroker):
        async def publish(self, channel: str, message: Message, *, ttl: float) -> None:
            if not deaf:
                await super().publish(channel, message, ttl=ttl)

    deaf = False
    desk = Desk(store, Deaf())
    waiting = await desk.begin()
    first, listener = await follow(desk, waiting)
    deaf = True
    await desk.scan(waiting)
    later, _ = await follow(desk, waiting)
    assert (first.seq, later.seq) == (1, 2)
    deaf = False
    await Sweep(desk.attempts).once()
    assert (await listener.next()).status is Status.SCANNED
    name = first.channel
    assert desk.attempts.attention.known(name) == 2
    first.close()
    later.close()
    assert desk.attempts.attention.known(name) == 0


async def test_a_message_that_cannot_be_read(desk: Desk) -> None:
    """It says that there is news, which SQL then tells."""
    waiting = await desk.begin()
    following, listener = await follow(desk, waiting)
    desk.broker.detach(following)
    await desk.scan(waiting)
    assert listener.told.empty()
    following.offer(Message(2, b'{"from":"another release"}'))
    assert (await listener.next()).status is Status.SCANNED
    following.close()


async def test_an_attempt_that_is_gone(desk: Desk, database_url: str) -> None:
    """Whoever follows it learns so at the next reading."""
    following, listener = await follow(desk, await desk.begin())
    await execute(database_url, "DELETE FROM login_sessions")
    following.read_again()
    told = await asyncio.wait_for(listener.told.get(), LIMIT)
    assert isinstance(told, AttemptNotFound)
    following.close()


async def test_time_moves_many_at_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Codes that end together are all replaced, each once for all who follow, in a statement or two."""
    waitings = [await desk.begin() for _ in range(40)]
    rotations = 0
    changed = desk.store.changed

    async def counted(query: str, /, **values: Any) -> int:
        nonlocal rotations
        rotations += query == "qr.rotate"
        return await changed(query, **values)

    monkeypatch.setattr(desk.store, "changed", counted)
    pairs = [await follow(desk, waiting) for waiting in waitings for _ in range(2)]
    now = desk.store.now
    monkeypatch.setattr(desk.store, "now", lambda: now() + timedelta(seconds=61))
    for following, _ in pairs:
        following.read_again()
    told = [await listener.next() for _, listener in pairs]
    assert {snapshot.seq for snapshot in told} == {2}
    assert len({snapshot.qr_code for snapshot in told}) == 40
    assert 1 <= rotations <= 4
    for following, _ in pairs:
        following.close()


async def test_the_database_being_away_only_delays(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """An expiry that falls due meanwhile, and a reading, are done when it is back."""
    late, unread = await follow(desk, await desk.begin()), await follow(desk, waiting := await desk.begin())
    desk.broker.detach(unread[0])
    await desk.scan(waiting)
    now = desk.store.now
    monkeypatch.setattr(desk.store, "now", lambda: now() + timedelta(seconds=301))
    await desk.store.stop()
    late[0].read_again()
    unread[0].read_again()
    await asyncio.sleep(0.5)  # the outage itself
    assert late[1].told.empty()
    assert unread[1].told.empty()
    await desk.store.start()
    assert (await late[1].next()).status is Status.EXPIRED
    assert (await unread[1].next()).status in (Status.SCANNED, Status.EXPIRED)
    for following, _ in (late, unread):
        following.close()
