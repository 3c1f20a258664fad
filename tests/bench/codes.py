"""Sign-ins by a code that was sent to a phone; the sending itself is not measured."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Any

from hub.codes.rules import Peppers, Target
from tests.bench.client import Failed, Http, clock
from tests.bench.figures import summary

CODE = "202611"
_PEPPER = "bench-pepper-" * 4
_AT_ONCE = 16  # requests in flight: the pace is the hub's own
_BATCH = 500


def settings() -> dict[str, str]:
    """Return the settings of a hub that recognises CODE."""
    return {"CODE_PEPPERS": _PEPPER}


def numbers(count: int) -> list[str]:
    """Return so many mobile numbers, as people type them."""
    return [f"138{number:08d}" for number in range(count)]


def sent(to: list[str]) -> Iterator[str]:
    """Yield the statements after which each number has been sent CODE."""
    peppers = Peppers([_PEPPER])
    for begin in range(0, len(to), _BATCH):
        rows = []
        for number in to[begin : begin + _BATCH]:
            target = Target("phone", f"+86{number}", "login")
            values = (*target, peppers.hash(target, CODE))
            rows.append(
                f"({', '.join(map(repr, values))}, UTC_TIMESTAMP(3) + INTERVAL 5 MINUTE, UTC_TIMESTAMP(3))"
            )
        yield (
            "INSERT INTO verification_codes (channel, address, purpose, code_hash, expires_at, created_at)"  # noqa: S608 - our own numbers
            f" VALUES {', '.join(rows)}"
        )


async def sign_in(http: Http, people: list[str]) -> dict[str, Any]:
    """Sign each of *people* in once, as fast as the hub can."""
    left = iter(people)
    taken: list[float] = []
    errors: Counter[str] = Counter()

    async def lane() -> None:
        for number in left:
            try:
                reply = await http.post("/api/login", {"phone": number, "code": CODE})
            except Failed as failure:
                errors[str(failure)] += 1
                continue
            if reply.status != 200:
                errors[f"login: {reply.status}"] += 1
            taken.append(1000 * (reply.received - reply.sent))

    begun = clock()
    await asyncio.gather(*(lane() for _ in range(_AT_ONCE)))
    return {
        "done": len(taken) - sum(errors.values()),
        "seconds": clock() - begun,
        "errors": dict(errors),
        "taken": summary(taken),
    }
