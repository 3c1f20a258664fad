"""The HTTP edge of waiting for an attempt: poll, long poll and server-sent events."""

import asyncio
import json
from collections.abc import AsyncGenerator

from sse_starlette import ServerSentEvent
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from hub.limits.concurrency import OpenStreams
from hub.qr.attempt import Snapshot
from hub.qr.attempts import Attempts
from hub.qr.follow import Follower
from hub.qr.identifiers import hashed
from hub.qr.open_platform.service import OpenPlatform
from hub.qr.operations.watching import EVENTS, STATUS, StatusReply
from hub.qr.redemption import Redemption
from hub.qr.states import PROVIDER_DOORS, Status
from hub.web.cookies import Cookies
from hub.web.origins import Origins
from hub.web.parsing import client_address
from hub.web.streams import event_stream, last_event_id


class WatchRoutes:
    """`GET /api/auth/wechat/status/{session_id}` and `GET /api/auth/wechat/events/{session_id}`."""

    def __init__(
        self,
        *,
        attempts: Attempts,
        redemption: Redemption,
        open_platform: OpenPlatform | None,
        streams: OpenStreams,
        cookies: Cookies,
        origins: Origins,
        base_url: str,
    ) -> None:
        self._attempts = attempts
        self._redemption = redemption
        self._open_platform = open_platform
        self._streams = streams
        self._cookies = cookies
        self._origins = origins
        self._base_url = base_url
        self._polls: set[asyncio.Timeout] = set()
        self._released = False

    def routes(self) -> list[BaseRoute]:
        """Return the routes."""
        return [STATUS.route(self.status), EVENTS.route(self.events)]

    def release(self) -> None:
        """Answer every waiting long poll now, and every later one at once, as if its time were over."""
        self._released = True
        for limit in self._polls:
            _end(limit)

    async def status(self, request: Request) -> Response:
        """Answer the snapshot; with `seq` and `wait` only once there is a newer one, else 304."""
        session_id = request.path_params["session_id"]
        asked = await STATUS.read(request)
        known = asked.seq if asked.seq is not None else _etag(request)
        snapshot = await self._attempts.snapshot(session_id)
        if known is not None and snapshot.seq <= known and asked.wait and not snapshot.final:
            with self._streams.hold(client_address(request), hashed(session_id)):
                snapshot = await self._wait(request, known, asked.wait) or snapshot
        headers = {"etag": f'"{snapshot.seq}"', "cache-control": "no-cache"}
        if known is not None and snapshot.seq <= known:
            return Response(status_code=304, headers=headers)
        answer: StatusReply = json.loads(
            snapshot.frame(session_id, self._base_url, self._attempts.store.now())
        )
        if snapshot.door in PROVIDER_DOORS and snapshot.status is Status.PENDING:
            attempt = await self._attempts.by_session(session_id)
            secret = self._cookies.binding(request)
            if self._open_platform and (url := self._open_platform.authorize_url(attempt, secret)):
                answer["authorize_url"] = url
            headers["cache-control"] = "no-store"
        if snapshot.redirects and snapshot.status is Status.CONFIRMED:
            url = await self._redemption.redirect_url(session_id, self._cookies.binding(request))
            if url:
                answer["redirect_url"] = url
                headers["cache-control"] = "no-store"
        return STATUS.answer(answer, headers)

    async def events(self, request: Request) -> Response:
        """Stream the snapshots as server-sent events; `id` is `seq`."""
        session_id = request.path_params["session_id"]
        self._origins.check(request)
        asked = await EVENTS.read(request)
        last = last_event_id(request)
        seq = (asked.seq or 0) if last is None else last
        first = await self._attempts.by_session(session_id)  # a 404 is a plain answer, not an event
        address = client_address(request)
        self._streams.check(address, first.key)
        if first.final and first.seq <= seq:
            return Response(status_code=204)  # tells an EventSource not to come back
        return event_stream(self._stream(session_id, address, first.key, seq))

    async def _wait(self, request: Request, seq: int, wait: float) -> Snapshot | None:
        session_id = request.path_params["session_id"]
        try:
            async with asyncio.timeout(0 if self._released else wait) as limit:
                self._polls.add(limit)
                hangup = asyncio.create_task(_end_at_hangup(request, limit))
                try:
                    async with Follower(self._attempts, session_id, seq) as follower:
                        return await follower.next()
                finally:
                    hangup.cancel()
        except TimeoutError:
            return None
        finally:
            self._polls.discard(limit)

    async def _stream(
        self, session_id: str, address: str, key: str, seq: int
    ) -> AsyncGenerator[ServerSentEvent]:
        with self._streams.hold(address, key):
            async with Follower(self._attempts, session_id, seq) as follower:
                while not follower.finished:
                    snapshot = await follower.next()
                    frame = snapshot.frame(session_id, self._base_url, self._attempts.store.now())
                    yield ServerSentEvent(frame.decode(), id=str(snapshot.seq))
                    follower.delivered()


async def _end_at_hangup(request: Request, limit: asyncio.Timeout) -> None:
    """End *limit* when the client goes: a poll that nobody hears must not count as one of its streams."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    _end(limit)


def _end(limit: asyncio.Timeout) -> None:
    if not limit.expired():
        limit.reschedule(0)


def _etag(request: Request) -> int | None:
    tag = request.headers.get("if-none-match", "").removeprefix("W/").strip('"')
    return int(tag) if tag.isdecimal() and len(tag) < 10 else None
