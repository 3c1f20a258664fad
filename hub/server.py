"""Serving: uvicorn with the hub's socket settings and its own order of shutdown."""

import asyncio
import contextlib
import gc
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator
from types import FrameType
from typing import Any

import uvicorn
from sse_starlette.sse import AppStatus

from hub.ticks import until_tick
from hub.web.connections import HttpProtocol, State
from hub.web.parking.lot import PING_INTERVAL
from hub.web.parking.protocol import SocketProtocol

SILENT_TIME = 30.0  # seconds a peer may leave what was sent to it unacknowledged
UNSPOKEN_TIME = 10  # seconds for which the kernel keeps a connection to itself that nothing has come on
DRAIN_TIME = 5.0  # seconds over which the sockets are told to go
IDLE_TIME = 1.0  # seconds that a connection without a request is kept meanwhile, at least
SHUTDOWN_TIME = 10  # seconds that requests in flight get after that
# Nearly all garbage goes by its reference count; collecting every 700 allocations took a tenth of the time.
COLLECTION = (10_000, 20, 50)
# The loop waits so long for a thread that computes, such as the reader of the metrics; by default 5 ms.
SWITCH_INTERVAL = 0.001  # seconds


class Server(uvicorn.Server):
    """Drains before it shuts down.

    uvicorn closes every socket in one instant at SIGTERM, before the lifespan ends. Here the listener is
    closed first, then *drain* sends the sockets away spread over a few seconds, and only then uvicorn's own
    shutdown begins. A second signal skips the rest.

    A worker is given the *supervisor*'s socket: it says there that it serves, and drains when that is closed,
    or at a signal; a second one is then no haste, for init systems send theirs to all processes.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        drain: Callable[[float], Awaitable[None]],
        supervisor: socket.socket | None = None,
    ) -> None:
        super().__init__(config)
        self.server_state: State = State()
        self._drain = drain
        self._supervisor = supervisor
        self._draining: asyncio.Task[None] | None = None
        self._over = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve, and keep what start-up has made out of every garbage collection from now on.

        A full collection stops everything, with ten thousand sockets for more than half a second.
        """
        await super().startup(sockets)
        for server in self.servers:
            _leave_to_the_kernel(server)
        gc.collect()
        gc.freeze()
        gc.set_threshold(*COLLECTION)
        sys.setswitchinterval(SWITCH_INTERVAL)
        if self._supervisor is not None:
            asyncio.get_running_loop().add_reader(self._supervisor, self._dismiss, self._supervisor)
            with contextlib.suppress(OSError):  # it has gone meanwhile, which the reader sees as well
                self._supervisor.send(b"\0")

    async def main_loop(self) -> None:
        """Renew the answers' date each second, until the end; uvicorn's own wakes ten times as often."""
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(until_tick(1)):
                    await self._over.wait()

    def _dismiss(self, supervisor: socket.socket) -> None:
        asyncio.get_running_loop().remove_reader(supervisor)
        self.handle_exit(signal.SIGTERM, None)

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
        elif self._supervisor is None:
            self.force_exit = self.should_exit = True
            self._over.set()

    async def _leave(self) -> None:
        try:
            for server in getattr(self, "servers", []):  # there are none before start-up has ended
                server.close()
            self.server_state.leaving = True
            idle = asyncio.sleep(IDLE_TIME if self.server_state.connections else 0)
            await asyncio.gather(self._drain(DRAIN_TIME), idle)
        finally:
            AppStatus.should_exit = True  # ends the event streams
            self.should_exit = True
            self._over.set()


def _leave_to_the_kernel(server: asyncio.Server) -> None:
    """Have the kernel keep connections until their first bytes are there, and reset those that take nothing.

    The loop accepts one connection a turn: a flood of such as say nothing, or leave at once, would queue up
    before the others until the kernel drops theirs too. And a reader that stalls would keep its buffers until
    it goes by itself: pings do not free it. Accepted connections inherit what their listener has.
    """
    if sys.platform != "linux":
        return
    for listener in server.sockets:
        with socket.socket(fileno=os.dup(listener.fileno())) as same:
            same.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(SILENT_TIME * 1000))
            same.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, UNSPOKEN_TIME)


def config(app: Any, *, host: str, port: int, proxies: list[str]) -> uvicorn.Config:
    """Return the server's configuration; *proxies* are those whose X-Forwarded-For is believed."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="hub.loop:Loop",
        http=HttpProtocol,
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


def listen(host: str, port: int) -> socket.socket:
    """Return a socket bound to this address, for several processes to accept from."""
    return config(None, host=host, port=port, proxies=[]).bind_socket()
