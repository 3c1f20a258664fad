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
    40029: "invalid code",
    40030: "invalid refresh_token",
    40125: "invalid appsecret",
    40163: "code been used",
    41001: "access_token missing",
    41002: "appid missing",
    41003: "refresh_token missing",
    41004: "appsecret missing",
    41008: "missing code",
    41009: "missing openid",
    42001: "access_token expired",
    42002: "refresh_token expired",
    42003: "code expired",
    43001: "require GET method",
    45011: "api minute-quota reach limit  must slower  retry next minute",
    48001: "api unauthorized",
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


def wire(reply: Mapping[str, object]) -> Response:
    """Return *reply* as WeChat sends it: slashes escaped, text/plain without a charset."""
    text = json.dumps(reply, ensure_ascii=False, separators=(",", ":")).replace("/", r"\/")
    return Response(text.encode(), headers={"content-type": "text/plain"})
