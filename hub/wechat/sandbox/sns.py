"""The endpoints under `/sns/`: HTTP 200 whatever happens, JSON in UTF-8 that calls itself text/plain."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hub.wechat.sandbox.grants import ACCESS_LIFE, Grant, Grants
from hub.wechat.sandbox.replies import Refused, error_reply, wire

_METHODS: Final = ("GET", "POST")


class SnsRoutes:
    """Code exchange, refresh, check and profile, for the apps in *apps* (app id → secret)."""

    def __init__(self, apps: Mapping[str, str], grants: Grants) -> None:
        self._apps = apps
        self._grants = grants

    def routes(self) -> list[Route]:
        """Return the four endpoints."""
        return [
            Route("/sns/oauth2/access_token", _endpoint(self._access_token), methods=_METHODS),
            Route("/sns/oauth2/refresh_token", _endpoint(self._refresh_token), methods=_METHODS),
            Route("/sns/auth", _endpoint(self._auth), methods=_METHODS),
            Route("/sns/userinfo", _endpoint(self._userinfo), methods=_METHODS),
        ]

    def _access_token(self, request: Request) -> dict[str, object]:
        query = request.query_params
        appid = _required(query, "appid", 41002)
        secret = _required(query, "secret", 41004)
        code = _required(query, "code", 41008)
        if query.get("grant_type") != "authorization_code":
            raise Refused(40002)
        if appid not in self._apps:
            raise Refused(40013)
        if secret != self._apps[appid]:
            raise Refused(40125)
        grant = self._grants.exchange(appid, code)
        reply = _tokens(grant)
        if grant.person.is_snapshot:
            reply["is_snapshotuser"] = 1
        if grant.unionid is not None:
            reply["unionid"] = grant.unionid
        return reply

    def _refresh_token(self, request: Request) -> dict[str, object]:
        query = request.query_params
        appid = _required(query, "appid", 41002)
        refresh_token = _required(query, "refresh_token", 41003)
        if query.get("grant_type") != "refresh_token":
            raise Refused(40002)
        if appid not in self._apps:
            raise Refused(40013)
        grant = self._grants.refresh(appid, refresh_token)
        return _tokens(grant)

    def _auth(self, request: Request) -> dict[str, object]:
        query = request.query_params
        self._grants.check(_required(query, "access_token", 41001), _required(query, "openid", 41009))
        return {"errcode": 0, "errmsg": "ok"}

    def _userinfo(self, request: Request) -> dict[str, object]:
        query = request.query_params
        access_token = _required(query, "access_token", 41001)
        grant = self._grants.check(access_token, _required(query, "openid", 41009))
        if grant.scope == "snsapi_base":
            raise Refused(48001)
        person = grant.person
        prefix = f"{request.url.scheme}://{request.url.netloc}{request.scope['root_path']}"
        reply: dict[str, object] = {
            "openid": grant.openid,
            "nickname": person.nickname,
            "sex": 0,
            "language": "",
            "city": "",
            "province": "",
            "country": "",
            "headimgurl": prefix + person.picture if person.has_avatar else "",
            "privilege": [],
        }
        if grant.unionid is not None:
            reply["unionid"] = grant.unionid
        return reply


def _tokens(grant: Grant) -> dict[str, object]:
    return {
        "access_token": grant.access_token,
        "expires_in": ACCESS_LIFE,
        "refresh_token": grant.refresh_token,
        "openid": grant.openid,
        "scope": grant.scope,
    }


def _required(query: Mapping[str, str], name: str, errcode: int) -> str:
    value = query.get(name)
    if not value:
        raise Refused(errcode)
    return value


def _endpoint(answer: Callable[[Request], dict[str, object]]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            if request.method == "POST":
                raise Refused(43001)
            reply = answer(request)
        except Refused as refused:
            reply = error_reply(refused.errcode)
        return wire(reply)

    return endpoint
