"""Codes and tokens: what has been consented to, how often it may be used and how long it lives."""

import secrets
from dataclasses import dataclass
from typing import Final

from hub.wechat.sandbox.clock import Clock
from hub.wechat.sandbox.kept import Kept
from hub.wechat.sandbox.people import Person
from hub.wechat.sandbox.replies import Refused
from hub.wechat.sandbox.unionids import Unionids

CODE_LIFE: Final = 600
ACCESS_LIFE: Final = 7200
REFRESH_LIFE: Final = 30 * 86400


@dataclass(slots=True)
class Code:
    """An authorization code; *expires_at* is a time of the sandbox's clock."""

    appid: str
    person: Person
    scope: str
    expires_at: float
    used: bool = False


@dataclass(slots=True)
class Grant:
    """What a code was exchanged for; *unionid* is None where this app may not see it."""

    appid: str
    person: Person
    scope: str
    unionid: str | None
    access_token: str
    access_expires_at: float
    refresh_token: str
    refresh_expires_at: float

    @property
    def openid(self) -> str:
        """The person's openid at the app."""
        return self.person.openid(self.appid)


class Grants:
    """All codes and tokens given out by this process."""

    def __init__(self, clock: Clock, unionids: Unionids) -> None:
        self._clock = clock
        self._unionids = unionids
        self._codes: Kept[str, Code] = Kept()
        self._by_access: Kept[str, Grant] = Kept()
        self._by_refresh: Kept[str, Grant] = Kept()

    def issue(self, appid: str, person: Person, scope: str) -> str:
        """Return a fresh code: one use, ten minutes."""
        code = secrets.token_urlsafe(24)
        self._codes[code] = Code(appid, person, scope, self._clock.time() + CODE_LIFE)
        return code

    def exchange(self, appid: str, value: str) -> Grant:
        """Spend a code. Raises Refused: 40163 used, 42003 too old, 40029 unknown or another app's.

        Another app's try spends the code as well, as WeChat does.
        """
        code = self._codes.get(value)
        if code is None:
            raise Refused(40029)
        if code.used:
            raise Refused(40163)
        code.used = True
        if code.appid != appid:
            raise Refused(40029)
        now = self._clock.time()
        if now >= code.expires_at:
            raise Refused(42003)
        grant = Grant(
            appid=appid,
            person=code.person,
            scope=code.scope,
            unionid=None if code.scope == "snsapi_base" else self._unionids.met(appid, code.person),
            access_token=secrets.token_urlsafe(64),
            access_expires_at=now + ACCESS_LIFE,
            refresh_token=secrets.token_urlsafe(64),
            refresh_expires_at=now + REFRESH_LIFE,
        )
        self._by_access[grant.access_token] = grant
        self._by_refresh[grant.refresh_token] = grant
        return grant

    def refresh(self, appid: str, refresh_token: str) -> Grant:
        """Lengthen a live access token or replace a dead one. Raises Refused: 40030, 42002."""
        grant = self._by_refresh.get(refresh_token)
        if grant is None or grant.appid != appid:
            raise Refused(40030)
        now = self._clock.time()
        if now >= grant.refresh_expires_at:
            raise Refused(42002)
        if now >= grant.access_expires_at:
            self._by_access.pop(grant.access_token, None)
            grant.access_token = secrets.token_urlsafe(64)
            self._by_access[grant.access_token] = grant
        grant.access_expires_at = now + ACCESS_LIFE
        return grant

    def check(self, access_token: str, openid: str) -> Grant:
        """Return the grant of a live access token. Raises Refused: 40001, 42001, 40003."""
        grant = self._by_access.get(access_token)
        if grant is None:
            raise Refused(40001)
        if self._clock.time() >= grant.access_expires_at:
            raise Refused(42001)
        if openid != grant.openid:
            raise Refused(40003)
        return grant
