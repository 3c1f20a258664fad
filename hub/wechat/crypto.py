"""The signatures and the encryption of what WeChat pushes to an official account, and of our replies.

Plain text is 16 random bytes ‖ length of the message (4 bytes, big-endian) ‖ message ‖ app id, padded as in
PKCS #7 (RFC 5652 section 6.3) but to blocks of 32 bytes, under AES-256-CBC whose IV is the key's first half.
"""

import base64
import binascii
import hashlib
import hmac
import os
from collections.abc import Sequence
from typing import Final, NamedTuple

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC

_BLOCK: Final = 32
_RANDOM: Final = 16
_HEAD: Final = _RANDOM + 4


class Untrusted(Exception):
    """Not from WeChat, not for this account, or damaged; nothing tells which, so nobody learns by trying."""


class AesKey:
    """An EncodingAESKey: 43 characters of base64, 32 bytes."""

    __slots__ = ("_cipher",)

    def __init__(self, encoded: str) -> None:
        """Raises ValueError where it is none."""
        key = base64.b64decode(encoded + "=", validate=True)
        if len(key) != 32:
            raise ValueError("an EncodingAESKey has 43 characters")
        self._cipher = Cipher(AES256(key), CBC(key[:16]))

    def encrypt(self, plain: bytes) -> bytes:
        """Encrypt whole blocks."""
        encryptor = self._cipher.encryptor()
        return encryptor.update(plain) + encryptor.finalize()

    def decrypt(self, sealed: bytes) -> bytes:
        """Decrypt. Raises ValueError for a broken block."""
        decryptor = self._cipher.decryptor()
        return decryptor.update(sealed) + decryptor.finalize()


class Opened(NamedTuple):
    """A decrypted message, and the key that the reply is to be encrypted with."""

    message: bytes
    key: AesKey


class Sealed(NamedTuple):
    """An encrypted reply, with what WeChat wants beside it."""

    encrypted: str
    signature: str
    timestamp: str
    nonce: str


class MessageCrypto:
    """The secrets of one official account: its Token, app id, and EncodingAESKeys, the current one first.

    With a key it is in WeChat's secure mode. Raises ValueError for a key that is none.
    """

    def __init__(self, token: str, appid: str, aes_keys: Sequence[str] = ()) -> None:
        self._token = token
        self._appid = appid.encode()
        self._keys = [AesKey(key) for key in aes_keys]

    @property
    def secure(self) -> bool:
        """Whether messages must come encrypted."""
        return bool(self._keys)

    def signature(self, *parts: str) -> str:
        """Return the signature of *parts*: SHA-1 in hex over them and the Token, sorted and joined."""
        joined = "".join(sorted((self._token, *parts)))
        return hashlib.sha1(joined.encode(errors="replace"), usedforsecurity=False).hexdigest()

    def check(self, signature: str, *parts: str) -> None:
        """Raise Untrusted unless *signature* is that of *parts*."""
        if not hmac.compare_digest(signature.encode(errors="replace"), self.signature(*parts).encode()):
            raise Untrusted

    def open(self, encrypted: str) -> Opened:
        """Decrypt an `Encrypt` member whose signature has been checked. Raises Untrusted."""
        try:
            sealed = base64.b64decode(encrypted)
        except (binascii.Error, ValueError):
            raise Untrusted from None
        for key in self._keys:
            message = self._message(key, sealed)
            if message is not None:
                return Opened(message, key)
        raise Untrusted

    def seal(self, message: bytes, key: AesKey, timestamp: str, nonce: str) -> Sealed:
        """Encrypt and sign a reply."""
        plain = os.urandom(_RANDOM) + len(message).to_bytes(4) + message + self._appid
        pad = _BLOCK - len(plain) % _BLOCK
        encrypted = base64.b64encode(key.encrypt(plain + bytes([pad]) * pad)).decode()
        return Sealed(encrypted, self.signature(timestamp, nonce, encrypted), timestamp, nonce)

    def _message(self, key: AesKey, sealed: bytes) -> bytes | None:
        try:
            plain = key.decrypt(sealed)
        except ValueError:
            return None
        pad = plain[-1] if plain else 0
        end = len(plain) - pad
        if not 1 <= pad <= _BLOCK or end < _HEAD or plain[end:] != bytes([pad]) * pad:
            return None
        message_end = _HEAD + int.from_bytes(plain[_RANDOM:_HEAD])
        if not hmac.compare_digest(plain[message_end:end], self._appid):
            return None
        return plain[_HEAD:message_end]
