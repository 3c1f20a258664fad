"""Signing and sealing of pushes, from WeChat's side.

It shares no line with the hub's own side on purpose: one mistake made by both would cancel out, and every
test between the two would pass.
"""

import base64
import hashlib
import hmac
import re
import secrets
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

_BLOCK: Final = 32
_AES_KEY: Final = re.compile(r"[0-9A-Za-z]{43}")


def signature(*parts: str) -> str:
    """Return the SHA-1 of the sorted *parts*: token, timestamp, nonce, and the sealed text if any."""
    return hashlib.sha1("".join(sorted(parts)).encode(), usedforsecurity=False).hexdigest()


def seal(aes_key: str, appid: str, message: bytes) -> str:
    """Return *message* as the `Encrypt` member holds it; *aes_key* has 43 characters. Raises ValueError."""
    plain = secrets.token_bytes(16) + len(message).to_bytes(4, "big") + message + appid.encode()
    filler = _BLOCK - len(plain) % _BLOCK
    encryptor = _cipher(aes_key).encryptor()
    sealed = encryptor.update(plain + bytes([filler]) * filler) + encryptor.finalize()
    return base64.b64encode(sealed).decode()


def unseal(aes_key: str, appid: str, sealed: str) -> bytes:
    """Return the message of an `Encrypt` member. Raises ValueError for one that is not for this app."""
    decryptor = _cipher(aes_key).decryptor()
    plain = decryptor.update(base64.b64decode(sealed, validate=True)) + decryptor.finalize()
    filler = plain[-1] if plain else 0
    if not 1 <= filler <= _BLOCK or plain[-filler:] != bytes([filler]) * filler:
        raise ValueError("wrong padding")
    plain = plain[:-filler]
    end = 20 + int.from_bytes(plain[16:20], "big")
    if end > len(plain) or not hmac.compare_digest(plain[end:], appid.encode()):
        raise ValueError("sealed for another app")
    return plain[20:end]


def key(aes_key: str) -> bytes:
    """Return the 32 bytes of an EncodingAESKey. Raises ValueError for what is none."""
    if not _AES_KEY.fullmatch(aes_key):
        raise ValueError("an EncodingAESKey has 43 letters and figures")
    return base64.b64decode(aes_key + "=")


def _cipher(aes_key: str) -> Cipher[modes.CBC]:
    raw = key(aes_key)
    return Cipher(algorithms.AES(raw), modes.CBC(raw[:16]))
