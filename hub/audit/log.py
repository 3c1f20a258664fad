"""The login log: one row for every try to sign in, good or bad."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Literal, NotRequired, Protocol, TypedDict, Unpack

from prometheus_client import Counter

from hub.audit.places import Places
from hub.limits.networks import counted
from hub.store.database import Connection, Store

Method = Literal[
    "sms_code", "email_code", "password", "one_click", "wechat", "qq", "apple", "google", "github", "refresh"
]
Status = Literal["success", "failed", "blocked"]
Reason = Literal[
    "invalid_code",
    "expired_code",
    "account_blocked",
    "rate_limit",
    "network_error",
    "declined",
    "reuse_detected",
    "unknown",
]
SIGN_INS = Counter("hub_sign_ins_total", "Tries to sign in, by what came of them.", ["method", "status"])

_USER_AGENT_LENGTH = 512  # characters; the column's


class Device(Protocol):
    """What the log wants to know of the device that asked."""

    @property
    def name(self) -> str | None: ...
    @property
    def type(self) -> str | None: ...
    @property
    def id(self) -> str | None: ...
    @property
    def ip(self) -> str: ...
    @property
    def user_agent(self) -> str: ...
    @property
    def location(self) -> str | None: ...


class Try(TypedDict):
    """One try to sign in.

    *account* is the number, address or identity that was tried; it outlives the user's row. *reason* says
    why a try was not a success, *risk* holds the signals that were raised. Only a sign-in has a *device_key*:
    it is what makes the device a known one.
    """

    user_id: int | None
    account: str | None
    method: Method
    status: Status
    device: Device
    now: datetime
    reason: NotRequired[Reason | None]
    risk: NotRequired[Mapping[str, object] | None]
    device_key: NotRequired[str | None]


class LoginLog:
    """Writes the log, with the places that *places* knows."""

    def __init__(self, places: Places) -> None:
        self._places = places

    async def record(self, tx: Connection, /, **tried: Unpack[Try]) -> None:
        """Put one try on record, in the caller's transaction."""
        await tx.post("audit.record", **self._row(**tried))

    async def record_alone(self, store: Store, /, **tried: Unpack[Try]) -> int:
        """Put one try on record in a transaction of its own, and return the row's id."""
        return await store.insert("audit.record", **self._row(**tried))

    def _row(self, **tried: Unpack[Try]) -> dict[str, object]:
        device, risk = tried["device"], tried.get("risk")
        return {
            "user_id": tried["user_id"],
            "account": tried["account"] or None,
            "login_method": tried["method"],
            "login_status": tried["status"],
            "failure_reason": tried.get("reason"),
            "risk": None if risk is None else json.dumps(risk),
            "ip_address": device.ip,
            "source": counted(device.ip),
            "device_type": device.type,
            "device_name": device.name,
            "device_key": tried.get("device_key"),
            "user_agent": device.user_agent[:_USER_AGENT_LENGTH],
            "location": device.location or self._places.name(device.ip, "zh-CN"),
            "created_at": tried["now"],
        }
