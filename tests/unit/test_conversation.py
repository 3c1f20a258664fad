"""Socket conversations, over Starlette's own client."""

from typing import Any, ClassVar

import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from hub.errors import AttemptNotFound
from hub.web.sockets import Conversation, accept


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
