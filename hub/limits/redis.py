"""Limits that all processes share."""

import structlog
from prometheus_client import Counter

from hub.limits.memory import MemoryLimiter
from hub.limits.rules import Limit, Limiter, Verdict, counter, judge
from hub.realtime.cluster import links
from hub.realtime.dial import Dial
from hub.realtime.link import DEFAULT_TIMING, Link, Script, Timing
from hub.realtime.wire import LinkDown

log = structlog.stdlib.get_logger("hub.limits")

FALLBACKS = Counter("hub_limits_fallback_total", "Hits counted in process because Redis was away.")

# The key's own expiry is the window, so Redis' clock is the only one that counts.
_HIT = Script.of("""
local used = tonumber(redis.call('GET', KEYS[1])) or 0
local left = redis.call('PTTL', KEYS[1])
local cost = tonumber(ARGV[1])
if left <= 0 then
  used = 0
  left = tonumber(ARGV[3])
end
if cost ~= 0 and used + cost >= 0 and used + cost <= tonumber(ARGV[2]) then
  if used == 0 then
    redis.call('SET', KEYS[1], cost, 'PX', left)
  else
    redis.call('INCRBY', KEYS[1], cost)
  end
end
return {used, left}
""")


class RedisLimiter(Limiter):
    """Counts in Redis; while that is away, in *fallback*, where each process allows the quota of its own."""

    def __init__(
        self,
        url: str,
        prefix: str,
        fallback: MemoryLimiter,
        timing: Timing = DEFAULT_TIMING,
        *,
        dial_timeout: float = 2.0,
    ) -> None:
        self._prefix = f"{prefix}limit:"
        self._fallback = fallback
        self._away = False

        def make(dial: Dial) -> Link:
            return Link("limits", dial, f"{prefix}heartbeat:", timing, scripts=(_HIT,))

        self._links = links(url, make, timeout=dial_timeout)

    async def start(self) -> None:
        await self._links.start()

    async def stop(self) -> None:
        await self._links.stop()

    async def hit(self, limit: Limit, key: str, *, cost: int = 1) -> Verdict:
        name = self._prefix + counter(limit, key)
        try:
            used, left = await self._links.run(_HIT, name, cost, limit.quota, limit.window * 1000)
        except LinkDown as error:
            FALLBACKS.inc()
            if not self._away:
                self._away = True
                log.warning("limits_in_process", reason=str(error))
            return await self._fallback.hit(limit, key, cost=cost)
        self._away = False
        return judge(limit, used, left / 1000, cost)
