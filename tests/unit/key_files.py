"""Freshly made keys as the PEM texts that key files hold."""

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from hub.tokens.keys import Algorithm, PrivateKey, PublicKey

PRIVATE: dict[Algorithm, PrivateKey] = {
    "EdDSA": Ed25519PrivateKey.generate(),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "RS256": rsa.generate_private_key(65537, 2048),
}
SECRET = "a-secret-of-more-than-thirty-two-bytes"
OTHER_SECRET = "another-secret-of-more-than-thirty-two-bytes"


def private_pem(key: PrivateKey, password: bytes | None = None) -> bytes:
    """Return *key* as PKCS 8, encrypted where a password is given."""
    lock = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock)


def public_pem(key: PublicKey) -> bytes:
    """Return *key* as a SubjectPublicKeyInfo."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
