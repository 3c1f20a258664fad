"""The endpoints under `/sns/` for web pages and websites: JSON in UTF-8 that calls itself text/plain."""

from starlette.routing import Route

from hub.wechat.sandbox.apps import Apps
from hub.wechat.sandbox.calls import Address, Call, call_route, required
from hub.wechat.sandbox.grants import ACCESS_LIFE, Grant, Grants
from hub.wechat.sandbox.quotas import Quotas
from hub.wechat.sandbox.replies import Refused


class SnsRoutes:
    """Code exchange, refresh, check and profile, for accounts and websites."""

    def __init__(self, apps: Apps, grants: Grants, quotas: Quotas, address: Address) -> None:
        self._apps = apps
        self._grants = grants
        self._quotas = quotas
        self._address = address

    def routes(self) -> list[Route]:
        """Return the four endpoints."""
        return [
            call_route(f"/sns/{name}", "GET", answer, self._address)
            for name, answer in (
                ("oauth2/access_token", self._access_token),
                ("oauth2/refresh_token", self._refresh_token),
                ("auth", self._auth),
                ("userinfo", self._userinfo),
            )
        ]

    def _access_token(self, call: Call) -> dict[str, object]:
        appid = required(call.query, "appid", 41002)
        secret = required(call.query, "secret", 41004)
        code = required(call.query, "code", 41008)
        if call.query.get("grant_type") != "authorization_code":
            raise Refused(40002)
        self._apps.prove(appid, secret, "account", "website")
        self._quotas.spend("access_token", appid)
        grant = self._grants.exchange(appid, code)
        reply = _tokens(grant)
        if grant.person.is_snapshot:
            reply["is_snapshotuser"] = 1
        if grant.unionid is not None:
            reply["unionid"] = grant.unionid
        return reply

    def _refresh_token(self, call: Call) -> dict[str, object]:
        appid = required(call.query, "appid", 41002)
        refresh_token = required(call.query, "refresh_token", 41003)
        if call.query.get("grant_type") != "refresh_token":
            raise Refused(40002)
        self._apps.demand(appid, "account", "website")
        return _tokens(self._grants.refresh(appid, refresh_token))

    def _auth(self, call: Call) -> dict[str, object]:
        self._grants.check(required(call.query, "access_token", 41001), required(call.query, "openid", 41009))
        return {"errcode": 0, "errmsg": "ok"}

    def _userinfo(self, call: Call) -> dict[str, object]:
        access_token = required(call.query, "access_token", 41001)
        grant = self._grants.check(access_token, required(call.query, "openid", 41009))
        if grant.scope == "snsapi_base":
            raise Refused(48001)
        person = grant.person
        reply: dict[str, object] = {
            "openid": grant.openid,
            "nickname": person.nickname,
            "sex": 0,
            "language": "",
            "city": "",
            "province": "",
            "country": "",
            "headimgurl": call.address + person.picture if person.has_avatar else "",
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
