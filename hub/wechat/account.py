"""An official account: QR codes that lead to it, and who follows it."""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Literal, Protocol, TypeVar

from hub.wechat import replies
from hub.wechat.replies import Follower, Image, Ticket
from hub.wechat.transport import App, Transport

__all__ = ["Follower", "OfficialAccount", "Ticket", "Tokens", "showqrcode"]

T = TypeVar("T")

_SCENE: Final = re.compile(r"[!-~]{1,64}")
_LONGEST: Final = 2_592_000


class Tokens(Protocol):
    """Where the account's access token comes from."""

    async def using(self, app: App, send: Callable[[str], Awaitable[T]]) -> T:
        """Return what *send* makes of a token of *app*. Raises WeChatError."""


class OfficialAccount:
    """The calls of one account; each raises WeChatError, and is made twice at most.

    It is made a second time, with another token, only where WeChat has refused the first one for its token.
    """

    def __init__(self, transport: Transport, tokens: Tokens, app: App) -> None:
        self._transport = transport
        self._tokens = tokens
        self.app = app

    async def create_qr(self, scene: str, expire_seconds: int) -> Ticket:
        """Make a QR code whose scan is pushed with *scene*: 1 to 64 visible ASCII characters.

        It is good for *expire_seconds*, 30 days at most. Raises ValueError for others.
        """
        if not _SCENE.fullmatch(scene):
            raise ValueError("scene must be 1 to 64 visible ASCII characters")
        if not 1 <= expire_seconds <= _LONGEST:
            raise ValueError(f"expire_seconds must be 1 to {_LONGEST}")
        body = {
            "expire_seconds": expire_seconds,
            "action_name": "QR_STR_SCENE",
            "action_info": {"scene": {"scene_str": scene}},
        }

        async def send(token: str) -> Ticket:
            return await self._transport.call(
                "create_qr",
                "POST",
                "/cgi-bin/qrcode/create",
                params={"access_token": token},
                json=body,
                read=replies.ticket,
            )

        return await self._tokens.using(self.app, send)

    async def user_info(self, openid: str, lang: Literal["zh_CN", "zh_TW", "en"] = "zh_CN") -> Follower:
        """Return who *openid* is; of somebody who does not follow the account only that is known."""

        def read(reply: Mapping[str, object]) -> Follower:
            shown = replies.follower(reply)
            if shown.openid != openid:
                raise ValueError("somebody else")
            return shown

        async def send(token: str) -> Follower:
            params = {"access_token": token, "openid": openid, "lang": lang}
            return await self._transport.call(
                "user_info", "GET", "/cgi-bin/user/info", params=params, read=read
            )

        return await self._tokens.using(self.app, send)


async def showqrcode(pictures: Transport, ticket: str) -> Image:
    """Return WeChat's own picture of a code, from the host that *pictures* leads to. Raises WeChatError."""
    return await pictures.image("showqrcode", "GET", "/cgi-bin/showqrcode", params={"ticket": ticket})
