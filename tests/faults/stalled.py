"""Clients that stay and read nothing."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.servers.hub import HubProcess

UPGRADE = {
    "upgrade": "websocket",
    "connection": "upgrade",
    "sec_websocket_version": "13",
    "sec_websocket_key": "AAAAAAAAAAAAAAAAAAAAAA==",
}


@asynccontextmanager
async def stalled(hub: HubProcess, path: str, *after: bytes, **headers: str) -> AsyncIterator[None]:
    """A client that asks for *path*, sends what comes *after* its answer has begun, and reads no more."""
    head = {"host": f"127.0.0.1:{hub.port}", **{name.replace("_", "-"): headers[name] for name in headers}}
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in head.items()), "", ""]
    loop = asyncio.get_running_loop()
    with socket.socket() as connection:
        connection.setblocking(False)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await loop.sock_connect(connection, ("127.0.0.1", hub.port))
        await loop.sock_sendall(connection, "\r\n".join(lines).encode())
        assert (await loop.sock_recv(connection, 12))[9:] in (b"200", b"101")
        for piece in after:
            await loop.sock_sendall(connection, piece)
        yield
