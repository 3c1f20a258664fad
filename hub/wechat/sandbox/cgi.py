"""The endpoints under `/cgi-bin/`: access tokens, codes with a scene, followers."""

from collections.abc import Mapping
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hub.wechat.sandbox.access_tokens import AccessTokens
from hub.wechat.sandbox.apps import Apps
from hub.wechat.sandbox.calls import Address, Call, call_route, required
from hub.wechat.sandbox.drawing import picture
from hub.wechat.sandbox.followers import Followers
from hub.wechat.sandbox.people import by_openid
from hub.wechat.sandbox.quotas import Quotas
from hub.wechat.sandbox.replies import Refused
from hub.wechat.sandbox.tickets import Tickets
from hub.wechat.sandbox.unionids import Unionids

_PICTURE_WIDTH: Final = 430


class CgiRoutes:
    """What an official account calls; the two token calls serve mini programs as well."""

    def __init__(
        self,
        apps: Apps,
        tokens: AccessTokens,
        tickets: Tickets,
        followers: Followers,
        unionids: Unionids,
        quotas: Quotas,
        address: Address,
    ) -> None:
        self._apps = apps
        self._tokens = tokens
        self._tickets = tickets
        self._followers = followers
        self._unionids = unionids
        self._quotas = quotas
        self._address = address

    def routes(self) -> list[Route]:
        """Return the endpoints, and the picture, which mp.weixin.qq.com serves."""
        return [
            call_route("/cgi-bin/token", "GET", self._token, self._address),
            call_route("/cgi-bin/stable_token", "POST", self._stable_token, self._address),
            call_route("/cgi-bin/qrcode/create", "POST", self._create, self._address),
            call_route("/cgi-bin/user/info", "GET", self._user_info, self._address),
            Route("/cgi-bin/showqrcode", self.show, methods=["GET"]),
        ]

    def _token(self, call: Call) -> dict[str, object]:
        appid = self._proven(call.query)
        value, expires_in = self._tokens.plain(appid)
        return {"access_token": value, "expires_in": expires_in}

    def _stable_token(self, call: Call) -> dict[str, object]:
        appid = self._proven(call.body)
        force = call.body.get("force_refresh", False)
        if not isinstance(force, bool):
            raise Refused(47001)
        value, expires_in = self._tokens.stable(appid, force=force)
        return {"access_token": value, "expires_in": expires_in}

    def _create(self, call: Call) -> dict[str, object]:
        appid = self._caller(call)
        self._quotas.spend("qrcode/create", appid)
        ticket, life = self._tickets.create(appid, call.body)
        url = f"{call.address}/q/{ticket.name}"
        if life is None:
            return {"ticket": ticket.value, "url": url}
        return {"ticket": ticket.value, "expire_seconds": life, "url": url}

    def _user_info(self, call: Call) -> dict[str, object]:
        appid = self._caller(call)
        self._quotas.spend("user/info", appid)
        openid = required(call.query, "openid", 41009)
        person = by_openid(appid, openid)
        if person is None:
            raise Refused(40003)
        following = self._followers.following(appid, person)
        unionid = self._unionids.shown(appid, person)
        shared: dict[str, object] = {"openid": openid, **({"unionid": unionid} if unionid else {})}
        if following is None:
            return {"subscribe": 0, **shared, "tagid_list": []}
        number = int(following.scene) if following.scene.isdecimal() else 0
        return {
            "subscribe": 1,
            "nickname": "",
            "sex": 0,
            "language": person.language,
            "city": "",
            "province": "",
            "country": "",
            "headimgurl": "",
            "subscribe_time": following.since,
            **shared,
            "remark": "",
            "groupid": 0,
            "tagid_list": [],
            "subscribe_scene": "ADD_SCENE_QR_CODE" if following.scene else "ADD_SCENE_SEARCH",
            "qr_scene": number,
            "qr_scene_str": "" if number else following.scene,
        }

    async def show(self, request: Request) -> Response:
        """Draw the address of a ticket; 404 where there is no such ticket."""
        ticket = self._tickets.by_value(request.query_params.get("ticket", ""))
        if ticket is None:
            return Response("<html><h1>404 Not Found</h1></html>", 404, media_type="text/html")
        return picture(f"{self._address(request)}/q/{ticket.name}", _PICTURE_WIDTH)

    def _proven(self, given: Mapping[str, object]) -> str:
        if required(given, "grant_type", 40002) != "client_credential":
            raise Refused(40002)
        appid = required(given, "appid", 41002)
        self._apps.prove(appid, required(given, "secret", 41004), "account", "mini_program")
        return appid

    def _caller(self, call: Call) -> str:
        appid = self._tokens.check(call.query.get("access_token", ""))
        if appid not in self._apps.ids("account"):
            raise Refused(48001)
        return appid
