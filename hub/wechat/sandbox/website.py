"""The website's sign-in: WeChat's own page with the QR code, its long poll, and the consent on the phone."""

import asyncio
import json
from collections.abc import Collection
from typing import Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from hub.wechat.sandbox import asked as asking
from hub.wechat.sandbox.apps import Apps
from hub.wechat.sandbox.asked import BadLink, decision, led_back, named
from hub.wechat.sandbox.calls import Address
from hub.wechat.sandbox.drawing import picture
from hub.wechat.sandbox.grants import Grants
from hub.wechat.sandbox.pages import FOLDER, Pages
from hub.wechat.sandbox.phone import ask_whose, here, holder
from hub.wechat.sandbox.qr_logins import APPROVED, QrLogin, QrLogins

_SCOPES: Final = ("snsapi_login",)
_PICTURE_WIDTH: Final = 430
_SAFE: Final = "%:/?#[]@!$&()*+,;=~"  # what an address may hold, but for the quotes around it
_STYLES: Final = ("black", "white")


class WebsiteRoutes:
    """`/connect/qrconnect` and what belongs to it, for the registered websites."""

    def __init__(
        self,
        apps: Apps,
        grants: Grants,
        logins: QrLogins,
        pages: Pages,
        address: Address,
        *,
        callback_hosts: Collection[str],
    ) -> None:
        self._apps = apps
        self._grants = grants
        self._logins = logins
        self._pages = pages
        self._address = address
        self._callback_hosts = callback_hosts

    def routes(self) -> list[Route]:
        """Return the desktop's page, picture and poll, and the phone's page."""
        return [
            Route("/connect/qrconnect", self.page, methods=["GET"]),
            Route("/connect/qrcode/{uuid}", self.image, methods=["GET"]),
            Route("/connect/l/qrconnect", self.poll, methods=["GET"]),
            Route("/connect/confirm", self.consent, methods=["GET"]),
            Route("/connect/confirm", self.decide, methods=["POST"]),
            Route("/connect/zh_CN/htmledition/js/wxLogin.js", self.script, methods=["GET"]),
        ]

    async def page(self, request: Request) -> Response:
        """Show the QR code. The X-Sandbox headers decide at once; a refusal then leads back with the state
        alone, as it once did with WeChat, whereas on the phone it leads nowhere, as it does today.
        """
        try:
            asked = asking.read(
                request.query_params, self._apps.ids("website"), _SCOPES, self._callback_hosts
            )
            person = named(request)
        except BadLink as bad:
            return self._pages.render(request, "notice.html", 400, notice=bad.key)
        decided = decision(request, person)
        if decided == "deny":
            return led_back(asked.answered())
        if decided == "allow" and person is not None:
            return led_back(asked.answered(self._grants.issue(asked.appid, person, asked.scope)))
        login = self._logins.begin(asked)
        query = request.query_params
        confirm = f"{self._address(request)}/connect/confirm?uuid={login.uuid}"
        return self._pages.render(
            request,
            "qrconnect.html",
            embeddable=True,
            uuid=login.uuid,
            phone=f"{request.scope['root_path']}/phone?scan={quote(confirm, safe='')}",
            style=query.get("style") if query.get("style") in _STYLES else "black",
            within=query.get("login_type") == "jssdk",
            self_redirect=query.get("self_redirect") == "true",
            target=asked.answered(),
        )

    async def script(self, _: Request) -> Response:
        """Send the script by which sites show the page within their own; it is at res.wx.qq.com else."""
        return FileResponse(FOLDER / "static" / "wxLogin.js", headers={"cache-control": "no-cache"})

    async def image(self, request: Request) -> Response:
        """Draw the code of the page; 404 where it is unknown or over."""
        login = self._logins.find(request.path_params["uuid"])
        if login is None:
            return Response(status_code=404)
        return picture(f"{self._address(request)}/connect/confirm?uuid={login.uuid}", _PICTURE_WIDTH)

    async def poll(self, request: Request) -> Response:
        """Answer 408 waiting, 404 scanned, 403 declined, 405 approved with the code, 402 over, 500 unknown.

        The body is a script; `f=json` makes it JSON, `f=url` adds where to go with the code.
        """
        query = request.query_params
        waiting = asyncio.create_task(self._logins.wait(query.get("uuid", ""), query.get("last", "")))
        leaving = asyncio.create_task(_disconnect(request))
        await asyncio.wait({waiting, leaving}, return_when=asyncio.FIRST_COMPLETED)
        leaving.cancel()
        if not waiting.done():
            waiting.cancel()
            return Response(status_code=204)  # nobody reads it
        state, login = waiting.result()
        code = login.code if login and state == APPROVED else ""
        said: dict[str, int | str] = {"wx_errcode": state, "wx_code": code}
        if query.get("f") == "url":
            said["wx_redirecturl"] = login.asked.answered(code) if login and code else ""
        headers = {"cache-control": "no-cache, must-revalidate"}
        if query.get("f") == "json":
            return Response(json.dumps(said), media_type="application/json", headers=headers)
        script = "".join(
            f"window.{name}={value};"
            if isinstance(value, int)
            else f"window.{name}='{quote(value, safe=_SAFE)}';"
            for name, value in said.items()
        )
        return Response(script, headers={**headers, "content-type": "text/javascript"})

    async def consent(self, request: Request) -> Response:
        """Let the holder scan: the desktop is told, and they are asked. The headers decide at once."""
        login = self._logins.find(request.query_params.get("uuid", ""))
        if login is None:
            return self._pages.render(request, "notice.html", 410, notice="notice.qr_over")
        try:
            person = named(request) or holder(request)
        except BadLink as bad:
            return self._pages.render(request, "notice.html", 400, notice=bad.key)
        if person is None:
            return ask_whose(self._pages, request)
        if not self._logins.scan(login, person):
            return self._pages.render(request, "notice.html", 409, notice="notice.qr_taken")
        if decided := decision(request, person):
            return self._decided(request, login, allowed=decided == "allow")
        return self._pages.render(request, "website_consent.html", person=person, here=here(request))

    async def decide(self, request: Request) -> Response:
        """Take Allow or Cancel of that page."""
        login = self._logins.find(request.query_params.get("uuid", ""))
        if login is None or login.person is None or login.person != holder(request):
            return self._pages.render(request, "notice.html", 410, notice="notice.decided")
        form = await request.form()
        return self._decided(request, login, allowed=form.get("decision") == "allow")

    def _decided(self, request: Request, login: QrLogin, *, allowed: bool) -> Response:
        if allowed:
            self._logins.allow(login)
        else:
            self._logins.reject(login)
        outcome = "outcome.website_allowed" if allowed else "outcome.website_rejected"
        return self._pages.render(request, "outcome.html", outcome=outcome, good=allowed)


async def _disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
