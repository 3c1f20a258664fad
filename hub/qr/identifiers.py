"""Names and secrets of an attempt, all derived from the server's key ring or drawn at random.

session_id   256 bit   HMAC(key, seed): only its SHA-256 and the seed are stored, so that the phone which
                       scanned can be told the id, while a copy of the database cannot be used to ask for it
qr_code      128 bit   random, rotated, stored as it is: anyone who sees the screen knows it
code         256 bit   the authorization code of the redirect, HMAC(key, seed): the same at every asking
"""

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence

import structlog

from hub.errors import AttemptNotFound

log = structlog.stdlib.get_logger("hub.qr")

SESSION_ID = re.compile(r"[A-Za-z0-9_-]{43}")
QR_CODE = re.compile(r"[A-Za-z0-9_-]{22}")


class Identifiers:
    """Makes and finds the identifiers of attempts. *keys* is a ring: the first makes, all are tried."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = [key.encode() for key in keys]

    def session_id(self, seed: str, key: str | None = None) -> str:
        """Return the session_id of *seed*; with *key* (its stored hash) under whichever ring key made it."""
        return _derive(self._maker(seed, key), "session_id", seed)

    def authorization_code(self, seed: str, key: str | None = None) -> str:
        """Return the one-time `code` of the redirect (RFC 6749 section 4.1.2); *key* as for `session_id`."""
        return _derive(self._maker(seed, key), "authorization_code", seed)

    def _maker(self, seed: str, key: str | None) -> bytes:
        """Return the ring key of a new attempt, or the one that made the attempt stored as *key*.

        Raises AttemptNotFound where none did: one was withdrawn too early, or processes have different ones.
        """
        for ring_key in self._keys:
            if key is None or hashed(_derive(ring_key, "session_id", seed)) == key:
                return ring_key
        log.error("attempt_of_unknown_key")
        raise AttemptNotFound("no key of the ring made this attempt")


def new_code() -> str:
    """Return 128 random bits in 22 characters: a `qr_code` or a seed."""
    return secrets.token_urlsafe(16)


def hashed(secret: str) -> str:
    """Return the form in which a secret of full entropy is stored and looked up: SHA-256 in hex."""
    return hashlib.sha256(secret.encode()).hexdigest()


def s256(verifier: str) -> str:
    """Return the S256 challenge of a PKCE verifier (RFC 7636 section 4.2)."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _derive(key: bytes, purpose: str, seed: str) -> str:
    digest = hmac.digest(key, f"{purpose}:{seed}".encode(), "sha256")
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
