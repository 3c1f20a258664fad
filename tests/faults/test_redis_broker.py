"""Redis is killed, frozen, cut off, flushed: watchers heal by themselves, and nobody waits for it."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvloop
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from hub.realtime.dial import Dialled, dialler
from hub.realtime.link import Link, Timing
from hub.realtime.redis import RedisBroker
from hub.realtime.watch import Message
from tests.servers.proxy import Proxy, proxied
from tests.servers.redis import RedisServer
from tests.servers.waiting import until
from tests.watch import READ_AGAIN, Watch, watch_of

SECONDS = 20.0
TTL = 60.0
PREFIX = "test:"
QUICK = Timing(heartbeat=0.1, heartbeat_timeout=0.5, backoff=0.02, backoff_limit=0.1, answer_timeout=0.3)


def message(seq: int) -> Message:
    """Return the message *seq*."""
    return Message(seq, b'{"seq":%d}' % seq)


def metric(name: str) -> float:
    """Return the present value of the metric *name*."""
    return REGISTRY.get_sample_value(name) or 0.0


@asynccontextmanager
async def running(url: str, timing: Timing = QUICK) -> AsyncIterator[RedisBroker]:
    """Run a broker on *url* for the length of a block."""
    broker = RedisBroker(url, PREFIX, timing, dial_timeout=0.5)
    await broker.start()
    try:
        yield broker
    finally:
        await broker.stop()


async def confirmed(watch: Watch) -> None:
    """Wait until *watch* is told to read again, whatever it hears before."""
    async with asyncio.timeout(SECONDS):
        while await watch.next(None) is not READ_AGAIN:
            pass


async def received(watch: Watch, seq: int) -> None:
    """Wait until *watch* has the message *seq*."""
    async with asyncio.timeout(SECONDS):
        while await watch.next(None) != message(seq):
            pass


async def is_down(broker: RedisBroker) -> None:
    """Wait until *broker* knows that its link is down."""

    async def down() -> bool:
        return not broker.healthy

    await until(down)


async def is_up(broker: RedisBroker) -> None:
    """Wait until *broker*'s link is up."""

    async def up() -> bool:
        return broker.healthy

    await until(up)


class Fault:
    """One way for Redis to be away, and to come back."""

    def __init__(self, begin: Callable[[], None], end: Callable[[], None]) -> None:
        self.begin = begin
        self.end = end


@pytest.fixture
async def proxy(own_redis: RedisServer) -> AsyncIterator[Proxy]:
    """A proxy in front of the test's own Redis."""
    async with proxied("127.0.0.1", own_redis.port) as proxy:
        yield proxy


@pytest.fixture(params=["kill", "freeze", "black hole", "cut"])
def fault(request: pytest.FixtureRequest, own_redis: RedisServer, proxy: Proxy) -> Fault:
    """Each outage in turn; the broker under test connects through the proxy."""
    faults = {
        "kill": Fault(own_redis.kill, own_redis.start),
        "freeze": Fault(own_redis.pause, own_redis.resume),
        "black hole": Fault(proxy.black_hole, proxy.resume),
        "cut": Fault(proxy.cut, proxy.resume),
    }
    return faults[request.param]


def url(proxy: Proxy) -> str:
    """Return the URL of the Redis behind *proxy*."""
    return f"redis://127.0.0.1:{proxy.port}/0"


async def outage(fault: Fault, *brokers: RedisBroker) -> None:
    """Begin *fault*, which hits all *brokers*, and let it last until each has given up its link."""
    with capture_logs() as logs:
        fault.begin()

        async def given_up() -> bool:
            return [entry["event"] for entry in logs].count("redis_lost") == len(brokers)

        await until(given_up)
    assert not any(broker.healthy for broker in brokers)


async def test_watchers_read_again_after_an_outage(proxy: Proxy, fault: Fault) -> None:
    """After the link was rebuilt each watcher is told to read again, and hears what is published then."""
    async with running(url(proxy)) as here, running(url(proxy)) as there:
        with watch_of(here, "a") as one, watch_of(here, "b") as two, watch_of(there, "a") as far:
            for watch in (one, two, far):
                await confirmed(watch)
            await outage(fault, here, there)
            fault.end()
            for watch in (one, two, far):
                await confirmed(watch)
            await is_up(here)
            await there.publish("a", message(1), ttl=TTL)
            await there.publish("b", message(2), ttl=TTL)
            await received(one, 1)
            await received(two, 2)
            await received(far, 1)


async def test_a_watcher_that_came_in_the_outage_is_confirmed_after_it(proxy: Proxy, fault: Fault) -> None:
    """Who begins to watch while Redis is away is subscribed when it is back; who has left is not."""
    async with running(url(proxy)) as broker:
        with watch_of(broker, "left"):
            await outage(fault, broker)
        with watch_of(broker, "came") as watch:
            assert await watch.next(0) is None
            fault.end()
            await confirmed(watch)
            await broker.publish("came", message(1), ttl=TTL)
            await received(watch, 1)
            assert broker.watched() == ["came"]


async def test_publishing_is_bounded_while_redis_is_away(proxy: Proxy, fault: Fault) -> None:
    """In an outage the local watchers hear everything, and twenty publications cost one time limit."""
    timing = QUICK._replace(answer_timeout=1.0)
    async with running(url(proxy), timing) as broker:
        with watch_of(broker, "a") as watch:
            await confirmed(watch)
            fault.begin()
            begun = time.monotonic()
            failures = metric("hub_broker_publish_failures_total")
            with capture_logs() as logs:
                for seq in range(20):
                    await broker.publish("a", message(seq), ttl=TTL)
            assert time.monotonic() - begun < 10 * timing.answer_timeout
            assert metric("hub_broker_publish_failures_total") == failures + 20
            assert [entry["event"] for entry in logs].count("publish_failed") == 1
            await received(watch, 19)
            assert await broker.snapshot("a") is None
            fault.end()


async def test_reconnecting_is_told_once(proxy: Proxy, fault: Fault) -> None:
    """on_reconnect listeners are called when the link is back, one that fails included, and not before."""
    async with running(url(proxy)) as broker:
        calls: list[bool] = []

        def fail() -> None:
            raise ValueError

        broker.on_reconnect(fail)
        broker.on_reconnect(lambda: calls.append(broker.healthy))
        reconnects = metric("hub_broker_reconnects_total")
        assert metric("hub_broker_connected") == 1
        await outage(fault, broker)
        assert metric("hub_broker_connected") == 0
        assert calls == []
        fault.end()
        await is_up(broker)
        assert calls == [True]
        assert metric("hub_broker_connected") == 1
        assert metric("hub_broker_reconnects_total") == reconnects + 1


async def test_broadcasts_arrive_again_after_an_outage(proxy: Proxy, fault: Fault) -> None:
    """The topics are subscribed to anew; in the outage the own process still hears its own."""
    async with running(url(proxy)) as here, running(url(proxy)) as there:
        heard_here: list[bytes] = []
        heard = asyncio.Event()
        here.on_broadcast("t", heard_here.append)
        there.on_broadcast("t", lambda body: heard.set() if body == b"after" else None)
        await outage(fault, here, there)
        await here.broadcast("t", b"during")
        assert heard_here == [b"during"]
        fault.end()
        await is_up(here)
        await is_up(there)
        await here.broadcast("t", b"after")
        async with asyncio.timeout(SECONDS):
            await heard.wait()


async def test_what_is_published_to_a_slow_redis_arrives_late(own_redis: RedisServer) -> None:
    """A Redis that freezes for less than the heartbeat's limit takes up all that was sent meanwhile."""
    patient = QUICK._replace(heartbeat_timeout=60.0)
    async with running(own_redis.url, patient) as here, running(own_redis.url, patient) as there:
        await here.publish("warm", message(1), ttl=TTL)
        with watch_of(there, "a") as one, watch_of(there, "b") as two:
            await confirmed(one)
            await confirmed(two)
            own_redis.pause()
            await here.publish("a", message(1), ttl=TTL)
            assert not here.healthy
            await here.publish("b", message(2), ttl=TTL)
            own_redis.resume()
            await received(one, 1)
            await received(two, 2)
            await is_up(here)


async def test_what_a_silent_redis_cannot_take_is_dropped(own_redis: RedisServer) -> None:
    """A process does not hoard what it publishes into a freeze: the first arrives late, the last never."""
    patient = QUICK._replace(heartbeat_timeout=60.0)
    async with running(own_redis.url, patient) as broker:
        own_redis.pause()
        for number in range(100):
            await broker.publish(f"c{number}", Message(1, bytes(300_000)), ttl=TTL)
        own_redis.resume()
        await is_up(broker)

        async def first() -> bool:
            return await broker.snapshot("c0") is not None

        await until(first)
        assert await broker.snapshot("c99") is None


async def test_a_frozen_redis_is_noticed_by_a_broker_that_says_nothing(own_redis: RedisServer) -> None:
    """The heartbeat alone finds out, long before the link is given up."""
    patient = QUICK._replace(heartbeat_timeout=60.0)
    async with running(own_redis.url, patient) as broker:
        own_redis.pause()
        await is_down(broker)
        own_redis.resume()
        await is_up(broker)


async def test_a_broker_starts_without_redis(own_redis: RedisServer) -> None:
    """Without Redis it starts at once, and comes to life when Redis does."""
    own_redis.kill()
    async with running(own_redis.url) as broker:
        reconnected = asyncio.Event()
        broker.on_reconnect(reconnected.set)
        assert not broker.healthy
        with watch_of(broker, "a") as watch:
            own_redis.start()
            await confirmed(watch)
            async with asyncio.timeout(SECONDS):
                await reconnected.wait()


async def test_an_outage_is_logged_once(own_redis: RedisServer) -> None:
    """However often dialling fails, the log has one line for the loss and one for the return."""
    with capture_logs() as logs:
        async with running(own_redis.url, QUICK._replace(backoff_limit=0.02)) as broker:
            own_redis.kill()
            await is_down(broker)
            await asyncio.sleep(0.3)
            own_redis.start()
            await is_up(broker)
    assert [entry["event"] for entry in logs] == ["redis_ready", "redis_lost", "redis_ready"]


async def test_a_flush_loses_nothing_that_is_published_again(own_redis: RedisServer) -> None:
    """After FLUSHALL the subscription stands, and the same message again restores the snapshot."""
    async with running(own_redis.url) as broker:
        with watch_of(broker, "a") as watch:
            await confirmed(watch)
            await broker.publish("a", message(1), ttl=TTL)
            own_redis.command("FLUSHALL")
            assert await broker.snapshot("a") is None
            await broker.publish("a", message(1), ttl=TTL)
            kept = await broker.snapshot("a")
            assert kept is not None
            assert kept[0] == message(1)
            await broker.publish("a", message(2), ttl=TTL)
            await received(watch, 2)


async def test_forgotten_scripts_are_sent_again(own_redis: RedisServer) -> None:
    """After SCRIPT FLUSH the next publication, snapshot and watcher notice nothing."""
    async with running(own_redis.url) as here, running(own_redis.url) as there:
        with watch_of(there, "a") as watch:
            await confirmed(watch)
            await here.publish("a", message(1), ttl=TTL)
            own_redis.command("SCRIPT", "FLUSH")
            await asyncio.gather(*(here.publish("a", message(seq), ttl=TTL) for seq in range(2, 22)))
            await received(watch, 21)
            own_redis.command("SCRIPT", "FLUSH")
            kept = await here.snapshot("a")
            assert kept is not None
            assert kept[0] == message(21)


async def test_a_killed_client_comes_back(own_redis: RedisServer) -> None:
    """CLIENT KILL, ten times over, ends with one connection and a watcher that read again each time."""
    async with running(own_redis.url) as broker:
        with watch_of(broker, "a") as watch:
            for _ in range(10):
                await confirmed(watch)
                await is_up(broker)
                own_redis.command("CLIENT", "KILL", "TYPE", "pubsub")
            await confirmed(watch)
            await is_up(broker)
        clients = own_redis.command("CLIENT", "LIST").splitlines()
        assert sum("name=login-hub" in client for client in clients) == 1


async def test_a_link_to_a_replica_is_dropped(own_redis: RedisServer) -> None:
    """READONLY, the answer of a primary that became a replica, makes the broker dial again."""
    async with running(own_redis.url) as broker:
        with watch_of(broker, "a") as watch:
            await confirmed(watch)
            own_redis.command("REPLICAOF", "127.0.0.1", "1")
            await broker.publish("a", message(1), ttl=TTL)
            await confirmed(watch)
            own_redis.command("REPLICAOF", "NO", "ONE")
            await is_up(broker)
            await broker.publish("a", message(2), ttl=TTL)
            assert await broker.snapshot("a") is not None


async def test_an_error_of_redis_fails_one_publication_only(own_redis: RedisServer) -> None:
    """A key of the wrong type is logged and counted; the link stays and the next channel works."""
    async with running(own_redis.url) as broker:
        own_redis.command("LPUSH", f"{PREFIX}a", "x")
        failures = metric("hub_broker_publish_failures_total")
        with capture_logs() as logs:
            await broker.publish("a", message(1), ttl=TTL)
        assert metric("hub_broker_publish_failures_total") == failures + 1
        assert [entry["event"] for entry in logs] == ["publish_failed"]
        assert await broker.snapshot("a") is None
        await broker.publish("b", message(1), ttl=TTL)
        assert await broker.snapshot("b") is not None


async def test_an_error_after_sending_a_forgotten_script_again(own_redis: RedisServer) -> None:
    """The script's own error is told when Redis had to be sent its text first."""
    async with running(own_redis.url) as broker:
        own_redis.command("LPUSH", f"{PREFIX}a", "x")
        own_redis.command("SCRIPT", "FLUSH")
        with capture_logs() as logs:
            await broker.publish("a", message(1), ttl=TTL)
        assert "WRONGTYPE" in logs[0]["reason"]


async def test_a_defect_in_dialling_is_not_the_end(own_redis: RedisServer) -> None:
    """An error that nobody foresaw is logged with its trace, and the link comes up at the next try."""
    dial = dialler(own_redis.url, timeout=1.0)
    tries = 0

    async def defective() -> Dialled:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise ZeroDivisionError
        return await dial()

    ready = asyncio.Event()
    link = Link("test", defective, PREFIX, QUICK, scripts=(), ready=lambda again: ready.set())
    with capture_logs() as logs:
        await link.start()
        async with asyncio.timeout(SECONDS):
            await ready.wait()
        await link.stop()
    assert [entry["event"] for entry in logs] == ["redis_link_failed", "redis_unreachable", "redis_ready"]


async def test_a_client_without_the_right_to_subscribe_says_so(own_redis: RedisServer) -> None:
    """A Redis user without channel permissions never counts as healthy, and the log says why."""
    own_redis.command("ACL", "SETUSER", "hub", "on", ">secret-word", "~*", "+@all", "resetchannels")
    with capture_logs() as logs:
        async with running(f"redis://hub:secret-word@127.0.0.1:{own_redis.port}/0") as broker:
            assert not broker.healthy
    assert [entry["event"] for entry in logs] == ["redis_unreachable"]
    assert "NOPERM" in logs[0]["reason"]


async def test_a_wrong_password_is_logged_without_it(own_redis: RedisServer) -> None:
    """A refused sign-in at Redis is told once, and the password is not."""
    own_redis.command("ACL", "SETUSER", "hub", "on", ">another-word", "~*", "+@all")
    with capture_logs() as logs:
        async with running(f"redis://hub:secret-word@127.0.0.1:{own_redis.port}/0") as broker:
            assert not broker.healthy
    assert [entry["event"] for entry in logs] == ["redis_unreachable"]
    assert "secret-word" not in str(logs)


@pytest.mark.parametrize(
    "answers",
    [
        [b"HTTP/1.1 400 Bad Request\r\n"],
        [b"+PONG\r\n+AND\r\n+MORE\r\n+THAN\r\n+WAS\r\n+ASKED\r\n+FOR\r\n"],
        [b"+PONG\r\n", b""],
    ],
    ids=["garbage", "out of step", "closed before the first heartbeat"],
)
async def test_a_peer_that_misbehaves_is_left_and_dialled_again(answers: list[bytes]) -> None:
    """Whatever comes after the handshake ends the connection at once, but not the supervision."""
    dialled = asyncio.Semaphore(0)

    async def misbehave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"HELLO\r\n$1\r\n3\r\n")
        writer.write(b"%1\r\n$5\r\nproto\r\n:3\r\n")
        await reader.readuntil(b"SETNAME\r\n$9\r\nlogin-hub\r\n")
        writer.write(b"+OK\r\n")
        await reader.readuntil(b"PING\r\n")
        for answer in answers:
            writer.write(answer)
            if not answer:
                await reader.readuntil(b"PUBLISH")
                writer.close()
        dialled.release()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(misbehave, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with running(f"redis://127.0.0.1:{port}", Timing(backoff=0.01, backoff_limit=0.02)) as broker:
        async with asyncio.timeout(10.0):  # less than the time a heartbeat is waited for
            for _ in range(3):
                await dialled.acquire()
        assert not broker.healthy
    server.close()


async def test_nothing_is_left_after_stop(own_redis: RedisServer) -> None:
    """Outages, watchers and publications leave no task, no file descriptor and no subscription behind."""
    async with running(own_redis.url):
        tasks, files = len(asyncio.all_tasks()), len(os.listdir("/proc/self/fd"))
    async with running(own_redis.url) as broker:
        for round_ in range(5):
            with watch_of(broker, "a") as watch:
                await confirmed(watch)
                await broker.publish("a", message(round_), ttl=TTL)
                own_redis.restart()
                await confirmed(watch)
                await is_up(broker)
        assert (len(asyncio.all_tasks()), len(os.listdir("/proc/self/fd"))) == (tasks, files)

        async def unsubscribed() -> bool:
            return own_redis.command("PUBSUB", "NUMSUB", f"{PREFIX}a").split() == [f"{PREFIX}a", "0"]

        await until(unsubscribed)
    assert len(asyncio.all_tasks()) == 1


async def test_stopping_in_an_outage_is_quick(proxy: Proxy, fault: Fault) -> None:
    """stop() returns while Redis is away, and the watchers may leave afterwards."""
    async with running(url(proxy)) as broker:
        watching = watch_of(broker, "a")
        watch = watching.__enter__()
        await confirmed(watch)
        await outage(fault, broker)
    watching.__exit__(None, None, None)
    assert broker.watched() == []
    fault.end()


async def test_stopping_in_the_handshake_hangs_up() -> None:
    """Stopped while a silent server keeps it waiting, the broker lets go of start() and the connection."""
    accepted, ended = asyncio.Event(), asyncio.Event()

    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.set()
        await reader.read()
        ended.set()
        writer.close()

    server = await asyncio.start_server(silence, "127.0.0.1", 0)
    broker = RedisBroker(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}", PREFIX, dial_timeout=60.0)
    starting = asyncio.create_task(broker.start())
    async with asyncio.timeout(SECONDS):
        await accepted.wait()
        await broker.stop()
        await starting
        await ended.wait()
    server.close()


async def test_cancelled_publications_do_not_confuse_the_answers(redis_url: str, redis_prefix: str) -> None:
    """Callers cancelled while they wait leave everybody else's answers where they belong."""
    broker = RedisBroker(redis_url, redis_prefix)
    await broker.start()
    for round_ in range(40):
        publishing = [
            asyncio.create_task(broker.publish(f"c{number}", message(round_), ttl=TTL))
            for number in range(20)
        ]
        await asyncio.sleep(0)
        for task in publishing[::2]:
            task.cancel()
        await asyncio.gather(*publishing, return_exceptions=True)
        for number in range(20):
            kept = await broker.snapshot(f"c{number}")
            assert kept is not None
            assert kept[0] == message(round_)
    await broker.stop()


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_a_process_that_was_held_up_does_not_blame_redis(
    own_redis: RedisServer, run: Callable[[Coroutine[Any, Any, None]], None]
) -> None:
    """When the loop itself stood still beyond the time limit, the answer that came meanwhile counts."""

    async def main() -> None:
        async with running(own_redis.url, Timing(answer_timeout=0.2)) as broker:
            failures = metric("hub_broker_publish_failures_total")
            own_redis.pause()
            publishing = asyncio.create_task(broker.publish("a", message(1), ttl=TTL))
            await asyncio.sleep(0.05)  # sent, and not answered
            own_redis.resume()
            time.sleep(0.5)  # noqa: ASYNC251 - standing still is what is tested
            await publishing
            assert metric("hub_broker_publish_failures_total") == failures

    run(main())
