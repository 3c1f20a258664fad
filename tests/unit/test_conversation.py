"""Socket conversations, over Starlette's own client or a scripted server."""

import asyncio
from typing import Any, ClassVar

import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.testclient import TestClient
from starlette.types import Message
from starlette.websockets import WebSocket, WebSocketDisconnect

from hub.errors import AttemptNotFound
from hub.web.sockets import Conversation, accept


class Greeting(Conversation):
    """A conversation that tells one thing."""

    types: ClassVar = ()

    def __init__(self, websocket: WebSocket) -> None:
        super().__init__(websocket)
        self.told = asyncio.Event()

    async def tell(self) -> None:
        try:
            await self.send({"type": "hello"})
        finally:
            self.told.set()

    async def obey(self, frame: dict[str, Any]) -> None:
        raise NotImplementedError


class Failing(Conversation):
    """A conversation that has nothing to tell but this error."""

    types: ClassVar = ()
    error: ClassVar[Exception]

    async def tell(self) -> None:
        raise self.error

    async def obey(self, frame: dict[str, Any]) -> None:
        raise NotImplementedError


async def serve(websocket: WebSocket) -> None:
    """Hold a failing conversation."""
    await accept(websocket)
    conversation = Failing(websocket)
    conversation.start_telling()
    await conversation.run()


@pytest.mark.parametrize(("error", "code"), [(AttemptNotFound(), 4500), (ZeroDivisionError(), 1011)])
def test_telling_fails(monkeypatch: pytest.MonkeyPatch, error: Exception, code: int) -> None:
    """The socket closes, whatever the failure: one that stays open and silent would be waited on for ever."""
    monkeypatch.setattr(Failing, "error", error, raising=False)
    client = TestClient(Starlette(routes=[WebSocketRoute("/", serve)]))
    with client.websocket_connect("/") as socket, pytest.raises(WebSocketDisconnect) as closed:
        socket.receive_text()
    assert closed.value.code == code


async def test_client_leaves_in_the_middle() -> None:
    """A frame that came before the client left is not answered, and nothing fails for that."""
    came: list[Message] = [
        {"type": "websocket.connect"},
        {"type": "websocket.receive", "text": '{"type":"ping"}'},
        {"type": "websocket.disconnect", "code": 1006},
    ]
    went: list[str] = []

    async def receive() -> Message:
        if len(came) == 2:
            await conversation.told.wait()
        return came.pop(0)

    async def send(message: Message) -> None:
        went.append(message["type"])
        if message["type"] == "websocket.send":
            raise OSError

    scope = {"type": "websocket", "path": "/", "headers": [], "query_string": b""}
    websocket = WebSocket(scope, receive, send)
    await accept(websocket)
    conversation = Greeting(websocket)
    conversation.start_telling()
    await conversation.run()
    assert went == ["websocket.accept", "websocket.send"]
