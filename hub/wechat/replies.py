"""What WeChat's `sns` replies mean: bytes in, typed values or ValueError out. No I/O."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

_IDENTIFIER: Final = re.compile(r"[!-~]{1,64}")
_TOKEN: Final = re.compile(r"[!-~]{1,512}")
_RID: Final = re.compile(r"\b(?:rid|req_id)\s*:\s*([\w-]{1,64})", re.ASCII)
_HINT: Final = re.compile(r"\bhints?\s*:\s*\[\s*([\w!.-]{1,64})", re.ASCII)
_CONTROLS: Final = {**dict.fromkeys(range(0x20), " "), **dict.fromkeys(range(0x7F, 0xA0), " ")}
_TEXT_LIMIT: Final = 64
_AVATAR_LIMIT: Final = 512
_LONGEST_LIFE: Final = 30 * 86400


@dataclass(frozen=True, slots=True)
class CodeReply:
    """What an authorization code was worth; *expires_in* in seconds, of the access token.

    *unionid* is None where the app belongs to no open-platform account, or not yet.
    """

    openid: str
    unionid: str | None
    scope: str
    is_snapshot: bool
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in: int


@dataclass(frozen=True, slots=True)
class Profile:
    """What a person shows of themselves; since 2021 WeChat leaves gender and place empty.

    *avatar_url* is an http(s) address or "", *gender* 0 (unknown), 1 (male) or 2 (female).
    """

    openid: str
    unionid: str | None = None
    nickname: str = ""
    avatar_url: str = ""
    gender: int = 0
    country: str = ""
    province: str = ""
    city: str = ""
    language: str = ""


def is_code(code: str) -> bool:
    """Return whether *code* has the shape of an authorization code: 1 to 512 printable ASCII characters."""
    return _TOKEN.fullmatch(code) is not None


def parse(body: bytes) -> dict[str, object]:
    """Read *body* as a JSON object in UTF-8, whatever its media type says.

    Control characters within strings pass, bytes that are no UTF-8 become U+FFFD. Raises ValueError.
    """
    try:
        reply = json.loads(body.decode("utf-8-sig", "replace"), strict=False)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(reply, dict):
        raise ValueError("not an object")
    return reply


def errcode(reply: Mapping[str, object]) -> int:
    """Return the reply's errcode; success has none, or 0. Raises ValueError where it is no number."""
    return _whole(reply.get("errcode", 0))


def rid(reply: Mapping[str, object]) -> str | None:
    """Return the request id that WeChat's support asks for, dug out of *errmsg*'s three known forms."""
    errmsg = reply.get("errmsg")
    if not isinstance(errmsg, str):
        return None
    found = _RID.search(errmsg) or _HINT.search(errmsg)
    return found and found[1]


def code_reply(reply: Mapping[str, object]) -> CodeReply:
    """Read the reply of `/sns/oauth2/access_token`. Raises ValueError where a member is missing or odd."""
    return CodeReply(
        openid=_identifier(reply, "openid"),
        unionid=_unionid(reply),
        scope=_text(reply, "scope"),
        is_snapshot=reply.get("is_snapshotuser") in (1, "1"),
        access_token=_token(reply, "access_token"),
        refresh_token=_token(reply, "refresh_token"),
        expires_in=min(max(_whole(reply.get("expires_in", 7200)), 0), _LONGEST_LIFE),
    )


def profile(reply: Mapping[str, object]) -> Profile:
    """Read the reply of `/sns/userinfo`. Raises ValueError where the openid or unionid is missing or odd."""
    return Profile(
        openid=_identifier(reply, "openid"),
        unionid=_unionid(reply),
        nickname=_text(reply, "nickname"),
        avatar_url=_address(reply.get("headimgurl")),
        gender=1 if reply.get("sex") in (1, "1") else 2 if reply.get("sex") in (2, "2") else 0,
        country=_text(reply, "country"),
        province=_text(reply, "province"),
        city=_text(reply, "city"),
        language=_text(reply, "language"),
    )


def _whole(value: object) -> int:
    if isinstance(value, int):
        return value
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,9}", value):
        return int(value)
    raise ValueError("not a whole number")


def _matching(pattern: re.Pattern[str], value: object) -> str:
    # An identifier or a token is taken whole or not at all: a shortened one would name somebody else.
    if isinstance(value, str) and pattern.fullmatch(value):
        return value
    raise ValueError("an identifier is missing or malformed")


def _identifier(reply: Mapping[str, object], name: str) -> str:
    return _matching(_IDENTIFIER, reply.get(name))


def _token(reply: Mapping[str, object], name: str) -> str:
    return _matching(_TOKEN, reply.get(name))


def _unionid(reply: Mapping[str, object]) -> str | None:
    return _identifier(reply, "unionid") if reply.get("unionid") else None


def _text(reply: Mapping[str, object], name: str) -> str:
    value = reply.get(name)
    if not isinstance(value, str):
        return ""
    # Through UTF-16 a split pair becomes its character, and a lone half, which nothing can store, U+FFFD.
    whole = value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return whole.translate(_CONTROLS).strip()[:_TEXT_LIMIT]


def _address(value: object) -> str:
    # Half an address shows nothing and another scheme could run: a default picture is better than either.
    if not isinstance(value, str) or not re.fullmatch(rf"https?://[!-~]{{1,{_AVATAR_LIMIT - 8}}}", value):
        return ""
    try:
        return value if urlsplit(value).hostname else ""
    except ValueError:
        return ""
