"""What can go wrong with a call to WeChat, told apart by what the caller should do about it.

ProviderFailed
└─ WeChatError          an errcode this table does not know
   ├─ CodeRefused       the consent is spent: let the person start again
   ├─ BackOff           busy, too fast or out of quota: come back after `retry_after` seconds
   ├─ Misconfigured     the app's settings are wrong: tell the operator
   ├─ Blocked           WeChat refuses this very person
   └─ Unreachable       no answer, or one that cannot be read; whether the call took effect is unknown
"""

from typing import Final, Literal

from hub.errors import ProviderFailed

Call = Literal["exchange", "userinfo"]


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
    """The code or the token got by it is wrong, used or too old; only a new consent helps."""


class BackOff(WeChatError):
    """WeChat is busy, or asked too often. A code may have been used up all the same."""

    def __init__(self, call: Call, errcode: int, rid: str | None = None) -> None:
        super().__init__(call, errcode, rid)
        self.retry_after = 3.0 if errcode == -1 else 60.0


class Misconfigured(WeChatError):
    """App id, secret, address list or scope are not what WeChat has on file."""


class Blocked(WeChatError):
    """WeChat holds this person for a risk or has limited the account."""


class Unreachable(WeChatError):
    """Time-out, broken connection, a redirect, a status other than 200, or a body that is no valid reply."""


_KINDS: Final[dict[int, type[CodeRefused | BackOff | Misconfigured | Blocked]]] = {
    **dict.fromkeys((40003, 40014, 40029, 40030, 40163, 41008), CodeRefused),
    **dict.fromkeys((42001, 42002, 42003, 42007, 50001), CodeRefused),
    **dict.fromkeys((-1, 45009, 45011), BackOff),
    **dict.fromkeys((40001, 40002, 40013, 40125, 40164, 41001, 41002, 41004), Misconfigured),
    **dict.fromkeys((43001, 43002, 43003, 47001, 48001, 89503), Misconfigured),
    **dict.fromkeys((40226, 50002), Blocked),
}


def refusal(call: Call, errcode: int, rid: str | None) -> WeChatError:
    """Return the error for *errcode*.

    40001 means a wrong app secret where the secret is sent, and a wrong access token everywhere else.
    """
    if errcode == 40001 and call != "exchange":
        return CodeRefused(call, errcode, rid)
    return _KINDS.get(errcode, WeChatError)(call, errcode, rid)


def label(error: WeChatError) -> str:
    """Return the metric label: a known errcode, `unreachable` where there is none, `other` for the rest."""
    if error.errcode is None:
        return "unreachable"
    return str(error.errcode) if error.errcode in _KINDS else "other"
