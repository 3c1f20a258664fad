"""A stand-in for WeChat's calls with an app's own token: it counts, and answers what a test tells it to."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit


class Asked(NamedTuple):
    """One call as it came in; *body* is its JSON, None where there is none."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    content_type: str


Reply = dict[str, Any] | bytes


class Platform:
    """It gives out `token1`, `token2`, …, the same one again until `next_token`, and knows which are good.

    `answer` decides what an ordinary call gets. `before_token` and `before_answer` are waited for, where they
    are set, before a token and before any other answer goes out.
    """

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.expires_in = 7200
        self.refusal = 40001
        self.token_reply: Reply | None = None
        self.before_token: asyncio.Event | None = None
        self.before_answer: asyncio.Event | None = None
        self.token_asked = asyncio.Semaphore(0)
        self.answer: Callable[[Asked], Reply] = lambda asked: {"errcode": 0, "errmsg": "ok"}
        self.number = 1
        self.good = {"token1"}
        self._serving: set[asyncio.Task[None]] = set()

    def next_token(self, *, keep_old: bool = False) -> str:
        """Have another token from now on; the old one is refused, unless both are good for a while."""
        self.number += 1
        token = f"token{self.number}"
        self.good = {*self.good, token} if keep_old else {token}
        return token

    def count(self, path: str = "/cgi-bin/stable_token") -> int:
        """How often *path* has been called."""
        return Counter(asked.path for asked in self.asked)[path]

    @asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        """Serve on a free port and yield the address."""
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()
            for task in self._serving:
                task.cancel()
            await asyncio.gather(*self._serving, return_exceptions=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                asked = await _read(reader)
                self.asked.append(asked)
                reply = await self._reply(asked)
                body = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
                head = f"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {len(body)}\r\n\r\n"
                writer.write(head.encode() + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _reply(self, asked: Asked) -> Reply:
        if asked.path == "/cgi-bin/stable_token":
            self.token_asked.release()
            if self.before_token:
                await self.before_token.wait()
            if self.token_reply is not None:
                return self.token_reply
            return {"access_token": f"token{self.number}", "expires_in": self.expires_in}
        token = asked.query.get("access_token")
        if token is not None and token not in self.good:
            return {"errcode": self.refusal, "errmsg": "invalid credential, rid: 1-2-3"}
        reply = self.answer(asked)
        if self.before_answer:
            await self.before_answer.wait()
        return reply


async def _read(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    request, *lines = head.split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    method, target, _ = request.split(" ")
    parts = urlsplit(target)
    return Asked(
        method,
        parts.path,
        dict(parse_qsl(parts.query)),
        json.loads(body) if body else None,
        headers.get("content-type", ""),
    )
