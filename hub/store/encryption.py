"""Encryption at rest: AES-256-GCM, with each value bound to its table, row and column.

A sealed value is text: `v1.` + base64url(key id, 4 bytes ‖ nonce, 12 ‖ ciphertext and tag). Who can write to
the database cannot move it to another row or column, for there it does not open.
"""

import base64
import binascii
import json
import os
from collections.abc import Sequence
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

MIN_SECRET_BYTES = 32
_PREFIX = "v1."
_ID_BYTES = 4
_NONCE_BYTES = 12


class Place(NamedTuple):
    """Where a value is kept; *row* is its natural key, known before the row has an id."""

    table: str
    row: Sequence[str]
    column: str


class Unsealable(Exception):
    """The value was sealed under another key or for another place, or was changed."""


class DataKeys:
    """The secrets of `DATA_KEYS`: the first seals, all open."""

    def __init__(self, secrets: Sequence[str]) -> None:
        """Raises ValueError for an empty ring or a secret under 32 bytes."""
        if not secrets or any(len(secret.encode()) < MIN_SECRET_BYTES for secret in secrets):
            raise ValueError(f"at least one secret, and each of {MIN_SECRET_BYTES} bytes or more, is needed")
        keys = [_derive(secret) for secret in secrets]
        self._sealer_id = keys[0][0]
        self._ciphers = {identity: AESGCM(key) for identity, key in keys}

    def seal(self, value: str, place: Place) -> str:
        """Return *value* as text that opens only for the same *place*."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._ciphers[self._sealer_id].encrypt(nonce, value.encode(), _bound(place))
        return _PREFIX + base64.urlsafe_b64encode(self._sealer_id + nonce + sealed).decode()

    def open(self, sealed: str, place: Place) -> str:
        """Return what was sealed for *place*. Raises Unsealable."""
        try:
            if not sealed.startswith(_PREFIX):
                raise ValueError("another version")
            raw = base64.urlsafe_b64decode(sealed[len(_PREFIX) :])
            cipher = self._ciphers[raw[:_ID_BYTES]]
            nonce, text = raw[_ID_BYTES : _ID_BYTES + _NONCE_BYTES], raw[_ID_BYTES + _NONCE_BYTES :]
            return cipher.decrypt(nonce, text, _bound(place)).decode()
        except (binascii.Error, ValueError, KeyError, InvalidTag):
            raise Unsealable(f"{place.table}.{place.column}") from None


def _derive(secret: str) -> tuple[bytes, bytes]:
    """Return the key's public id and the key: HKDF makes both of a secret that is long enough."""
    made = HKDF(SHA256(), _ID_BYTES + 32, salt=None, info=b"hub data at rest v1").derive(secret.encode())
    return made[:_ID_BYTES], made[_ID_BYTES:]


def _bound(place: Place) -> bytes:
    return json.dumps([place.table, list(place.row), place.column], separators=(",", ":")).encode()
