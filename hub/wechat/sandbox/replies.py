"""WeChat's replies as they are on the wire, and the errcodes with WeChat's wording."""

import json
import secrets
from collections.abc import Mapping
from typing import Final

from starlette.responses import Response

MESSAGES: Final = {
    -1: "system error",
    40001: "invalid credential, access_token is invalid or not latest",
    40002: "invalid grant_type",
    40003: "invalid openid",
    40013: "invalid appid",
    40014: "invalid access_token",
    40029: "invalid code",
    40030: "invalid refresh_token",
    40052: "invalid action name",
    40053: "invalid action info",
    40097: "invalid args",
    40125: "invalid appsecret",
    40129: "invalid scene",
    40163: "code been used",
    40164: "invalid ip, not in whitelist",
    40169: "invalid length for scene, or the data is not json string",
    40226: "code blocked",
    41001: "access_token missing",
    41002: "appid missing",
    41003: "refresh_token missing",
    41004: "appsecret missing",
    41008: "missing code",
    41009: "missing openid",
    41030: "invalid page",
    42001: "access_token expired",
    42002: "refresh_token expired",
    42003: "code expired",
    43001: "require GET method",
    43002: "require POST method",
    45009: "reach max api daily quota limit",
    45011: "api minute-quota reach limit  must slower  retry next minute",
    45029: "qrcode count out of limit",
    47001: "data format error",
    48001: "api unauthorized",
    50002: "user limited",
    89503: "invalid ip, need admin confirm",
}


class Refused(Exception):
    """The call is answered with *errcode*."""

    def __init__(self, errcode: int) -> None:
        super().__init__(errcode)
        self.errcode = errcode


def error_reply(errcode: int) -> dict[str, object]:
    """Return the reply for *errcode*, with a fresh request id at the end of the message."""
    rid = "-".join(secrets.token_hex(4) for _ in range(3))
    return {"errcode": errcode, "errmsg": f"{MESSAGES.get(errcode, 'unknown error')}, rid: {rid}"}


def media_type(path: str) -> str:
    """Return what WeChat calls its JSON at *path*: text without a charset below `/sns/`, JSON elsewhere."""
    return "text/plain" if path.startswith("/sns/") else "application/json; encoding=utf-8"


def wire(reply: Mapping[str, object], path: str) -> Response:
    """Return *reply* as WeChat sends it at *path*: UTF-8, slashes escaped."""
    text = json.dumps(reply, ensure_ascii=False, separators=(",", ":")).replace("/", r"\/")
    return Response(text.encode(), headers={"content-type": media_type(path)})
