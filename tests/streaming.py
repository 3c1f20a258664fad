"""A signed-in client that streams the events of its account, over either channel."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Self

import httpx2
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.people import DESKTOP, forget, sign_in

LIMIT = 10.0  # seconds to wait for a frame


def bearer(reply: Mapping[str, Any]) -> dict[str, str]:
    """Return the header that presents a token reply's access token."""
    return {"authorization": f"Bearer {reply['access_token']}"}


async def sign_in_alone(url: str, person: str = "alice", **redeem: Any) -> Mapping[str, Any]:
    """Sign *person* in to a new account: no other test's session or try has a part in what follows."""
    await forget(url, person)
    return await sign_in(url, person, **redeem)


class AccountSocket:
    """`WS /api/sessions/stream`: `async with AccountSocket(url, reply) as stream`."""

    def __init__(self, url: str, reply: Mapping[str, Any] | None, query: str = "", **headers: str) -> None:
        self._reply = reply
        self._connect = connect(
            f"{url.replace('http', 'ws', 1)}/api/sessions/stream{query}",
            subprotocols=["login.v1"],  # type: ignore[list-item]  # a NewType of str
            additional_headers=headers,
            open_timeout=LIMIT,
        )
        self.greeting: dict[str, Any] = {}

    async def __aenter__(self) -> Self:
        self.socket = await self._connect.__aenter__()
        if self._reply is not None:
            await self.auth(self._reply["access_token"])
            self.greeting = await self.frame()
            assert self.greeting["type"] == "authenticated"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.socket.close()

    async def auth(self, access_token: object) -> None:
        """Send an access token."""
        await self.send({"type": "auth", "access_token": access_token})

    async def send(self, frame: object) -> None:
        """Send anything as JSON."""
        await self.socket.send(json.dumps(frame))

    async def frame(self) -> dict[str, Any]:
        """Return the next frame."""
        async with asyncio.timeout(LIMIT):
            frame: dict[str, Any] = json.loads(await self.socket.recv())
        return frame

    async def closed(self) -> int:
        """Return the code that the hub closes with, before which it must send nothing more."""
        with pytest.raises(ConnectionClosed) as closed:
            await self.frame()
        assert closed.value.rcvd is not None
        return closed.value.rcvd.code


@asynccontextmanager
async def event_stream(
    url: str, reply: Mapping[str, Any], query: str = "", **headers: str
) -> AsyncIterator[AsyncIterator[tuple[str, dict[str, Any]]]]:
    """Open `GET /api/sessions/events` and hand out an iterator over (id, frame)."""
    async with (
        httpx2.AsyncClient(base_url=url, headers={"user-agent": DESKTOP}, timeout=30) as http,
        http.stream("GET", f"/api/sessions/events{query}", headers={**bearer(reply), **headers}) as answer,
    ):
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield _events(answer)


async def _events(answer: httpx2.Response) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    name = ""
    async for line in answer.aiter_lines():
        field, _, value = line.partition(": ")
        if field == "id":
            name = value
        elif field == "data":
            yield name, json.loads(value)
