"""`/healthz`, `/readyz` and `/metrics`."""

import asyncio

import structlog
from prometheus_client import CONTENT_TYPE_LATEST, Gauge, generate_latest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hub.codes.outbox import Outbox
from hub.errors import StoreUnavailable
from hub.ops.registry import registry
from hub.realtime.broker import Broker
from hub.store.database import Store

log = structlog.stdlib.get_logger("hub.ops")

TASKS = Gauge(
    "hub_tasks", "Unfinished tasks on the event loop when it was last asked", multiprocess_mode="liveall"
)

_READY_TIME = 2.0  # seconds


class OpsRoutes:
    """What an operator's tools ask."""

    def __init__(self, store: Store, broker: Broker, outbox: Outbox) -> None:
        self._store = store
        self._broker = broker
        self._outbox = outbox

    def routes(self) -> list[BaseRoute]:
        """Return the routes."""
        return [
            Route("/healthz", self.alive, methods=["GET"]),
            Route("/readyz", self.ready, methods=["GET"]),
            Route("/metrics", self.metrics, methods=["GET"]),
        ]

    async def alive(self, _: Request) -> Response:
        """Tell that the process serves."""
        return JSONResponse({"status": "ok"})

    async def ready(self, _: Request) -> Response:
        """Tell whether requests can be served: `ok`, `degraded` (no broker; still 200) or `unavailable`."""
        database = await self._reaches_database()
        broker = self._broker.healthy
        status = "ok" if database and broker else "degraded" if database else "unavailable"
        told = {"status": status, "database": database, "broker": broker}
        return JSONResponse(told, 200 if database else 503, {"cache-control": "no-store"})

    async def metrics(self, _: Request) -> Response:
        """Answer in the Prometheus text format; the queue of messages is measured now, worker or not."""
        TASKS.set(len(asyncio.all_tasks()))
        try:
            async with asyncio.timeout(_READY_TIME):
                await self._outbox.measure()
        except (StoreUnavailable, TimeoutError):
            log.warning("outbox_not_measured")
        return Response(generate_latest(registry()), media_type=CONTENT_TYPE_LATEST)

    async def _reaches_database(self) -> bool:
        try:
            async with asyncio.timeout(_READY_TIME):
                await self._store.ping()
        except (StoreUnavailable, TimeoutError):
            return False
        return True
