"""The sandbox as the settings want it: mounted in the hub in development, or alone by `hub sandbox`."""

from urllib.parse import urlsplit

from starlette.applications import Starlette

from hub.settings import Settings
from hub.wechat.sandbox import OfficialAccount, create_sandbox
from hub.wechat.sandbox.messages import Messages


def sandbox_for(settings: Settings, *, public_url: str, messages: Messages | None = None) -> Starlette:
    """Return the sandbox for the hub with these settings, which know the stand-in apps too.

    *public_url* is the sandbox's own address; *messages* as in `create_sandbox`.
    """
    return create_sandbox(
        dict([settings.h5_app]),
        websites=dict([settings.website_app]),
        mini_programs=dict([settings.mini_app]),
        official_account=_official_account(settings),
        app_name=settings.site_name,
        callback_hosts=[urlsplit(settings.callback_uri).netloc],
        messages=messages,
        public_url=public_url,
        hub_url=settings.loopback_url,
    )


def _official_account(settings: Settings) -> OfficialAccount | None:
    """Return the account, which pushes to the hub, sealed where there is a key for that."""
    if settings.official_account is None:
        return None
    appid, secret, token, keys = settings.official_account
    push_url = f"{settings.loopback_url}/api/auth/wechat/push"
    if not keys:
        return OfficialAccount(appid, secret, token, push_url=push_url)
    return OfficialAccount(appid, secret, token, keys[0], "secure", push_url)
