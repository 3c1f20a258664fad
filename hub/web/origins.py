"""The Origin check: which sites' pages may open sockets here and send what rests on a cookie."""

from collections.abc import Iterable

from starlette.requests import HTTPConnection

from hub.errors import OriginNotAllowed


class Origins:
    """The exact origins (scheme, host, port) whose pages are let in."""

    def __init__(self, allowed: Iterable[str]) -> None:
        self.allowed = frozenset(allowed)

    def check(self, connection: HTTPConnection, *, demanded: bool = False) -> None:
        """Raise OriginNotAllowed for a foreign Origin; none at all passes (no browser) unless *demanded*."""
        origin = connection.headers.get("origin")
        if origin is None:
            if demanded:
                raise OriginNotAllowed("no Origin header")
        elif origin not in self.allowed:
            raise OriginNotAllowed(f"origin {origin[:100]!r}")
