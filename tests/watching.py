"""An administrator: somebody signed in whose account has the role, and the socket with the figures."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Self

import httpx2
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.code_client import Person, new_number
from tests.servers.hub import HubProcess
from tests.signing_in import execute
from tests.streaming import LIMIT, bearer

STREAM = "/api/admin/stream"
USERS = "/api/admin/users"


async def user_id(hub: HubProcess, reply: Mapping[str, Any]) -> int:
    """Return the id of who signed in."""
    async with httpx2.AsyncClient(base_url=hub.url) as http:
        answer = await http.get("/api/user/profile", headers=bearer(reply))
    assert answer.status_code == 200, answer.text
    return int(answer.json()["data"]["id"])


async def newcomer(hub: HubProcess) -> Mapping[str, Any]:
    """Sign somebody in whom no other test knows, and return the token reply."""
    async with Person(hub.url) as person:
        return await person.sign_in(new_number())


async def make_operator(hub: HubProcess) -> Mapping[str, Any]:
    """Sign a new administrator in, and return the token reply."""
    reply = await newcomer(hub)
    await make_admin(hub, reply)
    return reply


async def make_admin(hub: HubProcess, reply: Mapping[str, Any]) -> None:
    """Make whoever signed in an administrator, and let the session run on."""
    who = await user_id(hub, reply)
    await execute(hub.database_url, "UPDATE users SET role = 'admin' WHERE id = :id", id=who)


class MetricsSocket:
    """`WS /api/admin/stream`: `async with MetricsSocket(url, reply) as stream`."""

    def __init__(self, url: str, reply: Mapping[str, Any] | None, **headers: str) -> None:
        self._reply = reply
        self._connect = connect(
            f"{url.replace('http', 'ws', 1)}{STREAM}",
            subprotocols=["login.v1"],  # type: ignore[list-item]  # a NewType of str
            additional_headers=headers,
            open_timeout=LIMIT,
        )
        self.snapshot: dict[str, Any] = {}

    async def __aenter__(self) -> Self:
        self.socket = await self._connect.__aenter__()
        if self._reply is not None:
            await self.auth(self._reply["access_token"])
            assert (await self.frame())["type"] == "authenticated"
            self.snapshot = await self.frame()
            assert self.snapshot["type"] == "snapshot"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.socket.close()

    async def auth(self, access_token: object) -> None:
        """Send an access token."""
        await self.socket.send(json.dumps({"type": "auth", "access_token": access_token}))

    async def frame(self) -> dict[str, Any]:
        """Return the next frame."""
        async with asyncio.timeout(LIMIT):
            frame: dict[str, Any] = json.loads(await self.socket.recv())
        return frame

    async def frames(self) -> AsyncIterator[str | bytes]:
        """Yield frames until the hub closes."""
        with contextlib.suppress(ConnectionClosed):
            while True:
                yield await self.socket.recv()

    async def until(self, told: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Return the first delta that tells of it."""
        async with asyncio.timeout(LIMIT):
            while not told(frame := await self.frame()):
                assert frame["type"] == "delta"
        return frame

    async def closed(self) -> int:
        """Return the code that the hub closes with, whatever it sends before."""
        async with asyncio.timeout(2 * LIMIT):
            async for _ in self.frames():
                pass
        assert self.socket.close_code is not None
        return self.socket.close_code
