"""The website's QR codes: who has scanned which, what they decided, and who waits for that."""

import asyncio
import contextlib
import secrets
from dataclasses import dataclass, field
from typing import Final, Literal

from hub.wechat.sandbox.asked import Asked
from hub.wechat.sandbox.clock import Clock
from hub.wechat.sandbox.grants import Grants
from hub.wechat.sandbox.kept import Kept
from hub.wechat.sandbox.people import Person

LIFE: Final = 300
WAITING: Final = 408
SCANNED: Final = 404
DECLINED: Final = 403
APPROVED: Final = 405
EXPIRED: Final = 402
UNKNOWN: Final = 500


@dataclass(slots=True)
class QrLogin:
    """One code; *state* is what the long poll answers. *person* is who scanned it last."""

    uuid: str
    asked: Asked
    expires_at: float
    state: Literal[408, 404, 403, 405] = 408
    person: Person | None = None
    code: str = ""
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class QrLogins:
    """All codes of this process; *hold* is how long a poll waits, in seconds."""

    def __init__(self, clock: Clock, grants: Grants, *, hold: float) -> None:
        self._clock = clock
        self._grants = grants
        self._hold = hold
        self._all: Kept[str, QrLogin] = Kept()
        self._released = False
        clock.on_move(self._wake)

    def begin(self, asked: Asked) -> QrLogin:
        """Return a new code, which lives five minutes."""
        login = QrLogin(secrets.token_urlsafe(12), asked, self._clock.time() + LIFE)
        self._all[login.uuid] = login
        return login

    def find(self, uuid: str) -> QrLogin | None:
        """Return the code where it is known and still lives."""
        login = self._all.get(uuid)
        return login if login and self._clock.time() < login.expires_at else None

    def scan(self, login: QrLogin, person: Person) -> bool:
        """Let *person* scan, and return whether it is theirs: the first one's, until they decline."""
        if login.state == APPROVED or (login.state == SCANNED and login.person != person):
            return False
        login.person = person
        self._move(login, 404)
        return True

    def allow(self, login: QrLogin) -> None:
        """Approve what was scanned: from now on polls are given the code."""
        if login.state == SCANNED and login.person is not None:
            login.code = self._grants.issue(login.asked.appid, login.person, login.asked.scope)
            self._move(login, 405)

    def reject(self, login: QrLogin) -> None:
        """Decline what was scanned; the code can be scanned again."""
        if login.state == SCANNED:
            self._move(login, 403)

    async def wait(self, uuid: str, last: str) -> tuple[int, QrLogin | None]:
        """Return the state of a code once it is another than *last*, or 408 when the time is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._hold):
                while True:
                    if uuid not in self._all:
                        return UNKNOWN, None
                    login = self.find(uuid)
                    if login is None:
                        return EXPIRED, None
                    if login.state != WAITING and str(login.state) != last:
                        return login.state, login
                    if self._released:
                        return WAITING, None
                    changed = login.changed
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(max(0.05, login.expires_at - self._clock.time())):
                            await changed.wait()
        return WAITING, None

    def release(self) -> None:
        """Answer every poll that waits, and every later one at once, as if its time were over."""
        self._released = True
        self._wake()

    def _move(self, login: QrLogin, state: Literal[404, 403, 405]) -> None:
        login.state = state
        self._tell(login)

    def _wake(self) -> None:
        for login in self._all.values():
            self._tell(login)

    @staticmethod
    def _tell(login: QrLogin) -> None:
        login.changed.set()
        login.changed = asyncio.Event()
