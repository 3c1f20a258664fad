"""The errors of the OAuth endpoints, as RFC 6749 section 5.2 words them.

    OAuthError
    ├─ MalformedRequest      400 invalid_request
    ├─ InvalidClient         401 invalid_client
    ├─ InvalidGrant          400 invalid_grant
    └─ UnsupportedGrantType  400 unsupported_grant_type

They are answered under `/oauth` only; everything under `/api` answers the tree of `hub.errors`.
"""

from typing import ClassVar


class OAuthError(Exception):
    """The root: `error` is the code on the wire, `description` is for developers, *reason* for the log."""

    error: ClassVar[str]
    description: ClassVar[str]
    status: ClassVar[int] = 400

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason


class MalformedRequest(OAuthError):
    """A parameter is missing, malformed or repeated, or two ways of authentication are used."""

    error, description = "invalid_request", "A parameter is missing, malformed or given more than once."


class InvalidClient(OAuthError):
    """Client authentication failed, or the client has to authenticate and did not."""

    error, description, status = "invalid_client", "Client authentication failed.", 401


class InvalidGrant(OAuthError):
    """The code or refresh token is unknown, used, ended, another client's, or without its proof."""

    error, description = "invalid_grant", "The grant is invalid, has ended, or belongs to another client."


class UnsupportedGrantType(OAuthError):
    """The grant type is none that this endpoint serves."""

    error, description = "unsupported_grant_type", "Use authorization_code or refresh_token."
