"""What a limit is, and when it is reached.

A limit is a fixed window that begins with a key's first hit and ends *window* seconds later, whatever comes
in between. One number then answers all that a client asks (the reset of the IETF RateLimit header as well as
Retry-After), the state is one counter with one deadline, and a quota of one is exact: one code a minute means
60 seconds between two codes. The price is that twice the quota fits around the seam of two windows, which a
limit on guesses has to take into account. A refused hit is not counted and moves nothing, so a client that
hammers does not lock itself out for longer.
"""

from hashlib import blake2b
from typing import NamedTuple, Protocol


class Limit(NamedTuple):
    """*quota* hits in *window* seconds; the name separates its counters from those of other limits."""

    name: str
    quota: int
    window: int


class Verdict(NamedTuple):
    """Whether a hit was allowed, what is left of the quota, and in how many seconds all of it is back.

    `limit.quota`, `limit.window`, `remaining` and `reset_after` are the RateLimit fields' q, w, r and t; of a
    refused hit `reset_after` is also its Retry-After.
    """

    allowed: bool
    limit: Limit
    remaining: int
    reset_after: float


class Limiter(Protocol):
    """Counts hits against limits. None of its methods raises because a server is away."""

    async def start(self) -> None:
        """Open what the counters need."""

    async def stop(self) -> None:
        """Close it again."""

    async def hit(self, limit: Limit, key: str, *, cost: int = 1) -> Verdict:
        """Count *cost* hits of *key*, if all of them fit into what is left.

        A cost of 0 only looks, a negative one gives back what an earlier hit of the window has taken.
        """


def judge(limit: Limit, used: int, left: float, cost: int) -> Verdict:
    """Decide on a hit of *cost* when *used* hits are counted and *left* seconds remain of the window."""
    allowed = used + cost <= limit.quota
    remaining = limit.quota - max(0, used + (cost if allowed else 0))
    return Verdict(allowed, limit, max(0, remaining), min(left, limit.window))


def counter(limit: Limit, key: str) -> str:
    """Return the name of *key*'s counter: short whatever a client sent, and with nobody's number in it."""
    return f"{limit.name}:{blake2b(key.encode(), digest_size=16).hexdigest()}"
