"""One sign-in attempt as its row tells it, and the public snapshot that watchers get."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

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
            user_info={
                "user_id": self.user_id if self.status is Status.CONFIRMED else None,
                "nickname": self.profile.get("nickname"),
                "avatar_url": self.profile.get("avatar_url"),
            }
            if claimed
            else None,
            redirects=self.redirect_uri is not None,
            door=self.door,
            told_at=told_at,
        )

    def message(self, told_at: datetime | None = None) -> Message:
        """Return the `snapshot` in the form in which the broker holds it."""
        return self.snapshot(told_at).message()


_PLAIN = [name for name in Attempt.__slots__ if name not in ("key", "status", "profile")]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The public state of an attempt at one `seq`."""

    seq: int
    status: Status
    reason: str | None
    expires_at: datetime
    qr_code: str | None
    qr_expires_at: datetime
    user_info: Mapping[str, Any] | None
    redirects: bool
    door: str
    told_at: datetime | None

    @classmethod
    def from_message(cls, message: Message) -> "Snapshot":
        """Decode what `message` made. Raises ValueError for what it did not make."""
        try:
            body = json.loads(message.body)
            return cls(
                seq=message.seq,
                status=Status(body["status"]),
                reason=body["reason"],
                expires_at=_moment(body["expires_at"]),
                qr_code=body["qr_code"],
                qr_expires_at=_moment(body["qr_expires_at"]),
                user_info=body["user_info"],
                redirects=body["redirects"],
                door=sys.intern(body["door"]),
                told_at=_moment(told_at) if (told_at := body.get("told_at")) else None,
            )
        except (KeyError, TypeError, OverflowError) as error:
            raise ValueError(f"not a snapshot: {error!r}") from error

    def message(self) -> Message:
        """Return the form in which the broker holds it."""
        body = {
            "status": self.status,
            "reason": self.reason,
            "expires_at": _milliseconds(self.expires_at),
            "qr_code": self.qr_code,
            "qr_expires_at": _milliseconds(self.qr_expires_at),
            "user_info": self.user_info,
            "redirects": self.redirects,
            "door": self.door,
            "told_at": _milliseconds(self.told_at) if self.told_at else None,
        }
        return Message(self.seq, json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode())

    @property
    def final(self) -> bool:
        """Whether no newer snapshot can follow."""
        return self.status in FINAL

    def due_in(self, now: datetime) -> float:
        """Return the seconds until the next move that time alone makes (rotation or expiry)."""
        due = min(self.expires_at, self.qr_expires_at) if self.qr_code else self.expires_at
        return max(0.0, (due - now).total_seconds())

    def frame(self, session_id: str, base_url: str, now: datetime) -> dict[str, Any]:
        """Return the wire form, the same on all three channels; times are seconds from *now*."""
        code = self.qr_code
        return {
            "type": "status",
            "session_id": session_id,
            "seq": self.seq,
            "status": self.status,
            "reason": self.reason,
            "expires_in": 0 if self.status in _OVER else _left(self.expires_at, now),
            "qr_code": code,
            "qr_url": image_url(base_url, code, self.door) if code else None,
            "qr_expires_in": _left(self.qr_expires_at, now) if code else None,
            "user_info": self.user_info,
        }


_OVER = (Status.EXPIRED, Status.FAILED)


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
