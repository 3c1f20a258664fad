"""What must hold after every fault, whatever it was and whenever it came."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

import httpx2

from tests.code_client import Person, new_number
from tests.faults.matrix.stage import Stage
from tests.faults.matrix.visitor import FINAL, Visitor
from tests.signing_in import rows

TRIES = 3  # comparisons of one code
GUESSES = 8
INVALID, LOCKED = "/problems/invalid-code", "/problems/code-locked"
_ENDED = "SELECT id, status, reason, seq, user_id FROM login_sessions WHERE status IN ('{}')"
_COUNTS = """
    SELECT (SELECT COUNT(*) FROM user_sessions) AS sessions,
           (SELECT COUNT(*) FROM login_sessions WHERE redeemed_at IS NOT NULL) AS redeemed
"""


class Before(NamedTuple):
    """The database before a fault."""

    ended: dict[int, tuple[object, ...]]  # the attempts in a final state
    others: int  # sessions that no attempt has led to

    @classmethod
    async def of(cls, stage: Stage) -> "Before":
        """Note it."""
        (counts,) = await rows(stage.database_url, _COUNTS)
        return cls(await _ended(stage), counts["sessions"] - counts["redeemed"])

    async def holds(self, stage: Stage) -> None:
        """No attempt has left its final state, and none has led to a second session."""
        after = await _ended(stage)
        assert {key: after.get(key) for key in self.ended} == self.ended
        (counts,) = await rows(stage.database_url, _COUNTS)
        assert counts["sessions"] - counts["redeemed"] == self.others


async def _ended(stage: Stage) -> dict[int, tuple[object, ...]]:
    found = await rows(stage.database_url, _ENDED.format("', '".join(FINAL)))
    return {row["id"]: (row["status"], row["reason"], row["seq"], row["user_id"]) for row in found}


def check_frames(visitors: Sequence[Visitor]) -> None:
    """Nobody was told of a move back, or of any move of an attempt that had ended."""
    for visitor in visitors:
        for session_id in {told[0] for told in visitor.told}:
            frames = [(seq, status) for told, seq, status in visitor.told if told == session_id]
            seqs = [seq for seq, _ in frames]
            assert seqs == sorted(seqs), frames
            assert all(status not in FINAL for _, status in frames[:-1]), frames
        assert len(visitor.sessions) <= 1


class Refused:
    """An attempt that its person has declined, and that somebody tries to move all the same."""

    def __init__(self, stage: Stage) -> None:
        self.visitor = Visitor(stage, 0, door="app")

    async def close(self) -> None:
        """Leave."""
        await self.visitor.close()

    async def begin(self) -> None:
        """Begin, scan, and decline."""
        await self.visitor.begin()
        await self.visitor.claim()
        answer = await self.visitor.decline()
        assert answer.status_code == 200, answer.text
        await self.visitor.hears("failed")

    async def push(self) -> None:
        """Try to confirm and to redeem; neither succeeds."""
        for answer in (await self.visitor.try_to_confirm(), await self.visitor.try_to_redeem()):
            assert 400 <= answer.status_code < 500, answer.text


class Guesser:
    """Somebody who has three tries at a code, and makes more; with *expires* its time may be over before."""

    def __init__(self, stage: Stage, *, expires: bool) -> None:
        self._expires = expires
        self._urls = stage.urls
        self._person = Person(self._urls[0])
        self._person.http.timeout = 5
        self._number = new_number()
        self._code = ""

    async def close(self) -> None:
        """Leave."""
        await self._person.http.aclose()

    async def begin(self) -> None:
        """Ask for the code, and look it up where it arrives."""
        answer = await self._person.send(self._number)
        assert answer.status_code == 200, answer.text
        async with asyncio.timeout(20), httpx2.AsyncClient() as http:
            while not self._code:
                for url in self._urls:
                    found = await http.get(f"{url}/sandbox/messages", params={"to": self._number})
                    self._code = next((message["code"] for message in found.json()), self._code)
                await asyncio.sleep(0.02)

    async def guess(self) -> None:
        """Guess wrong, more often than one may; then even the right code is refused."""
        wrong = f"{(int(self._code) + 1) % 10**6:06d}"
        told = [await self._insist(wrong, number) for number in range(GUESSES)]
        told.append(await self._insist(self._code, 0))
        if self._expires and LOCKED not in told:
            assert set(told) == {INVALID}
        else:
            compared = told.count(INVALID)
            assert compared <= TRIES, told
            assert told[compared:] == [LOCKED] * (len(told) - compared), told

    async def _insist(self, code: str, turn: int) -> str:
        while True:
            turn += 1
            self._person.http.base_url = self._urls[turn % len(self._urls)]
            try:
                answer = await self._person.login(self._number, code)
            except httpx2.TransportError:
                pass
            else:
                if answer.status_code != 503:
                    problem: str = answer.json().get("type", "signed in")
                    return problem
            await asyncio.sleep(0.2)


async def check_tries(stage: Stage) -> None:
    """No code was compared more often than it may be."""
    (most,) = await rows(stage.database_url, "SELECT MAX(attempt_count) AS tries FROM verification_codes")
    assert most["tries"] <= TRIES
