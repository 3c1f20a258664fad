"""WeChat's tokens for people, at rest: a live one when it is needed, and what is read with it."""

import asyncio
import contextlib
import time
from datetime import datetime, timedelta
from typing import Final, Protocol

import structlog

from hub.errors import HubError, ProviderFailed, StoreUnavailable
from hub.store.database import Connection, Row, Store
from hub.store.encryption import DataKeys, Place, Unsealable

log = structlog.stdlib.get_logger("hub.accounts")

_EARLY: Final = timedelta(minutes=5)
_LEASE: Final = timedelta(seconds=23)  # longer than a call, and the store before it, may take
_STALE: Final = timedelta(days=7)


class Granted(Protocol):
    """Tokens as WeChat gives them; *expires_in* in seconds, of the access token."""

    @property
    def openid(self) -> str: ...
    @property
    def access_token(self) -> str: ...
    @property
    def refresh_token(self) -> str: ...
    @property
    def expires_in(self) -> int: ...


class Shown(Protocol):
    """What a person shows of themselves; empty where they show nothing."""

    @property
    def nickname(self) -> str: ...
    @property
    def avatar_url(self) -> str: ...


class People(Protocol):
    """WeChat, as far as a person's own token goes; all raise ProviderFailed."""

    async def alive(self, access_token: str, openid: str) -> bool:
        """Tell whether the token is still good."""

    async def refreshed(self, appid: str, refresh_token: str) -> Granted | None:
        """Return live tokens, None where the refresh token is dead."""

    async def profile(self, access_token: str, openid: str) -> Shown | None:
        """Return what the person shows, None where the token does not give that away."""


class PersonTokens:
    """The tokens in `wechat_users`, encrypted by *keys*; refreshed by one caller over all processes.

    Whoever moves `refreshing_until` by a conditional UPDATE refreshes, the others wait for the row; what is
    stored is sealed under the current key. A sign-in or an unbinding meanwhile wins over a refresh.
    """

    def __init__(self, store: Store, keys: DataKeys, people: People) -> None:
        self._store = store
        self._keys = keys
        self._people = people
        self._asking: dict[int, asyncio.Task[str | None]] = {}

    async def access_token(self, wechat_user_id: int) -> str | None:
        """Return a live access token, or None where there is none and none can be had.

        WeChat may have ended one before its time, so it is asked; where it does not answer, time decides.
        Where WeChat says that the refresh token is dead, both are wiped. Raises ProviderFailed where WeChat
        does not answer and the old one is over, StoreUnavailable.
        """
        task = self._asking.get(wechat_user_id)
        if task is None:
            task = asyncio.create_task(self._live(wechat_user_id))
            self._asking[wechat_user_id] = task
            task.add_done_callback(lambda done: self._asked(wechat_user_id, done))
        return await asyncio.shield(task)

    async def refresh_profile(self, wechat_user_id: int) -> bool:
        """Read name and picture again where they are older than 7 days; tell whether that was done.

        The account follows where it still shows what it had from WeChat. For the background, best effort:
        what goes wrong is logged, and the next call tries again.
        """
        now = self._store.now()
        try:
            row = await self._store.one("wechat_tokens.shown", id=wechat_user_id)
            claimed = await self._store.changed(
                "wechat_tokens.claim_profile",
                id=wechat_user_id,
                profile_read_at=now,
                profile_read_at_before=now - _STALE,
            )
            return row is not None and claimed > 0 and await self._read_profile(wechat_user_id, row, now)
        except StoreUnavailable as error:
            log.warning("profile_not_refreshed", wechat_user_id=wechat_user_id, reason=error.reason)
            return False

    async def refresh_profile_of(self, appid: str, openid: str) -> bool:
        """Do `refresh_profile` for whom *appid* knows by *openid*, if anybody. Raises StoreUnavailable."""
        row = await self._store.one("wechat_tokens.person", appid=appid, openid=openid)
        return row is not None and await self.refresh_profile(row["id"])

    async def _read_profile(self, wechat_user_id: int, row: Row, claimed_at: datetime) -> bool:
        try:
            token = await self.access_token(wechat_user_id)
            shown = await self._people.profile(token, row["openid"]) if token else None
        except HubError as error:
            log.info("profile_not_refreshed", wechat_user_id=wechat_user_id, reason=error.reason)
            await self._store.changed(
                "wechat_tokens.give_back_profile",
                id=wechat_user_id,
                profile_read_at=claimed_at,
                profile_read_at_before=row["profile_read_at"],
            )
            return False
        if shown is None:
            return False
        fresh = {"nickname": shown.nickname or None, "avatar_url": shown.avatar_url or None}

        async def work(tx: Connection) -> bool:
            now = self._store.now()
            known = await tx.changed("wechat_tokens.show", id=wechat_user_id, **fresh, updated_at=now)
            if known and row["uid"] is not None:
                await tx.changed(
                    "accounts.refresh_user",
                    id=row["uid"],
                    **fresh,
                    nickname_before=row["wechat_nickname"] or "",
                    avatar_url_before=row["wechat_avatar_url"] or "",
                    updated_at=now,
                )
            return known > 0

        return await self._store.write(work)

    def _asked(self, wechat_user_id: int, task: asyncio.Task[str | None]) -> None:
        del self._asking[wechat_user_id]
        if not task.cancelled():
            task.exception()  # nobody may be left to ask for it

    async def _live(self, wechat_user_id: int) -> str | None:
        """Return the row's token, refresh it, or wait for whoever does."""
        until = time.monotonic() + _LEASE.total_seconds() + 1
        pause = 0.02
        ended = None
        while True:
            row = await self._store.one("wechat_tokens.of_person", id=wechat_user_id)
            if row is None or row["access_token"] is None:
                return None
            now = self._store.now()
            usable = self._opened(row, "access_token") if now < row["expires_at"] else None
            if now < row["expires_at"] - _EARLY:
                if row["access_token"] != ended and (usable is None or await self._alive(row, usable)):
                    return usable
                usable, ended = None, row["access_token"]
            refresh_token = self._opened(row, "refresh_token")
            if refresh_token is None:
                return usable
            if await self._store.changed(
                "wechat_tokens.lease",
                id=wechat_user_id,
                refresh_token=row["refresh_token"],
                refreshing_until=now + _LEASE,
                refreshing_until_now=now,
            ):
                try:
                    granted = await self._refreshed(row, refresh_token)
                except ProviderFailed:
                    await self._release(wechat_user_id, row)
                    if usable:
                        return usable
                    raise
                if await self._settled(wechat_user_id, row, granted, now):
                    return granted.access_token if granted else None
            elif usable:
                return usable
            elif time.monotonic() > until:
                raise ProviderFailed("others have tried to refresh in vain")
            else:
                await asyncio.sleep(pause)
                pause = min(pause * 2, 0.25)

    async def _alive(self, row: Row, access_token: str) -> bool:
        try:
            return await self._people.alive(access_token, row["openid"])
        except ProviderFailed:
            return True

    async def _refreshed(self, row: Row, refresh_token: str) -> Granted | None:
        granted = await self._people.refreshed(row["appid"], refresh_token)
        if granted is not None and granted.openid != row["openid"]:
            raise ProviderFailed("tokens of somebody else")
        return granted

    async def _settled(
        self, wechat_user_id: int, row: Row, granted: Granted | None, asked_at: datetime
    ) -> bool:
        """Store what came of a refresh; False where the row has changed meanwhile."""
        if granted is None:
            log.info("wechat_tokens_dead", wechat_user_id=wechat_user_id)
            wiped = await self._store.changed(
                "wechat_tokens.wipe", id=wechat_user_id, refresh_token=row["refresh_token"]
            )
            return wiped > 0
        kept = await self._store.changed(
            "wechat_tokens.keep",
            id=wechat_user_id,
            access_token=self._keys.seal(granted.access_token, _place(row, "access_token")),
            refresh_token=self._keys.seal(granted.refresh_token, _place(row, "refresh_token")),
            expires_at=asked_at + timedelta(seconds=granted.expires_in),
            refresh_token_before=row["refresh_token"],
        )
        return kept > 0

    async def _release(self, wechat_user_id: int, row: Row) -> None:
        with contextlib.suppress(StoreUnavailable):  # then it runs out by itself
            await self._store.changed(
                "wechat_tokens.release", id=wechat_user_id, refresh_token=row["refresh_token"]
            )

    def _opened(self, row: Row, column: str) -> str | None:
        """Return a token; None where there is none, or of a key that is gone."""
        if row[column] is None:
            return None
        try:
            return self._keys.open(row[column], _place(row, column))
        except Unsealable:
            log.warning("wechat_token_unsealable", column=column)
            return None


def _place(row: Row, column: str) -> Place:
    return Place("wechat_users", (row["appid"], row["openid"]), column)
