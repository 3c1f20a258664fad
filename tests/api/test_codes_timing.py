"""The time of an answer tells nothing of accounts: distributions are compared, not averages with a limit.

Samples of each kind are taken in turn, so that whatever else the machine does falls on all alike, and the
quickest of each few is kept, for it was disturbed the least. The rank-sum test then says how likely so
great a difference would be if there were none.
"""

import time
from collections.abc import Awaitable, Callable
from functools import partial
from statistics import NormalDist

import pytest

from tests.code_client import Person, new_number
from tests.servers.hub import HubProcess

FEW = 3
ALIKE = 1e-4  # a difference is believed if chance would make it less often than that


async def measure(kinds: list[Callable[[], Awaitable[None]]], samples: int) -> list[list[float]]:
    """Return the seconds of the quickest of each few calls, by kind, *samples* of each; they take turns."""
    found: list[list[float]] = [[] for _ in kinds]
    for turn in range(samples * FEW):
        for kind in range(len(kinds)):
            which = (kind + turn) % len(kinds)
            begun = time.perf_counter()
            await kinds[which]()
            found[which].append(time.perf_counter() - begun)
    return [[min(times[at : at + FEW]) for at in range(0, len(times), FEW)] for times in found]


def chance(first: list[float], second: list[float]) -> float:
    """How likely two samples of one distribution differ this much (Mann and Whitney's U, two-sided)."""
    pooled = sorted([(value, 0) for value in first] + [(value, 1) for value in second])
    ranks = sum(rank for rank, (_, sample) in enumerate(pooled, 1) if sample == 0)
    n, m = len(first), len(second)
    mean, spread = n * (n + m + 1) / 2, (n * m * (n + m + 1) / 12) ** 0.5
    return 2 * (1 - NormalDist().cdf(abs(ranks - mean) / spread))


@pytest.fixture
async def numbers(hub_on_servers: HubProcess) -> tuple[str, str]:
    """The number of an account, and one that nobody has ever signed in with."""
    async with Person(hub_on_servers.url) as person:
        known, unknown = new_number(), new_number()
        await person.sign_in(known)
    return known, unknown


async def test_a_wrong_code_takes_the_same_time(hub_on_servers: HubProcess, numbers: tuple[str, str]) -> None:
    """Whether the number has an account, whose person signed in a moment ago, or none."""
    async with Person(hub_on_servers.url) as person:

        async def guess(number: str) -> None:
            assert (await person.login(number, "000000")).status_code == 400

        known, unknown = await measure([partial(guess, number) for number in numbers], 100)
    assert chance(known, unknown) > ALIKE


async def test_a_sending_takes_the_same_time(hub_on_servers: HubProcess, numbers: tuple[str, str]) -> None:
    """Whether the number has an account or none."""
    async with Person(hub_on_servers.url) as person:

        async def send(number: str) -> None:
            assert (await person.send(number)).status_code == 200

        known, unknown = await measure([partial(send, number) for number in numbers], 100)
    assert chance(known, unknown) > ALIKE


async def test_the_comparison_sees_a_statement(hub_on_servers: HubProcess) -> None:
    """A difference of one look into the database is found, else the tests above prove nothing."""
    async with Person(hub_on_servers.url) as person:

        async def answered(path: str) -> None:
            assert (await person.http.get(path)).status_code == 200

        # neither is limited or logged: nearly all that readiness takes longer is the statement
        one, none = await measure([partial(answered, path) for path in ("/readyz", "/healthz")], 100)
    assert chance(one, none) < ALIKE
