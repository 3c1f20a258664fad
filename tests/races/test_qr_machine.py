"""Two browsers and three phones at random, one after another and at once, against a small model.

What several do at once must come to the same as if they had done it in some order: outcomes and rows.
"""

import asyncio
import itertools
import shutil
import sqlite3
import tempfile
from collections.abc import Coroutine, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from hub.errors import HubError
from hub.limits.memory import MemoryLimiter
from hub.limits.rules import Limit, Verdict, judge
from hub.qr.attempt import Attempt
from hub.qr.follow import Follower, Sweep
from hub.qr.phone import Answer
from hub.realtime.memory import MemoryBroker
from hub.realtime.watch import Message
from hub.store.database import Store
from hub.store.migrate import migrate
from tests.scanning import Desk, Stopped, Waiting, person
from tests.servers.waiting import until

SECONDS = 10.0


class Act(NamedTuple):
    """Something that a browser or a phone does to an attempt; a scan is of the *code*th code it has shown."""

    kind: str
    who: str = ""
    code: int = 0


@dataclass
class Model:
    """What an attempt is, by the specification; times in seconds since the test began."""

    ends: float
    code_ends: float
    began: float
    status: str = "pending"
    reason: str | None = None
    seq: int = 1
    codes: int = 1
    claimer: str | None = None
    redeemed: bool = False
    renewed: bool = False

    def do(self, act: Act, now: float) -> str:
        """Do *act* at *now* and return its outcome: the error's name, or the status that it answers."""
        match act.kind:
            case "tick":
                return self._tick(now)
            case "scan" if not self._accepts(act.code, now):
                return "AttemptNotFound"
            case "scan" | "claim":
                return self._over(now) or self._claim(act.who, now)
            case "redeem":
                return self._redeem(now)
            case "steal":
                return "BindingMismatch"
            case "renew":
                self._tick(now)
                self.renewed |= self.status in ("expired", "failed")
                return "renewed" if self.renewed else "WrongState"
            case "cancel":
                return self._over(now) or self._move("failed", "cancelled")
        if self.claimer != act.who:
            return "GrantRequired"
        over = self._over(now) or ("" if self.status == "scanned" else "WrongState")
        if over:
            return over
        if act.kind == "confirm":
            self.ends = now + 60
            return self._move("confirmed")
        return self._move("failed", {"decline": "declined", "report": "reported"}[act.kind])

    def _accepts(self, code: int, now: float) -> bool:
        age = self.codes - 1 - code
        return age < 2 and (self.status != "pending" or now < self.code_ends + 10 - 60 * age)

    def _over(self, now: float) -> str:
        if self.status == "failed":
            return "AlreadyClaimed" if self.reason == "already_claimed" else "AttemptFailed"
        if self.status == "expired" or now >= self.ends:
            return "AttemptExpired"
        return "WrongState" if self.status == "confirmed" else ""

    def _move(self, status: str, reason: str | None = None) -> str:
        self.status, self.reason = status, reason
        self.seq += 1
        return status

    def _claim(self, who: str, now: float) -> str:
        if self.status == "pending":
            self.claimer = who
            self.ends = min(self.began + 600, now + 120)
            return self._move("scanned")
        if self.claimer == who:
            return "scanned"
        self._move("failed", "already_claimed")
        return "AlreadyClaimed"

    def _redeem(self, now: float) -> str:
        if self.status == "failed":
            return "AttemptFailed"
        if self.redeemed:
            return "AlreadyRedeemed"
        if self.status == "expired" or now >= self.ends:
            return "AttemptExpired"
        if self.status != "confirmed":
            return "NotConfirmed"
        self.redeemed = True
        return "redeemed"

    def _tick(self, now: float) -> str:
        if self.status in ("pending", "scanned") and now >= self.ends:
            self._move("expired")
        elif self.status == "pending" and now >= self.code_ends:
            self.code_ends = now + 60
            self.codes += 1
            self.seq += 1
        return self.status


@dataclass
class Followed:
    """An attempt, its model, its codes (the visible one is the last), and what its watchers were told."""

    waiting: Waiting
    model: Model
    codes: list[str]
    watchers: list[list[tuple[int, str]]] = field(default_factory=list)


class Forgetful(MemoryBroker):
    """A broker that may be away, as its promise allows: what is published then is lost."""

    away = False

    async def publish(self, channel: str, message: Message, *, ttl: float) -> None:
        if not self.away:
            await super().publish(channel, message, ttl=ttl)


# Weighted, so that in the steps of one run something comes to its end now and then.
WHO = st.sampled_from(["alice", "alice", "alice", "bob", "carol"])
PHONE_ACTS = ["claim", "claim", "confirm", "confirm", "confirm", "decline", "report"]
BROWSER_ACTS = ["redeem", "redeem", "redeem", "redeem", "tick", "tick", "renew", "renew", "cancel", "steal"]
ACTS = st.one_of(
    st.builds(Act, st.sampled_from(PHONE_ACTS), WHO, st.just(0)),
    st.builds(Act, st.just("scan"), WHO, st.sampled_from([0, 0, 0, 1, 2])),
    st.builds(Act, st.sampled_from(BROWSER_ACTS), st.just(""), st.just(0)),
)
HONEST = [Act("scan", "alice"), Act("confirm", "alice")]
DONE = st.sampled_from([0, 1, 2])
PAUSE = st.sampled_from([0] * 14 + [1, 9, 11, 51, 60, 121, 300])
INDEX = st.sampled_from([0, 0, 0, 1, 2])  # the newest attempt, most of the time


class Unlimited(MemoryLimiter):
    """No limits: how often a browser may be burnt has a test of its own."""

    async def hit(self, limit: Limit, key: str, *, cost: int = 1) -> Verdict:
        return judge(limit, 0, 0, 0)


class SignIns(RuleBasedStateMachine):
    """The services on a file of their own, beside the model."""

    template: Path

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self._path = Path(self._folder.name) / "hub.db"
        shutil.copy(self.template, self._path)
        self._runner = asyncio.Runner()
        self._store = Store(f"sqlite:///{self._path}")
        self._run(self._store.start())
        self._clock = Stopped(self._store)
        self._zero = self._clock.now()
        self._broker = Forgetful()
        self._desk = Desk(self._store, self._broker, limiter=Unlimited(), cautious=False)
        self._attempts: list[Followed] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._reader = sqlite3.connect(self._path)
        self._reader.row_factory = sqlite3.Row

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self._runner.run(work)

    @property
    def _now(self) -> float:
        return (self._clock.now() - self._zero).total_seconds()

    def _rows(self, sql: str, *values: object) -> list[sqlite3.Row]:
        return self._reader.execute(sql, values).fetchall()

    # ── what can happen ──────────────────────────────────────────────────────────────────────────────

    @initialize(done=DONE)
    def begin_one(self, done: int) -> None:
        """There is an attempt."""
        self.begin(done)

    @rule(done=DONE)
    def begin(self, done: int) -> None:
        """A browser begins an attempt, and the first phone may have done its part already."""
        if len(self._attempts) < 8:
            self._follow(self._run(self._desk.begin()))
            for act in HONEST[:done]:
                self.act(0, 0, [act])

    @rule(index=INDEX, pause=PAUSE, acts=st.lists(ACTS, min_size=2, max_size=4))
    def act(self, index: int, pause: int, acts: list[Act]) -> None:
        """After a while several do something at once: it comes to the same as in one order or another."""
        self._clock.forward(pause)
        followed = self._pick(index)
        acts = [act._replace(code=max(0, len(followed.codes) - 1 - act.code)) for act in acts]

        async def gathered() -> list[str]:
            return list(await asyncio.gather(*(self._outcome(followed, act) for act in acts)))

        outcomes = self._run(gathered())
        seen, before = self._seen(followed), followed.model
        for order in itertools.permutations(range(len(acts))):
            model = deepcopy(before)
            said = {place: model.do(acts[place], self._now) for place in order}
            if [said[place] for place in range(len(acts))] == outcomes and self._expected(model) == seen:
                followed.model = model
                if model.seq > before.seq and not self._broker.away:
                    self._run(self._heard(followed, followed.watchers))
                return
        raise AssertionError(f"no order explains {list(zip(acts, outcomes, strict=True))}, ending as {seen}")

    @rule(index=INDEX, act=ACTS)
    def alone(self, index: int, act: Act) -> None:
        """Somebody does something."""
        self.act(index, 0, [act])

    @rule(index=INDEX)
    def watch(self, index: int) -> None:
        """A browser opens a socket, a stream or a long poll."""
        followed = self._pick(index)
        told: list[tuple[int, str]] = []
        followed.watchers.append(told)

        async def follow() -> None:
            async with Follower(self._desk.attempts, followed.waiting.session_id) as follower:
                while True:
                    snapshot = await follower.next()
                    told.append((snapshot.seq, snapshot.status))

        self._tasks.append(self._runner.get_loop().create_task(follow()))
        followed.model.do(Act("tick"), self._now)
        self._run(self._heard(followed, [told]))

    @rule(away=st.booleans())
    def broker(self, away: bool) -> None:
        """The broker goes away; or it is back, the sweep has run, and every watcher knows the truth."""
        self._broker.away = away
        if not away:
            self._run(self._converge())

    # ── what must always hold ────────────────────────────────────────────────────────────────────────

    @invariant()
    def rows_are_as_the_model_says(self) -> None:
        """Each row is as the model has it, and nothing else was begun."""
        for followed in self._attempts:
            assert self._seen(followed) == self._expected(followed.model)
        renewed = [
            row["successor_id"] for row in self._rows("SELECT * FROM login_sessions") if row["successor_id"]
        ]
        known = {followed.waiting.id for followed in self._attempts}
        for successor_id in set(renewed) - known:
            self._follow(self._run(self._waiting(successor_id)))
        assert len(self._rows("SELECT id FROM login_sessions")) == len(self._attempts)
        assert len(renewed) == len(set(renewed))

    @invariant()
    def each_redemption_is_one_session(self) -> None:
        """Nobody is signed in but by a redemption, and each one is on record."""
        redeemed = sum(followed.model.redeemed for followed in self._attempts)
        assert len(self._rows("SELECT id FROM user_sessions")) == redeemed
        assert len(self._rows("SELECT id FROM login_logs WHERE login_status = 'success'")) == redeemed

    @invariant()
    def each_person_is_one_account(self) -> None:
        """Whoever has confirmed has one account, and nobody else has."""
        confirmed = {
            followed.model.claimer for followed in self._attempts if followed.model.status == "confirmed"
        }
        assert len(self._rows("SELECT id FROM users")) == len(confirmed)

    @invariant()
    def watchers_never_go_back(self) -> None:
        """Each watcher is told of each `seq` once, and of none after a newer one."""
        for followed in self._attempts:
            for told in followed.watchers:
                seqs = [seq for seq, _ in told]
                assert seqs == sorted(set(seqs))

    def teardown(self) -> None:
        """Let everybody hear the end, and close."""
        try:
            self.broker(False)
        finally:
            self._run(self._close())
            self._runner.close()
            self._reader.close()
            self._folder.cleanup()

    # ── how ──────────────────────────────────────────────────────────────────────────────────────────

    def _pick(self, index: int) -> Followed:
        return self._attempts[-1 - index % len(self._attempts)]

    def _follow(self, waiting: Waiting) -> None:
        model = Model(began=self._now, ends=self._now + 300, code_ends=self._now + 60)
        self._attempts.append(Followed(waiting, model, [waiting.qr_code]))

    async def _waiting(self, attempt_id: int) -> Waiting:
        attempt = await self._desk.attempts.by_id(attempt_id)
        (first,) = [
            followed
            for followed in self._attempts
            if (await self._desk.attempts.by_id(followed.waiting.id)).successor_id == attempt_id
        ]
        session_id = self._desk.attempts.made.session_id(attempt.session_seed)
        return Waiting(attempt_id, session_id, attempt.qr_code, first.waiting.verifier)

    async def _outcome(self, followed: Followed, act: Act) -> str:
        desk, waiting = self._desk, followed.waiting
        match act.kind:
            case "scan":
                return await outcome(desk.scan(waiting, act.who, followed.codes[act.code]))
            case "claim":
                return await outcome(self._claim(waiting, act.who))
            case "confirm":
                return await outcome(desk.answer(waiting, act.who))
            case "decline":
                return await outcome(desk.answer(waiting, act.who, Answer.CANCEL))
            case "report":
                return await outcome(desk.answer(waiting, act.who, Answer.REPORT))
            case "cancel":
                return await outcome(desk.cancel(waiting))
            case "redeem":
                return await outcome(desk.redeem(waiting), "redeemed")
            case "steal":
                return await outcome(desk.redeem(waiting, "x" * 43))
            case "renew":
                return await outcome(desk.renew(waiting), "renewed")
        return await outcome(self._tick(waiting))

    async def _claim(self, waiting: Waiting, who: str) -> Attempt:
        return await self._desk.claim(await self._desk.attempts.by_session(waiting.session_id), who)

    async def _tick(self, waiting: Waiting) -> Attempt:
        attempts = self._desk.attempts
        return await attempts.tick(await attempts.by_session(waiting.session_id))

    def _seen(self, followed: Followed) -> tuple[object, ...]:
        (row,) = self._rows("SELECT * FROM login_sessions WHERE id = ?", followed.waiting.id)
        if row["qr_code"] != followed.codes[-1]:
            followed.codes.append(row["qr_code"])
        return (
            row["status"],
            row["reason"],
            row["seq"],
            row["scanned_by"],
            row["expires_at"],
            row["qr_expires_at"],
            row["redeemed_at"] is not None,
            row["successor_id"] is not None,
        )

    def _expected(self, model: Model) -> tuple[object, ...]:
        ends, code_ends = (
            (self._zero + timedelta(seconds=at)).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
            for at in (model.ends, model.code_ends)
        )
        claimer = person(model.claimer).subject if model.claimer else None
        state: Sequence[object] = (model.status, model.reason, model.seq, claimer, ends, code_ends)
        return (*state, model.redeemed, model.renewed)

    async def _converge(self) -> None:
        for followed in self._attempts:
            # In life a watcher's timer does this; it knows nothing of the clock that was moved.
            followed.model.do(Act("tick"), self._now)
            await self._tick(followed.waiting)
        await Sweep(self._desk.attempts).once()
        for followed in self._attempts:
            await self._heard(followed, followed.watchers)

    async def _heard(self, followed: Followed, watchers: Sequence[list[tuple[int, str]]]) -> None:
        """Wait until these watchers were told the truth; then they rest, until something new happens."""

        async def heard() -> bool:
            return all(told[-1:] == [truth] for told in watchers)

        truth = (followed.model.seq, followed.model.status)
        await until(heard, timeout=SECONDS)

    async def _close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        assert self._broker.watched() == []
        await self._store.stop()


async def outcome(doing: Coroutine[Any, Any, Any], done: str = "") -> str:
    """What becomes of *doing*: the error's name, or *done*, or the status of the attempt it returns."""
    try:
        attempt = await doing
    except HubError as error:
        return type(error).__name__
    return done or str(attempt.status)


async def test_random_interleavings(tmp_path: Path) -> None:
    """Whatever browsers and phones do in whichever order, rows, answers and frames are those of the model."""
    SignIns.template = tmp_path / "template.db"
    await migrate(f"sqlite:///{SignIns.template}")
    quick = settings(
        max_examples=100,
        stateful_step_count=40,
        phases=[Phase.generate],  # what happens at once does not happen again just so: shrinking is in vain
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    await asyncio.to_thread(run_state_machine_as_test, SignIns, settings=quick)
