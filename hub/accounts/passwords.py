"""Passwords: which ones are accepted, and the hash that is kept of them."""

import asyncio
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import bcrypt
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from hub.errors import FieldError, InvalidRequest, Reason, Unavailable

MIN_LENGTH, MAX_LENGTH = 8, 128  # characters (OWASP ASVS 5.0, 6.2.1 and 6.2.9)

_ESTIMATED = 24  # characters; of longer ones an estimate would hold the loop up, and few are weak
_WEAK = 1  # zxcvbn's score up to which a password falls within a million guesses

_AT_ONCE = 2  # hashes; each takes a core for some 30 ms and 19 MiB of memory
_WAITING = 100  # hashes asked for and not done; more would keep people waiting for seconds
_BCRYPT = ("$2a$", "$2b$", "$2x$", "$2y$")
_BCRYPT_BYTES = 72  # of a password; bcrypt never saw the rest

T = TypeVar("T")


class Verified(NamedTuple):
    """Whether a password was *right*; a *stale* hash is to be replaced, now that the password is known."""

    right: bool
    stale: bool


class Passwords:
    """Hashes passwords by argon2id (RFC 9106; parameters of the OWASP cheat sheet), off the event loop."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="password")
        self._waiting = 0
        self._nobodys = self._hasher.hash("of nobody")

    async def start(self) -> None:
        """Do nothing: threads begin when they are needed."""

    async def stop(self) -> None:
        """Let the hashes that have begun end."""
        self._threads.shutdown()

    async def hash(self, password: str) -> str:
        """Return the hash of an accepted password, in the PHC string format. Raises Unavailable."""
        return await self._run(lambda: self._hasher.hash(password))

    async def verify(self, password: str, password_hash: str | None) -> Verified:
        """Compare *password* with a hash by argon2 or bcrypt; None, of nobody, costs the same and is wrong.

        Raises Unavailable when too many wait.
        """
        return await self._run(lambda: self._verify(password, password_hash))

    def _verify(self, password: str, password_hash: str | None) -> Verified:
        normal = normalised(password)
        if password_hash is None:
            self._matches(self._nobodys, normal)
            return Verified(right=False, stale=False)
        if password_hash.startswith(_BCRYPT):
            # Whoever made it hashed what was typed, most likely.
            right = any(_bcrypt_matches(password_hash, form) for form in dict.fromkeys((password, normal)))
            return Verified(right, stale=right)
        right = self._matches(password_hash, normal)
        return Verified(right, stale=right and self._hasher.check_needs_rehash(password_hash))

    def _matches(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except (VerificationError, InvalidHashError):  # another password, or no hash that we know
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= _WAITING:
            raise Unavailable("too many passwords at once")
        self._waiting += 1
        job = asyncio.get_running_loop().run_in_executor(self._threads, work)
        job.add_done_callback(self._done)
        return await job

    def _done(self, _: object) -> None:
        self._waiting -= 1


def normalised(password: str) -> str:
    """Return the form of a password that is hashed (NFKC), however the keyboard composed it."""
    return unicodedata.normalize("NFKC", password)


def accepted(password: str, names: Iterable[str | None] = (), field: str = "password") -> str:
    """Return *password* in the form that is hashed (NFKC); *names* are those of the account.

    Any character is allowed. Raises InvalidRequest for one that is too short or too long, common, or one of
    the names (OWASP ASVS 5.0, 6.2.4 and 6.2.11); where `zxcvbn` is installed, for one that it calls weak too.
    """
    normal = normalised(password)
    folded = normal.casefold()
    words = [part for name in names if name for part in (name, name.partition("@")[0])]
    reason: Reason | None = None
    if not MIN_LENGTH <= len(normal) <= MAX_LENGTH:
        reason = "password_length"
    elif folded in _common():
        reason = "password_common"
    elif folded in {word.casefold() for word in words}:
        reason = "password_own_name"
    elif len(normal) <= _ESTIMATED and (strength := _strength(normal, words)):
        reason = "password_weak" if strength["score"] <= _WEAK else None
    if reason:
        raise InvalidRequest([FieldError(field, reason, {"least": MIN_LENGTH, "most": MAX_LENGTH})])
    return normal


def _bcrypt_matches(password_hash: str, password: str) -> bool:
    try:
        return bcrypt.checkpw(password.encode()[:_BCRYPT_BYTES], password_hash.encode())
    except ValueError:  # a broken hash, or a password with a NUL
        return False


def _strength(password: str, words: list[str]) -> Mapping[str, Any] | None:
    """Return what zxcvbn thinks of *password*, None where it is not installed."""
    estimate = _zxcvbn()
    return estimate(password, user_inputs=words) if estimate else None


@cache
def _zxcvbn() -> Callable[..., Mapping[str, Any]] | None:
    return import_module("zxcvbn").zxcvbn if find_spec("zxcvbn") else None


@cache
def _common() -> frozenset[str]:
    text = Path(__file__).with_name("common_passwords.txt").read_text("utf-8")
    return frozenset(text.split())
