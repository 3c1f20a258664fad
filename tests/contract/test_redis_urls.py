"""The ways to name a Redis: each is dialled, and carries messages."""

import asyncio
import datetime
import ipaddress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from hub.realtime.redis import RedisBroker
from hub.realtime.watch import Message
from tests.servers.ports import free_port
from tests.servers.redis import RedisServer, require
from tests.watch import READ_AGAIN, watch_of

HELLO = Message(1, b"hello")


async def carries_messages(url: str) -> None:
    """Let a message go from one broker on *url* to another, and back out of the snapshot."""
    here, there = RedisBroker(url, "test:"), RedisBroker(url, "test:")
    await here.start()
    await there.start()
    with watch_of(there, "a") as watch:
        assert await watch.next(10) is READ_AGAIN
        await here.publish("a", HELLO, ttl=60)
        assert await watch.next(10) == HELLO
    kept = await there.snapshot("a")
    assert kept is not None
    assert kept[0] == HELLO
    await here.stop()
    await there.stop()


async def test_password_and_database(tmp_path: Path) -> None:
    """A password with signs that a URL must encode, and a database other than 0, which holds the snapshot."""
    require("redis-server")
    server = RedisServer(tmp_path, {"requirepass": "p@ss/word"})
    server.start()
    await carries_messages(f"redis://:p%40ss%2Fword@127.0.0.1:{server.port}/3")
    keys = await asyncio.to_thread(
        server.command, "-a", "p@ss/word", "--no-auth-warning", "-n", "3", "KEYS", "*"
    )
    assert keys == "test:a"
    server.stop()


async def test_user_and_password(own_redis: RedisServer) -> None:
    """A Redis user with no more rights than the broker needs."""
    rights = ["~test:*", "&test:*", "+@read", "+@write", "+@pubsub", "+@scripting", "+@connection", "+time"]
    own_redis.command("ACL", "SETUSER", "hub", "on", ">secret", *rights)
    await carries_messages(f"redis://hub:secret@127.0.0.1:{own_redis.port}")


async def test_unix_socket(tmp_path: Path) -> None:
    """A Redis on the same machine needs no port."""
    require("redis-server")
    server = RedisServer(tmp_path, {"unixsocket": str(tmp_path / "redis.sock")})
    server.start()
    await carries_messages(f"unix://{tmp_path / 'redis.sock'}?db=2")
    server.stop()


def certificate(folder: Path) -> Path:
    """Write a self-signed certificate for 127.0.0.1 and its key into *folder*; return the former's path."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "redis")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    form = serialization.PrivateFormat.PKCS8
    (folder / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, form, plain))
    (folder / "cert.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    return folder / "cert.pem"


async def test_tls(tmp_path: Path) -> None:
    """A certificate that the URL's authority signed is accepted, the same one without it is not."""
    require("redis-server")
    authority, port = certificate(tmp_path), free_port()
    options = {
        "tls-port": str(port),
        "tls-cert-file": str(authority),
        "tls-key-file": str(tmp_path / "key.pem"),
    }
    server = RedisServer(tmp_path, {**options, "tls-auth-clients": "no"})
    server.start()
    await carries_messages(f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={authority}")
    stranger = RedisBroker(f"rediss://127.0.0.1:{port}/0", "test:")
    await stranger.start()
    assert not stranger.healthy
    await stranger.stop()
    server.stop()


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "redis+sentinel://127.0.0.1:1", "127.0.0.1:6379"])
def test_another_kind_of_url_is_refused(url: str) -> None:
    """A URL that cannot be meant is refused before anything starts."""
    with pytest.raises(ValueError, match="scheme"):
        RedisBroker(url, "test:")
