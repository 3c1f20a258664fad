"""QR codes with a scene: what an official account orders, and what a phone that scans one is told."""

import base64
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from hub.wechat.sandbox.clock import Clock
from hub.wechat.sandbox.kept import Kept
from hub.wechat.sandbox.replies import Refused

DEFAULT_LIFE: Final = 60
LONGEST_LIFE: Final = 2_592_000
PERMANENT_MOST: Final = 100_000

_BY_NUMBER: Final = ("QR_SCENE", "QR_LIMIT_SCENE")
_BY_TEXT: Final = ("QR_STR_SCENE", "QR_LIMIT_STR_SCENE")


@dataclass(frozen=True, slots=True)
class Ticket:
    """One code; *name* ends its address, *expires_at* is None for a permanent one."""

    value: str
    name: str
    appid: str
    scene: str
    expires_at: float | None


class Tickets:
    """All codes of this process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._by_value: Kept[str, Ticket] = Kept()
        self._by_name: Kept[str, Ticket] = Kept()
        self._by_scene: Kept[tuple[str, str], Ticket] = Kept()
        self._permanent: dict[str, int] = {}

    def create(self, appid: str, order: Mapping[str, object]) -> tuple[Ticket, int | None]:
        """Return the code that *order* (the body of `qrcode/create`) asks for, and its life in seconds.

        Raises Refused: 40052 for the kind, 40053 for the scene, 40097 for the life, 45029 for too many
        permanent ones.
        """
        kind = order.get("action_name")
        if kind not in (*_BY_NUMBER, *_BY_TEXT):
            raise Refused(40052)
        scene = _scene(str(kind), order.get("action_info"))
        if "LIMIT" in str(kind):
            if self._permanent.get(appid, 0) >= PERMANENT_MOST:
                raise Refused(45029)
            self._permanent[appid] = self._permanent.get(appid, 0) + 1
            return self.issue(appid, scene, None), None
        life = order.get("expire_seconds", DEFAULT_LIFE)
        if not isinstance(life, int) or isinstance(life, bool) or not 1 <= life <= LONGEST_LIFE:
            raise Refused(40097)
        return self.issue(appid, scene, life), life

    def issue(self, appid: str, scene: str, life: int | None) -> Ticket:
        """Return a new code."""
        # Real tickets are base64 with its signs that an address must escape: "+", "/" and "=".
        value = base64.b64encode(b"\x81" + secrets.token_bytes(60)).decode()
        expires_at = None if life is None else self._clock.time() + life
        ticket = Ticket(value, "02" + secrets.token_urlsafe(15), appid, scene, expires_at)
        self._by_value[value] = self._by_name[ticket.name] = ticket
        self._by_scene[appid, scene] = ticket
        return ticket

    def by_value(self, value: str) -> Ticket | None:
        """Return the code of this ticket."""
        return self._by_value.get(value)

    def by_name(self, name: str) -> Ticket | None:
        """Return the code whose address ends in *name*."""
        return self._by_name.get(name)

    def by_scene(self, appid: str, scene: str) -> Ticket | None:
        """Return the latest code of this scene."""
        return self._by_scene.get((appid, scene))

    def is_over(self, ticket: Ticket) -> bool:
        """Return whether a phone that scans it is told that it has expired."""
        return ticket.expires_at is not None and self._clock.time() >= ticket.expires_at


def _scene(kind: str, info: object) -> str:
    scene = info.get("scene") if isinstance(info, dict) else None
    if not isinstance(scene, dict):
        raise Refused(40053)
    if kind in _BY_TEXT:
        text = scene.get("scene_str")
        if not isinstance(text, str) or not 1 <= len(text) <= 64:
            raise Refused(40053)
        return text
    number = scene.get("scene_id")
    highest = PERMANENT_MOST if kind == "QR_LIMIT_SCENE" else 2**32 - 1
    if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= highest:
        raise Refused(40053)
    return str(number)
