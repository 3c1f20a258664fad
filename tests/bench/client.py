"""The lean clients of the load process: HTTP/1.1 over kept connections, and sockets on picows."""

import asyncio
import json
import time
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

import picows

_IDLE = 3.0  # seconds; the server closes a connection after five, perhaps just as a request is on its way
_WAIT = 10.0  # seconds for an answer or a frame


clock = time.perf_counter  # the loop's own clock ticks in milliseconds


class Reply(NamedTuple):
    """An answer, and when its request was written and it had arrived (seconds by `clock`)."""

    status: int
    body: bytes
    sent: float
    received: float


class Failed(Exception):
    """A step that did not go as it must; its text is what the report counts."""


def data(reply: Reply, step: str) -> Any:
    """Return the `data` of the hub's *reply*. Raises Failed, with the name of the step, for a refusal."""
    if reply.status != 200:
        raise Failed(f"{step}: {reply.status}")
    return json.loads(reply.body)["data"]


class _Connection(asyncio.Protocol):
    """One kept connection: a request at a time, answers with a Content-Length only."""

    def __init__(self, idle: list["_Connection"]) -> None:
        self._idle = idle
        self._transport: asyncio.Transport
        self._answer: asyncio.Future[Reply] | None = None
        self._buffer = b""
        self._sent = 0.0
        self.used = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    def ask(self, request: bytes) -> asyncio.Future[Reply]:
        self._answer = asyncio.get_running_loop().create_future()
        self._sent = clock()
        self._transport.write(request)
        return self._answer

    def data_received(self, data: bytes) -> None:
        received = clock()
        self._buffer += data
        head, blank, body = self._buffer.partition(b"\r\n\r\n")
        if not blank:
            return
        _, _, length = head.lower().partition(b"\r\ncontent-length: ")
        if len(body) < int(length.partition(b"\r\n")[0] or 0):
            return
        self._buffer = b""
        self.used = received
        self._idle.append(self)
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(Reply(int(head[9:12]), body, self._sent, received))

    def connection_lost(self, exc: Exception | None) -> None:
        if self in self._idle:
            self._idle.remove(self)
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(Failed("connection lost"))

    def close(self) -> None:
        self._transport.close()


class Http:
    """Posts JSON to the hub at *url*; as many connections as there are requests at once."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._idle: list[_Connection] = []

    async def post(self, path: str, content: object, *, token: str = "", agent: str = "bench") -> Reply:
        """Send one request and return its answer. Raises Failed when none comes."""
        return await self._post(path, json.dumps(content).encode(), "application/json", token, agent)

    async def data(self, path: str, content: object, *, token: str = "", agent: str = "bench") -> Any:
        """Send one request to the hub and return its answer's `data`. Raises Failed for a refusal too."""
        return data(await self.post(path, content, token=token, agent=agent), path.rpartition("/")[2])

    async def post_bytes(self, path: str, body: bytes, media_type: str = "text/xml") -> Reply:
        """Send *body* as it is; otherwise as `post`."""
        return await self._post(path, body, media_type, "", "bench")

    async def _post(self, path: str, body: bytes, media_type: str, token: str, agent: str) -> Reply:
        head = f"POST {path} HTTP/1.1\r\nhost: {self._host}:{self._port}\r\nuser-agent: {agent}\r\n"
        if token:
            head += f"authorization: Bearer {token}\r\n"
        head += f"accept-language: en\r\ncontent-type: {media_type}\r\ncontent-length: {len(body)}\r\n\r\n"
        connection = await self._connection()
        try:
            async with asyncio.timeout(_WAIT):
                return await connection.ask(head.encode() + body)
        except TimeoutError:
            connection.close()
            raise Failed(f"no answer: {path.partition('?')[0]}") from None

    def close(self) -> None:
        """Close the connections that wait for a request."""
        for connection in list(self._idle):
            connection.close()

    async def _connection(self) -> _Connection:
        while self._idle:
            connection = self._idle.pop()
            if clock() - connection.used < _IDLE:
                return connection
            connection.close()
        _, fresh = await asyncio.get_running_loop().create_connection(
            lambda: _Connection(self._idle), self._host, self._port
        )
        return fresh


class Watcher(picows.WSListener):
    """The browser's end of one socket: it notes when each status arrived, by `clock`."""

    def __init__(self) -> None:
        self.arrived: dict[str, float] = {}
        self._awaited: dict[str, asyncio.Future[None]] = {}
        self._transport: picows.WSTransport

    def on_ws_connected(self, transport: picows.WSTransport) -> None:
        self._transport = transport

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        now = clock()
        if frame.msg_type == picows.WSMsgType.TEXT:
            status = json.loads(frame.get_payload_as_bytes()).get("status")
            if status not in self.arrived:
                self.arrived[status] = now
                self._wake(status)
        elif frame.msg_type == picows.WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code())
            transport.disconnect()

    def on_ws_disconnected(self, transport: picows.WSTransport) -> None:
        for awaited in self._awaited.values():
            if not awaited.done():
                awaited.set_exception(Failed("socket lost"))

    def _wake(self, status: str) -> None:
        awaited = self._awaited.get(status)
        if awaited is not None and not awaited.done():
            awaited.set_result(None)

    async def until(self, status: str) -> float:
        """Return when the frame of *status* arrived, at once if it has. Raises Failed."""
        if status not in self.arrived:
            self._awaited[status] = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(_WAIT):
                    await self._awaited[status]
            except TimeoutError:
                raise Failed(f"no frame: {status}") from None
        return self.arrived[status]

    def close(self) -> None:
        """Leave without a word."""
        self._transport.disconnect(graceful=False)


async def watch(url: str) -> Watcher:
    """Open a socket at *url*. Raises Failed."""
    try:
        _, watcher = await picows.ws_connect(Watcher, url, websocket_handshake_timeout=_WAIT)
    except (picows.WSError, OSError) as error:
        raise Failed(f"no socket: {type(error).__name__}") from error
    assert isinstance(watcher, Watcher)
    return watcher
