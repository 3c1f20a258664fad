"""What WeChat's replies mean: bytes in, typed values or ValueError out. No I/O."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from hub.wechat import fields

_CODE: Final = re.compile(r"[!-~]{1,512}")
_CALLING_CODE: Final = re.compile(r"[1-9][0-9]{0,2}")
_NATIONAL_NUMBER: Final = re.compile(r"[0-9]{4,14}")
_RID: Final = re.compile(r"\b(?:rid|req_id)\s*:\s*([\w-]{1,64})", re.ASCII)
_HINT: Final = re.compile(r"\bhints?\s*:\s*\[\s*([\w!.-]{1,64})", re.ASCII)
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


@dataclass(frozen=True, slots=True)
class AppToken:
    """An app's own access token, good for *expires_in* seconds."""

    access_token: str = field(repr=False)
    expires_in: int


@dataclass(frozen=True, slots=True)
class Ticket:
    """A QR code of an official account: *url* is what it says, good for *expire_seconds*."""

    ticket: str
    url: str
    expire_seconds: int


@dataclass(frozen=True, slots=True)
class Follower:
    """A person as an official account knows them; who does not follow it (*subscribe*) has an openid only.

    Since the end of 2021 WeChat leaves nickname and picture empty here as well.
    """

    openid: str
    unionid: str | None = None
    subscribe: bool = False
    nickname: str = ""
    avatar_url: str = ""
    gender: int = 0
    country: str = ""
    province: str = ""
    city: str = ""
    language: str = ""


@dataclass(frozen=True, slots=True)
class MiniSession:
    """Who runs a mini program, and the key that WeChat signs and encrypts with for them."""

    openid: str
    unionid: str | None
    session_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class MiniPhone:
    """A number that its person gave to a mini program, in E.164, and its calling code, such as `+86`.

    *appid* and *given_at* are its watermark: to which app, and when; None where WeChat tells neither.
    """

    phone_e164: str = field(repr=False)
    country_code: str
    appid: str | None = None
    given_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Image:
    """A picture: its bytes, and `image/png` or `image/jpeg`."""

    content: bytes = field(repr=False)
    media_type: str


def is_code(code: str) -> bool:
    """Return whether *code* has the shape of an authorization code: 1 to 512 printable ASCII characters."""
    return _CODE.fullmatch(code) is not None


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
    return fields.whole(reply.get("errcode", 0))


def rid(reply: Mapping[str, object]) -> str | None:
    """Return the request id that WeChat's support asks for, dug out of *errmsg*'s three known forms."""
    errmsg = reply.get("errmsg")
    if not isinstance(errmsg, str):
        return None
    found = _RID.search(errmsg) or _HINT.search(errmsg)
    return found and found[1]


def code_reply(reply: Mapping[str, object]) -> CodeReply:
    """Read the reply of `/sns/oauth2/access_token` or `…/refresh_token`.

    Raises ValueError where a member is missing or odd.
    """
    return CodeReply(
        openid=fields.identifier(reply, "openid"),
        unionid=fields.unionid(reply),
        scope=fields.text(reply, "scope"),
        is_snapshot=reply.get("is_snapshotuser") in (1, "1"),
        access_token=fields.token(reply, "access_token"),
        refresh_token=fields.token(reply, "refresh_token"),
        expires_in=min(max(fields.whole(reply.get("expires_in", 7200)), 0), _LONGEST_LIFE),
    )


def profile(reply: Mapping[str, object]) -> Profile:
    """Read the reply of `/sns/userinfo`. Raises ValueError where the openid or unionid is missing or odd."""
    return Profile(
        openid=fields.identifier(reply, "openid"),
        unionid=fields.unionid(reply),
        nickname=fields.text(reply, "nickname"),
        avatar_url=fields.address(reply.get("headimgurl")),
        gender=fields.gender(reply),
        country=fields.text(reply, "country"),
        province=fields.text(reply, "province"),
        city=fields.text(reply, "city"),
        language=fields.language(reply),
    )


def nothing(_: Mapping[str, object]) -> None:
    """Read a reply whose errcode says it all."""


def app_token(reply: Mapping[str, object]) -> AppToken:
    """Read the reply of `/cgi-bin/stable_token`. Raises ValueError where there is no live token in it."""
    expires_in = min(fields.whole(reply.get("expires_in")), _LONGEST_LIFE)
    if expires_in < 1:
        raise ValueError("a token without life")
    return AppToken(fields.token(reply, "access_token"), expires_in)


def ticket(reply: Mapping[str, object]) -> Ticket:
    """Read the reply of `/cgi-bin/qrcode/create`. Raises ValueError where a member is missing or odd."""
    url = fields.address(reply.get("url"))
    if not url:
        raise ValueError("no address to draw")
    return Ticket(fields.token(reply, "ticket"), url, fields.whole(reply.get("expire_seconds")))


def follower(reply: Mapping[str, object]) -> Follower:
    """Read the reply of `/cgi-bin/user/info`. Raises ValueError where the openid or unionid is odd."""
    return Follower(
        openid=fields.identifier(reply, "openid"),
        unionid=fields.unionid(reply),
        subscribe=reply.get("subscribe") in (1, "1"),
        nickname=fields.text(reply, "nickname"),
        avatar_url=fields.address(reply.get("headimgurl")),
        gender=fields.gender(reply),
        country=fields.text(reply, "country"),
        province=fields.text(reply, "province"),
        city=fields.text(reply, "city"),
        language=fields.language(reply),
    )


def mini_session(reply: Mapping[str, object]) -> MiniSession:
    """Read the reply of `/sns/jscode2session`. Raises ValueError where a member is missing or odd."""
    return MiniSession(
        fields.identifier(reply, "openid"), fields.unionid(reply), fields.identifier(reply, "session_key")
    )


def mini_phone(reply: Mapping[str, object]) -> MiniPhone:
    """Read the reply of `/wxa/business/getuserphonenumber`. Raises ValueError where it holds no number."""
    info = reply.get("phone_info")
    if not isinstance(info, dict):
        raise ValueError("no phone_info")
    code, number = str(info.get("countryCode", "")).removeprefix("+"), info.get("purePhoneNumber")
    if not (_CALLING_CODE.fullmatch(code) and isinstance(number, str) and _NATIONAL_NUMBER.fullmatch(number)):
        raise ValueError("no phone number")
    if len(code + number) > 15:
        raise ValueError("longer than any phone number")
    mark = info.get("watermark")
    if not isinstance(mark, dict):
        return MiniPhone(f"+{code}{number}", f"+{code}")
    return MiniPhone(
        f"+{code}{number}", f"+{code}", fields.identifier(mark, "appid"), fields.moment(mark.get("timestamp"))
    )


def image(body: bytes) -> Image | None:
    """Return the picture that *body* is, or None; its first bytes say so, whatever its media type."""
    if body.startswith(b"\x89PNG\r\n\x1a\n"):
        return Image(body, "image/png")
    if body.startswith(b"\xff\xd8\xff"):
        return Image(body, "image/jpeg")
    return None
