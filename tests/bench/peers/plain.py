"""The plain way in Python: a Starlette endpoint on stock uvicorn, with a queue and a task for each socket."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import Redis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from tests.bench.events import frame

_redis = Redis.from_url(os.environ.get("REDIS_URL", "redis://127.0.0.1"))
_pubsub = _redis.pubsub()
_queues: dict[bytes, asyncio.Queue[bytes]] = {}


async def wait(websocket: WebSocket) -> None:
    """Tell one browser what comes on its channel, until it leaves."""
    seat = websocket.path_params["seat"]
    channel = f"bench:{seat}".encode()
    queue = _queues[channel] = asyncio.Queue()
    await _pubsub.subscribe(channel)
    await websocket.accept()
    await websocket.send_text(frame(seat))

    async def tell() -> None:
        while True:
            await websocket.send_text((await queue.get()).decode())

    teller = asyncio.create_task(tell())
    try:
        while True:
            await websocket.receive_text()
    except WebSocketDisconnect:
        pass
    finally:
        teller.cancel()
        del _queues[channel]
        await _pubsub.unsubscribe(channel)


async def publish(request: Request) -> Response:
    """Publish the body on one channel."""
    await _redis.publish(f"bench:{request.path_params['seat']}", await request.body())
    return Response(status_code=202)


async def _listen() -> None:
    async for message in _pubsub.listen():
        if message["type"] == "message" and (queue := _queues.get(message["channel"])):
            queue.put_nowait(message["data"])


@asynccontextmanager
async def _lifespan(_: Starlette) -> AsyncIterator[None]:
    await _pubsub.subscribe("bench:parking")
    listener = asyncio.create_task(_listen())
    yield
    listener.cancel()
    await _redis.aclose()


app = Starlette(
    routes=[WebSocketRoute("/ws/{seat}", wait), Route("/publish/{seat}", publish, methods=["POST"])],
    lifespan=_lifespan,
)
