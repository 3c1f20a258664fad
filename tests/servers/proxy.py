"""A TCP proxy that fails on demand: it cuts connections, or holds every byte back as a black hole would."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class Proxy:
    """Forwards a free local port to *host*:*port* while it is told nothing else.

    As a black hole it goes on accepting, but holds back every byte in both directions, and with them the news
    that a side has closed. They flow again after `resume()`.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._flow = asyncio.Event()
        self._flow.set()
        self._refusing = False
        self.port = 0
        self.sent = 0

    async def start(self) -> None:
        """Listen on a free port, `port`."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close everything."""
        if self._server is not None:
            self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Break all connections, and each new one at once, until `resume()`."""
        self._refusing = True
        for writer in self._writers:
            writer.transport.abort()

    def black_hole(self) -> None:
        """Hold back every byte of old and new connections until `resume()`."""
        self._flow.clear()

    def resume(self) -> None:
        """Be a good proxy again."""
        self._refusing = False
        self._flow.set()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends = [writer]
        self._writers.add(writer)
        try:
            if self._refusing:
                return
            await self._flow.wait()
            back, far = await asyncio.open_connection(*self._target)
            ends.append(far)
            self._writers.add(far)
            await asyncio.gather(self._pump(reader, far, counts=True), self._pump(back, writer))
        except OSError:
            await self._flow.wait()
        finally:
            for end in ends:
                self._writers.discard(end)
                end.transport.abort()
                with suppress(OSError):
                    await end.wait_closed()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, counts: bool = False
    ) -> None:
        while chunk := await reader.read(65536):
            self.sent += counts
            await self._flow.wait()
            writer.write(chunk)
            await writer.drain()
        await self._flow.wait()
        writer.close()


@asynccontextmanager
async def proxied(host: str, port: int) -> AsyncIterator[Proxy]:
    """Run a Proxy in front of *host*:*port* for the length of a block."""
    proxy = Proxy(host, port)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()
