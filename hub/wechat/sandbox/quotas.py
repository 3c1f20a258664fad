"""How often each call may be made, counted by the sandbox's clock."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from hub.wechat.sandbox.clock import Clock
from hub.wechat.sandbox.kept import Kept
from hub.wechat.sandbox.replies import Refused

MINUTE: Final = 60
DAY: Final = 86400
_BEIJING: Final = 8 * 3600  # a day's counters go back to zero at midnight there


class Limit(NamedTuple):
    """At most *most* calls in each window of *seconds*, then *errcode*."""

    most: int
    seconds: int
    errcode: int


LIMITS: Final[Mapping[str, tuple[Limit, ...]]] = {
    "access_token": (Limit(50_000, MINUTE, 45011),),
    "token": (Limit(2_000, DAY, 45009),),
    "stable_token": (Limit(10_000, MINUTE, 45011), Limit(500_000, DAY, 45009)),
    "force_refresh": (Limit(20, DAY, 45009),),
    "qrcode/create": (Limit(100_000, DAY, 45009),),
    "user/info": (Limit(5_000_000, DAY, 45009),),
    "jscode2session": (Limit(100, MINUTE, 45011),),
    "getwxacodeunlimit": (Limit(5_000, MINUTE, 45009),),
}


class Quotas:
    """The counters of this process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._limits = dict(LIMITS)
        self._used: Kept[tuple[str, str, int], tuple[int, int]] = Kept()

    def spend(self, call: str, key: str) -> None:
        """Count a call by *key* (an app id, or an openid). Raises Refused where a limit is reached."""
        for limit in self._limits[call]:
            used = self._count(call, key, limit)
            if used >= limit.most:
                raise Refused(limit.errcode)
            self._used[call, key, limit.seconds] = (self._window(limit), used + 1)

    def set(self, call: str, most: int) -> None:
        """Let all limits of *call* be *most*. Raises KeyError for a call without a limit."""
        self._limits[call] = tuple(limit._replace(most=most) for limit in self._limits[call])

    def reset(self) -> None:
        """Put limits and counters back to the beginning."""
        self._limits = dict(LIMITS)
        self._used.clear()

    def listed(self) -> list[dict[str, Any]]:
        """Return the counters that have been moved."""
        return [
            {
                "call": call,
                "key": key,
                "seconds": seconds,
                "limit": limit.most,
                "used": self._count(call, key, limit),
            }
            for call, key, seconds in self._used
            for limit in self._limits[call]
            if limit.seconds == seconds
        ]

    def _window(self, limit: Limit) -> int:
        return int(self._clock.time() + _BEIJING) // limit.seconds

    def _count(self, call: str, key: str, limit: Limit) -> int:
        window, used = self._used.get((call, key, limit.seconds), (0, 0))
        return used if window == self._window(limit) else 0
