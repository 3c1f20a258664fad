"""Socket conversations on a server that parks none: over Starlette's own client, or a scripted server."""

import asyncio
from typing import ClassVar, Literal

import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.testclient import TestClient
from starlette.types import Message
from starlette.websockets import WebSocket, WebSocketDisconnect

from hub.web import line
from hub.web.line import AsgiLine
from hub.web.operations import Channel, Frame, Nothing
from hub.web.sockets import CLOSES, SENT, Conversation, OpenSockets, accept

LIMIT = 10.0


class Again(Frame):
    """Asks for more."""

    type: Literal["again"]


class Greeting(Conversation):
    """Greets, and answers `again` by failing."""

    channel: ClassVar = Channel(path="/", asked=Nothing, takes=(Again,), sends=SENT, closes=CLOSES)

    def __init__(self) -> None:
        super().__init__("en")
        self.heard: list[str] = []

    def begin(self) -> None:
        self.send({"type": "hello"})

    async def obey(self, frame: Again) -> None:
        raise ZeroDivisionError

    def resumed(self) -> None:
        self.heard.append("resumed")

    def ended(self) -> None:
        self.heard.append("ended")


async def serve(websocket: WebSocket) -> None:
    """Hold a conversation."""
    await accept(websocket)
    await OpenSockets().serve(websocket, Greeting())


def test_a_defect_closes() -> None:
    """A socket that stays open and does not answer would be waited on for ever."""
    client = TestClient(Starlette(routes=[WebSocketRoute("/", serve)]))
    with client.websocket_connect("/") as socket:
        assert socket.receive_json() == {"type": "hello"}
        socket.send_json({"type": "ping"})
        assert socket.receive_json() == {"type": "pong"}
        socket.send_json({"type": "again"})
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_text()
    assert closed.value.code == 1011


class Server:
    """A server by script: `came` is what it has received; each send waits for `room`, and may be refused."""

    def __init__(self, *came: Message) -> None:
        self.came: asyncio.Queue[Message] = asyncio.Queue()
        for message in ({"type": "websocket.connect"}, *came):
            self.came.put_nowait(message)
        self.went: list[str] = []
        self.room = asyncio.Event()
        self.room.set()
        self.refuses = False

    async def send(self, message: Message) -> None:
        await self.room.wait()
        self.went.append(message["type"])
        if self.refuses:
            raise OSError

    async def open(self) -> AsgiLine:
        """Accept, and return the line."""
        scope = {"type": "websocket", "path": "/", "headers": [], "query_string": b""}
        websocket = WebSocket(scope, self.came.get, self.send)
        await accept(websocket)
        return AsgiLine(websocket)


async def test_client_leaves_in_the_middle() -> None:
    """A frame that came before the client left is not answered, and nothing fails for that."""
    server = Server({"type": "websocket.receive", "text": '{"type":"ping"}'})
    conversation = Greeting()
    conversation.line = ours = await server.open()
    server.refuses = True
    conversation.begin()
    running = asyncio.create_task(ours.run(conversation))
    async with asyncio.timeout(LIMIT):
        while len(server.went) < 2:  # noqa: ASYNC110 - the script has no event for it
            await asyncio.sleep(0)
    server.came.put_nowait({"type": "websocket.disconnect", "code": 1006})
    ours.send(b"{}")
    await asyncio.wait_for(running, LIMIT)
    assert server.went == ["websocket.accept", "websocket.send"]
    assert conversation.heard == ["ended"]


async def test_a_stalled_client_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line is not ready while it stalls, and ends after its time."""
    monkeypatch.setattr(line, "SEND_TIME", 0.1)
    server = Server()
    conversation = Greeting()
    conversation.line = ours = await server.open()
    server.room.clear()
    conversation.begin()
    assert not ours.ready
    await asyncio.wait_for(ours.run(conversation), LIMIT)
    assert not ours.ready
    assert conversation.heard == ["ended"]


async def test_a_client_that_catches_up() -> None:
    """It is said when the line is ready again; then it is closed in order."""
    server = Server()
    conversation = Greeting()
    conversation.line = ours = await server.open()
    server.room.clear()
    conversation.begin()
    running = asyncio.create_task(ours.run(conversation))
    await asyncio.sleep(0)
    assert not ours.ready
    server.room.set()
    async with asyncio.timeout(LIMIT):
        while not ours.ready:  # noqa: ASYNC110 - the script has no event for it
            await asyncio.sleep(0)
    assert conversation.heard == ["resumed"]
    ours.close(4999, "enough")
    ours.close(1000, "too late")
    ours.send(b"too late")
    async with asyncio.timeout(LIMIT):
        while len(server.went) < 3:  # noqa: ASYNC110 - the script has no event for it
            await asyncio.sleep(0)
    server.came.put_nowait({"type": "websocket.disconnect", "code": 4999})
    await asyncio.wait_for(running, LIMIT)
    assert server.went == ["websocket.accept", "websocket.send", "websocket.close"]
