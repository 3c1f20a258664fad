"""Key files: PEM, for `JWT_KEYS`."""

import os
from pathlib import Path
from typing import Literal

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from hub.tokens.keys import Key, PrivateKey, pem_key

FileAlgorithm = Literal["EdDSA", "ES256", "RS256"]

_RSA_BITS = 3072


def generate(path: Path, algorithm: FileAlgorithm) -> Key:
    """Write a new private key to *path*, for its owner's eyes only, and return it.

    Raises OSError, FileExistsError for a file that is there: it may be in use.
    """
    pem = _private(algorithm).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
    return pem_key(pem, algorithm)


def is_exposed(path: Path) -> bool:
    """Tell whether others than the file's owner may read it. Raises OSError."""
    return bool(path.stat().st_mode & 0o077)


def _private(algorithm: FileAlgorithm) -> PrivateKey:
    match algorithm:
        case "EdDSA":
            return Ed25519PrivateKey.generate()
        case "ES256":
            return ec.generate_private_key(ec.SECP256R1())
        case "RS256":
            return rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS)
