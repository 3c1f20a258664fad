"""`/healthz`, `/readyz` and `/metrics`."""

import asyncio
from typing import Literal

from prometheus_client import CONTENT_TYPE_LATEST, Gauge, generate_latest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute
from typing_extensions import TypedDict

from hub.errors import StoreUnavailable
from hub.ops.measuring import Measuring
from hub.ops.registry import registry
from hub.realtime.broker import Broker
from hub.store.database import Store
from hub.web.operations import Answer, Nothing, Operation
from hub.web.shapes import Raw, described

TASKS = Gauge(
    "hub_tasks", "Unfinished tasks on the event loop when it was last asked", multiprocess_mode="liveall"
)

_READY_TIME = 2.0  # seconds


@described
class Alive(TypedDict):
    """The answer of `GET /healthz`."""

    status: Literal["ok"]
    """The process serves."""


@described
class Ready(TypedDict):
    """The answer of `GET /readyz`."""

    status: Literal["ok", "degraded", "unavailable"]
    """`degraded` without the broker, `unavailable` without the database."""
    database: bool
    """Whether the database answers."""
    broker: bool
    """Whether the broker answers."""


_JSON = ("application/json",)
HEALTH = Operation("GET", "/healthz", Nothing, Raw, answers=(Answer(200, "It serves", _JSON, Alive),))
READINESS = Operation(
    "GET",
    "/readyz",
    Nothing,
    Raw,
    answers=(
        Answer(200, "Requests can be served", _JSON, Ready),
        Answer(503, "Requests cannot be served", _JSON, Ready),
    ),
)
METRICS = Operation("GET", "/metrics", Nothing, Raw, answers=(Answer(200, "The metrics", ("text/plain",)),))


class OpsRoutes:
    """What an operator's tools ask."""

    def __init__(self, store: Store, broker: Broker, measuring: Measuring) -> None:
        self._store = store
        self._broker = broker
        self._measuring = measuring

    def routes(self) -> list[BaseRoute]:
        """Return the routes."""
        return [
            HEALTH.route(self.alive),
            READINESS.route(self.ready),
            METRICS.route(self.metrics),
        ]

    async def alive(self, _: Request) -> Response:
        """Tell that the process serves."""
        told: Alive = {"status": "ok"}
        return JSONResponse(told)

    async def ready(self, _: Request) -> Response:
        """Tell whether requests can be served: `ok`, `degraded` (no broker; still 200) or `unavailable`."""
        database = await self._reaches_database()
        broker = self._broker.healthy
        told: Ready = {
            "status": "ok" if database and broker else "degraded" if database else "unavailable",
            "database": database,
            "broker": broker,
        }
        return JSONResponse(told, 200 if database else 503, {"cache-control": "no-store"})

    async def metrics(self, _: Request) -> Response:
        """Answer in the Prometheus text format; what is in SQL is measured now."""
        TASKS.set(len(asyncio.all_tasks()))
        await self._measuring.measure()
        return Response(generate_latest(registry()), media_type=CONTENT_TYPE_LATEST)

    async def _reaches_database(self) -> bool:
        try:
            async with asyncio.timeout(_READY_TIME):
                await self._store.ping()
        except (StoreUnavailable, TimeoutError):
            return False
        return True
