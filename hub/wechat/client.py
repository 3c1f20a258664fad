"""The client that talks to WeChat's `sns` endpoints; only the base addresses say who answers."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeVar
from urllib.parse import quote, urlencode

import httpx2
import structlog
from prometheus_client import Counter, Histogram

from hub.wechat import replies
from hub.wechat.errors import Call, CodeRefused, Misconfigured, Unreachable, WeChatError, label, refusal
from hub.wechat.replies import CodeReply, Profile

log = structlog.stdlib.get_logger("hub.wechat")
# At INFO it writes the address of each request, and WeChat wants secrets and codes in the address.
logging.getLogger("httpx2").setLevel(logging.WARNING)

CALL_SECONDS = Histogram("hub_wechat_call_seconds", "Time a call to WeChat took, answered or not.", ["call"])
ERRORS = Counter("hub_wechat_errors_total", "Calls to WeChat that failed.", ["call", "errcode"])

T = TypeVar("T")

_CONNECT_LIMIT: Final = 3.0
_BODY_LIMIT: Final = 64 * 1024


class App(NamedTuple):
    """One app as registered with WeChat."""

    appid: str
    secret: str

    def __repr__(self) -> str:
        return f"App(appid={self.appid!r})"


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
    """WeChat over HTTP: *api_url* serves `/sns/…`, *open_url* the page where a person consents.

    *call_limit* is the longest a whole call may take, in seconds; connecting gets at most 3 of them.
    Every call is made once: after a failure nobody knows whether WeChat has used the code up, and a second
    exchange would answer 40163 for a good one. Redirects and proxies from the environment are not followed.
    """

    def __init__(self, api_url: str, open_url: str, *, call_limit: float = 8.0) -> None:
        self._api_url = api_url.rstrip("/")
        self._open_url = open_url.rstrip("/")
        self._call_limit = call_limit
        self._http: httpx2.AsyncClient | None = None

    async def start(self) -> None:
        """Open the connection pool, for the life of the process."""
        self._http = httpx2.AsyncClient(
            timeout=httpx2.Timeout(self._call_limit, connect=_CONNECT_LIMIT),
            follow_redirects=False,
            trust_env=False,
            headers={"accept": "application/json, text/plain", "accept-encoding": "identity"},
        )

    async def stop(self) -> None:
        """Close the connections."""
        if self._http is not None:
            await self._http.aclose()
            self._http = None

    def consent_url(self, app: App, redirect_uri: str, scope: str, state: str) -> str:
        """Return where WeChat's in-app browser asks for consent; it checks the order of these parameters."""
        query = {
            "appid": app.appid,
            "redirect_uri": redirect_uri,
            "response_type": "code",
            "scope": scope,
            "state": state,
        }
        encoded = urlencode(query, quote_via=quote, safe="")
        return f"{self._open_url}/connect/oauth2/authorize?{encoded}#wechat_redirect"

    async def person(self, app: App, code: str, lang: str = "zh_CN") -> Person:
        """Return who consented: the exchange, then the profile where the consent covers it.

        A snapshot user's profile is not asked for, since it is made up as well. Raises WeChatError.
        """
        granted = await self.exchange(app, code)
        if granted.scope == "snsapi_base" or granted.is_snapshot:
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
        return await self._call("exchange", "/sns/oauth2/access_token", params, replies.code_reply)

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

        return await self._call("userinfo", "/sns/userinfo", params, read)

    async def _call(
        self, call: Call, path: str, params: Mapping[str, str], read: Callable[[Mapping[str, object]], T]
    ) -> T:
        try:
            with CALL_SECONDS.labels(call).time():
                body = await self._fetch(call, path, params)
            return _read(call, body, read)
        except WeChatError as error:
            ERRORS.labels(call, label(error)).inc()
            write = log.error if isinstance(error, Misconfigured) else log.warning
            write(
                "wechat_call_failed",
                call=call,
                kind=type(error).__name__,
                errcode=error.errcode,
                rid=error.rid,
                reason=error.reason,
            )
            raise

    async def _fetch(self, call: Call, path: str, params: Mapping[str, str]) -> bytes:
        if self._http is None:
            raise RuntimeError("the WeChat client is not started")
        body = bytearray()
        try:
            async with (
                asyncio.timeout(self._call_limit),
                self._http.stream("GET", self._api_url + path, params=params) as response,
            ):
                if response.status_code != 200:
                    raise Unreachable(call, detail=f"status {response.status_code}")
                async for chunk in response.aiter_raw():
                    body += chunk
                    if len(body) > _BODY_LIMIT:
                        raise Unreachable(call, detail="reply too large")
        except (httpx2.HTTPError, TimeoutError) as error:
            # Without its cause: that one holds the request, whose address holds the secret.
            raise Unreachable(call, detail=type(error).__name__) from None
        return bytes(body)


def _read(call: Call, body: bytes, read: Callable[[Mapping[str, object]], T]) -> T:
    try:
        reply = replies.parse(body)
        errcode = replies.errcode(reply)
        if errcode == 0:
            return read(reply)
    except ValueError as error:
        raise Unreachable(call, detail=f"garbled reply, {error}") from None
    raise refusal(call, errcode, replies.rid(reply))
