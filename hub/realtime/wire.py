"""RESP3 over one connection: commands out, answers in their order, pushes in between.

redis.asyncio spends three to seven times as much CPU on a command, and three times as much on a message that
comes alone, as this protocol does with the same parser: on streams, locks, timers and tasks of its own.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final, cast

import hiredis

Command = tuple[str | bytes | int, ...]
Pushed = Callable[[list[Any]], None]

_NOTHING: Final = object()
_BACKLOG = 1024 * 1024


class LinkDown(Exception):
    """Redis cannot be asked: there is no connection, or it is silent."""


class Moved(LinkDown):
    """In a cluster, another node serves this name."""


class Fence:
    """Stands after commands that are answered by pushes, or else by errors, which would be taken for others'.

    Redis answers in order: the errors before the fence's own token are theirs.
    """

    __slots__ = ("refused", "token")

    def __init__(self, token: bytes, refused: Callable[[str], None]) -> None:
        self.token = token
        self.refused = refused


class Wire(asyncio.Protocol):
    """One connection that is past its handshake, until it is lost.

    Answers come in the order of the commands, so one that is overdue holds back all behind it. When the
    oldest has been waiting for *answer_timeout* seconds, Redis counts as `silent`: every waiting call fails
    with LinkDown, and so does each further one, at once, until any byte arrives.
    """

    def __init__(self, transport: asyncio.Transport, pushed: Pushed, *, answer_timeout: float) -> None:
        self.silent = False
        self._loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[None] = self._loop.create_future()
        self._answer_timeout = answer_timeout
        self._transport = transport
        self._pushed = pushed
        self._reader = hiredis.Reader(notEnoughData=_NOTHING)
        # When each command was sent, and who waits for its answer: nobody, if None.
        self._asked: deque[tuple[float, asyncio.Future[Any] | Fence | None]] = deque()
        self._fences = 0
        self._timer: asyncio.TimerHandle | None = None
        transport.set_protocol(self)

    def call(self, *command: str | bytes | int) -> asyncio.Future[Any]:
        """Send *command* and return the future of its answer.

        The future raises hiredis.ReplyError where Redis answers with an error, LinkDown where it does not
        answer. Raises LinkDown at once when the connection is lost or silent.
        """
        if self.silent:
            raise LinkDown("no answer from Redis")
        answer: asyncio.Future[Any] = self._loop.create_future()
        self._send(command, answer)
        return answer

    def post(self, *command: str | bytes | int) -> None:
        """Send *command* even to a silent Redis, and wait for nothing.

        It may only be slow, and then takes up what was sent. Raises LinkDown when the connection is lost, or
        when a megabyte is waiting to be sent already.
        """
        if self._transport.get_write_buffer_size() > _BACKLOG:
            raise LinkDown("Redis takes nothing more")
        self._send(command, None)

    def subscribe(self, *channels: str) -> None:
        """Subscribe to *channels*; each one's confirmation is pushed. Raises LinkDown."""
        self._write(("SUBSCRIBE", *channels))

    def unsubscribe(self, *channels: str) -> None:
        """End the subscription to *channels*. Raises LinkDown."""
        self._write(("UNSUBSCRIBE", *channels))

    def fenced(self, commands: Iterable[Command], refused: Callable[[str], None]) -> None:
        """Send *commands* that are answered by pushes; *refused* gets each error instead. Raises LinkDown."""
        for command in commands:
            self._write(command)
        self._fences += 1
        token = b"fence %d" % self._fences
        self._send(("ECHO", token), Fence(token, refused))

    def abort(self) -> None:
        """Drop the connection, and what was not sent yet, without a word; `lost` follows."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self.silent = False
        reader = self._reader
        reader.feed(data)
        try:
            while (item := reader.gets()) is not _NOTHING:
                if type(item) is hiredis.PushNotification:
                    self._pushed(item)
                else:
                    self._answer(item)
        except hiredis.ProtocolError:
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._fail("the connection was lost")
        self._asked.clear()
        self.lost.set_result(None)

    def _write(self, command: Command) -> None:
        if self._transport.is_closing():
            raise LinkDown("the connection was lost")
        self._transport.write(hiredis.pack_command(cast("Any", command)))  # its stub says: a tuple of one

    def _send(self, command: Command, answer: asyncio.Future[Any] | Fence | None) -> None:
        self._write(command)
        self._asked.append((self._loop.time(), answer))
        if self._timer is None:
            self._timer = self._loop.call_later(self._answer_timeout, self._check)

    def _answer(self, item: Any) -> None:
        if not self._asked:
            raise hiredis.ProtocolError("an answer to nothing: out of step for good")
        answer = self._asked[0][1]
        if isinstance(answer, Fence) and item != answer.token:
            answer.refused(str(item))
            return
        self._asked.popleft()
        if answer is None or isinstance(answer, Fence) or answer.done():
            return
        if isinstance(item, hiredis.ReplyError):
            answer.set_exception(item)
        else:
            answer.set_result(item)

    def _check(self) -> None:
        # One timer for all calls, moved on to the oldest: a timer for each would cost more than the call.
        self._timer = None
        if not self._asked:
            return
        overdue = self._asked[0][0] + self._answer_timeout
        if overdue > self._loop.time():
            self._timer = self._loop.call_at(overdue, self._check)
        else:
            self.silent = True
            self._fail("no answer from Redis")

    def _fail(self, reason: str) -> None:
        for _, answer in self._asked:
            if isinstance(answer, asyncio.Future) and not answer.done():
                answer.set_exception(LinkDown(reason))
