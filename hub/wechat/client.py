"""The client of WeChat's OAuth 2, for websites and for WeChat's own browser, and of its `sns` endpoints."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, urlencode

from hub.wechat import replies
from hub.wechat.errors import CodeRefused
from hub.wechat.replies import CodeReply, Profile
from hub.wechat.transport import App, Transport

__all__ = ["App", "Person", "WeChatClient"]

_STATE: Final = re.compile(r"[A-Za-z0-9]{1,128}")


@dataclass(frozen=True, slots=True)
class Person:
    """Who consented, as one app sees them.

    With *is_snapshot* every identifier is made up: such a person must never be stored, bound or signed in.
    """

    appid: str
    openid: str
    unionid: str | None
    nickname: str
    avatar_url: str
    gender: int
    country: str
    province: str
    city: str
    language: str
    is_snapshot: bool
    scope: str
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in: int


class WeChatClient:
    """People's consent, over *transport*; *open_url* serves the pages where they give it.

    Its calls raise WeChatError.
    """

    def __init__(self, transport: Transport, open_url: str) -> None:
        self._transport = transport
        self._open_url = open_url.rstrip("/")

    def consent_url(self, app: App, redirect_uri: str, scope: str, state: str) -> str:
        """Return where WeChat's in-app browser asks for consent; it checks the order of these parameters."""
        query = {
            "appid": app.appid,
            "redirect_uri": redirect_uri,
            "response_type": "code",
            "scope": scope,
            "state": state,
        }
        return f"{self._open_url}/connect/oauth2/authorize?{_encoded(query)}#wechat_redirect"

    def qrconnect_url(self, app: App, redirect_uri: str, state: str) -> str:
        """Return where a website's visitor finds WeChat's QR code.

        Raises ValueError for a *state* other than 1 to 128 letters and digits.
        """
        if not _STATE.fullmatch(state):
            raise ValueError("state must be 1 to 128 letters and digits")
        query = {
            "appid": app.appid,
            "redirect_uri": redirect_uri,
            "response_type": "code",
            "scope": "snsapi_login",
            "state": state,
        }
        return f"{self._open_url}/connect/qrconnect?{_encoded(query)}#wechat_redirect"

    async def person(self, app: App, code: str, lang: str = "zh_CN") -> Person:
        """Return who consented: the exchange, then the profile where the consent covers it.

        A snapshot user's profile is not asked for, since it is made up as well. Raises WeChatError.
        """
        granted = await self.exchange(app, code)
        if set(granted.scope.split(",")) == {"snsapi_base"} or granted.is_snapshot:
            shown = Profile(granted.openid)
        else:
            shown = await self.userinfo(granted.access_token, granted.openid, lang)
        return Person(
            appid=app.appid,
            openid=granted.openid,
            unionid=granted.unionid or shown.unionid,
            nickname=shown.nickname,
            avatar_url=shown.avatar_url,
            gender=shown.gender,
            country=shown.country,
            province=shown.province,
            city=shown.city,
            language=shown.language,
            is_snapshot=granted.is_snapshot,
            scope=granted.scope,
            access_token=granted.access_token,
            refresh_token=granted.refresh_token,
            expires_in=granted.expires_in,
        )

    async def exchange(self, app: App, code: str) -> CodeReply:
        """Spend *code* (one use, 10 minutes). Raises WeChatError; the code is then to be taken as spent."""
        if not replies.is_code(code):
            raise CodeRefused("exchange", detail="no authorization code")
        params = {
            "appid": app.appid,
            "secret": app.secret,
            "code": code,
            "grant_type": "authorization_code",
        }
        return await self._transport.call(
            "exchange", "GET", "/sns/oauth2/access_token", params=params, read=replies.code_reply
        )

    async def refresh(self, app: App, refresh_token: str) -> CodeReply:
        """Return a live access token for the person of *refresh_token*, which nothing keeps beyond 30 days.

        WeChat prolongs an access token that is still alive and makes a new one otherwise. Raises WeChatError:
        CodeRefused where only a new consent helps.
        """
        params = {"appid": app.appid, "grant_type": "refresh_token", "refresh_token": refresh_token}
        return await self._transport.call(
            "refresh", "GET", "/sns/oauth2/refresh_token", params=params, read=replies.code_reply
        )

    async def check(self, access_token: str, openid: str) -> bool:
        """Say whether *access_token* is alive and *openid*'s. Raises WeChatError where WeChat cannot say."""
        params = {"access_token": access_token, "openid": openid}
        try:
            await self._transport.call("check", "GET", "/sns/auth", params=params, read=replies.nothing)
        except CodeRefused:
            return False
        return True

    async def userinfo(self, access_token: str, openid: str, lang: str = "zh_CN") -> Profile:
        """Return the profile of *openid*; the token's scope must cover it. Raises WeChatError.

        *lang* (`zh_CN`, `zh_TW`, `en`) is the language of place names.
        """
        params = {"access_token": access_token, "openid": openid, "lang": lang}

        def read(reply: Mapping[str, object]) -> Profile:
            shown = replies.profile(reply)
            if shown.openid != openid:
                raise ValueError("the profile of somebody else")
            return shown

        return await self._transport.call("userinfo", "GET", "/sns/userinfo", params=params, read=read)


def _encoded(query: Mapping[str, str]) -> str:
    return urlencode(query, quote_via=quote, safe="")
