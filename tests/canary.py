"""What tests of leaks share: the secrets that were used, and the places where they must not be."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import unquote

import httpx2

from tests.servers.redis import RedisServer


class Canary:
    """The secrets that were used, by kind, and what each sink was given."""

    def __init__(self) -> None:
        self.secrets: dict[str, set[str]] = {}
        self.codes: set[str] = set()
        self.sinks: dict[str, str] = {}

    def note(self, kind: str, secret: str) -> None:
        """Remember a secret."""
        assert len(secret) >= 11, kind
        self.secrets.setdefault(kind, set()).add(secret)

    def note_code(self, code: str) -> None:
        """Remember a one-time code, which is found only where it stands by itself."""
        self.codes.add(code)

    def give(self, sink: str, text: object) -> None:
        """Add to what a sink was given."""
        self.sinks[sink] = f"{self.sinks.get(sink, '')}{text}\n"

    def found(self, sink: str) -> set[str]:
        """The kinds of secrets in a sink, be they percent-encoded."""
        text = self.sinks[sink]
        text += unquote(text)
        found = {kind for kind, known in self.secrets.items() if any(secret in text for secret in known)}
        if self.codes and re.search(rf"(?<![\w.-])({'|'.join(self.codes)})(?!\w)", text):
            found.add("one-time code")
        return found

    def listen(self, http: httpx2.AsyncClient) -> None:
        """Write down where a client goes, what it is refused, and the cookies and tokens it gets."""

        async def heard(answer: httpx2.Response) -> None:
            self.give("addresses", answer.url)
            for name, value in answer.headers.multi_items():
                if name == "set-cookie":
                    kind, _, signed = value.partition(";")[0].partition("=")
                    if len(signed) > 2:
                        self.note(f"cookie {kind}", signed)
                        self.note(f"cookie {kind}", signed.rsplit(".", 2)[0])
                else:
                    self.give("addresses" if name == "location" else "headers", value)
            if "text/event-stream" not in answer.headers.get("content-type", ""):
                self._read(answer.status_code, await answer.aread())

        http.event_hooks["response"].append(heard)

    def _read(self, status: int, content: bytes) -> None:
        if status >= 400:
            self.give("refusals", content.decode())
        if not content.startswith(b"{"):
            return
        reply = json.loads(content)
        for name in ("access_token", "refresh_token"):
            if name in (found := reply.get("data") or reply):
                self.note(name, found[name])


@asynccontextmanager
async def monitored(redis: RedisServer, canary: Canary) -> AsyncIterator[None]:
    """Write down every command that Redis gets, and at the end all that it holds."""
    reader, writer = await asyncio.open_connection("127.0.0.1", redis.port)
    writer.write(b"MONITOR\r\n")
    assert await reader.readline() == b"+OK\r\n"

    async def write_down() -> None:
        while line := await reader.readline():
            canary.give("Redis", line.decode())

    listener = asyncio.create_task(write_down())
    try:
        yield
        for key in redis.command("KEYS", "*").splitlines():
            canary.give("Redis", f"{key} {redis.command('GET', key)}")
    finally:
        listener.cancel()
        writer.close()
