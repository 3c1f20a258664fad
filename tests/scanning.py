"""The QR sign-in straight through its services, for the tests that need no HTTP."""

import itertools
import secrets
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from hub.accounts.identities import Identity
from hub.audit.places import Places
from hub.limits.memory import MemoryLimiter
from hub.limits.rules import Limiter
from hub.qr.attempt import Attempt
from hub.qr.attempts import Attempts
from hub.qr.identifiers import Identifiers, s256
from hub.qr.new_attempt import Content, NewAttempt
from hub.qr.phone import Answer, Phone
from hub.qr.precautions import Precautions
from hub.qr.redemption import Redemption, SignedIn, challenge_binding
from hub.qr.refusals import Refusals
from hub.qr.request_info import RequestInfo
from hub.qr.states import Lifetimes
from hub.realtime.broker import Broker
from hub.store.database import Row, Store
from tests.signing_in import LAPTOP, NOWHERE, PHONE, make_sessions, make_watching, rows

KEYS = ("cookie-secret-" * 3,)
LIVES = Lifetimes()


class Stopped:
    """A store's clock that stands still until it is moved, so that a test can foretell each deadline."""

    def __init__(self, store: Store, setattr_: Callable[[object, str, object], None] = setattr) -> None:
        self._moment = store.now()
        setattr_(store, "now", self.now)

    def now(self) -> datetime:
        """Return the moment at which it stands."""
        return self._moment

    def forward(self, seconds: float) -> None:
        """Move it on."""
        self._moment += timedelta(seconds=seconds)


class Waiting(NamedTuple):
    """An attempt as the browser that began it knows it."""

    id: int
    session_id: str
    qr_code: str
    verifier: str


class Desk:
    """The services over one store and one broker, and what browsers and people do with them.

    A person is known by an openid. Unless *cautious*, reports of a browser's address demand nothing.
    """

    def __init__(
        self,
        store: Store,
        broker: Broker,
        *,
        burn: bool = True,
        limiter: Limiter | None = None,
        contents: Mapping[str, Content] | None = None,
        places: Places = NOWHERE,
        cautious: bool = True,
    ) -> None:
        self.store = store
        self.broker = broker
        self.attempts = Attempts(store, broker, Identifiers(KEYS), LIVES, contents)
        watching = make_watching(store, broker)
        self.info = RequestInfo("Shop", places)
        precautions = Precautions(watching.reports, self.info.mismatch, limited=cautious)
        self.phone = Phone(
            self.attempts,
            Refusals(watching.signals, watching.reports),
            precautions,
            limiter or MemoryLimiter(),
            burn=burn,
        )
        self.redemption = Redemption(self.attempts, make_sessions(store, broker), watching.signals)
        self._addresses = (f"10.0.{number // 256}.{number % 256}" for number in itertools.count())

    async def begin(self, ip_address: str | None = None, door: str = "h5", **members: Any) -> Waiting:
        """Begin an attempt that is bound by PKCE, at a new address if none is given."""
        verifier = secrets.token_urlsafe(32)
        address = ip_address or next(self._addresses)
        new = NewAttempt(door, challenge_binding(s256(verifier)), address, "Firefox", **members)
        attempt = await self.attempts.begin(new)
        session_id = self.attempts.made.session_id(attempt.session_seed)
        return Waiting(attempt.id, session_id, attempt.qr_code, verifier)

    async def scan(self, waiting: Waiting, openid: str = "alice", qr_code: str | None = None) -> Attempt:
        """Land on the code and come back from the consent."""
        attempt = await self.phone.land(qr_code or waiting.qr_code)
        return await self.claim(attempt, openid)

    async def claim(self, attempt: Attempt, openid: str = "alice") -> Attempt:
        """Come back from the consent."""
        identity = person(openid)
        return await self.phone.claim(attempt, identity.subject, identity.profile())

    async def answer(
        self,
        waiting: Waiting,
        openid: str = "alice",
        answer: Answer = Answer.CONFIRM,
        *,
        acknowledged: bool = False,
    ) -> Attempt:
        """Press a button of the confirm page."""
        return await self.phone.answer(
            waiting.session_id,
            person(openid).subject,
            answer,
            PHONE,
            on_page=True,
            acknowledged=acknowledged,
        )

    async def cancel(self, waiting: Waiting) -> Attempt:
        """Cancel in the browser."""
        return await self.phone.cancel(waiting.session_id)

    async def redeem(self, waiting: Waiting, verifier: str | None = None) -> SignedIn:
        """Swap the attempt for tokens, by its own verifier if no other is given."""
        return await self.redemption.by_session(
            waiting.session_id, LAPTOP, verifier=verifier or waiting.verifier, secret=None
        )

    async def renew(self, waiting: Waiting) -> Attempt:
        """Ask for the successor."""
        return await self.attempts.succeed(await self.attempts.by_session(waiting.session_id))

    async def confirmed(self, openid: str = "alice") -> Waiting:
        """Return an attempt that this person has confirmed."""
        waiting = await self.begin()
        await self.scan(waiting, openid)
        await self.answer(waiting, openid)
        return waiting


def person(openid: str) -> Identity:
    """Return the person of this openid, as WeChat describes them."""
    return Identity("wx1", openid, nickname=openid.title())


async def row(url: str, waiting: Waiting) -> Row:
    """Return the attempt's row, read beside the store."""
    (found,) = await rows(url, f"SELECT * FROM login_sessions WHERE id = {waiting.id}")  # noqa: S608 - a number
    return found
