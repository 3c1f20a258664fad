"""The load process of the sign-ins: `python -m tests.bench.load URL`.

The phone's request leaves and the browser's frame arrives here.
"""

import asyncio
import itertools
import random
import secrets
import sys
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from typing import Any

from tests.bench import codes
from tests.bench.client import Failed, Http, Watcher, clock, data, watch
from tests.bench.figures import summary
from tests.bench.orders import obey
from tests.bench.pushes import Pushes
from tests.people import AT, challenge

_AT_ONCE = 16  # requests in flight where the pace is the hub's own
_IN_A_RUSH = 24  # sign-ins at once
_SETTLE = 15.0  # seconds for the last sign-ins to end
# As many browsers as a site meets within minutes, for the hub keeps what it has read of one.
_AGENTS = [
    f"Mozilla/5.0 ({system}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{version}.0.0.0 Safari/537.36"
    for system in ("X11; Linux x86_64", "Windows NT 10.0; Win64; x64", "Macintosh; Intel Mac OS X 10_15_7")
    for version in range(120, 150)
]


class Load:
    """The browsers and phones of one round; each public method is an order."""

    def __init__(self, url: str) -> None:
        self._http = Http(url)
        self._sockets_at = f"{url.replace('http', 'ws', 1)}{AT}/ws"
        self._random = random.Random(20)  # noqa: S311 - the same arrivals in every run
        self._idle: list[str] = []
        self._codes: list[str] = []
        self._watchers: list[Watcher] = []
        self._refresh_tokens: list[str] = []
        self._errors: Counter[str] = Counter()
        self._steps: dict[str, list[float]] = defaultdict(list)

    async def begin(self, *, count: int) -> None:
        """Begin *count* attempts that nobody will scan."""

        async def one() -> None:
            _, attempt = await self._create()
            self._idle.append(attempt["session_id"])

        await _several(one, count)

    async def open(self) -> None:
        """Open a socket on each of them, and wait for its first frame."""
        waiting = list(self._idle)

        async def one() -> None:
            watcher = await watch(f"{self._sockets_at}/{waiting.pop()}")
            await watcher.until("pending")
            self._watchers.append(watcher)

        await _several(one, len(waiting))

    async def sign_ins(self, *, rate: float, seconds: float, tokens: list[str]) -> dict[str, Any]:
        """Begin sign-ins at random moments, *rate* a second on average, however long each one takes.

        *tokens* are the access tokens of the people, who take turns.
        """
        begun, at = clock(), 0.0
        late: list[float] = []
        tasks: list[asyncio.Task[None]] = []
        self._errors.clear()
        self._steps.clear()
        while (at := at + self._random.expovariate(rate)) < seconds:
            await asyncio.sleep(begun + at - clock())
            late.append(clock() - begun - at)
            tasks.append(asyncio.create_task(self._sign_in(tokens[len(tasks) % len(tokens)])))
        _, stuck = await asyncio.wait(tasks, timeout=_SETTLE)
        for task in stuck:
            task.cancel()
            self._errors["unfinished"] += 1
        taken = clock() - begun
        return {
            "begun": len(tasks),
            "done": len(self._steps["whole"]),
            "seconds": taken,
            "rate": len(self._steps["whole"]) / taken,
            "errors": dict(self._errors),
            "late": _milliseconds(late),
            "steps": {name: _milliseconds(values) for name, values in self._steps.items()},
        }

    async def rush(self, *, seconds: float, tokens: list[str]) -> dict[str, Any]:
        """Sign people in one after the other, so many at once that the hub has always something to do."""
        self._errors.clear()
        self._steps.clear()
        people = itertools.cycle(tokens)
        begun = clock()

        async def lane() -> None:
            while clock() - begun < seconds:
                await self._sign_in(next(people))

        await asyncio.gather(*(lane() for _ in range(_IN_A_RUSH)))
        return {
            "done": len(self._steps["whole"]),
            "seconds": clock() - begun,
            "errors": dict(self._errors),
            "whole": _milliseconds(self._steps["whole"]),
        }

    async def show(self, *, count: int) -> None:
        """Begin *count* attempts at the official account's door."""

        async def one() -> None:
            reply = await self._http.post(f"{AT}/qr-code", {"door": "official_account"})
            self._codes.append(data(reply, "create")["qr_code"])

        await _several(one, count)

    async def push(self, *, rate: float, seconds: float) -> dict[str, Any]:
        """Push scans of these attempts, and messages in between."""
        return await Pushes(self._http).send(self._codes, rate=rate, seconds=seconds)

    async def code_sign_ins(self, *, people: list[str]) -> dict[str, Any]:
        """Sign each of *people* in by the code they have been sent, as fast as the hub can."""
        return await codes.sign_in(self._http, people)

    async def refresh(self, *, seconds: float) -> dict[str, Any]:
        """Refresh the sessions that the sign-ins have opened, as fast as the hub can."""
        begun = clock()
        done = 0

        async def chain(refresh_token: str) -> None:
            nonlocal done
            while clock() - begun < seconds:
                reply = await self._http.post("/api/token/refresh", {"refresh_token": refresh_token})
                refresh_token = data(reply, "refresh")["refresh_token"]
                done += 1

        await asyncio.gather(*map(chain, self._refresh_tokens[-_AT_ONCE:]))
        return {"done": done, "seconds": clock() - begun}

    async def end(self) -> None:
        """Close everything."""
        for watcher in self._watchers:
            watcher.close()
        self._http.close()
        await asyncio.sleep(0)

    async def _sign_in(self, token: str) -> None:
        try:
            await self._walk(token)
        except Failed as failure:
            self._errors[str(failure)] += 1

    async def _walk(self, token: str) -> None:
        """One whole sign-in by the door of the customer's app."""
        began = clock()
        verifier, attempt = await self._create()
        opening = clock()
        self._note("create", began, opening)
        watcher = await watch(f"{self._sockets_at}/{attempt['session_id']}")
        try:
            self._note("socket", opening, await watcher.until("pending"))
            scan = await self._http.post(f"{AT}/scan", {"qr_code": attempt["qr_code"]}, token=token)
            self._note("scan", scan.sent, scan.received)
            answer = {"session_id": data(scan, "scan")["session_id"], "action": "confirm"}
            self._note("scan to frame", scan.sent, await watcher.until("scanned"))
            confirm = await self._http.post(f"{AT}/confirm", answer, token=token)
            self._note("confirm", confirm.sent, confirm.received)
            data(confirm, "confirm")
            self._note("confirm to frame", confirm.sent, await watcher.until("confirmed"))
            proof = {"session_id": attempt["session_id"], "code_verifier": verifier}
            redeem = await self._http.post(f"{AT}/token", proof)
            self._note("redeem", redeem.sent, redeem.received)
            self._refresh_tokens.append(data(redeem, "redeem")["refresh_token"])
            self._note("whole", began, clock())
        finally:
            watcher.close()

    async def _create(self) -> tuple[str, dict[str, Any]]:
        verifier = secrets.token_urlsafe(48)
        asked = {"door": "app", "code_challenge": challenge(verifier)}
        reply = await self._http.post(f"{AT}/qr-code", asked, agent=self._random.choice(_AGENTS))
        return verifier, data(reply, "create")

    def _note(self, step: str, begun: float, ended: float) -> None:
        self._steps[step].append(ended - begun)


def _milliseconds(seconds: list[float]) -> dict[str, float]:
    return summary(1000 * value for value in seconds)


async def _several(one: Callable[[], Awaitable[None]], count: int) -> None:
    """Do *one* so many times, a few at once."""
    left = iter(range(count))

    async def lane() -> None:
        for _ in left:
            await one()

    await asyncio.gather(*(lane() for _ in range(_AT_ONCE)))


if __name__ == "__main__":
    obey(Load(sys.argv[1]))
