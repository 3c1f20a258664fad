"""The event loop that the hub and its worker run on."""

from typing import Any

import uvloop

from hub.resolver import look_up


class Loop(uvloop.Loop):
    """uvloop's, but for the lookups of those who ask its `getaddrinfo`, as clients of HTTP do.

    Whoever has it connect to a name, which it looks up in its own way, calls `resolve` first.
    """

    async def getaddrinfo(
        self, host: str | bytes | None, port: str | bytes | int | None, **hints: int
    ) -> list[Any]:
        """Return what `socket.getaddrinfo` does."""
        if host is None:
            return await super().getaddrinfo(host, port, **hints)
        return await look_up(host if isinstance(host, str) else host.decode("ascii"), port, **hints)
