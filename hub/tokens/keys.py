"""Key rings: the keys that sign access tokens, and the secrets behind refresh tokens.

In a ring the first key signs and all verify, so a new key is put in front and the old one stays until the
last token it signed has ended. Every key is parsed once and is good for one algorithm only (RFC 8725
section 3.1): a token's header names the key, and never chooses how it is used.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

Algorithm = Literal["HS256", "EdDSA", "ES256", "RS256"]
PrivateKey = Ed25519PrivateKey | EllipticCurvePrivateKey | RSAPrivateKey
PublicKey = Ed25519PublicKey | EllipticCurvePublicKey | RSAPublicKey

MIN_SECRET_BYTES = 32  # RFC 7518 section 3.2: no shorter than the hash
_THUMBPRINT_MEMBERS = ("crv", "e", "kty", "n", "x", "y")  # those RFC 7638 section 3.2 and RFC 8037 name


@dataclass(frozen=True, slots=True)
class Key:
    """One key of the ring: *signing* is None for a bare public key, *jwk* is None for a secret."""

    kid: str
    algorithm: Algorithm
    verifying: bytes | PublicKey = field(repr=False)
    signing: bytes | PrivateKey | None = field(repr=False)
    jwk: dict[str, str] | None = field(repr=False)


def secret_key(secret: str) -> Key:
    """Make the HS256 key of *secret*; its `kid` is a hash that tells nothing about it.

    Raises ValueError for a secret under 32 bytes, or one that is a PEM key or a JWK by mistake.
    """
    raw = secret.encode()
    if len(raw) < MIN_SECRET_BYTES:
        raise ValueError(f"a signing secret needs at least {MIN_SECRET_BYTES} bytes")
    try:
        raw = jwt.get_algorithm_by_name("HS256").prepare_key(raw)
    except jwt.InvalidKeyError as error:
        raise ValueError(f"not a signing secret: {error}") from None
    kid = _base64url(hmac.digest(raw, b"hub access token kid", "sha256")[:12])
    return Key(kid, "HS256", verifying=raw, signing=raw, jwk=None)


def pem_key(pem: bytes, algorithm: Algorithm) -> Key:
    """Parse a PEM key, private or public, for EdDSA (Ed25519), ES256 (P-256) or RS256 (2048 bits and more).

    The `kid` is the RFC 7638 thumbprint. Raises ValueError when the text is no such key.
    """
    if algorithm == "HS256":
        raise ValueError("HS256 has a secret, not a key file")
    method = jwt.get_algorithm_by_name(algorithm)
    try:
        parsed = method.prepare_key(pem)
    except (ValueError, TypeError, UnsupportedAlgorithm, jwt.InvalidKeyError):
        # The parser's own text may quote the key.
        raise ValueError(f"not an unencrypted PEM key for {algorithm}") from None
    if weakness := method.check_key_length(parsed):
        raise ValueError(weakness)
    private = parsed if isinstance(parsed, PrivateKey) else None
    public = parsed if private is None else private.public_key()
    if not isinstance(public, PublicKey):
        raise ValueError("EdDSA keys must be Ed25519")
    members: dict[str, Any] = method.to_jwk(public, as_dict=True)
    required = {name: members[name] for name in _THUMBPRINT_MEMBERS if name in members}
    kid = _base64url(hashlib.sha256(json.dumps(required, separators=(",", ":")).encode()).digest())
    jwk = required | {"kid": kid, "use": "sig", "alg": algorithm}
    return Key(kid, algorithm, verifying=public, signing=private, jwk=jwk)


class KeyRing:
    """The keys of the access tokens: the first signs, all verify, each found by its `kid`."""

    def __init__(self, keys: Sequence[Key]) -> None:
        """Raises ValueError for an empty ring, for two keys of one `kid`, or a first key that cannot sign."""
        signing = keys[0].signing if keys else None
        if signing is None:
            raise ValueError("the first signing key must be a secret or a private key")
        self.signer = keys[0]
        self.signing = signing
        self._by_kid = {key.kid: key for key in keys}
        if len(self._by_kid) != len(keys):
            raise ValueError("a signing key is given twice")

    def find(self, kid: object) -> Key | None:
        """Return the key that a token's `kid` names, or None; *kid* is whatever the header held."""
        return self._by_kid.get(kid) if isinstance(kid, str) else None

    def __iter__(self) -> Iterator[Key]:
        return iter(self._by_kid.values())

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """Return the JWK Set (RFC 7517 section 5) of the public keys; empty where all keys are secrets."""
        return {"keys": [key.jwk for key in self._by_kid.values() if key.jwk is not None]}


class RefreshKeys:
    """The secrets of `REFRESH_KEYS`: the first makes refresh tokens, all recognise them."""

    def __init__(self, secrets: Sequence[str]) -> None:
        """Raises ValueError for an empty ring or a secret under 32 bytes."""
        if not secrets:
            raise ValueError("at least one refresh-token secret is needed")
        if any(len(secret.encode()) < MIN_SECRET_BYTES for secret in secrets):
            raise ValueError(f"a refresh-token secret needs at least {MIN_SECRET_BYTES} bytes")
        self._secrets = [secret.encode() for secret in secrets]

    def mac(self, message: bytes) -> bytes:
        """Return the 32-byte HMAC-SHA256 of *message* under the first secret."""
        return hmac.digest(self._secrets[0], message, "sha256")

    def matches(self, message: bytes, mac: bytes) -> bool:
        """Tell, in time that does not depend on where they differ, whether any secret made *mac*."""
        found = [hmac.compare_digest(hmac.digest(secret, message, "sha256"), mac) for secret in self._secrets]
        return any(found)


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
