"""What WeChat pushes to the official account: taken apart, told on, and answered in time.

Without an EncodingAESKey pushes are plain, and `signature` vouches for them. With one only what is in
`Encrypt`, signed by `msg_signature`, counts: so a push of WeChat's compatible mode, which has both, is read
in either, and a plain one is refused. Replies are encrypted with the key that opened the push.

WeChat waits 5 seconds, then tries again, three times in all. What takes longer goes on behind the answer.
"""

import asyncio
import hashlib
import re
import secrets
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final, Literal, NamedTuple

import structlog
from prometheus_client import Counter
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute

from hub.errors import BadRequest, Forbidden, PayloadTooLarge, Unavailable
from hub.web.operations import Answer, Nothing, Operation
from hub.web.parsing import raw_body
from hub.web.shapes import Raw
from hub.web.tasks import Tasks
from hub.wechat.crypto import AesKey, MessageCrypto, Untrusted
from hub.wechat.messages import Members, Message, parse, render, sealed_reply, text_reply

log = structlog.stdlib.get_logger("hub.wechat")

PUSHES = Counter("hub_wechat_pushes_total", "Pushes by kind and what they were answered", ["kind", "answer"])

BODY_LIMIT: Final = 64 * 1024  # bytes
WINDOW: Final = 300  # seconds that a push's timestamp may differ from our clock
_BODY_TIME: Final = 1.5  # seconds for the body to arrive, and then for the reply to be known:
REPLY_TIME: Final = 2.5  # together well below the 5 that WeChat waits
_OUTAGE: Final = 30.0  # seconds that an event which was answered early may wait for the database
_PAUSE: Final = 0.5
_MOST: Final = 1000  # pushes under way at once; WeChat comes again with what is refused

_OPENID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SECONDS = re.compile(r"[0-9]{1,10}")
_NEW_FOLLOWER = "qrscene_"
_REPLIES: Final = ("text/plain", "application/xml", "application/json")

Kind = Literal["scan", "subscribe", "unsubscribe", "other"]
_KINDS: Final[dict[str, Kind]] = {"scan": "scan", "subscribe": "subscribe", "unsubscribe": "unsubscribe"}

_SIGNED = {
    "signature": "WeChat's signature.",
    "timestamp": "When it signed, in POSIX seconds.",
    "nonce": "What it signed beside that.",
}
VERIFY = Operation(
    "GET",
    "/api/auth/wechat/push",
    Nothing,
    Raw,
    lenient={**_SIGNED, "echostr": "What is to be answered."},
    answers=(Answer(200, "`echostr`", ("text/plain",)),),
    problems=(Forbidden,),
)
RECEIVE = Operation(
    "POST",
    "/api/auth/wechat/push",
    Nothing,
    Raw,
    lenient={**_SIGNED, "msg_signature": "The signature of an encrypted push."},
    answers=(Answer(200, "Taken, with the reply or `success`", _REPLIES),),
    problems=(Forbidden, BadRequest, PayloadTooLarge, Unavailable),
)


class Event(NamedTuple):
    """One push. *scene* is that of the code which was scanned; *key* is the same for each try of one push."""

    kind: Kind
    openid: str
    scene: str | None
    key: str


class Push:
    """`GET` and `POST /api/auth/wechat/push`. *on_event* returns the text of the reply, None for no reply.

    It may raise HubError: WeChat then gets an error, and tries again. After *reply_time* seconds WeChat is
    answered without a reply, and *on_event* goes on.
    """

    def __init__(
        self,
        crypto: MessageCrypto,
        clock: Callable[[], datetime],
        on_event: Callable[[Event], Awaitable[str | None]],
        *,
        reply_time: float = REPLY_TIME,
    ) -> None:
        self._reply_time = reply_time
        self._crypto = crypto
        self._clock = clock
        self._on_event = on_event
        self._tasks = Tasks(_MOST)

    def routes(self) -> list[BaseRoute]:
        """Return the routes."""
        return [VERIFY.route(self.verify), RECEIVE.route(self.receive)]

    async def start(self) -> None:
        """Nothing has to be opened."""

    async def stop(self) -> None:
        """Let what goes on behind the answers end."""
        await self._tasks.stop()

    async def verify(self, request: Request) -> Response:
        """Show WeChat that the Token is known here: `echostr` as it came, in every mode."""
        query = request.query_params
        try:
            self._check(request, query.get("signature", ""))
        except Untrusted:
            raise Forbidden("server verification refused") from None
        return PlainTextResponse(query.get("echostr", ""))

    async def receive(self, request: Request) -> Response:
        """Take a push."""
        try:
            if not self._crypto.secure:
                self._check(request, request.query_params.get("signature", ""))
            message, key = self._open(request, await raw_body(request, BODY_LIMIT, _BODY_TIME))
            event = _event(message.members)
        except Untrusted:
            PUSHES.labels("unknown", "refused").inc()
            raise Forbidden("push refused") from None
        except ValueError as error:
            raise BadRequest(f"not a push: {error}") from None
        text = await self._reply(event)
        if text is None:
            return PlainTextResponse("success")
        return self._answer(message, key, text)

    def _check(self, request: Request, signature: str, *parts: str) -> None:
        query = request.query_params
        timestamp, nonce = query.get("timestamp", ""), query.get("nonce", "")
        self._crypto.check(signature, timestamp, nonce, *parts)
        now = self._clock().timestamp()
        if not _SECONDS.fullmatch(timestamp) or abs(int(timestamp) - now) > WINDOW:
            log.warning("push_out_of_time", seconds=timestamp[:20])
            raise Untrusted

    def _open(self, request: Request, body: bytes) -> tuple[Message, AesKey | None]:
        message = parse(body)
        if not self._crypto.secure:
            return message, None
        encrypted = message.members.get("Encrypt", "")
        self._check(request, request.query_params.get("msg_signature", ""), encrypted)
        opened = self._crypto.open(encrypted)
        return parse(opened.message), opened.key

    async def _reply(self, event: Event) -> str | None:
        work = self._tasks.begin(self._act(event))
        await asyncio.wait({work}, timeout=self._reply_time)
        if not work.done():
            log.warning("push_answered_early", kind=event.kind)
            PUSHES.labels(event.kind, "early").inc()
            return None
        try:
            text = work.result()
        except BaseException:
            PUSHES.labels(event.kind, "failed").inc()
            raise
        PUSHES.labels(event.kind, "text" if text else "nothing").inc()
        return text

    async def _act(self, event: Event) -> str | None:
        """Tell of the event. Once answered WeChat does not come again: an outage is then sat out here."""
        clock = asyncio.get_running_loop().time
        begun = clock()
        while True:
            try:
                return await self._on_event(event)
            except Unavailable:
                if not self._reply_time <= clock() - begun < _OUTAGE:
                    raise
            await asyncio.sleep(_PAUSE)

    def _answer(self, message: Message, key: AesKey | None, text: str) -> Response:
        at = int(self._clock().timestamp())
        reply = text_reply(message.members, text, at)
        media_type = "application/json" if message.is_json else "application/xml"
        if key:
            plain, nonce = render(reply, as_json=message.is_json), str(secrets.randbelow(10**10))
            reply = sealed_reply(self._crypto.seal(plain, key, str(at), nonce))
        return Response(render(reply, as_json=message.is_json), media_type=media_type)


def _event(members: Members) -> Event:
    """Read what happened. Raises ValueError for what WeChat does not send."""
    openid, created = members.get("FromUserName", ""), members.get("CreateTime", "")
    if not _OPENID.fullmatch(openid) or not _SECONDS.fullmatch(created):
        raise ValueError("no sender or no time")
    name, event_key = members.get("Event", ""), members.get("EventKey", "")
    kind: Kind = "other"
    if members.get("MsgType") == "event":
        kind = _KINDS.get(name.lower(), "other")
    scene = None
    if kind == "scan":
        scene = event_key
    elif kind == "subscribe" and event_key.startswith(_NEW_FOLLOWER):
        scene = event_key.removeprefix(_NEW_FOLLOWER)
    same = (members["MsgId"],) if "MsgId" in members else (openid, created, name, event_key)
    key = hashlib.sha256("\0".join(same).encode(errors="replace")).hexdigest()
    return Event(kind, openid, scene, key)
