"""Passwords: which ones are accepted, and the hash that is kept of them."""

import asyncio
import unicodedata
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from argon2 import PasswordHasher

from hub.errors import FieldError, InvalidRequest

MIN_LENGTH, MAX_LENGTH = 8, 128  # characters (OWASP ASVS 5.0, 6.2.1 and 6.2.9)

_AT_ONCE = 2  # hashes; each takes a core for some 30 ms and 19 MiB of memory


class Passwords:
    """Hashes passwords by argon2id (RFC 9106; parameters of the OWASP cheat sheet), off the event loop."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="password")

    async def start(self) -> None:
        """Do nothing: threads begin when they are needed."""

    async def stop(self) -> None:
        """Let the hashes that have begun end."""
        self._threads.shutdown()

    async def hash(self, password: str) -> str:
        """Return the hash of an accepted password, in the PHC string format."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._hasher.hash, password)


def accepted(password: str, names: Iterable[str | None] = ()) -> str:
    """Return *password* in the form that is hashed (NFKC); *names* are those of the account.

    Any character is allowed. Raises InvalidRequest for one that is too short or too long, common, or one of
    the names (OWASP ASVS 5.0, 6.2.4 and 6.2.11).
    """
    normal = unicodedata.normalize("NFKC", password)
    folded = normal.casefold()
    reason = None
    if not MIN_LENGTH <= len(normal) <= MAX_LENGTH:
        reason = f"{MIN_LENGTH} to {MAX_LENGTH} characters"
    elif folded in _common():
        reason = "one of the most common passwords"
    elif folded in {part.casefold() for name in names if name for part in (name, name.partition("@")[0])}:
        reason = "the account's own name"
    if reason:
        raise InvalidRequest([FieldError("password", reason)])
    return normal


@cache
def _common() -> frozenset[str]:
    text = Path(__file__).with_name("common_passwords.txt").read_text("utf-8")
    return frozenset(text.split())
