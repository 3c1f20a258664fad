"""A real uvicorn around an ASGI application, in a thread of its own, on a free port."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from hub.web.parking.protocol import SocketProtocol

START_LIMIT = 20.0


class _Server(uvicorn.Server):
    """Says when it accepts connections."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.accepting = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self.accepting.set()


@contextmanager
def serve(app: ASGIApp, *, lifespan: bool = True, parks: bool = False) -> Iterator[str]:
    """Serve *app* on loopback and yield its address, such as `http://127.0.0.1:40123`.

    With *parks* it has the hub's WebSocket protocol, else uvicorn's own.
    """
    config = uvicorn.Config(
        app,
        lifespan="on" if lifespan else "off",
        ws=SocketProtocol if parks else "websockets-sansio",
        ws_max_size=4096,
        ws_per_message_deflate=False,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=5,
    )
    server = _Server(config)
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        if not server.accepting.wait(START_LIMIT):
            raise RuntimeError("uvicorn did not start")
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(START_LIMIT)
        listener.close()
