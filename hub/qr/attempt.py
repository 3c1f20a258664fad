"""One sign-in attempt as its row tells it, and the public snapshot that watchers get."""

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from hub.qr.states import FINAL, PROVIDER_DOORS, Status
from hub.realtime.watch import Message
from hub.tokens.session import Device


@dataclass(frozen=True, slots=True)
class Attempt:
    """A row of `login_sessions`, decoded. `key` is the hash under which the session_id is stored."""

    id: int
    key: str
    session_seed: str
    user_id: int | None
    qr_code: str
    previous_qr_code: str | None
    qr_expires_at: datetime
    status: Status
    reason: str | None
    seq: int
    purpose: str
    door: str
    binding: str
    successor_id: int | None
    redirect_uri: str | None
    state: str | None
    scanned_by: str | None
    profile: Mapping[str, Any]
    ip_address: str
    user_agent: str
    city: str | None
    created_at: datetime
    expires_at: datetime
    redeemed_at: datetime | None
    cookie_hash: str | None = None
    initiator_user_id: int | None = None
    initiator_sid: str | None = None
    qr_content: str | None = None
    confirm_link: str | None = None
    redeemed_sid: str | None = None

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "Attempt":
        """Decode a row of `qr.by_*`."""
        return cls(
            **{name: row[name] for name in _PLAIN},
            key=row["session_id"],
            status=Status(row["status"]),
            profile=json.loads(row["provider_profile"]) if row["provider_profile"] else {},
        )

    @property
    def channel(self) -> str:
        """The broker's channel and snapshot key of this attempt."""
        return channel(self.key)

    @property
    def browser(self) -> Device:
        """The browser that began it."""
        return Device(None, None, None, self.ip_address, self.user_agent, self.city)

    @property
    def final(self) -> bool:
        """Whether nothing can happen to it any more."""
        return self.status in FINAL

    def snapshot(self, told_at: datetime | None = None) -> "Snapshot":
        """Return what watchers are told: public facts and absolute times, no secret, no session_id.

        *told_at* is the time of a publication, for whoever measures how long the way to the client takes.
        """
        claimed = self.status is not Status.PENDING and bool(self.scanned_by)
        return Snapshot(
            seq=self.seq,
            status=self.status,
            reason=self.reason,
            expires_at=self.expires_at,
            qr_code=self.qr_code if self.status is Status.PENDING else None,
            qr_expires_at=self.qr_expires_at,
            user_info=_json(
                {
                    "user_id": self.user_id if self.status is Status.CONFIRMED else None,
                    "nickname": self.profile.get("nickname"),
                    "avatar_url": self.profile.get("avatar_url"),
                }
            )
            if claimed
            else "null",
            redirects=self.redirect_uri is not None,
            door=self.door,
            told_at=told_at,
        )

    def message(self, told_at: datetime | None = None) -> Message:
        """Return the `snapshot` in the form in which the broker holds it."""
        return self.snapshot(told_at).message()


_PLAIN = [name for name in Attempt.__slots__ if name not in ("key", "status", "profile")]


# A snapshot as the broker holds it, and its frame. Both are JSON, but no JSON library takes them apart or
# puts them together: that would be half of what it costs to tell a socket something.
_MESSAGE = (
    '{"status":"%s","reason":%s,"expires_at":%d,"qr_code":%s,"qr_expires_at":%d,"user_info":%s,'
    '"redirects":%s,"door":"%s","told_at":%s}'
)
_MADE = re.compile(
    r'\{"status":"([a-z]+)","reason":(null|"[a-z_]+"),"expires_at":([0-9]{1,14}),"qr_code":(null|"[\w-]+"),'
    r'"qr_expires_at":([0-9]{1,14}),"user_info":(null|\{.+\}),"redirects":(true|false),"door":"([a-z0-9_]+)",'
    r'"told_at":(null|[0-9]{1,14})\}',
    re.ASCII,
)
_FRAME = (
    '{"type":"status","session_id":"%s","seq":%d,"status":"%s","reason":%s,"expires_in":%d,"qr_code":%s,'
    '"qr_url":%s,"qr_expires_in":%s,"user_info":%s}'
)


class Snapshot(NamedTuple):
    """The public state of an attempt at one `seq`; `user_info` is JSON."""

    seq: int
    status: Status
    reason: str | None
    expires_at: datetime
    qr_code: str | None
    qr_expires_at: datetime
    user_info: str
    redirects: bool
    door: str
    told_at: datetime | None

    @classmethod
    def from_message(cls, message: Message) -> "Snapshot":
        """Decode what `message` made. Raises ValueError for what it did not make."""
        made = _MADE.fullmatch(message.body.decode())
        if made is None:
            raise ValueError("not a snapshot, or one of another release")
        status, reason, ends, code, code_ends, user_info, redirects, door, told_at = made.groups()
        return cls(
            message.seq,
            Status(status),
            None if reason == "null" else reason[1:-1],
            _moment(int(ends)),
            None if code == "null" else code[1:-1],
            _moment(int(code_ends)),
            user_info,
            redirects == "true",
            sys.intern(door),
            None if told_at == "null" else _moment(int(told_at)),
        )

    def message(self) -> Message:
        """Return the form in which the broker holds it."""
        body = _MESSAGE % (
            self.status,
            _text(self.reason),
            _milliseconds(self.expires_at),
            _text(self.qr_code),
            _milliseconds(self.qr_expires_at),
            self.user_info,
            "true" if self.redirects else "false",
            self.door,
            _milliseconds(self.told_at) if self.told_at else "null",
        )
        return Message(self.seq, body.encode())

    @property
    def final(self) -> bool:
        """Whether no newer snapshot can follow."""
        return self.status in FINAL

    def due_in(self, now: datetime) -> float:
        """Return the seconds until the next move that time alone makes (rotation or expiry)."""
        due = min(self.expires_at, self.qr_expires_at) if self.qr_code else self.expires_at
        return max(0.0, (due - now).total_seconds())

    def frame(self, session_id: str, base_url: str, now: datetime) -> bytes:
        """Return the wire form, JSON that is the same on all three channels; times are seconds from *now*."""
        code = self.qr_code
        return (
            _FRAME
            % (
                session_id,
                self.seq,
                self.status,
                _text(self.reason),
                0 if self.status in _OVER else _left(self.expires_at, now),
                _text(code),
                _text(image_url(base_url, code, self.door)) if code else "null",
                _left(self.qr_expires_at, now) if code else "null",
                self.user_info,
            )
        ).encode()


_OVER = (Status.EXPIRED, Status.FAILED)
_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def _text(text: str | None) -> str:
    return "null" if text is None else _json(text)


def channel(key: str) -> str:
    """Return the broker channel of the attempt whose hashed session_id is *key*."""
    return f"attempt:{key}"


def image_url(base_url: str, qr_code: str, door: str) -> str | None:
    """Return the address of the code's picture, None at a door where WeChat shows a page of its own."""
    if door in PROVIDER_DOORS:
        return None
    return f"{base_url}/api/auth/wechat/qr-code/{qr_code}.{'png' if door == 'mini_program' else 'svg'}"


def _left(moment: datetime, now: datetime) -> int:
    return max(0, round((moment - now).total_seconds()))


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
