"""HTTP to the SMS providers: one client for the life of the process, bounded in time and size."""

import asyncio
import json
import logging
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import httpx2

from hub.codes.senders.port import Temporary

# At INFO it writes the address of each request, and Aliyun wants number and code in the address.
logging.getLogger("httpx2").setLevel(logging.WARNING)

_CONNECT_LIMIT: Final = 3.0
_BODY_LIMIT: Final = 64 * 1024


class Reply(NamedTuple):
    """A provider's answer: HTTP status and JSON object."""

    status: int
    body: Mapping[str, Any]


class Http:
    """Posts to providers; *call_limit* is the longest a whole call may take, in seconds.

    A call is made once. Redirects and proxies from the environment are not followed.
    """

    def __init__(self, *, call_limit: float = 8.0) -> None:
        self._call_limit = call_limit
        self._client: httpx2.AsyncClient | None = None

    async def start(self) -> None:
        """Open the connection pool."""
        self._client = httpx2.AsyncClient(
            timeout=httpx2.Timeout(self._call_limit, connect=_CONNECT_LIMIT),
            follow_redirects=False,
            trust_env=False,
            headers={"accept": "application/json", "accept-encoding": "identity"},
        )

    async def stop(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def post(self, url: str, headers: Mapping[str, str], body: bytes = b"") -> Reply:
        """Post *body* and return the answer, whatever its status.

        Raises Temporary (`unreachable`, `garbled`) where there is none, or none that is a JSON object.
        """
        if self._client is None:
            raise RuntimeError("the HTTP client is not started")
        received = bytearray()
        try:
            async with (
                asyncio.timeout(self._call_limit),
                self._client.stream("POST", url, headers=dict(headers), content=body) as response,
            ):
                async for chunk in response.aiter_raw():
                    received += chunk
                    if len(received) > _BODY_LIMIT:
                        raise Temporary("garbled")
        except (httpx2.HTTPError, TimeoutError):
            # Without its cause: that one holds the request, whose address holds the code.
            raise Temporary("unreachable") from None
        try:
            parsed = json.loads(received.decode())
        except (ValueError, RecursionError):
            parsed = None
        if not isinstance(parsed, dict):
            raise Temporary("garbled" if response.status_code == 200 else f"status {response.status_code}")
        return Reply(response.status_code, parsed)
