"""The HTTP edge of the mini program."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from hub.limits.guard import VERIFY, Guard
from hub.qr.attempts import Attempts
from hub.qr.binding import Binding
from hub.qr.grants import Grants
from hub.qr.identifiers import hashed
from hub.qr.mini.service import MiniDoor
from hub.qr.operations.answering import CONFIRM, MINI_SCAN, Answered, MiniScanned
from hub.qr.phone import Answer
from hub.qr.request_info import RequestInfo
from hub.qr.routes import device_of
from hub.web.language import language
from hub.web.parsing import bearer, client_address


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
        return [MINI_SCAN.route(self.scan)]

    async def scan(self, request: Request) -> Response:
        """Claim an attempt, and give the grant to answer for it; one to bind names the account."""
        await self._guard.spend(VERIFY, client_address(request))
        asked = await MINI_SCAN.read(request)
        attempt = await self._door.scan(asked.scene, asked.js_code)
        account = await self._binding.account_name(attempt)
        reply: MiniScanned = {
            "session_id": self._attempts.made.session_id(attempt.session_seed, attempt.key),
            "request": self._info.describe(attempt, client_address(request), language(request)),
            "grant": self._grants.token(attempt.key, attempt.scanned_by or ""),
        }
        if account:
            reply["account_name"] = account
        return MINI_SCAN.answer(reply)

    async def confirm(self, request: Request) -> Response:
        """Confirm, decline or report by the grant; `phone_bound` tells what became of a `phone_code`."""
        await self._guard.spend(VERIFY, client_address(request))
        asked = await CONFIRM.read(request)
        grant = self._grants.demand_token(bearer(request) or "", hashed(asked.session_id))
        attempt, phone_bound = await self._door.answer(
            asked.session_id,
            grant.subject,
            Answer(asked.action),
            device_of(request),
            asked.phone_code,
            acknowledged=asked.acknowledged,
        )
        told: Answered = {"status": attempt.status}
        if asked.phone_code:
            told["phone_bound"] = phone_bound
        return CONFIRM.answer(told)
