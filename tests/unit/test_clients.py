"""Confidential clients: their file, and how a token request authenticates one."""

import hashlib
import json
from base64 import b64encode
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest

from hub.tokens.clients import Client, Clients
from hub.tokens.errors import InvalidClient, MalformedRequest

SECRET = "a secret: with + and 中文"
OLD_SECRET = "the former secret"


def digest(secret: str) -> str:
    """Return what the file holds of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


CLIENTS = Clients(
    (
        Client(
            client_id="shop",
            secret_sha256=(digest(SECRET), digest(OLD_SECRET)),
            redirect_uris=("https://a/",),
        ),
        Client(client_id="a:b", secret_sha256=(digest("x"),)),
    )
)


def basic(client_id: str, secret: str) -> str:
    """Return an Authorization header as RFC 6749 section 2.3.1 builds it."""
    return "Basic " + b64encode(f"{quote_plus(client_id)}:{quote_plus(secret)}".encode()).decode()


@pytest.mark.parametrize("secret", [SECRET, OLD_SECRET])
def test_client_secret_post(secret: str) -> None:
    """The form's members authenticate, with any of the client's secrets."""
    client = CLIENTS.authenticate(None, "shop", secret)
    assert client is not None
    assert client.client_id == "shop"


@pytest.mark.parametrize("named", [None, "shop"])
def test_client_secret_basic(named: str | None) -> None:
    """The header authenticates, whether or not the form repeats the id."""
    client = CLIENTS.authenticate(basic("shop", SECRET), named, None)
    assert client is not None
    assert client.client_id == "shop"


def test_basic_is_form_encoded() -> None:
    """An id with a colon survives, for both halves are form-encoded."""
    client = CLIENTS.authenticate(basic("a:b", "x"), None, None)
    assert client is not None
    assert client.client_id == "a:b"


@pytest.mark.parametrize("client_id", [None, "", "unknown"])
def test_public_client(client_id: str | None) -> None:
    """Nobody, or an id that is not registered, is a public client."""
    assert CLIENTS.authenticate(None, client_id, None) is None


@pytest.mark.parametrize(
    ("authorization", "client_id", "secret"),
    [
        (None, "shop", "wrong"),
        (None, "shop", ""),
        (None, "shop", None),
        (None, "unknown", SECRET),
        (None, None, SECRET),
        (None, "a:b", SECRET),
        (basic("shop", "wrong"), None, None),
        (basic("unknown", SECRET), None, None),
        (basic("shop", ""), None, None),
        ("Basic", None, None),
        ("Basic !!!", None, None),
        ("Basic c2hvcA==", None, None),
        ("Basic /w==", None, None),
        ("Bearer token", None, None),
        ("", None, None),
    ],
)
def test_failed_authentication(authorization: str | None, client_id: str | None, secret: str | None) -> None:
    """A wrong, missing or unreadable credential never makes a public client of a confidential one."""
    with pytest.raises(InvalidClient):
        CLIENTS.authenticate(authorization, client_id, secret)


@pytest.mark.parametrize(("client_id", "secret"), [("shop", SECRET), (None, SECRET), ("a:b", None)])
def test_two_ways_at_once(client_id: str | None, secret: str | None) -> None:
    """RFC 6749 section 2.3: not more than one way in a request, nor two ids."""
    with pytest.raises(MalformedRequest):
        CLIENTS.authenticate(basic("shop", SECRET), client_id, secret)


def test_owned_redirects_are_exact() -> None:
    """A redirect URI is a client's only character for character."""
    assert CLIENTS.owns("https://a/")
    assert not CLIENTS.owns("https://a/b")
    assert not CLIENTS.owns("https://a")


def test_file_is_read(tmp_path: Path) -> None:
    """The file is a JSON list."""
    path = tmp_path / "clients.json"
    entry = {"client_id": "shop", "secret_sha256": [digest(SECRET)], "redirect_uris": ["https://a/"]}
    path.write_text(json.dumps([entry]))
    assert Clients.load(path).authenticate(None, "shop", SECRET) is not None


def test_no_file_no_clients() -> None:
    """Without a file every request is a public client's."""
    assert Clients.load(None).authenticate(None, "shop", None) is None


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{}",
        [{"client_id": "shop"}],
        [{"client_id": "", "secret_sha256": ["0" * 64]}],
        [{"client_id": "shop", "secret_sha256": []}],
        [{"client_id": "shop", "secret_sha256": ["verysecretvalue"]}],
        [{"client_id": "shop", "secret_sha256": ["0" * 64], "redirect_uri": "https://a/"}],
        [{"client_id": "shop", "secret_sha256": ["0" * 64], "redirect_uris": ["/back"]}],
        [{"client_id": "shop", "secret_sha256": ["0" * 64], "redirect_uris": ["https://a/#b"]}],
        [
            {"client_id": "shop", "secret_sha256": ["0" * 64]},
            {"client_id": "shop", "secret_sha256": ["1" * 64]},
        ],
    ],
)
def test_wrong_files_are_refused(tmp_path: Path, content: Any) -> None:
    """A file that is not such a list raises ValueError, which does not quote what may be a secret."""
    path = tmp_path / "clients.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(ValueError, match="client") as refused:
        Clients.load(path)
    assert "verysecretvalue" not in str(refused.value)


def test_repr_hides_digests() -> None:
    """A client in a log line does not show even the digests."""
    assert digest(SECRET) not in repr(CLIENTS.authenticate(None, "shop", SECRET))
