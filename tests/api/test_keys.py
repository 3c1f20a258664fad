"""`hub keys`, as an operator types it."""

import subprocess
import sys
from pathlib import Path

import httpx2
import jwt
import pytest

from tests.people import sign_in
from tests.servers.hub import HubProcess, inherited

HUB = str(Path(sys.executable).with_name("hub"))


def keys(folder: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run `hub keys` in *folder* with these settings alone, under a mask that hides nothing."""
    return subprocess.run(
        [HUB, "keys", *arguments],
        cwd=folder,
        env={**inherited(), **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        umask=0,
    )


def test_secrets_are_new_each_time(tmp_path: Path) -> None:
    """Each has 32 random bytes, and is taken by every setting that wants a secret."""
    made = {keys(tmp_path, "secret").stdout.strip() for _ in range(3)}
    assert len(made) == 3
    assert all(len(secret) >= 43 for secret in made)


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256", "RS256"])
async def test_generated_key_signs_tokens(tmp_path: Path, algorithm: str) -> None:
    """The file is for its owner alone; a hub signs by it, under the kid that was printed."""
    kid = keys(tmp_path, "generate", "key.pem", "--alg", algorithm).stdout.strip()
    assert (tmp_path / "key.pem").stat().st_mode & 0o777 == 0o600
    hub = HubProcess(tmp_path, JWT_ALG=algorithm, JWT_KEYS="key.pem").start()
    try:
        reply = await sign_in(hub.url)
        async with httpx2.AsyncClient(base_url=hub.url) as http:
            (shown,) = (await http.get("/.well-known/jwks.json")).json()["keys"]
    finally:
        hub.stop()
    assert shown["kid"] == jwt.get_unverified_header(reply["access_token"])["kid"] == kid
    assert jwt.decode(reply["access_token"], jwt.PyJWK(shown), algorithms=[algorithm], issuer=hub.url)


def test_a_key_file_is_never_replaced(tmp_path: Path) -> None:
    """It may be in use: the second run fails and leaves it alone."""
    keys(tmp_path, "generate", "key.pem")
    before = (tmp_path / "key.pem").read_bytes()
    again = keys(tmp_path, "generate", "key.pem")
    assert (again.returncode, again.stderr) == (1, "hub: key.pem: File exists\n")
    assert (tmp_path / "key.pem").read_bytes() == before


def test_list(tmp_path: Path) -> None:
    """In the ring's order, with what each does, and no secret; a file that others can read is named."""
    first, second = [keys(tmp_path, "generate", name).stdout.strip() for name in ("a.pem", "b.pem")]
    (tmp_path / "b.pem").chmod(0o640)
    done = keys(tmp_path, "list", JWT_ALG="EdDSA", JWT_KEYS="a.pem,b.pem")
    assert done.stdout == f"{first}  EdDSA  signs\n{second}  EdDSA  verifies\n"
    assert done.stderr == "hub: JWT_KEYS: b.pem can be read by others\n"
    secret = "a-secret-of-more-than-thirty-two-bytes"
    done = keys(tmp_path, "list", JWT_SECRET=secret)
    assert done.stdout.split()[1:] == ["HS256", "signs"]
    assert secret not in done.stdout + done.stderr


@pytest.mark.parametrize("command", [["keys", "list"], ["serve"]])
def test_wrong_key_file_is_named(tmp_path: Path, command: list[str]) -> None:
    """A file that holds another kind of key stops both, with one line."""
    keys(tmp_path, "generate", "key.pem", "--alg", "ES256")
    env = {**inherited(), "JWT_ALG": "EdDSA", "JWT_KEYS": "key.pem"}
    done = subprocess.run(
        [HUB, *command], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert "hub: JWT_KEYS: key.pem: not an unencrypted PEM key for EdDSA" in done.stderr
    assert "Traceback" not in done.stderr
