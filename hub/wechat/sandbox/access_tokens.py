"""Access tokens of accounts and mini programs: two kinds that know nothing of each other."""

import secrets
from dataclasses import dataclass
from typing import Final

from hub.wechat.sandbox.clock import Clock
from hub.wechat.sandbox.kept import Kept
from hub.wechat.sandbox.quotas import Quotas
from hub.wechat.sandbox.replies import Refused

LIFE: Final = 7200
OVERLAP: Final = 300
FORCE_PAUSE: Final = 30


@dataclass(slots=True)
class AccessToken:
    """One token; *is_latest* ends when a newer one of its kind takes over before its time."""

    value: str
    appid: str
    expires_at: float
    is_latest: bool = True


class AccessTokens:
    """All tokens given out by this process. Every answer is the token and its remaining life in seconds."""

    def __init__(self, clock: Clock, quotas: Quotas) -> None:
        self._clock = clock
        self._quotas = quotas
        self._all: Kept[str, AccessToken] = Kept()
        self._plain: dict[str, AccessToken] = {}
        self._stable: dict[str, AccessToken] = {}
        self._forced: dict[str, float] = {}

    def plain(self, appid: str) -> tuple[str, int]:
        """Return a new token; the former one of `cgi-bin/token` is good for five minutes more."""
        self._quotas.spend("token", appid)
        former = self._plain.get(appid)
        if former is not None:
            former.expires_at = min(former.expires_at, self._clock.time() + OVERLAP)
            former.is_latest = False
        self._plain[appid] = self._new(appid)
        return self._plain[appid].value, LIFE

    def stable(self, appid: str, *, force: bool) -> tuple[str, int]:
        """Return the one token of this app, a new one in its last five minutes, or at once by *force*.

        The former token keeps its life, unless it was forced out. Raises Refused: forcing is allowed every
        30 seconds (45011) and 20 times a day (45009).
        """
        now = self._clock.time()
        self._quotas.spend("stable_token", appid)
        token = self._stable.get(appid)
        if force:
            if now < self._forced.get(appid, float("-inf")) + FORCE_PAUSE:
                raise Refused(45011)
            self._quotas.spend("force_refresh", appid)
            self._forced[appid] = now
            if token is not None:
                token.expires_at, token.is_latest = min(token.expires_at, now), False
        if force or token is None or token.expires_at - now < OVERLAP:
            token = self._stable[appid] = self._new(appid)
        return token.value, int(token.expires_at - now)

    def check(self, value: str) -> str:
        """Return whose token it is. Raises Refused: 41001 none, 42001 too old, 40001 unknown or replaced."""
        if not value:
            raise Refused(41001)
        token = self._all.get(value)
        if token is None:
            raise Refused(40001)
        if self._clock.time() >= token.expires_at:
            raise Refused(42001 if token.is_latest else 40001)
        return token.appid

    def _new(self, appid: str) -> AccessToken:
        # As long as WeChat's own: a column or header made for less shows at once.
        value = f"{secrets.randbelow(90) + 10}_{secrets.token_urlsafe(100)}"
        token = AccessToken(value, appid, self._clock.time() + LIFE)
        self._all[value] = token
        return token
