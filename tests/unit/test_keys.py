"""The key rings: which keys are taken, what they are called, and what is shown of them."""

import json
from base64 import urlsafe_b64decode

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from hub.tokens.keys import Algorithm, KeyRing, RefreshKeys, pem_key, secret_key
from tests.unit.key_files import OTHER_SECRET, PRIVATE, SECRET, private_pem, public_pem

ED448 = Ed448PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
ALGORITHMS: list[Algorithm] = ["EdDSA", "ES256", "RS256"]


def test_thumbprint_of_an_ed25519_key() -> None:
    """The kid of the key of RFC 8037 appendix A is the thumbprint of its appendix A.3."""
    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    key = pem_key(private_pem(Ed25519PrivateKey.from_private_bytes(seed)), "EdDSA")
    assert key.kid == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_thumbprint_of_an_rsa_key() -> None:
    """The kid of the key of RFC 7638 section 3.1 is the thumbprint printed there."""
    modulus = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZ"
        "CiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJ"
        "ZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBn"
        "iIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw=="
    )
    numbers = rsa.RSAPublicNumbers(65537, int.from_bytes(urlsafe_b64decode(modulus), "big"))
    assert pem_key(public_pem(numbers.public_key()), "RS256").kid == (
        "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    )


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_private_and_public_file_are_the_same_key(algorithm: Algorithm) -> None:
    """Both halves have one kid and one JWK; only the private one signs."""
    private = pem_key(private_pem(PRIVATE[algorithm]), algorithm)
    public = pem_key(public_pem(PRIVATE[algorithm].public_key()), algorithm)
    assert (private.kid, private.jwk) == (public.kid, public.jwk)
    assert private.signing is not None
    assert public.signing is None


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_jwks_holds_public_members_only(algorithm: Algorithm) -> None:
    """What is shown of a private key is its public JWK, with kid, use and alg."""
    ring = KeyRing([pem_key(private_pem(PRIVATE[algorithm]), algorithm), secret_key(SECRET)])
    (shown,) = ring.jwks()["keys"]
    assert set(shown) <= {"kty", "crv", "x", "y", "n", "e", "kid", "use", "alg"}
    assert (shown["kid"], shown["use"], shown["alg"]) == (ring.signer.kid, "sig", algorithm)


def test_jwks_of_secrets_is_empty() -> None:
    """A ring of HS256 secrets publishes nothing."""
    assert KeyRing([secret_key(SECRET), secret_key(OTHER_SECRET)]).jwks() == {"keys": []}


def test_repr_hides_keys() -> None:
    """A key in a traceback or a log line does not show its secret."""
    assert SECRET not in repr(secret_key(SECRET))


def test_first_key_signs_and_all_are_found() -> None:
    """The ring finds each key by its kid, and signs with the first."""
    first, second = secret_key(SECRET), secret_key(OTHER_SECRET)
    ring = KeyRing([first, second])
    assert ring.signer is first
    assert [ring.find(first.kid), ring.find(second.kid), ring.find("x"), ring.find(None)] == [
        first,
        second,
        None,
        None,
    ]


def test_ring_needs_a_key_that_signs() -> None:
    """An empty ring, or one that begins with a public key, is refused."""
    public = pem_key(public_pem(PRIVATE["ES256"].public_key()), "ES256")
    for keys in ([], [public, secret_key(SECRET)]):
        with pytest.raises(ValueError, match="first signing key"):
            KeyRing(keys)


def test_ring_refuses_a_key_twice() -> None:
    """The same secret twice in a ring is a mistake of the settings."""
    with pytest.raises(ValueError, match="twice"):
        KeyRing([secret_key(SECRET), secret_key(SECRET)])


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "short",
        "x" * 31,
        private_pem(PRIVATE["ES256"]).decode(),
        json.dumps({"kty": "oct", "k": "A" * 43}),
    ],
)
def test_bad_secrets_are_refused(secret: str) -> None:
    """A secret is at least as long as the hash, and no key file by mistake."""
    with pytest.raises(ValueError, match="secret"):
        secret_key(secret)


@pytest.mark.parametrize(
    ("pem", "algorithm"),
    [
        (private_pem(PRIVATE["RS256"]), "ES256"),
        (private_pem(PRIVATE["ES256"]), "EdDSA"),
        (private_pem(PRIVATE["EdDSA"]), "RS256"),
        (private_pem(ec.generate_private_key(ec.SECP384R1())), "ES256"),
        (private_pem(PRIVATE["ES256"], b"password"), "ES256"),
        (
            Ed448PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
            "EdDSA",
        ),
        (private_pem(rsa.generate_private_key(65537, 1024)), "RS256"),  # noqa: S505 - refused for it
        (b"-----BEGIN PRIVATE KEY-----\nbm8=\n-----END PRIVATE KEY-----\n", "EdDSA"),
        (b"\xff\xfe", "EdDSA"),
        (b"", "RS256"),
        (SECRET.encode(), "HS256"),
    ],
)
def test_bad_key_files_are_refused(pem: bytes, algorithm: Algorithm) -> None:
    """Wrong type, curve or size, encrypted, cut or empty files raise ValueError and nothing else."""
    with pytest.raises(ValueError, match=r"\w") as refused:
        pem_key(pem, algorithm)
    assert pem.decode("latin-1") not in str(refused.value) or not pem


def test_refresh_ring_recognises_every_secret() -> None:
    """A MAC made under an older secret still matches after a new one was put in front."""
    mac = RefreshKeys([SECRET]).mac(b"message")
    ring = RefreshKeys([OTHER_SECRET, SECRET])
    assert ring.matches(b"message", mac)
    assert ring.matches(b"message", ring.mac(b"message"))
    assert ring.mac(b"message") != mac


def test_refresh_ring_refuses_foreign_macs() -> None:
    """A MAC of another secret or another message does not match."""
    mac = RefreshKeys([SECRET]).mac(b"message")
    assert not RefreshKeys([OTHER_SECRET]).matches(b"message", mac)
    assert not RefreshKeys([SECRET]).matches(b"massage", mac)


@pytest.mark.parametrize("secrets", [[], ["short"], [SECRET, "short"]])
def test_bad_refresh_rings_are_refused(secrets: list[str]) -> None:
    """No secret at all, or any that is too short, stops the start."""
    with pytest.raises(ValueError, match="secret"):
        RefreshKeys(secrets)
