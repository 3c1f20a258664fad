"""WeChat's consents: out to WeChat with a signed `state`, and back with a code.

The state of one consent is random, signed, short-lived and bound to the browser that asked for it. Its kind
says what the code that comes back is good for; each kind has one `Consent`, and `hub.qr.callback` receives
them all:

    H5                a phone that has landed claims the attempt
    OPEN_PLATFORM     the person of the browser that began the attempt approves it
    OFFICIAL_ACCOUNT  a silent consent (`snsapi_base`) shows who opens the official account's confirm link
"""

import hmac
import secrets
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from enum import IntEnum
from typing import NamedTuple, Protocol

from hub.errors import HubError
from hub.qr.attempt import Attempt
from hub.store.database import Connection

STATE_LIFE = 600  # seconds: as long as a whole attempt
_BODY = 25
_MAC = 16


class Kind(IntEnum):
    """What a consent is for; the first byte of its state."""

    H5 = 1
    OPEN_PLATFORM = 2
    OFFICIAL_ACCOUNT = 3


_KINDS = frozenset(Kind)


class Stated(NamedTuple):
    """What a state says."""

    kind: Kind
    attempt_id: int


class ConsentState:
    """Makes and reads the `state` of a consent: 82 hex characters, for WeChat allows only letters and digits.

    kind (1 byte), attempt id (8), end of life (4), nonce (12), then a MAC over these and the browser's
    binding secret.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = [hmac.digest(key.encode(), b"consent-state", "sha256") for key in keys]

    def make(self, kind: Kind, attempt_id: int, secret: str, now: datetime) -> str:
        """Return a fresh state for this attempt and this browser."""
        ends = int(now.timestamp()) + STATE_LIFE
        body = kind.to_bytes(1) + attempt_id.to_bytes(8) + ends.to_bytes(4) + secrets.token_bytes(12)
        return (body + self._mac(self._keys[0], body, secret)).hex()

    def read(self, state: str, secret: str, now: datetime) -> Stated | None:
        """Return what *state* says, or None if it is forged, old, or of another browser."""
        try:
            raw = bytes.fromhex(state)
        except ValueError:
            return None
        body, mac = raw[:-_MAC], raw[-_MAC:]
        if raw.hex() != state:  # another spelling of the same bytes would pass for a fresh state
            return None
        if len(body) != _BODY or body[0] not in _KINDS or int.from_bytes(body[9:13]) <= now.timestamp():
            return None
        if not any(hmac.compare_digest(self._mac(key, body, secret), mac) for key in self._keys):
            return None
        return Stated(Kind(body[0]), int.from_bytes(body[1:9]))

    @staticmethod
    def _mac(key: bytes, body: bytes, secret: str) -> bytes:
        return hmac.digest(key, body + secret.encode(), "sha256")[:_MAC]


class Outcome(NamedTuple):
    """What came of a consent: a name, and the attempt as it stands where there is one."""

    name: str
    attempt: Attempt | None = None


class Hit(NamedTuple):
    """A consent that came back with its code, which nobody else is exchanging.

    `settle(tx, name)` puts the outcome on record inside the transaction that makes it true, so that both come
    or neither; it raises when another hit has given this one up. What is not settled is recorded afterwards.
    """

    attempt_id: int
    code: str
    language: str
    settle: Callable[[Connection, str], Awaitable[None]]


class Consent(Protocol):
    """What one kind of consent does with the answer. Each method may raise a HubError."""

    async def accept(self, hit: Hit) -> Outcome:
        """Exchange the code, once, and act upon who it names."""
        ...

    async def decline(self, attempt_id: int) -> Outcome:
        """Take note that the person came back without a code, as often as that happens."""
        ...

    async def give_up(self, attempt_id: int, error: HubError | None) -> None:
        """Take note that the exchange failed by *error*, None where its process died; the code is spent."""
        ...
