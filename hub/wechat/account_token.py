"""The access tokens of our own apps: in SQL, encrypted, and asked for once per life over all processes."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, TypeVar

import structlog

from hub.errors import StoreUnavailable
from hub.store.database import Row, Store, UniqueViolation
from hub.store.encryption import DataKeys, Place, Unsealable
from hub.wechat import replies
from hub.wechat.errors import BackOff, Misconfigured, TokenRefused, Unreachable, WeChatError, refusal
from hub.wechat.replies import AppToken
from hub.wechat.transport import App, Transport

log = structlog.stdlib.get_logger("hub.wechat")

T = TypeVar("T")

# Within a token's last 300 seconds WeChat gives out the next one, and the old one stays good; a little later
# than that, so that the clocks' difference does not bring the old one again.
_RENEW_BEFORE: Final = 280.0
_LEASE_MARGIN: Final = 15.0  # seconds: longer than the store may take to say that the lease is ours
_PAUSE: Final = 3.0
_PAUSE_MISCONFIGURED: Final = 30.0
_PAUSE_REFUSED: Final = 30.0
_LOOK_AGAIN: Final = timedelta(seconds=1)
_UNREACHABLE: Final = "unreachable"


@dataclass(frozen=True, slots=True)
class _Held:
    """A token with its end, and from when on to look for the next one."""

    token: str = field(repr=False)
    expires_at: datetime
    renew_at: datetime


class AccountTokens:
    """The tokens by which our apps call WeChat's `/cgi-bin` and `/wxa`; *keys* encrypt them at rest.

    A token is asked for by whoever moves the row's `generation` by a conditional UPDATE, under a lease that
    outlasts the call; the others wait for the row. In the last minutes of a token's life one caller renews it
    while all use it still. Its failure is in the row as well, so that for some seconds nobody asks again.
    """

    def __init__(self, store: Store, transport: Transport, keys: DataKeys) -> None:
        self._store = store
        self._transport = transport
        self._keys = keys
        self._held: dict[str, _Held] = {}
        self._asking: dict[str, asyncio.Task[_Held]] = {}

    async def start(self) -> None:
        """Nothing is opened before a token is needed."""

    async def stop(self) -> None:
        """Give up what is being asked for; its lease runs out by itself."""
        for task in self._asking.values():
            task.cancel()
        await asyncio.gather(*self._asking.values(), return_exceptions=True)

    async def token(self, app: App) -> str:
        """Return a live token of *app*.

        Raises WeChatError, at once where the last try of any process has just failed; StoreUnavailable.
        """
        held = self._held.get(app.appid)
        now = self._store.now()
        if held and now < held.renew_at:
            return held.token
        task = self._asking.get(app.appid)
        if task is None:
            task = asyncio.create_task(self._ask(app))
            self._asking[app.appid] = task
            task.add_done_callback(lambda done: self._asked(app.appid, done))
        if held and now < held.expires_at:
            return held.token
        return (await asyncio.shield(task)).token

    async def refused(self, app: App, token: str) -> None:
        """Give up *token*, which WeChat has refused (40001, 40014, 42001), if it still is the one in use.

        A token that WeChat gave out a second time after refusing it is not given up again for half a minute.
        """
        row = await self._store.one("wechat.account_token", appid=app.appid)
        if row is not None and self._opened(app, row) == token:
            now = self._store.now()
            given_up = await self._store.changed(
                "wechat.refuse_account_token",
                appid=app.appid,
                access_token=row["access_token"],  # each sealing is another text
                refused_at_before=now - timedelta(seconds=_PAUSE_REFUSED),
                updated_at=now,
            )
            if given_up:
                log.warning("wechat_token_given_up", appid=app.appid)
        if task := self._asking.get(app.appid):
            await asyncio.wait([task])  # it may have read the row before
        held = self._held.get(app.appid)
        if held and held.token == token:
            del self._held[app.appid]

    async def using(self, app: App, send: Callable[[str], Awaitable[T]]) -> T:
        """Return what *send* makes of a token; where WeChat refuses it, there is one more try with another.

        Raises what *send* and `token` raise.
        """
        token = await self.token(app)
        try:
            return await send(token)
        except TokenRefused:
            await self.refused(app, token)
            another = await self.token(app)
            if another == token:
                raise
        return await send(another)

    def _asked(self, appid: str, task: asyncio.Task[_Held]) -> None:
        del self._asking[appid]
        if not task.cancelled() and (error := task.exception()) and not isinstance(error, WeChatError):
            log.warning("wechat_token_not_renewed", appid=appid, reason=str(error))

    async def _ask(self, app: App) -> _Held:
        held = await self._current(app)
        self._held[app.appid] = held
        return held

    async def _current(self, app: App) -> _Held:
        """Return the row's token, or fetch one for the row, or wait for whoever does."""
        until = time.monotonic() + self._lease_seconds
        pause = 0.02
        while True:
            row = await self._row(app)
            now = self._store.now()
            held = self._live(app, row, now)
            if held and now < held.renew_at:
                return held
            if row["leased_until"] is None or row["leased_until"] <= now:
                if await self._lease(app, row, now):
                    if held:
                        self._held[app.appid] = held  # for those who come meanwhile
                    return await self._fetch(app, row, held)
                continue
            if held:  # somebody else renews it, or has failed to a moment ago
                return _Held(held.token, held.expires_at, now + _LOOK_AGAIN)
            if row["failure"]:
                raise _recorded(row["failure"])
            if time.monotonic() > until:
                raise Unreachable("stable_token", detail="others have asked in vain")
            await asyncio.sleep(pause)
            pause = min(pause * 2, 0.25)

    async def _fetch(self, app: App, row: Row, held: _Held | None) -> _Held:
        """Ask WeChat under the lease, and note what came of it."""
        generation = row["generation"] + 1
        asked_at = self._store.now()
        try:
            given = await request_token(self._transport, app)
        except WeChatError as error:
            await self._note_failure(app, generation, error)
            if held:
                return _Held(held.token, held.expires_at, self._store.now() + _LOOK_AGAIN)
            raise
        until_renewal = max(given.expires_in - _RENEW_BEFORE, given.expires_in / 2)
        fresh = _Held(
            given.access_token,
            asked_at + timedelta(seconds=given.expires_in),
            asked_at + timedelta(seconds=until_renewal),
        )
        again = row["expires_at"] is None and self._opened(app, row) == fresh.token
        try:
            await self._store.changed(
                "wechat.keep_account_token",
                appid=app.appid,
                generation=generation,
                access_token=self._keys.seal(fresh.token, _place(app)),
                expires_at=fresh.expires_at,
                renew_at=fresh.renew_at,
                refused_at=asked_at if again else None,
                updated_at=self._store.now(),
            )
        except StoreUnavailable as error:  # good for this process; the others get the same one from WeChat
            log.warning("wechat_token_not_kept", appid=app.appid, reason=error.reason)
        return fresh

    async def _lease(self, app: App, row: Row, now: datetime) -> bool:
        changed = await self._store.changed(
            "wechat.lease_account_token",
            appid=app.appid,
            generation=row["generation"],
            leased_until=now + timedelta(seconds=self._lease_seconds),
            updated_at=now,
        )
        return changed > 0

    async def _note_failure(self, app: App, generation: int, error: WeChatError) -> None:
        pause = _PAUSE
        if isinstance(error, BackOff):
            pause = error.retry_after
        elif isinstance(error, Misconfigured):
            pause = _PAUSE_MISCONFIGURED
        now = self._store.now()
        with contextlib.suppress(StoreUnavailable):  # then the lease runs out by itself
            await self._store.changed(
                "wechat.fail_account_token",
                appid=app.appid,
                generation=generation,
                leased_until=now + timedelta(seconds=pause),
                failure=_UNREACHABLE if error.errcode is None else str(error.errcode),
                updated_at=now,
            )

    async def _row(self, app: App) -> Row:
        while True:
            row = await self._store.one("wechat.account_token", appid=app.appid)
            if row is not None:
                return row
            with contextlib.suppress(UniqueViolation):
                await self._store.insert(
                    "wechat.add_account_token", appid=app.appid, created_at=self._store.now()
                )

    def _live(self, app: App, row: Row, now: datetime) -> _Held | None:
        if row["expires_at"] is None or row["expires_at"] <= now:
            return None
        token = self._opened(app, row)
        return _Held(token, row["expires_at"], row["renew_at"]) if token else None

    def _opened(self, app: App, row: Row) -> str | None:
        """Return the row's token, refused or not; None where there is none, or of a key that is gone."""
        if row["access_token"] is None:
            return None
        try:
            return self._keys.open(row["access_token"], _place(app))
        except Unsealable:
            return None

    @property
    def _lease_seconds(self) -> float:
        return self._transport.call_limit + _LEASE_MARGIN


async def request_token(transport: Transport, app: App) -> AppToken:
    """Ask WeChat for the token of *app*; within its life it is the same for everybody. Raises WeChatError."""
    body = {
        "grant_type": "client_credential",
        "appid": app.appid,
        "secret": app.secret,
        "force_refresh": False,
    }
    return await transport.call(
        "stable_token", "POST", "/cgi-bin/stable_token", params={}, json=body, read=replies.app_token
    )


def _place(app: App) -> Place:
    return Place("wechat_account_tokens", (app.appid,), "access_token")


def _recorded(failure: str) -> WeChatError:
    if failure == _UNREACHABLE:
        return Unreachable("stable_token", detail="a moment ago")
    return refusal("stable_token", int(failure), None)
