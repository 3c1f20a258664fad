"""The worker's sending: takes what is due from the outbox and hands it to the providers of its kind."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from time import monotonic
from typing import Final

import structlog
from prometheus_client import Counter, Histogram

from hub.codes.messages import Kind, Message, masked
from hub.codes.outbox import Claim, Outbox
from hub.codes.senders.console import CONSOLE
from hub.codes.senders.port import Misconfigured, Permanent, Sender, Temporary
from hub.errors import StoreUnavailable
from hub.store.database import Row, Store
from hub.store.encryption import Unsealable

log = structlog.stdlib.get_logger("hub.outbox")

SENT = Counter("hub_outbox_sent_total", "Messages that a provider took.", ["kind", "provider"])
DEAD = Counter("hub_outbox_dead_total", "Messages that were given up.", ["kind", "reason"])
TRIES = Counter("hub_sender_tries_total", "Tries to hand a message to a provider.", ["provider", "result"])
TRY_SECONDS = Histogram("hub_sender_try_seconds", "Time a try took, successful or not.", ["provider"])

MAX_TRIES: Final = 15
SLOTS: Final = 8  # messages of one kind that one process sends at once
LOOK: Final = 1.0  # seconds between two looks at the queue
_LATER: Final = 0.01  # seconds by which a timer may be early
_MARK_TIME: Final = 15.0  # seconds at the end of a lease that are kept for the mark
_GRACE: Final = 12.0  # seconds for what is being sent when the process is told to go
_FIRST_PAUSE, _LONGEST_PAUSE = 2.0, 300.0
_PATIENCE: Final = 3  # failures in a row after which a provider comes last ...
_REST: Final = 30.0  # ... for so many seconds


class Dispatcher:
    """Sends the messages of each kind through its *senders*, the first of them first.

    A provider that fails temporarily is passed over for the next one. Where all fail, the message waits and
    is tried again, up to MAX_TRIES times or until it has expired; then it is a dead letter. Kinds do not wait
    for each other. Any number of dispatchers may share an outbox; one with nothing to send looks into it when
    it is woken, and every *idle* seconds.
    """

    def __init__(
        self, store: Store, outbox: Outbox, senders: Mapping[Kind, Sequence[Sender]], idle: float = LOOK
    ) -> None:
        self._store = store
        self._outbox = outbox
        self._senders = senders
        self._idle = idle
        self._standing = {sender.name: _Standing() for group in senders.values() for sender in group}
        for name in self._standing:
            TRIES.labels(name, "ok")  # a provider that nobody has needed yet shows as well
        self._loops: list[asyncio.Task[None]] = []
        self._sending: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Begin to send."""
        self._loops = [
            asyncio.create_task(self._take(kind), name=f"outbox-{kind}")
            for kind, group in self._senders.items()
            if group
        ]

    async def stop(self) -> None:
        """Take no more, and let what is being sent end; what does not, another worker finds again."""
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        if self._sending:
            _, stuck = await asyncio.wait(self._sending, timeout=_GRACE)
            for task in stuck:
                task.cancel()
            await asyncio.gather(*stuck, return_exceptions=True)

    async def _take(self, kind: Kind) -> None:
        sending: set[asyncio.Task[None]] = set()
        while True:
            rows = await self._due(kind, SLOTS - len(sending))
            for row in rows or ():
                task = asyncio.create_task(self._deliver(row))
                for group in (sending, self._sending):
                    group.add(task)
                    task.add_done_callback(group.discard)
                task.add_done_callback(lambda _: self._outbox.wake())
            await self._outbox.woken(kind, LOOK if rows is None or sending else self._idle)

    async def _due(self, kind: Kind, free: int) -> list[Row] | None:
        """Return messages to claim, at most *free*; None where the queue cannot be read."""
        try:
            rows = await self._outbox.due(kind, 4 * SLOTS) if free else []
        except StoreUnavailable as error:
            log.warning("outbox_not_read", kind=kind, reason=error.reason)
            return None
        except Exception:
            log.exception("outbox_not_read", kind=kind)
            return None
        random.shuffle(rows)  # or all workers would race for the same few
        return rows[:free]

    async def _deliver(self, row: Row) -> None:
        try:
            claim = await self._outbox.claim(row)
            if claim:
                await self._process(claim)
        except StoreUnavailable as error:
            log.warning("message_not_marked", id=row["id"], reason=error.reason)
        except Exception:
            log.exception("message_failed", id=row["id"])

    async def _process(self, claim: Claim) -> None:
        """Send a claimed message, or put it where it belongs."""
        try:
            message = self._outbox.open(claim)
        except Unsealable:
            await self._bury(claim, "unreadable")
            return
        if message.expires_at <= self._store.now():
            await self._bury(claim, "expired")
            return
        if claim.attempts > MAX_TRIES:  # whoever tried before did not live to say what came of it
            await self._bury(claim, "tries")
            return
        try:
            provider = await self._send(claim, message)
        except Permanent as error:
            await self._bury(claim, "refused", error.code)
        except Temporary as error:
            if claim.attempts >= MAX_TRIES:
                await self._bury(claim, "tries", error.code)
            else:
                seconds = max(pause(claim.attempts, random.random()), error.retry_after)  # noqa: S311 - jitter
                await self._outbox.postpone(claim, seconds, error.code)
                asyncio.get_running_loop().call_later(seconds + _LATER, self._outbox.wake)
        else:
            SENT.labels(claim.kind, provider).inc()
            await self._insist(claim, lambda: self._outbox.sent(claim, provider, keep=provider == CONSOLE))

    async def _send(self, claim: Claim, message: Message) -> str:
        """Return who took it. Raises Permanent, or the last provider's Temporary."""
        failure = Temporary("no time")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(claim.over - monotonic() - _MARK_TIME):
                for sender in self._order(claim.kind):
                    try:
                        await self._try(sender, message, claim.reference)
                    except Temporary as error:
                        failure = error
                    else:
                        return sender.name
        raise failure

    async def _try(self, sender: Sender, message: Message, reference: str) -> None:
        standing = self._standing[sender.name]
        result = "cancelled"
        try:
            with TRY_SECONDS.labels(sender.name).time():
                await sender.send(message, reference)
            result = "ok"
        except (Temporary, Permanent) as error:
            result = type(error).__name__.lower()
            write = log.error if isinstance(error, Misconfigured) else log.warning
            write(
                "message_not_taken",
                provider=sender.name,
                kind=result,
                code=error.code[:64],
                template=message.template,
                to=masked(message.to),
            )
            raise
        except Exception:
            # A provider may answer what nobody foresaw; the next one may still take the message.
            result = "defect"
            log.exception("sender_failed", provider=sender.name)
            raise Temporary("defect") from None
        finally:
            TRIES.labels(sender.name, result).inc()
            standing.count(failed=result not in ("ok", "permanent"))

    def _order(self, kind: Kind) -> list[Sender]:
        """Return the providers as configured, those that keep failing last."""
        now = monotonic()
        return sorted(self._senders[kind], key=lambda sender: self._standing[sender.name].resting(now))

    async def _bury(self, claim: Claim, reason: str, code: str = "") -> None:
        await self._outbox.bury(claim, f"{reason} {code}".strip())
        DEAD.labels(claim.kind, reason).inc()
        log.error("message_dead", id=claim.id, kind=claim.kind, reason=reason, code=code[:64])

    async def _insist(self, claim: Claim, mark: Callable[[], Awaitable[None]]) -> None:
        """Mark, again and again while the database is away: unmarked it would be sent once more."""
        while True:
            try:
                await mark()
            except StoreUnavailable as error:
                if monotonic() > claim.over:
                    raise
                log.warning("mark_delayed", reason=error.reason)
                await asyncio.sleep(0.5)
            else:
                return


class _Standing:
    """How a provider has done lately."""

    def __init__(self) -> None:
        self._failures = 0
        self._failed_at = 0.0

    def count(self, *, failed: bool) -> None:
        self._failures = self._failures + 1 if failed else 0
        self._failed_at = monotonic()

    def resting(self, now: float) -> bool:
        return self._failures >= _PATIENCE and now - self._failed_at < _REST


def pause(tries: int, chance: float) -> float:
    """Return the seconds to wait after *tries* tries: doubled each time, with *chance* (0 to 1) as jitter."""
    longest: float = min(_FIRST_PAUSE * 2.0 ** (tries - 1), _LONGEST_PAUSE)
    return longest * (0.5 + chance / 2)
