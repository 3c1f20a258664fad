"""The mini program on the simulated phone: it signs in with the hub as a real one's code would."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx2
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hub.web.language import language
from hub.wechat.sandbox.apps import Apps
from hub.wechat.sandbox.asked import BadLink, decision, named
from hub.wechat.sandbox.kept import Kept
from hub.wechat.sandbox.mini_program import MiniProgramCodes
from hub.wechat.sandbox.outbound import client
from hub.wechat.sandbox.pages import Pages
from hub.wechat.sandbox.people import Person
from hub.wechat.sandbox.phone import ask_whose, holder

_AT: Final = "/api/auth/wechat"
_PATIENCE: Final = 10.0
_USER_AGENT: Final = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Mobile/15E148 MicroMessenger/8.0.60 NetType/WIFI Language/{language} miniProgram"
)
_ACTIONS: Final = {"confirm": True, "cancel": False, "report": False}


class Refusal(Exception):
    """The hub said no, or nothing; *message* is its own text, if any."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.message = message


@dataclass(frozen=True, slots=True)
class Opened:
    """A sign-in that the mini program has claimed."""

    person: Person
    session_id: str
    grant: str


class MiniScreens:
    """`/m/{appid}`, which the mini program's codes lead to. *hub_url* is its back end, none when empty."""

    def __init__(self, apps: Apps, codes: MiniProgramCodes, pages: Pages, *, hub_url: str) -> None:
        self._apps = apps
        self._codes = codes
        self._pages = pages
        self._hub_url = hub_url
        self._opened: Kept[str, Opened] = Kept()

    def routes(self) -> list[Route]:
        """Return the screen and its buttons."""
        return [
            Route("/m/{appid}", self.open, methods=["GET"]),
            Route("/m/{appid}", self.answer, methods=["POST"]),
        ]

    async def open(self, request: Request) -> Response:
        """Start the mini program: `wx.login`, then the hub is told the scene. The headers decide at once."""
        appid = request.path_params["appid"]
        try:
            person = named(request) or holder(request)
        except BadLink as bad:
            return self._pages.render(request, "notice.html", 400, notice=bad.key)
        if appid not in self._apps.ids("mini_program") or not self._hub_url:
            return self._pages.render(request, "notice.html", 404, notice="notice.mini_program")
        if person is None:
            return ask_whose(self._pages, request)
        scene = request.query_params.get("scene", "")
        try:
            claimed = await self._call(
                request, "/mini/scan", {"scene": scene, "js_code": self._codes.login(appid, person)}
            )
            opened = Opened(person, str(claimed.get("session_id")), str(claimed.get("grant")))
            if decided := decision(request, person):
                return await self._finish(request, opened, "confirm" if decided == "allow" else "cancel")
        except Refusal as refusal:
            return self._refused(request, refusal)
        ticket = secrets.token_urlsafe(16)
        self._opened[ticket] = opened
        return self._pages.render(
            request, "mini.html", person=person, sign_in=claimed.get("request") or {}, ticket=ticket
        )

    async def answer(self, request: Request) -> Response:
        """Take a button of the screen."""
        form = await request.form()
        opened = self._opened.pop(str(form.get("ticket", "")), None)
        action = str(form.get("action", ""))
        if opened is None or action not in _ACTIONS or opened.person != holder(request):
            return self._pages.render(request, "notice.html", 410, notice="notice.decided")
        try:
            return await self._finish(request, opened, action)
        except Refusal as refusal:
            return self._refused(request, refusal)

    async def _finish(self, request: Request, opened: Opened, action: str) -> Response:
        said = {"session_id": opened.session_id, "action": action}
        await self._call(request, "/confirm", said, {"authorization": f"Bearer {opened.grant}"})
        return self._pages.render(
            request, "mini_outcome.html", outcome=f"mini.{action}", good=_ACTIONS[action]
        )

    def _refused(self, request: Request, refusal: Refusal) -> Response:
        return self._pages.render(
            request, "mini_outcome.html", outcome="mini.refused", good=False, said=refusal.message
        )

    async def _call(
        self, request: Request, path: str, body: Mapping[str, str], headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        lang = language(request)
        sent = {"user-agent": _USER_AGENT.format(language=lang), "accept-language": lang, **(headers or {})}
        async with client(_PATIENCE) as http:
            try:
                answer = await http.post(f"{self._hub_url}{_AT}{path}", json=body, headers=sent)
                reply = answer.json()
            except (httpx2.HTTPError, ValueError):
                raise Refusal from None
        if (
            answer.status_code != 200
            or not isinstance(reply, dict)
            or not isinstance(reply.get("data"), dict)
        ):
            raise Refusal(str(reply.get("message", "")) if isinstance(reply, dict) else "")
        return dict(reply["data"])
