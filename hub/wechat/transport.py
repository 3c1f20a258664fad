"""The one way out to WeChat: a call, its time, its errcode, and what is told of it."""

import asyncio
import json as json_text
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, NamedTuple, TypeVar

import anyio
import httpx2
import structlog
from prometheus_client import Counter, Histogram

from hub.wechat import replies
from hub.wechat.errors import Call, Misconfigured, Unreachable, WeChatError, label, refusal
from hub.wechat.replies import Image

log = structlog.stdlib.get_logger("hub.wechat")
# At INFO it writes the address of each request, and WeChat wants secrets and codes in the address.
logging.getLogger("httpx2").setLevel(logging.WARNING)

CALL_SECONDS = Histogram("hub_wechat_call_seconds", "Time a call to WeChat took, answered or not.", ["call"])
ERRORS = Counter("hub_wechat_errors_total", "Calls to WeChat that failed.", ["call", "errcode"])

T = TypeVar("T")

_JSON_LIMIT: Final = 64 * 1024
_IMAGE_LIMIT: Final = 4 * 1024 * 1024


class App(NamedTuple):
    """One app as registered with WeChat."""

    appid: str
    secret: str

    def __repr__(self) -> str:
        return f"App(appid={self.appid!r})"


class Transport:
    """One host of WeChat, mostly the API's, through one pool of connections for the life of the process.

    *call_limit* is the longest a whole call may take, in seconds: of it a quarter at most to wait for one of
    the *connections*, a third to connect, and a third for TLS. Every call is sent once: after a failure
    nobody knows whether WeChat has used a code up, and an exchange sent again would get 40163 for a good one.
    A call that has begun runs to its end whatever becomes of its caller. Redirects and proxies from the
    environment are not followed.
    """

    def __init__(self, url: str, *, call_limit: float = 8.0, connections: int = 100) -> None:
        self._url = url.rstrip("/")
        self._connections = connections
        self.call_limit = call_limit
        self._http: httpx2.AsyncClient | None = None
        self._calls: set[asyncio.Task[bytes]] = set()

    async def start(self) -> None:
        """Open the connection pool."""
        self._http = httpx2.AsyncClient(
            # Together less than the limit of the call: a TLS handshake that this one cuts off stays open.
            timeout=httpx2.Timeout(self.call_limit, connect=self.call_limit / 3, pool=self.call_limit / 4),
            limits=httpx2.Limits(max_connections=self._connections, max_keepalive_connections=20),
            follow_redirects=False,
            trust_env=False,
            headers={"accept": "application/json, text/plain, image/*", "accept-encoding": "identity"},
        )

    async def stop(self) -> None:
        """Cut the calls that are under way, and close the connections."""
        for task in self._calls:
            task.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)
        if self._http is not None:
            await self._http.aclose()
            self._http = None

    async def call(
        self,
        call: Call,
        method: Literal["GET", "POST"],
        path: str,
        *,
        params: Mapping[str, str],
        json: Mapping[str, object] | None = None,
        read: Callable[[Mapping[str, object]], T],
    ) -> T:
        """Return what *read* makes of the JSON reply, at most 64 KiB; *json* is sent as the body.

        The bytes are read as UTF-8 whatever their media type says. Raises WeChatError: for an errcode, for no
        answer, and for one that *read* refuses by ValueError.
        """

        def interpret(body: bytes) -> T:
            reply = replies.parse(body)
            errcode = replies.errcode(reply)
            if errcode != 0:
                raise refusal(call, errcode, replies.rid(reply))
            return read(reply)

        return await self._perform(call, method, path, params, json, _JSON_LIMIT, interpret)

    async def image(
        self,
        call: Call,
        method: Literal["GET", "POST"],
        path: str,
        *,
        params: Mapping[str, str],
        json: Mapping[str, object] | None = None,
    ) -> Image:
        """Return the picture that comes back, at most 4 MiB; *json* is sent along. Raises WeChatError."""

        def interpret(body: bytes) -> Image:
            if (image := replies.image(body)) is not None:
                return image
            if len(body) > _JSON_LIMIT:
                raise ValueError("neither a picture nor an error")
            reply = replies.parse(body)
            errcode = replies.errcode(reply)
            if errcode == 0:
                raise ValueError("no picture")
            raise refusal(call, errcode, replies.rid(reply))

        return await self._perform(call, method, path, params, json, _IMAGE_LIMIT, interpret)

    async def _perform(
        self,
        call: Call,
        method: str,
        path: str,
        params: Mapping[str, str],
        json: Mapping[str, object] | None,
        limit: int,
        interpret: Callable[[bytes], T],
    ) -> T:
        if self._http is None:
            raise RuntimeError("the WeChat client is not started")
        request = self._http.build_request(method, self._url + path, params=params, **_content(json))
        try:
            with CALL_SECONDS.labels(call).time():
                body = await self._sent(self._http, call, request, limit)
            try:
                return interpret(body)
            except ValueError as error:
                raise Unreachable(call, detail=f"garbled reply, {error}") from None
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

    async def _sent(self, http: httpx2.AsyncClient, call: Call, request: httpx2.Request, limit: int) -> bytes:
        # A task of its own, out of reach of the caller's cancellation: the pool shields its own closing from
        # anyio's cancellation only, and `Task.cancel` in the midst of it leaves a request in the pool for
        # ever and does not wake whoever waits for its connection.
        task = asyncio.create_task(self._fetched(http, call, request, limit))
        self._calls.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task: asyncio.Task[bytes]) -> None:
        self._calls.discard(task)
        if not task.cancelled():
            task.exception()  # nobody may be left to ask for it

    async def _fetched(
        self, http: httpx2.AsyncClient, call: Call, request: httpx2.Request, limit: int
    ) -> bytes:
        try:
            with anyio.fail_after(self.call_limit):
                response = await http.send(request, stream=True)
                try:
                    if response.status_code != 200:
                        raise Unreachable(call, detail=f"status {response.status_code}")
                    return await _body(call, response, limit)
                finally:
                    await response.aclose()
        except (httpx2.HTTPError, TimeoutError) as error:
            # Without its cause: that one holds the request, whose address holds the secret.
            raise Unreachable(call, detail=type(error).__name__) from None


def _content(json: Mapping[str, object] | None) -> dict[str, Any]:
    if json is None:
        return {}
    # WeChat takes the text as it stands: an escaped character would come out as its escape.
    text = json_text.dumps(json, ensure_ascii=False)
    return {"content": text.encode(), "headers": {"content-type": "application/json; charset=utf-8"}}


async def _body(call: Call, response: httpx2.Response, limit: int) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > limit:
            raise Unreachable(call, detail="reply too large")
    return bytes(body)
