"""The limits of the edges: spend from a bucket, and tell the client how much is left."""

import math

from hub.errors import RateLimited
from hub.limits.networks import counted
from hub.limits.rules import Limit, Limiter, Verdict
from hub.web.context import note

QR = Limit("qr", 120, 60)
VERIFY = Limit("verify", 1000, 600)
SENDS = Limit("sends", 20, 3600)
SENDS_NETWORK = Limit("sends_network", 100, 3600)


class Guard:
    """Spends from *limiter*; switched off it lets everything through."""

    def __init__(self, limiter: Limiter, *, enabled: bool) -> None:
        self._limiter = limiter
        self._enabled = enabled

    async def spend(self, limit: Limit, key: str) -> None:
        """Take one from *key*'s bucket, whose RateLimit headers (IETF RateLimit draft) go with the answer.

        They go with a refusal too; of several buckets with those of the first. Raises RateLimited, with the
        headers of its own bucket, when that is empty.
        """
        if not self._enabled:
            return
        verdict = await self._limiter.hit(limit, counted(key))
        headers = _headers(verdict)
        if not verdict.allowed:
            reset = math.ceil(verdict.reset_after)
            raise RateLimited(f"{limit.name} by {key}", retry_after=reset, headers=headers)
        note(headers)

    async def give_back(self, limit: Limit, key: str) -> dict[str, str]:
        """Undo a `spend` for which nothing was had, and return the RateLimit headers as they then are."""
        if not self._enabled:
            return {}
        return _headers(await self._limiter.hit(limit, counted(key), cost=-1))


def _headers(verdict: Verdict) -> dict[str, str]:
    limit = verdict.limit
    return {
        "ratelimit-policy": f'"{limit.name}";q={limit.quota};w={limit.window}',
        "ratelimit": f'"{limit.name}";r={verdict.remaining};t={math.ceil(verdict.reset_after)}',
    }
