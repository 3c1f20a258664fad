"""What every broker promises, checked on every back end."""

import asyncio
import random
import sys
import time
from collections.abc import AsyncIterator

import pytest

from hub.realtime.broker import Broker
from hub.realtime.memory import MemoryBroker
from hub.realtime.redis import RedisBroker
from hub.realtime.watch import Message
from tests.servers.redis import RedisServer, back_end_url
from tests.servers.waiting import until
from tests.watch import READ_AGAIN, Watch, watch_of

SECONDS = 10.0
TTL = 60.0


def message(seq: int) -> Message:
    """Return the message *seq*."""
    return Message(seq, b'{"seq":%d}' % seq)


async def confirmed(watch: Watch) -> None:
    """Wait until *watch* is told to read again, as it is when it is subscribed."""
    assert await watch.next(SECONDS) is READ_AGAIN


@pytest.fixture(params=["memory", "redis", "cluster"])
def back_end(request: pytest.FixtureRequest) -> str:
    """Each back end, a cluster too."""
    return back_end_url(request)


@pytest.fixture
async def other(broker: Broker, redis_prefix: str, back_end: str) -> AsyncIterator[Broker]:
    """Another process's broker: a second one on the same Redis; in memory there is only the one."""
    if isinstance(broker, MemoryBroker):
        yield broker
        return
    second = RedisBroker(back_end, redis_prefix)
    await second.start()
    yield second
    await second.stop()


async def test_a_started_broker_is_healthy(broker: Broker) -> None:
    """With everything in place, messages can be counted on."""
    assert broker.healthy


async def test_the_first_confirmation_says_read_again(broker: Broker) -> None:
    """A new watcher is told when its subscription begins."""
    with watch_of(broker, "a") as watch:
        await confirmed(watch)


async def test_each_further_watcher_is_told_to_read_again(broker: Broker) -> None:
    """A watcher that joins a subscribed channel reads once too, for it missed what came before."""
    with watch_of(broker, "a") as first:
        await confirmed(first)
        with watch_of(broker, "a") as second:
            await confirmed(second)
            assert await first.next(0) is None


async def test_a_message_reaches_the_watchers_of_every_process(broker: Broker, other: Broker) -> None:
    """What one process publishes the watchers of both get."""
    with watch_of(broker, "a") as here, watch_of(other, "a") as there:
        await confirmed(here)
        await confirmed(there)
        await broker.publish("a", message(1), ttl=TTL)
        assert await here.next(SECONDS) == message(1)
        assert await there.next(SECONDS) == message(1)


async def test_local_watchers_need_not_wait_for_the_server(broker: Broker) -> None:
    """A watcher of the publishing process has the message before publish() first yields."""
    with watch_of(broker, "a") as watch:
        await confirmed(watch)
        publishing = asyncio.ensure_future(broker.publish("a", message(1), ttl=TTL))
        await asyncio.sleep(0)
        assert await watch.next(0) == message(1)
        await publishing


async def test_a_message_comes_once(broker: Broker, other: Broker) -> None:
    """Neither the echo of the server nor a repetition is a second message."""
    with watch_of(broker, "a") as watch, watch_of(other, "a") as probe:
        await confirmed(watch)
        await confirmed(probe)
        await broker.publish("a", message(1), ttl=TTL)
        assert await watch.next(SECONDS) == message(1)
        await other.publish("a", message(1), ttl=TTL)
        await other.publish("a", message(2), ttl=TTL)
        assert await watch.next(SECONDS) == message(2)


async def test_channels_do_not_mix(broker: Broker, other: Broker) -> None:
    """The watcher of one channel hears nothing of another."""
    with watch_of(broker, "a") as a, watch_of(broker, "b") as b:
        await confirmed(a)
        await confirmed(b)
        await other.publish("b", message(7), ttl=TTL)
        await other.publish("a", message(1), ttl=TTL)
        assert await a.next(SECONDS) == message(1)
        assert await b.next(SECONDS) == message(7)


async def test_the_newest_wins_whatever_the_order(broker: Broker, other: Broker) -> None:
    """Many tasks publish out of order in two processes: watchers and snapshot end with the newest."""
    order = list(range(200))
    random.Random(7).shuffle(order)  # noqa: S311 - a fixed order, not a secret
    with watch_of(broker, "a") as here, watch_of(other, "a") as there:
        await confirmed(here)
        await confirmed(there)
        await asyncio.gather(*((broker, other)[seq % 2].publish("a", message(seq), ttl=TTL) for seq in order))
        for watch in (here, there):
            seen = [-1]
            while seen[-1] != 199:
                got = await watch.next(SECONDS)
                assert isinstance(got, Message)
                seen.append(got.seq)
            assert seen == sorted(seen)
        kept = await broker.snapshot("a")
        assert kept is not None
        assert kept[0] == message(199)


@pytest.mark.parametrize("channel", ["a", "b", "c"])
async def test_nothing_is_lost_between_subscribe_and_read(
    broker: Broker, other: Broker, channel: str
) -> None:
    """Who reads after the confirmation knows the newest state, while another process goes on moving it."""
    truth = 0

    async def move() -> None:
        nonlocal truth
        while truth < 200:
            truth += 1
            await other.publish(channel, message(truth), ttl=TTL)

    moving = asyncio.create_task(move())
    with watch_of(broker, channel) as watch:
        await confirmed(watch)
        known = truth
        while known < 200:
            got = await watch.next(SECONDS)
            assert isinstance(got, Message)
            known = max(known, got.seq)
    await moving


async def test_the_body_is_opaque(broker: Broker, other: Broker) -> None:
    """Any bytes come out as they went in, from the channel and from the snapshot."""
    body = bytes(range(256)) + b" 1 2\r\n" + "二维码".encode()
    with watch_of(other, "a") as watch:
        await confirmed(watch)
        await broker.publish("a", Message(2**40, body), ttl=TTL)
        assert await watch.next(SECONDS) == Message(2**40, body)
    kept = await other.snapshot("a")
    assert kept is not None
    assert kept[0] == Message(2**40, body)


async def test_there_is_no_snapshot_before_the_first_message(broker: Broker) -> None:
    """An unknown channel has none."""
    assert await broker.snapshot("a") is None


async def test_an_older_message_does_not_replace_the_snapshot(broker: Broker, other: Broker) -> None:
    """The snapshot goes forward only."""
    await broker.publish("a", message(2), ttl=TTL)
    await other.publish("a", message(1), ttl=TTL)
    kept = await broker.snapshot("a")
    assert kept is not None
    assert kept[0] == message(2)


async def test_the_snapshot_tells_its_age_and_the_same_one_again_renews_it(broker: Broker) -> None:
    """Its age counts from the last time somebody vouched for it, and an older message vouches for nothing."""
    begun = time.monotonic()
    await broker.publish("a", message(2), ttl=TTL)
    await asyncio.sleep(0.3)
    await broker.publish("a", message(1), ttl=TTL)
    kept = await broker.snapshot("a")
    assert kept is not None
    assert 0.29 <= kept[1] <= time.monotonic() - begun + 0.01
    renewing = time.monotonic()
    await broker.publish("a", message(2), ttl=TTL)
    kept = await broker.snapshot("a")
    assert kept is not None
    assert kept[1] <= time.monotonic() - renewing + 0.01


async def test_a_snapshot_ends_with_its_time_to_live(broker: Broker) -> None:
    """After *ttl* it is gone, and an older one may be written again."""
    await broker.publish("a", message(5), ttl=0.05)

    async def gone() -> bool:
        return await broker.snapshot("a") is None

    await until(gone)
    await broker.publish("a", message(1), ttl=TTL)
    kept = await broker.snapshot("a")
    assert kept is not None
    assert kept[0] == message(1)


async def test_the_memory_broker_clears_dead_snapshots_away() -> None:
    """Ten thousand snapshots that have ended leave no more than a few hundred in memory."""
    broker = MemoryBroker()
    body = bytes(1000)
    for number in range(10_000):
        await broker.publish(f"c{number}", Message(1, body), ttl=0)
    assert sys.getrefcount(body) < 1100


async def test_watched_lists_the_channels_with_watchers(broker: Broker) -> None:
    """Each channel is listed once, from its first watcher to its last."""
    with watch_of(broker, "a"), watch_of(broker, "b"):
        with watch_of(broker, "a"):
            assert sorted(broker.watched()) == ["a", "b"]
        assert sorted(broker.watched()) == ["a", "b"]
    assert broker.watched() == []


async def test_a_watch_ends_also_by_an_exception(broker: Broker) -> None:
    """A watcher that fails leaves nothing behind."""
    with pytest.raises(KeyError), watch_of(broker, "a"):
        raise KeyError
    assert broker.watched() == []


async def test_a_watcher_that_leaves_and_returns_at_once_is_told_to_read_again(
    broker: Broker, other: Broker
) -> None:
    """However fast a channel is left and joined, the last joiner is confirmed and hears what follows."""
    for seq in range(20):
        with watch_of(broker, "a"):
            if seq % 2:
                await asyncio.sleep(0)
        with watch_of(broker, "a") as watch:
            await confirmed(watch)
            await other.publish("a", message(seq), ttl=TTL)
            while True:
                got = await watch.next(SECONDS)
                if got is not READ_AGAIN:
                    break
            assert got == message(seq)


async def test_a_broadcast_reaches_every_process_once(broker: Broker, other: Broker) -> None:
    """Each process's listener hears each body one time, its own process's included."""
    here: list[bytes] = []
    there: list[bytes] = []
    done = asyncio.Event()

    def last(body: bytes) -> None:
        if body == b"last":
            done.set()

    broker.on_broadcast("revoked", here.append)
    if other is not broker:
        other.on_broadcast("revoked", there.append)
    other.on_broadcast("revoked", last)

    async def subscribed() -> bool:
        await broker.broadcast("revoked", b"probe")
        return other is broker or b"probe" in there

    await until(subscribed)
    async with asyncio.timeout(SECONDS):
        await broker.broadcast("revoked", b"\x00 sid")
        await broker.broadcast("revoked", b"last")
        await done.wait()
        await settled(other, broker)
    assert [body for body in here if body != b"probe"] == [b"\x00 sid", b"last"]
    assert [body for body in there if body != b"probe"] == ([] if other is broker else [b"\x00 sid", b"last"])


async def settled(sender: Broker, receiver: Broker) -> None:
    """Wait until all that *sender* and *receiver* have sent before has come in at *receiver*."""
    with watch_of(receiver, "settled") as watch:
        await confirmed(watch)
        await sender.publish("settled", message(time.monotonic_ns()), ttl=TTL)
        while not isinstance(await watch.next(SECONDS), Message):
            pass


async def test_topics_do_not_mix(broker: Broker) -> None:
    """The listener of one topic hears nothing of another."""
    heard: list[bytes] = []
    broker.on_broadcast("a", heard.append)
    await broker.broadcast("b", b"no")
    await broker.broadcast("a", b"yes")
    assert heard == [b"yes"]


async def test_a_listener_that_fails_keeps_no_other_from_hearing(broker: Broker) -> None:
    """An error in one listener is logged; the next one is called."""
    heard: list[bytes] = []

    def fail(body: bytes) -> None:
        raise ValueError(body)

    broker.on_broadcast("a", fail)
    broker.on_broadcast("a", heard.append)
    await broker.broadcast("a", b"x")
    assert heard == [b"x"]


async def subscriptions(server: RedisServer, prefix: str) -> list[str]:
    """Return the channels under *prefix* that Redis has subscribers for, heartbeats aside."""
    listed = await asyncio.to_thread(server.command, "PUBSUB", "CHANNELS", f"{prefix}*")
    return sorted(name.removeprefix(prefix) for name in listed.split() if "heartbeat:" not in name)


async def test_redis_is_subscribed_to_from_the_first_watcher_to_the_last(
    redis_server: RedisServer, redis_prefix: str
) -> None:
    """The subscription begins with the first watcher of a channel and ends with the last one."""
    broker = RedisBroker(redis_server.url, redis_prefix)
    await broker.start()
    with watch_of(broker, "a") as first:
        await confirmed(first)
        with watch_of(broker, "a") as second:
            await confirmed(second)
        assert await subscriptions(redis_server, redis_prefix) == ["a"]

    async def ended() -> bool:
        return not await subscriptions(redis_server, redis_prefix)

    await until(ended)
    await broker.stop()


async def test_thousands_of_watchers_are_all_confirmed(redis_url: str, redis_prefix: str) -> None:
    """More channels than fit into one command are subscribed to, heard and left again."""
    broker = RedisBroker(redis_url, redis_prefix)
    await broker.start()
    watches = [Watch(f"many:{number}") for number in range(3500)]
    for watch in watches:
        broker.attach(watch)
    for watch in watches:
        await confirmed(watch)
    for number in (0, 999, 1000, 3499):
        await broker.publish(f"many:{number}", message(number), ttl=TTL)
        assert await watches[number].next(SECONDS) == message(number)
    for watch in watches:
        broker.detach(watch)
    assert broker.watched() == []
    await broker.stop()


async def test_a_stranger_on_the_channel_does_no_harm(redis_server: RedisServer, redis_prefix: str) -> None:
    """What is no message is dropped, and the next one that is comes over the same connection."""
    broker = RedisBroker(redis_server.url, redis_prefix)
    await broker.start()
    with watch_of(broker, "a") as watch:
        await confirmed(watch)
        for payload in ("", "hello", "-1 x", "x 1", "7 body"):
            await asyncio.to_thread(redis_server.command, "PUBLISH", f"{redis_prefix}a", payload)
        assert await watch.next(SECONDS) == Message(7, b"body")
    await broker.stop()


async def test_a_snapshot_that_is_not_ours_is_none(redis_server: RedisServer, redis_prefix: str) -> None:
    """A stranger's value under the key is not returned, and the next publication replaces it."""
    broker = RedisBroker(redis_server.url, redis_prefix)
    await broker.start()
    for value in ("", "junk", "x y z"):
        await asyncio.to_thread(redis_server.command, "SET", f"{redis_prefix}a", value)
        assert await broker.snapshot("a") is None
    await broker.publish("a", message(1), ttl=TTL)
    kept = await broker.snapshot("a")
    assert kept is not None
    assert kept[0] == message(1)
    await broker.stop()


async def test_the_same_message_again_is_not_told_to_others(redis_url: str, redis_prefix: str) -> None:
    """Renewing a snapshot is silent: a watcher that came in between hears nothing of it."""
    here, there = RedisBroker(redis_url, redis_prefix), RedisBroker(redis_url, redis_prefix)
    await here.start()
    await there.start()
    await here.publish("a", message(1), ttl=TTL)
    with watch_of(there, "a") as watch:
        await confirmed(watch)
        await here.publish("a", message(1), ttl=TTL)
        await here.publish("a", message(0), ttl=TTL)
        await settled(here, there)
        assert await watch.next(0) is None
    await here.stop()
    await there.stop()
