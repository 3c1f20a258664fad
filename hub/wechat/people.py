"""What WeChat tells of people by the tokens that they have left with us."""

from collections.abc import Sequence

from hub.wechat.client import WeChatClient
from hub.wechat.errors import CodeRefused, Misconfigured
from hub.wechat.replies import CodeReply, Profile
from hub.wechat.transport import App


class People:
    """The calls with a person's own token, by the app id it was given to; each raises WeChatError."""

    def __init__(self, client: WeChatClient, apps: Sequence[App]) -> None:
        self._client = client
        self._apps = {app.appid: app for app in apps}

    async def alive(self, access_token: str, openid: str) -> bool:
        """Tell whether the token is still good, and *openid*'s."""
        return await self._client.check(access_token, openid)

    async def refreshed(self, appid: str, refresh_token: str) -> CodeReply | None:
        """Return live tokens, or None where the refresh token is dead and only a new consent helps."""
        app = self._apps.get(appid)
        if app is None:
            raise Misconfigured("refresh", detail="an app that is not configured any more")
        try:
            return await self._client.refresh(app, refresh_token)
        except CodeRefused:
            return None

    async def profile(self, access_token: str, openid: str) -> Profile | None:
        """Return what the person shows, or None where the token does not give that away."""
        try:
            return await self._client.userinfo(access_token, openid)
        except CodeRefused:
            return None
