"""A supervised connection to Redis, which comes back for ever.

It must look after itself, for nothing else does: redis-py reconnects behind its caller's back, so that nobody
learns what was lost meanwhile, gives up after some seconds, and never notices a half-open connection.
"""

import asyncio
import random
import secrets
from collections.abc import Callable, Sequence
from hashlib import sha1
from typing import Any, NamedTuple, Self

import hiredis
import structlog

from hub.realtime.dial import Dial
from hub.realtime.wire import LinkDown, Moved, Pushed, Wire
from hub.ticks import until_tick

log = structlog.stdlib.get_logger("hub.realtime")
_random = random.SystemRandom()


class Script(NamedTuple):
    """A Lua script, and the SHA-1 that Redis knows it by."""

    text: str
    sha: str

    @classmethod
    def of(cls, text: str) -> Self:
        """Return *text* with its digest."""
        return cls(text, sha1(text.encode(), usedforsecurity=False).hexdigest())


class Timing(NamedTuple):
    """The intervals of a link, in seconds."""

    heartbeat: float = 5.0
    """Between two heartbeats."""
    heartbeat_timeout: float = 15.0
    """Without one of them coming back, until the connection is given up."""
    backoff: float = 0.2
    """Before the first try to reconnect; doubled with each one."""
    backoff_limit: float = 5.0
    """At most between two tries."""
    answer_timeout: float = 0.5
    """For an answer, before Redis counts as silent."""


DEFAULT_TIMING = Timing()


class Link:
    """Dials, watches over the connection, and dials again after each loss, until `stop()`.

    It subscribes to a parking channel of its own and publishes its heartbeat there: that it comes back proves
    both directions, and Redis' pub/sub between them. *scripts* are loaded into each new connection's Redis.

    *opened* is called when a connection is there, to subscribe; *ready* when all of that is confirmed, with
    True after an outage; *lost* when a ready link is lost; *pushed* with every push but the heartbeat's. None
    of them may block or raise.
    """

    def __init__(
        self,
        name: str,
        dial: Dial,
        parking: str,
        timing: Timing,
        *,
        scripts: Sequence[Script],
        opened: Callable[[], None] = lambda: None,
        ready: Callable[[bool], None] = lambda again: None,
        lost: Callable[[], None] = lambda: None,
        pushed: Pushed = lambda item: None,
    ) -> None:
        self._name = name
        self._dial = dial
        self._parking = f"{parking}{secrets.token_hex(8)}"
        self._parking_wire = self._parking.encode()
        self._timing = timing
        self._scripts = scripts
        self._opened, self._ready, self._lost, self._pushed = opened, ready, lost, pushed
        self._tried = asyncio.Event()
        self._beat: asyncio.Future[None] | None = None
        self._heard = 0.0
        self._task: asyncio.Task[None] | None = None
        self.wire: Wire | None = None
        """The connection, while there is one; what it carries is confirmed only when the link is up."""
        self._up = False

    @property
    def up(self) -> bool:
        """True while all subscriptions are confirmed and Redis answers."""
        return self._up and self.wire is not None and not self.wire.silent

    async def start(self) -> None:
        """Begin to connect; returns when the first try has succeeded or failed."""
        self._task = asyncio.create_task(self._run())
        await self._tried.wait()

    async def stop(self) -> None:
        """Close the connection and stay away."""
        while self._task is not None and not self._task.done():
            # More than once: wait_for() of Python 3.11, in redis-py's handshake, can swallow a cancellation.
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=1.0)
        self._tried.set()

    async def run(self, script: Script, key: str, *arguments: str | bytes | int, late: bool = False) -> Any:
        """Run *script* on *key* and return its answer; with *late* it is sent even to a silent Redis.

        Raises LinkDown when there is no answer within the time limit, or when Redis answers with an error.
        """
        wire = self._usable()
        if late and wire.silent:
            wire.post("EVALSHA", script.sha, 1, key, *arguments)
        try:
            return await wire.call("EVALSHA", script.sha, 1, key, *arguments)
        except hiredis.ReplyError as error:
            if not str(error).startswith("NOSCRIPT"):
                raise self._refused(wire, error) from error
        try:
            return await wire.call("EVAL", script.text, 1, key, *arguments)
        except hiredis.ReplyError as error:
            raise self._refused(wire, error) from error

    async def ask(self, *command: str | bytes | int) -> Any:
        """Return the answer to *command*. Raises LinkDown, for an error too."""
        wire = self._usable()
        try:
            return await wire.call(*command)
        except hiredis.ReplyError as error:
            raise self._refused(wire, error) from error

    def post(self, *command: str | bytes | int) -> None:
        """Send *command* and wait for nothing. Raises LinkDown when it cannot arrive."""
        self._usable().post(*command)

    def _usable(self) -> Wire:
        if self.wire is None:
            raise LinkDown("no connection to Redis")
        return self.wire

    def _refused(self, wire: Wire, error: hiredis.ReplyError) -> LinkDown:
        if str(error).startswith("READONLY"):
            wire.abort()  # a failover has made this one a replica: dialling again finds the new primary
        return Moved(str(error)) if str(error).startswith("MOVED ") else LinkDown(str(error))

    async def _run(self) -> None:
        clock = asyncio.get_running_loop().time
        pause, outage = self._timing.backoff, False
        while True:
            begun = clock()
            try:
                await self._serve(outage)
            except LinkDown as error:
                reason = str(error)
            except Exception as error:  # a defect, here or in redis-py, must not be the end of it
                log.exception("redis_link_failed", link=self._name)
                reason = repr(error)
            if self._up:
                self._up = False
                log.warning("redis_lost", link=self._name, reason=reason)
                self._lost()
            elif not outage:
                log.warning("redis_unreachable", link=self._name, reason=reason)
            if clock() - begun > self._timing.backoff_limit:
                pause = self._timing.backoff
            outage = True
            self._tried.set()
            await asyncio.sleep(pause * _random.uniform(0.5, 1.0))
            pause = min(2 * pause, self._timing.backoff_limit)

    async def _serve(self, outage: bool) -> None:
        """Run one connection from its dialling to its end, which LinkDown names."""
        dialled = await self._dial()
        wire = Wire(dialled.transport, self._push, answer_timeout=self._timing.answer_timeout)
        try:
            wire.subscribe(self._parking)
            try:
                await wire.call("PING")
            except hiredis.ReplyError as error:  # also the one to SUBSCRIBE, which itself has no answer
                raise LinkDown(str(error)) from error
            for script in self._scripts:
                wire.post("SCRIPT", "LOAD", script.text)
            self.wire = wire
            self._opened()
            await self._first_heartbeat(wire)
            self._up = True
            log.info("redis_ready", link=self._name, again=outage)
            self._ready(outage)
            self._tried.set()
            await self._keep(wire)
        finally:
            self.wire = None
            wire.abort()
            await dialled.hang_up()
            await asyncio.wait({wire.lost})

    async def _first_heartbeat(self, wire: Wire) -> None:
        # Redis works in order: when this one is back, everything subscribed to before is confirmed.
        self._beat = asyncio.get_running_loop().create_future()
        wire.post("PUBLISH", self._parking, b"")
        both = {self._beat, wire.lost}
        await asyncio.wait(both, timeout=self._timing.heartbeat_timeout, return_when=asyncio.FIRST_COMPLETED)
        if not self._beat.done():
            raise LinkDown("the first heartbeat did not come back")

    async def _keep(self, wire: Wire) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            await asyncio.wait({wire.lost}, timeout=until_tick(self._timing.heartbeat))
            if wire.lost.done():
                raise LinkDown("the connection was lost")
            if clock() - self._heard > self._timing.heartbeat_timeout:
                raise LinkDown("heartbeat missed")
            wire.post("PUBLISH", self._parking, b"")

    def _push(self, item: list[Any]) -> None:
        if item[1] == self._parking_wire:
            self._heard = asyncio.get_running_loop().time()
            if self._beat is not None and not self._beat.done():
                self._beat.set_result(None)
        else:
            self._pushed(item)
