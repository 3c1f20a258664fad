"""Signed cookies: what a browser or phone carries so that only it can go on with what it began."""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from typing import Literal

from itsdangerous import BadData, TimestampSigner
from starlette.requests import HTTPConnection
from starlette.responses import Response

GRANT = "hub_grant"
BINDING = "hub_binding"
BINDING_AGE = 30 * 86400
REFRESH = "hub_refresh"
DEVICE = "hub_device"
DEVICE_AGE = 400 * 86400


class Cookies:
    """Writes and reads the hub's cookies, each signed under its own name.

    *keys* is a ring: the first signs, all verify. With *secure* the names get the `__Host-` prefix and the
    Secure attribute (RFC 6265bis section 4.1.3.2).
    """

    def __init__(self, keys: Sequence[str], *, secure: bool) -> None:
        self._keys = list(reversed(keys))  # itsdangerous signs with the last
        self._secure = secure
        self._signers: dict[str, TimestampSigner] = {}

    def name(self, cookie: str) -> str:
        """Return the cookie's name as it stands on the wire."""
        return f"__Host-{cookie}" if self._secure else cookie

    def read(self, connection: HTTPConnection, cookie: str, max_age: int) -> str | None:
        """Return the value of a cookie that we signed at most *max_age* seconds ago, else None."""
        signed = connection.cookies.get(self.name(cookie))
        return self.unsign(cookie, signed, max_age) if signed else None

    def write(
        self,
        response: Response,
        cookie: str,
        value: str,
        max_age: int,
        *,
        same_site: Literal["lax", "strict"] = "lax",
    ) -> None:
        """Set a signed, HttpOnly cookie for the whole site."""
        response.set_cookie(
            self.name(cookie),
            self.sign(cookie, value),
            max_age=max_age,
            path="/",
            secure=self._secure,
            httponly=True,
            samesite=same_site,
        )

    def sign(self, name: str, value: str) -> str:
        """Return *value* with the time and a signature that is good for *name* alone."""
        return self._signer(name).sign(value).decode()

    def unsign(self, name: str, signed: str, max_age: int) -> str | None:
        """Return what `sign` was given for *name* at most *max_age* seconds ago, else None."""
        signer = self._signer(name)
        try:
            value, signed_at = signer.unsign(signed, return_timestamp=True)
            # itsdangerous' own check refuses what a process has signed whose clock is ahead of ours.
            return value.decode() if signer.get_timestamp() - signed_at.timestamp() <= max_age else None
        except (BadData, UnicodeError):
            return None

    def give_refresh(self, response: Response, refresh_token: str, expires_in: int) -> None:
        """Deliver a refresh token, good for *expires_in* seconds, out of reach of scripts and other sites."""
        self.write(response, REFRESH, refresh_token, expires_in, same_site="strict")

    def take_refresh(self, connection: HTTPConnection, response: Response) -> None:
        """Delete the refresh token of a browser that has one."""
        name = self.name(REFRESH)
        if name in connection.cookies:
            response.delete_cookie(name, path="/", secure=self._secure, httponly=True, samesite="strict")

    def binding(self, connection: HTTPConnection) -> str | None:
        """Return this browser's binding secret: one per browser, shared by its attempts and tabs."""
        return self.read(connection, BINDING, BINDING_AGE)

    def binding_or_new(self, connection: HTTPConnection) -> str:
        """Return this browser's binding secret, or a fresh one that `bind` is to give it."""
        return self.binding(connection) or secrets.token_urlsafe(32)

    def bind(self, connection: HTTPConnection, response: Response, secret: str) -> None:
        """Make sure the browser carries *secret*."""
        if secret != self.binding(connection):
            self.write(response, BINDING, secret, BINDING_AGE)

    def device_or_new(self, connection: HTTPConnection) -> str:
        """Return this device's secret, or a fresh one that `mark_device` is to give it."""
        return self.read(connection, DEVICE, DEVICE_AGE) or secrets.token_urlsafe(16)

    def mark_device(self, connection: HTTPConnection, response: Response, secret: str) -> None:
        """Make sure the device carries *secret*."""
        if secret != self.read(connection, DEVICE, DEVICE_AGE):
            self.write(response, DEVICE, secret, DEVICE_AGE)

    def csrf_token(self, page: str) -> str:
        """Return the CSRF token of the page that *page* (a cookie's secret content) belongs to."""
        return _csrf(self._keys[-1], page)

    def csrf_matches(self, page: str, token: str) -> bool:
        """Tell in constant time whether *token* is one that any key of the ring gave to *page*."""
        given = token.encode()
        return any(hmac.compare_digest(_csrf(key, page).encode(), given) for key in self._keys)

    def _signer(self, cookie: str) -> TimestampSigner:
        signer = self._signers.get(cookie)
        if signer is None:
            signer = TimestampSigner(self._keys, salt=f"hub.cookie.{cookie}", digest_method=hashlib.sha256)
            self._signers[cookie] = signer
        return signer


def _csrf(key: str, page: str) -> str:
    return hmac.digest(key.encode(), b"csrf:" + page.encode(), "sha256").hex()
