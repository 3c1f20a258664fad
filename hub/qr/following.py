"""Following one attempt without a task: subscribe, wait for the confirmation, read, then be told."""

import asyncio
from typing import TYPE_CHECKING, Protocol

from hub.errors import AttemptNotFound, HubError
from hub.qr.attempt import Attempt, Snapshot, channel
from hub.qr.identifiers import SESSION_ID, hashed
from hub.realtime.watch import Message

if TYPE_CHECKING:
    from hub.qr.attempts import Attempts

_SUBSCRIBE_WAIT = 0.3  # seconds; a later confirmation only means that SQL is read once more


class Listener(Protocol):
    """Who follows. Both methods are called on the event loop, and must neither block nor raise."""

    def news(self, snapshot: Snapshot) -> None:
        """Take a snapshot that is newer than all before."""

    def gone(self, error: HubError) -> None:
        """Learn that there is nothing to follow any more."""


class _Opening:
    """What has happened to a following that has not started yet."""

    __slots__ = ("again", "confirmed", "heard", "snapshot")

    def __init__(self) -> None:
        self.confirmed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.heard: Message | None = None
        self.again = False
        self.snapshot: Snapshot

    def confirm(self) -> None:
        """End the wait for the subscription; one that is confirmed later means to read again."""
        if self.confirmed.done():
            self.again = True
        else:
            self.confirmed.set_result(None)


class Following:
    """Tells its listener each newer snapshot of one attempt: `open()`, `start()`, and `close()` at the end.

    It is a watcher of the attempt's channel. Whatever demands a reading (a subscription that begins, a time
    that has come) it leaves to the attempts' `attention`, which serves all followings of the process.
    """

    __slots__ = ("_attempts", "_opening", "channel", "listener", "seq", "session_id", "slot")

    def __init__(self, attempts: "Attempts", session_id: str) -> None:
        self._attempts = attempts
        self._opening: _Opening | None = None
        self.session_id = session_id
        self.channel = ""
        self.listener: Listener
        self.seq = 0
        """The newest snapshot that is known here."""
        self.slot = 0
        """Where the attention has it, which sets it."""

    @property
    def key(self) -> str:
        """The hash under which the attempt is stored."""
        return self.channel.partition(":")[2]

    @property
    def closed(self) -> bool:
        """Whether nobody follows (yet, or any more)."""
        return not self.channel

    async def open(self) -> Snapshot:
        """Begin to follow, and return the attempt's present state.

        Raises AttemptNotFound or StoreUnavailable, and then nothing is followed.
        """
        if not SESSION_ID.fullmatch(self.session_id):
            raise AttemptNotFound("malformed session_id")
        self.channel = channel(hashed(self.session_id))
        opening = self._opening = _Opening()
        broker = self._attempts.broker
        broker.attach(self)
        try:
            if broker.healthy and not opening.confirmed.done():
                timer = asyncio.get_running_loop().call_later(_SUBSCRIBE_WAIT, opening.confirm)
                try:
                    await opening.confirmed
                finally:
                    timer.cancel()
            opening.snapshot = (await self._attempts.rereading.read(self.key)).snapshot()
        except BaseException:
            self.close()
            raise
        self.seq = opening.snapshot.seq
        return opening.snapshot

    def start(self, listener: Listener) -> None:
        """Tell *listener* from now on, and what was heard since `open()` at once."""
        opening = self._opening
        if opening is None:
            raise RuntimeError("nothing was opened")
        self._opening = None
        self.listener = listener
        self._attempts.attention.expect(self, opening.snapshot)
        if opening.heard is not None:
            self.offer(opening.heard)
        if opening.again:
            self.read_again()

    def close(self) -> None:
        """Follow no longer; more than once is no error."""
        if self.channel:
            self._attempts.broker.detach(self)
            self._attempts.attention.forget(self)
            self.channel = ""

    # --- What the broker calls.

    def offer(self, message: Message) -> None:
        if self._opening is not None:
            if self._opening.heard is None or self._opening.heard.seq < message.seq:
                self._opening.heard = message
        elif message.seq > self.seq:
            try:
                snapshot = Snapshot.from_message(message)
            except ValueError:  # a process of another version has told it; SQL is the same for both
                self._attempts.attention.read(self)
            else:
                self._know(snapshot)
                self.listener.news(snapshot)

    def read_again(self) -> None:
        if self._opening is not None:
            self._opening.confirm()
        else:
            self._attempts.attention.read(self)

    # --- What the attention calls.

    def learn(self, attempt: Attempt) -> None:
        """Take what was read."""
        if self.closed:
            return
        snapshot = attempt.snapshot()
        newer = snapshot.seq > self.seq
        if newer or snapshot.seq == self.seq:
            self._know(snapshot)
        if newer:
            self.listener.news(snapshot)

    def _know(self, snapshot: Snapshot) -> None:
        self.seq = snapshot.seq
        self._attempts.attention.expect(self, snapshot)
