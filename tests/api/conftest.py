"""What every API test gets from a hub is held against that hub's documents."""

from typing import Any
from urllib.parse import unquote, urlsplit

import httpx2
import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from tests.traffic import documents


@pytest.fixture(autouse=True)
def contract(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tap the clients: an answer, a frame or a close code that is not described fails the test."""
    send_async, send_sync, receive = httpx2.AsyncClient.send, httpx2.Client.send, ClientConnection.recv

    def check(request: httpx2.Request, answer: httpx2.Response, *, whole: bool) -> None:
        if described := documents(str(request.url)):
            path = unquote(urlsplit(str(request.url)).path)
            described.check_answer(request.method, path, answer, whole=whole)

    async def sent_async(
        self: httpx2.AsyncClient, request: httpx2.Request, **options: Any
    ) -> httpx2.Response:
        answer = await send_async(self, request, **options)
        check(request, answer, whole=not options.get("stream"))
        return answer

    def sent_sync(self: httpx2.Client, request: httpx2.Request, **options: Any) -> httpx2.Response:
        answer = send_sync(self, request, **options)
        check(request, answer, whole=not options.get("stream"))
        return answer

    async def received(self: ClientConnection, *args: Any, **options: Any) -> Any:
        assert self.request is not None
        described = documents(f"ws://{self.request.headers['host']}")
        path = urlsplit(self.request.path).path
        try:
            frame = await receive(self, *args, **options)
        except ConnectionClosed as error:
            if described and error.rcvd is not None:
                described.check_close(path, error.rcvd.code)
            raise
        if described:
            described.check_frame(path, frame)
        return frame

    monkeypatch.setattr(httpx2.AsyncClient, "send", sent_async)
    monkeypatch.setattr(httpx2.Client, "send", sent_sync)
    monkeypatch.setattr(ClientConnection, "recv", received)
