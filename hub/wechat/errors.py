"""What can go wrong with a call to WeChat, told apart by what the caller should do about it.

ProviderFailed
└─ WeChatError          an errcode that this call should never get, or that this table does not know
   ├─ CodeRefused       what the person came with is spent: let the person start again
   ├─ TokenRefused      an app's own access token is not, or no longer, the one: get another
   ├─ BackOff           busy, too fast or out of quota: come back after `retry_after` seconds
   ├─ Misconfigured     the app's settings, or what it asks for, are wrong: tell the operator
   ├─ Blocked           WeChat refuses this very person
   └─ Unreachable       no answer, or one that cannot be read; whether the call took effect is unknown
"""

from typing import Final, Literal

from hub.errors import ProviderFailed

Call = Literal[
    "exchange",
    "refresh",
    "check",
    "userinfo",
    "stable_token",
    "create_qr",
    "showqrcode",
    "user_info",
    "session",
    "code_image",
    "phone_number",
]


class WeChatError(ProviderFailed):
    """WeChat did not do what *call* asked: *errcode* as it answered, *rid* for its support desk."""

    def __init__(
        self, call: Call, errcode: int | None = None, rid: str | None = None, *, detail: str = ""
    ) -> None:
        said = f"errcode {errcode}" if errcode is not None else detail
        super().__init__(f"wechat {call}: {said}")
        self.call = call
        self.errcode = errcode
        self.rid = rid


class CodeRefused(WeChatError):
    """The person's code, openid or the token got by it is wrong, used or too old; only a new start helps."""


class TokenRefused(WeChatError):
    """The app's access token, which was sent along, is wrong, replaced or too old."""


class BackOff(WeChatError):
    """WeChat is busy, or asked too often. A code may have been used up all the same."""

    retry_after: float

    def __init__(self, call: Call, errcode: int, rid: str | None = None) -> None:
        super().__init__(call, errcode, rid)
        self.retry_after = 3.0 if errcode == -1 else 60.0


class Misconfigured(WeChatError):
    """App id, secret, address list, scope, page or scene are not what WeChat has on file or takes."""


class Blocked(WeChatError):
    """WeChat holds this person for a risk or has limited the account."""


class Unreachable(WeChatError):
    """Time-out, broken connection, a redirect, a status other than 200, or a body that is no valid reply."""


_Kind = type[CodeRefused | TokenRefused | BackOff | Misconfigured | Blocked]

_KINDS: Final[dict[int, _Kind]] = {
    **dict.fromkeys((40001, 40003, 40014, 40029, 40030, 40163, 41003, 41008, 41009), CodeRefused),
    **dict.fromkeys((42001, 42002, 42003, 42007, 50001, 50005), CodeRefused),
    **dict.fromkeys((-1, 45009, 45011), BackOff),
    **dict.fromkeys((40002, 40013, 40052, 40053, 40097, 40125, 40129, 40164, 40169), Misconfigured),
    **dict.fromkeys((41001, 41002, 41004, 41030, 43001, 43002, 43003, 44002, 45029), Misconfigured),
    **dict.fromkeys((47001, 48001, 89503), Misconfigured),
    **dict.fromkeys((40226, 50002), Blocked),
}
_TOKEN_REFUSED: Final = frozenset((40001, 40014, 42001))
_WITH_SECRET: Final = frozenset(("exchange", "stable_token", "session"))
_WITH_APP_TOKEN: Final = frozenset(("create_qr", "user_info", "code_image", "phone_number"))
_WITHOUT_PERSON: Final = frozenset(("stable_token", "create_qr", "showqrcode", "code_image"))


def refusal(call: Call, errcode: int, rid: str | None) -> WeChatError:
    """Return the error for *errcode*, which means what *call* had sent along.

    40001 is a wrong app secret where the secret is sent, and a wrong access token everywhere else; that token
    is the app's own or the person's. Where no person takes part, none can be refused.
    """
    kind: type[WeChatError] = _KINDS.get(errcode, WeChatError)
    if call in _WITH_SECRET and errcode == 40001:
        kind = Misconfigured
    elif call in _WITH_APP_TOKEN and errcode in _TOKEN_REFUSED:
        kind = TokenRefused
    elif call in _WITHOUT_PERSON and kind in (CodeRefused, Blocked):
        kind = WeChatError
    return kind(call, errcode, rid)


def label(error: WeChatError) -> str:
    """Return the metric label: a known errcode, `unreachable` where there is none, `other` for the rest."""
    if error.errcode is None:
        return "unreachable"
    return str(error.errcode) if error.errcode in _KINDS else "other"
