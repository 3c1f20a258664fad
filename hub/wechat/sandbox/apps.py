"""The apps that are registered with the sandbox's WeChat, by what they are."""

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Literal

from hub.wechat.sandbox.replies import Refused

Kind = Literal["account", "website", "mini_program"]
Mode = Literal["plain", "compatible", "secure"]


@dataclass(frozen=True, slots=True)
class RegisteredApp:
    """One app: an official account (which has H5 pages too), a website, or a mini program."""

    kind: Kind
    appid: str
    secret: str = field(repr=False)


@dataclass(slots=True)
class OfficialAccount:
    """The server settings of an official account, as its owner enters them on mp.weixin.qq.com.

    Without *push_url* nothing is pushed. *mode* says whether pushes are sent in plain, encrypted (`secure`,
    which needs the *aes_key* of 43 characters) or both ways in one body (`compatible`).
    """

    appid: str
    secret: str = field(repr=False)
    token: str = field(default="", repr=False)
    aes_key: str = field(default="", repr=False)
    mode: Mode = "plain"
    push_url: str = ""

    @property
    def original_id(self) -> str:
        """The account's own name on the wire, `gh_…`."""
        return "gh_" + hashlib.sha256(self.appid.encode()).hexdigest()[:12]


class Apps:
    """What is registered; one id may stand for several kinds, where there is only one to test with."""

    def __init__(self, registered: Iterable[RegisteredApp]) -> None:
        self._secrets = {(app.kind, app.appid): app.secret for app in registered if app.appid}

    def ids(self, kind: Kind) -> Collection[str]:
        """Return the app ids of this kind, the first registered first."""
        return [appid for of, appid in self._secrets if of == kind]

    def demand(self, appid: str, *kinds: Kind) -> str:
        """Return the app's secret. Raises Refused (40013) where no app of these kinds has the id."""
        for kind in kinds:
            if (kind, appid) in self._secrets:
                return self._secrets[kind, appid]
        raise Refused(40013)

    def prove(self, appid: str, secret: str, *kinds: Kind) -> None:
        """Check the secret. Raises Refused: 40013 for the id, 40125 for the secret."""
        if secret != self.demand(appid, *kinds):
            raise Refused(40125)
