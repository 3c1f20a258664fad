"""What holds for one-time codes: how they are drawn and kept, how long they live, how often they are sent.

A code is live from its sending until it is used, replaced by a newer one, tried TRIES times or too old. Who
has burnt a code alone is locked out of that address and purpose for a while; of a code that several have
tried nobody is, for else two tries of a stranger and one slip of the owner would lock the owner out.
"""

import hmac
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal, NamedTuple, get_args

Channel = Literal["phone", "email"]
Purpose = Literal["register", "login", "reset_password", "bind", "verify"]
PURPOSES: tuple[Purpose, ...] = get_args(Purpose)

TRIES = 3  # comparisons, in all
LOCK = timedelta(minutes=10)
LIVES: Mapping[Channel, timedelta] = {"phone": timedelta(minutes=5), "email": timedelta(minutes=10)}
MIN_PEPPER_BYTES = 32


class Target(NamedTuple):
    """What a code is for: the number or address it is sent to, and what may be done with it."""

    channel: Channel
    address: str
    purpose: Purpose


class Budget(NamedTuple):
    """At most *quota* codes to one address in any stretch of *window*."""

    quota: int
    window: timedelta


# Within what carriers allow a number; the first one is the gap before the next code.
BUDGETS = (
    Budget(1, timedelta(minutes=1)),
    Budget(5, timedelta(hours=1)),
    Budget(10, timedelta(days=1)),
)
GAP = BUDGETS[0].window
REMEMBERED = max(budget.window for budget in BUDGETS)


class Asker(NamedTuple):
    """Who asks: *network* is that of *ip*, *device* the hash of the device cookie's secret, where it has one.

    *anon_id* is the name that a client without account gave itself.
    """

    ip: str
    network: str
    device: str | None
    anon_id: str | None
    user_agent: str

    @property
    def name(self) -> str:
        """The one who is locked out: the device, else the network."""
        return f"device:{self.device}" if self.device else f"network:{self.network}"


class Peppers:
    """The secrets of `CODE_PEPPERS`: the first makes the hashes of codes, all recognise them."""

    def __init__(self, secrets_: Sequence[str]) -> None:
        """Raises ValueError for an empty ring or a secret under 32 bytes."""
        if not secrets_ or any(len(secret.encode()) < MIN_PEPPER_BYTES for secret in secrets_):
            raise ValueError(f"at least one pepper, and each of {MIN_PEPPER_BYTES} bytes or more, is needed")
        self._keys = [secret.encode() for secret in secrets_]

    def hash(self, target: Target, code: str) -> str:
        """Return the form in which a code is stored: its HMAC-SHA256, bound to what it is for, in hex."""
        return _mac(self._keys[0], target, code)

    def match(self, code_hash: str, target: Target, code: str) -> bool:
        """Tell, in time that does not depend on where they differ, whether *code* is the one kept."""
        found = [hmac.compare_digest(_mac(key, target, code), code_hash) for key in self._keys]
        return any(found)


def draw(channel: Channel, length: int) -> str:
    """Return a fresh code of *length* digits; one for e-mail does not begin with 0."""
    least = 10 ** (length - 1) if channel == "email" else 0
    return f"{least + secrets.randbelow(10**length - least):0{length}d}"


def wait(sent: Sequence[datetime], now: datetime) -> float:
    """Return in how many seconds an address that got codes at *sent* may get the next one, 0 for at once."""
    pauses = [0.0]
    for quota, window in BUDGETS:
        recent = sorted(moment for moment in sent if moment + window > now)
        if len(recent) >= quota:
            pauses.append((recent[-quota] + window - now).total_seconds())
    return max(pauses)


def burnt(attempt_count: int, tried_by: str | None, asker: Asker) -> bool:
    """Tell whether a code is dead by the tries of *asker* alone."""
    return attempt_count >= TRIES and tried_by == asker.name


def _mac(key: bytes, target: Target, code: str) -> str:
    return hmac.digest(key, "\0".join((*target, code)).encode(), "sha256").hex()
