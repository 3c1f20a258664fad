"""Many hits at the same moment."""

import asyncio

import pytest

from hub.limits.memory import MemoryLimiter
from hub.limits.redis import RedisLimiter
from hub.limits.rules import Limit, Limiter


@pytest.mark.parametrize("round_", range(5))
async def test_of_two_hundred_hits_at_once_exactly_the_quota_is_allowed(
    limiter: Limiter, round_: int
) -> None:
    """Two hundred tasks hit one key: 37 are allowed, each with another remainder."""
    limit = Limit(f"race{round_}", 37, 3600)
    verdicts = await asyncio.gather(*(limiter.hit(limit, "x") for _ in range(200)))
    winners = [verdict.remaining for verdict in verdicts if verdict.allowed]
    assert sorted(winners) == list(range(37))


async def test_many_processes_together_allow_exactly_the_quota(redis_url: str, redis_prefix: str) -> None:
    """Eight limiters with a connection each allow what one would."""
    limiters = [RedisLimiter(redis_url, redis_prefix, MemoryLimiter()) for _ in range(8)]
    await asyncio.gather(*(limiter.start() for limiter in limiters))
    limit = Limit("race", 100, 3600)
    verdicts = await asyncio.gather(
        *(limiters[number % 8].hit(limit, "x", cost=1 + number % 3) for number in range(400))
    )
    spent = sum(1 + number % 3 for number, verdict in enumerate(verdicts) if verdict.allowed)
    assert spent == 100
    await asyncio.gather(*(limiter.stop() for limiter in limiters))
