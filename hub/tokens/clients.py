"""Confidential OAuth clients, read from the JSON file that OAUTH_CLIENTS names."""

import base64
import hashlib
import hmac
from pathlib import Path
from typing import Annotated
from urllib.parse import unquote_plus

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from hub.tokens.errors import InvalidClient, MalformedRequest

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
# Absolute, and without a fragment (RFC 6749, 3.1.2).
RedirectUri = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9+.-]*:[^#]+$")]


class Client(BaseModel):
    """One client. `secret_sha256` are hex digests of its secrets, several while one is being replaced.

    A plain SHA-256 is enough, for a secret is a random value of 128 bits or more and not a password.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    client_id: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[\x21-\x7e]+$")]
    secret_sha256: Annotated[tuple[Digest, ...], Field(min_length=1, repr=False)]
    redirect_uris: tuple[RedirectUri, ...] = ()

    def has_secret(self, secret: str) -> bool:
        """Tell, in constant time, whether *secret* is one of this client's."""
        given = hashlib.sha256(secret.encode()).hexdigest()
        return any(hmac.compare_digest(given, digest) for digest in self.secret_sha256)


class Clients:
    """The clients by id."""

    def __init__(self, clients: tuple[Client, ...] = ()) -> None:
        """Raises ValueError when two clients have one id."""
        self._by_id = {client.client_id: client for client in clients}
        if len(self._by_id) != len(clients):
            raise ValueError("a client_id is given twice")

    @classmethod
    def load(cls, path: Path | None) -> "Clients":
        """Read a JSON list of clients, if there is a file. Raises OSError, or ValueError quoting no value."""
        if path is None:
            return cls()
        try:
            return cls(_FILE.validate_json(path.read_bytes()))
        except ValidationError as error:
            found = error.errors(include_url=False, include_context=False, include_input=False)
            places = ", ".join(".".join(map(str, item["loc"])) or item["msg"] for item in found)
            raise ValueError(f"not a list of clients; wrong: {places}") from None

    def owns(self, redirect_uri: str) -> bool:
        """Tell whether any client has exactly this redirect URI."""
        return any(redirect_uri in client.redirect_uris for client in self._by_id.values())

    def authenticate(
        self, authorization: str | None, client_id: str | None, client_secret: str | None
    ) -> Client | None:
        """Return the client that a token request authenticates, None for a public one (RFC 6749 section 2.3).

        *authorization* is the header (`client_secret_basic`), the others are form members
        (`client_secret_post`). Raises InvalidClient, or MalformedRequest when both ways are used at once.
        """
        if authorization is not None:
            if client_secret is not None:
                raise MalformedRequest("two ways of client authentication")
            named, client_secret = _basic(authorization)
            if client_id not in (None, named):
                raise MalformedRequest("two client ids")
            client_id = named
        client = self._by_id.get(client_id) if client_id is not None else None
        if client_secret is not None:
            if client is None or not client.has_secret(client_secret):
                raise InvalidClient(f"client {client_id!r}")
        elif client is not None:
            raise InvalidClient(f"client {client_id!r} did not authenticate")
        return client


_FILE = TypeAdapter(tuple[Client, ...])


def _basic(authorization: str) -> tuple[str, str]:
    """Read HTTP Basic; id and secret are form-encoded within it (RFC 6749 section 2.3.1)."""
    scheme, _, credentials = authorization.partition(" ")
    try:
        if scheme.lower() != "basic":
            raise ValueError("another scheme")
        client_id, colon, secret = (
            base64.b64decode(credentials.strip(), validate=True).decode().partition(":")
        )
        if not colon:
            raise ValueError("no colon")
    except ValueError:
        raise InvalidClient("unreadable Authorization header") from None
    return unquote_plus(client_id), unquote_plus(secret)
