"""Serving: uvicorn with the hub's socket settings and its own order of shutdown."""

import asyncio
import contextlib
import gc
import random
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator
from types import FrameType
from typing import Any

import uvicorn
from sse_starlette.sse import AppStatus
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

PING_INTERVAL = 20.0  # seconds, ± 10 %
DRAIN_TIME = 5.0  # seconds over which the sockets are told to go
SHUTDOWN_TIME = 10  # seconds that requests in flight get after that
# Nearly all garbage goes by its reference count; collecting every 700 allocations took a tenth of the time.
COLLECTION = (10_000, 20, 50)


class SocketProtocol(WebSocketsSansIOProtocol):
    """uvicorn's protocol with jittered pings, for after a restart all sockets are opened at one instant."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.ping_interval = PING_INTERVAL * random.uniform(0.9, 1.1)  # noqa: S311 - jitter


class Server(uvicorn.Server):
    """Drains before it shuts down.

    uvicorn closes every socket in one instant at SIGTERM, before the lifespan ends. Here the listener is
    closed first, then *drain* sends the sockets away spread over a few seconds, and only then uvicorn's own
    shutdown begins. A second signal skips the rest.
    """

    def __init__(self, config: uvicorn.Config, drain: Callable[[float], Awaitable[None]]) -> None:
        super().__init__(config)
        self._drain = drain
        self._draining: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve, and keep what start-up has made out of every garbage collection from now on.

        A full collection stops everything, with ten thousand sockets for more than half a second.
        """
        await super().startup(sockets)
        gc.collect()
        gc.freeze()
        gc.set_threshold(*COLLECTION)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle SIGINT and SIGTERM on the loop while serving."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain; at the second signal stop at once."""
        if self._draining is None:
            self._draining = asyncio.get_running_loop().create_task(self._leave())
        else:
            self.force_exit = self.should_exit = True

    async def _leave(self) -> None:
        for server in self.servers:
            server.close()
        try:
            await self._drain(DRAIN_TIME)
        finally:
            AppStatus.should_exit = True  # ends the event streams
            self.should_exit = True


def config(app: Any, *, host: str, port: int, proxies: list[str]) -> uvicorn.Config:
    """Return the server's configuration; *proxies* are those whose X-Forwarded-For is believed."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="uvloop",
        http="httptools",
        ws=SocketProtocol,
        ws_max_size=4096,
        ws_per_message_deflate=False,
        ws_ping_interval=PING_INTERVAL,
        ws_ping_timeout=PING_INTERVAL,
        backlog=4096,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=proxies or None,
        timeout_graceful_shutdown=SHUTDOWN_TIME,
        lifespan="on",
    )
