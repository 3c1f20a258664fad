"""What every limiter promises, checked on every back end."""

import asyncio

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from hub.limits.memory import MemoryLimiter
from hub.limits.redis import RedisLimiter
from hub.limits.rules import Limit, Limiter
from hub.realtime.link import Timing
from tests.servers.proxy import proxied
from tests.servers.redis import RedisServer, back_end_url
from tests.servers.waiting import until

HOUR = Limit("hour", 3, 3600)


@pytest.fixture(params=["memory", "redis", "cluster"])
def back_end(request: pytest.FixtureRequest) -> str:
    """Each back end, a cluster too."""
    return back_end_url(request)


async def test_the_quota_is_allowed_and_no_more(limiter: Limiter) -> None:
    """Three fit, the fourth does not, and what remains is counted down."""
    verdicts = [await limiter.hit(HOUR, "x") for _ in range(5)]
    assert [verdict.allowed for verdict in verdicts] == [True, True, True, False, False]
    assert [verdict.remaining for verdict in verdicts] == [2, 1, 0, 0, 0]


async def test_the_window_begins_with_the_first_hit(limiter: Limiter) -> None:
    """The reset is a whole window away at first and comes nearer with every hit, refused ones too."""
    resets = [(await limiter.hit(HOUR, "x")).reset_after for _ in range(5)]
    assert 3599 < resets[0] <= 3600
    assert resets == sorted(resets, reverse=True)


async def test_a_hit_that_does_not_fit_takes_nothing(limiter: Limiter) -> None:
    """A cost of three is refused when two are left, and the two are still to be had."""
    await limiter.hit(HOUR, "x")
    refused = await limiter.hit(HOUR, "x", cost=3)
    assert (refused.allowed, refused.remaining) == (False, 2)
    assert (await limiter.hit(HOUR, "x", cost=2)).allowed


async def test_a_cost_of_nothing_only_looks(limiter: Limiter) -> None:
    """It tells what is left, begins no window and takes nothing."""
    assert (await limiter.hit(HOUR, "x", cost=0)).remaining == 3
    await limiter.hit(HOUR, "x")
    assert (await limiter.hit(HOUR, "x", cost=0)).remaining == 2
    assert (await limiter.hit(HOUR, "x", cost=0)).remaining == 2


async def test_a_hit_is_given_back(limiter: Limiter) -> None:
    """What came to nothing can be had again, and more than was taken cannot."""
    for _ in range(3):
        await limiter.hit(HOUR, "x")
    assert (await limiter.hit(HOUR, "x", cost=-1)).remaining == 1
    assert [(await limiter.hit(HOUR, "x")).allowed for _ in range(2)] == [True, False]
    for _ in range(5):
        assert (await limiter.hit(HOUR, "x", cost=-1)).remaining <= 3
    assert [(await limiter.hit(HOUR, "x")).allowed for _ in range(4)] == [True, True, True, False]


async def test_keys_and_limits_are_counted_apart(limiter: Limiter) -> None:
    """One address at its limit stops neither another address nor another limit."""
    await limiter.hit(HOUR, "x", cost=3)
    assert not (await limiter.hit(HOUR, "x")).allowed
    assert (await limiter.hit(HOUR, "y")).allowed
    assert (await limiter.hit(Limit("other", 3, 3600), "x")).allowed


async def test_after_the_window_the_quota_is_back(limiter: Limiter) -> None:
    """A new window begins with a full quota when the old one has ended."""
    second = Limit("second", 2, 1)
    await limiter.hit(second, "x", cost=2)
    refused = await limiter.hit(second, "x")
    assert not refused.allowed
    await asyncio.sleep(refused.reset_after + 0.01)
    fresh = await limiter.hit(second, "x")
    assert (fresh.allowed, fresh.remaining) == (True, 1)
    assert 0.9 < fresh.reset_after <= 1


async def test_a_quota_of_nothing_allows_nothing(limiter: Limiter) -> None:
    """A limit can be shut."""
    assert not (await limiter.hit(Limit("shut", 0, 60), "x")).allowed


async def remembered(limiter: Limiter, keys: int) -> int:
    """Return how many of the first *keys* keys have a window with a hit in it."""
    looks = [await limiter.hit(HOUR, str(number), cost=0) for number in range(keys)]
    return sum(verdict.remaining < HOUR.quota for verdict in looks)


async def test_the_memory_limiter_keeps_no_more_windows_than_it_has_room_for() -> None:
    """A flood of keys makes it forget the oldest; the newest is still counted."""
    limiter = MemoryLimiter(room=50)
    for number in range(1000):
        await limiter.hit(HOUR, str(number))
    assert 40 <= await remembered(limiter, 1000) <= 50
    assert (await limiter.hit(HOUR, "999")).remaining == 1


async def test_the_memory_limiter_gives_room_to_the_living_first() -> None:
    """Windows that have ended are cleared away before any that has not."""
    limiter = MemoryLimiter(room=50)
    for number in range(40):
        await limiter.hit(HOUR, str(number))
    for number in range(1000):
        await limiter.hit(Limit("ended", 1, 0), str(number))
    assert await remembered(limiter, 40) == 40


async def test_two_processes_share_one_quota(redis_url: str, redis_prefix: str) -> None:
    """What one limiter counts the other one knows."""
    one = RedisLimiter(redis_url, redis_prefix, MemoryLimiter())
    two = RedisLimiter(redis_url, redis_prefix, MemoryLimiter())
    await one.start()
    await two.start()
    await one.hit(HOUR, "x", cost=2)
    assert (await two.hit(HOUR, "x")).remaining == 0
    assert not (await one.hit(HOUR, "x")).allowed
    await one.stop()
    await two.stop()


async def test_redis_forgets_a_counter_with_its_window(redis_server: RedisServer, redis_prefix: str) -> None:
    """Every counter expires by itself, also after further hits."""
    limiter = RedisLimiter(redis_server.url, redis_prefix, MemoryLimiter())
    await limiter.start()
    await limiter.hit(HOUR, "x")
    await limiter.hit(HOUR, "x")
    await limiter.stop()
    [key] = (await asyncio.to_thread(redis_server.command, "KEYS", f"{redis_prefix}*")).split()
    assert 3590 < int(await asyncio.to_thread(redis_server.command, "TTL", key)) <= 3600


async def test_without_redis_the_limits_are_counted_in_process(own_redis: RedisServer) -> None:
    """A limiter whose Redis is killed goes on in memory, says so once, and returns to Redis by itself."""
    limiter = RedisLimiter(own_redis.url, "test:", MemoryLimiter(), Timing(backoff=0.01, backoff_limit=0.05))
    await limiter.start()
    own_redis.kill()
    fallbacks = REGISTRY.get_sample_value("hub_limits_fallback_total") or 0
    with capture_logs() as logs:
        verdicts = [await limiter.hit(HOUR, "x") for _ in range(5)]
    assert [verdict.allowed for verdict in verdicts] == [True, True, True, False, False]
    assert [entry["event"] for entry in logs].count("limits_in_process") == 1
    assert REGISTRY.get_sample_value("hub_limits_fallback_total") == fallbacks + 5

    own_redis.start()

    async def shared_again() -> bool:
        return (await limiter.hit(HOUR, "x")).allowed

    await until(shared_again)
    assert await asyncio.to_thread(own_redis.command, "KEYS", "test:limit:*")
    await limiter.stop()


async def test_a_silent_redis_costs_one_wait_and_not_one_each(own_redis: RedisServer) -> None:
    """Behind a black hole the first hit waits for its time limit, the further ones do not wait at all."""
    async with proxied("127.0.0.1", own_redis.port) as proxy:
        timing = Timing(answer_timeout=0.5)
        limiter = RedisLimiter(f"redis://127.0.0.1:{proxy.port}", "test:", MemoryLimiter(), timing)
        await limiter.start()
        proxy.black_hole()
        loop = asyncio.get_running_loop()
        begun = loop.time()
        for _ in range(20):
            await limiter.hit(HOUR, "x")
        assert loop.time() - begun < 10 * timing.answer_timeout
        proxy.resume()
        await limiter.stop()


async def test_a_limiter_starts_without_redis(own_redis: RedisServer) -> None:
    """A Redis that is away at the start delays nothing and stops nobody."""
    own_redis.kill()
    limiter = RedisLimiter(own_redis.url, "test:", MemoryLimiter())
    await limiter.start()
    assert (await limiter.hit(HOUR, "x")).allowed
    await limiter.stop()
