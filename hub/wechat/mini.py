"""A mini program: who runs it, the codes that open it, and the number its person gives."""

import re
from typing import Final, Literal

from hub.wechat import replies
from hub.wechat.account_token import AccountTokens
from hub.wechat.errors import CodeRefused
from hub.wechat.replies import Image, MiniPhone, MiniSession
from hub.wechat.transport import App, Transport

__all__ = ["Image", "MiniPhone", "MiniProgram", "MiniSession"]

_SCENE: Final = re.compile(r"[0-9A-Za-z!#$&'()*+,/:;=?@._~-]{1,32}")
_PAGE: Final = re.compile(r"[^/?#\s][^?#\s]*")


class MiniProgram:
    """The calls of one mini program; each raises WeChatError.

    Those with the app's own token are made a second time, with another one, only where WeChat has refused the
    first for its token; `session` never is, for nobody knows whether the code is used up.
    """

    def __init__(self, transport: Transport, tokens: AccountTokens, app: App) -> None:
        self._transport = transport
        self._tokens = tokens
        self.app = app

    async def session(self, js_code: str) -> MiniSession:
        """Spend the code of `wx.login` (one use, 5 minutes)."""
        if not replies.is_code(js_code):
            raise CodeRefused("session", detail="no js_code")
        params = {
            "appid": self.app.appid,
            "secret": self.app.secret,
            "js_code": js_code,
            "grant_type": "authorization_code",
        }
        return await self._transport.call(
            "session", "GET", "/sns/jscode2session", params=params, read=replies.mini_session
        )

    async def code_image(
        self,
        scene: str,
        page: str,
        env_version: Literal["release", "trial", "develop"] = "release",
        width: int = 430,
    ) -> Image:
        """Return the picture of a code that opens *page* with *scene*, *width* (280 to 1280) pixels wide.

        Raises ValueError for a scene that is not 1 to 32 of the characters WeChat takes, or a page with a
        leading slash or a query.
        """
        if not _SCENE.fullmatch(scene):
            raise ValueError("scene must be 1 to 32 of the characters that WeChat takes")
        if not _PAGE.fullmatch(page):
            raise ValueError("page must have no leading slash and no query")
        if not 280 <= width <= 1280:
            raise ValueError("width must be 280 to 1280")
        body = {
            "scene": scene,
            "page": page,
            "check_path": env_version == "release",  # pages that are not released yet are not known
            "env_version": env_version,
            "width": width,
        }

        async def send(token: str) -> Image:
            return await self._transport.image(
                "code_image", "POST", "/wxa/getwxacodeunlimit", params={"access_token": token}, json=body
            )

        return await self._tokens.using(self.app, send)

    async def phone_number(self, code: str) -> MiniPhone:
        """Spend the code of a `getPhoneNumber` button (one use, 5 minutes)."""
        if not replies.is_code(code):
            raise CodeRefused("phone_number", detail="no code")

        async def send(token: str) -> MiniPhone:
            return await self._transport.call(
                "phone_number",
                "POST",
                "/wxa/business/getuserphonenumber",
                params={"access_token": token},
                json={"code": code},
                read=replies.mini_phone,
            )

        return await self._tokens.using(self.app, send)
