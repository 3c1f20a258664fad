"""The fields of WeChat's replies, each checked: a value, or ValueError for what cannot be one. No I/O."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

_IDENTIFIER: Final = re.compile(r"[!-~]{1,64}")
_TOKEN: Final = re.compile(r"[!-~]{1,1024}")
_CONTROLS: Final = {**dict.fromkeys(range(0x20), " "), **dict.fromkeys(range(0x7F, 0xA0), " ")}
_TEXT_LIMIT: Final = 64
_LANGUAGE_LIMIT: Final = 16
_AVATAR_LIMIT: Final = 512


def whole(value: object) -> int:
    """Return a whole number, as such or in digits."""
    if isinstance(value, int):
        return value
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,9}", value):
        return int(value)
    raise ValueError("not a whole number")


def moment(value: object) -> datetime:
    """Return the time of a number of Unix seconds."""
    try:
        return datetime.fromtimestamp(whole(value), UTC)
    except (OverflowError, OSError):
        raise ValueError("no time") from None


def identifier(reply: Mapping[str, object], name: str) -> str:
    """Return the field *name*: 1 to 64 visible ASCII characters."""
    return _matching(_IDENTIFIER, reply.get(name))


def token(reply: Mapping[str, object], name: str) -> str:
    """Return the field *name*: 1 to 1024 visible ASCII characters."""
    return _matching(_TOKEN, reply.get(name))


def gender(reply: Mapping[str, object]) -> int:
    """Return `sex`: 1 (male), 2 (female), else 0."""
    return 1 if reply.get("sex") in (1, "1") else 2 if reply.get("sex") in (2, "2") else 0


def unionid(reply: Mapping[str, object]) -> str | None:
    """Return the unionid, None where WeChat tells none."""
    return identifier(reply, "unionid") if reply.get("unionid") else None


def text(reply: Mapping[str, object], name: str) -> str:
    """Return a text for people, at most 64 characters without controls; empty where there is none."""
    value = reply.get(name)
    if not isinstance(value, str):
        return ""
    # Through UTF-16 a split pair becomes its character, and a lone half, which nothing can store, U+FFFD.
    mended = value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return mended.translate(_CONTROLS).strip()[:_TEXT_LIMIT]


def language(reply: Mapping[str, object]) -> str:
    """Return the language, such as `zh_CN`, at most 16 characters; empty where there is none."""
    return text(reply, "language")[:_LANGUAGE_LIMIT]


def address(value: object) -> str:
    """Return an http(s) address of at most 512 characters; empty where it is none."""
    # Half an address shows nothing and another scheme could run: a default picture is better than either.
    if not isinstance(value, str) or not re.fullmatch(rf"https?://[!-~]{{1,{_AVATAR_LIMIT - 8}}}", value):
        return ""
    try:
        return value if urlsplit(value).hostname else ""
    except ValueError:
        return ""


def _matching(pattern: re.Pattern[str], value: object) -> str:
    # An identifier or a token is taken whole or not at all: a shortened one would name somebody else.
    if isinstance(value, str) and pattern.fullmatch(value):
        return value
    raise ValueError("an identifier is missing or malformed")
