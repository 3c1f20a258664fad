"""The HTTP edge of the mini program."""

from typing import Annotated

from pydantic import StringConstraints
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from hub.limits.guard import VERIFY, Guard
from hub.qr.attempts import Attempts
from hub.qr.binding import Binding
from hub.qr.grants import Grants
from hub.qr.identifiers import hashed
from hub.qr.mini.service import MiniDoor
from hub.qr.phone import Answer
from hub.qr.request_info import RequestInfo
from hub.qr.routes import Confirm, device_of
from hub.web.answers import success
from hub.web.language import language
from hub.web.parsing import Body, bearer, body, client_address

Code = Annotated[str, StringConstraints(min_length=1, max_length=512)]


class MiniScan(Body):
    """`POST /api/auth/wechat/mini/scan`."""

    scene: Annotated[str, StringConstraints(min_length=1, max_length=32)]
    js_code: Code


class MiniConfirm(Confirm):
    """`POST /api/auth/wechat/confirm`, sent with a grant as bearer."""

    phone_code: Code | None = None


class MiniRoutes:
    """`POST /api/auth/wechat/mini/scan`, and the confirmations that come with its grants."""

    def __init__(
        self,
        attempts: Attempts,
        door: MiniDoor,
        binding: Binding,
        grants: Grants,
        guard: Guard,
        info: RequestInfo,
    ) -> None:
        self._attempts = attempts
        self._door = door
        self._binding = binding
        self._grants = grants
        self._guard = guard
        self._info = info

    def routes(self) -> list[BaseRoute]:
        """Return the route."""
        return [Route("/api/auth/wechat/mini/scan", self.scan, methods=["POST"])]

    async def scan(self, request: Request) -> Response:
        """Claim an attempt, and give the grant to answer for it; one to bind names the account."""
        headers = await self._guard.spend(VERIFY, client_address(request))
        asked = await body(request, MiniScan)
        attempt = await self._door.scan(asked.scene, asked.js_code)
        account = await self._binding.account_name(attempt)
        reply = {
            "session_id": self._attempts.made.session_id(attempt.session_seed, attempt.key),
            "request": self._info.describe(attempt, client_address(request), language(request)),
            "grant": self._grants.token(attempt.key, attempt.scanned_by or ""),
            **({"account_name": account} if account else {}),
        }
        return success(reply, headers=headers)

    async def confirm(self, request: Request) -> Response:
        """Confirm, decline or report by the grant; `phone_bound` tells what became of a `phone_code`."""
        headers = await self._guard.spend(VERIFY, client_address(request))
        asked = await body(request, MiniConfirm)
        grant = self._grants.demand_token(bearer(request) or "", hashed(asked.session_id))
        attempt, phone_bound = await self._door.answer(
            asked.session_id,
            grant.subject,
            Answer(asked.action),
            device_of(request),
            asked.phone_code,
            acknowledged=asked.acknowledged,
        )
        told = {"phone_bound": phone_bound} if asked.phone_code else {}
        return success({"status": attempt.status, **told}, headers=headers)
