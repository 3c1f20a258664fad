"""The doors by which people come in, joined from the settings: those that are configured."""

from typing import NamedTuple
from urllib.parse import urlsplit

from hub.qr.attempts import Attempts
from hub.qr.consent import ConsentState
from hub.qr.h5 import H5
from hub.qr.open_platform.service import OpenPlatform
from hub.qr.phone import Phone
from hub.settings import Settings
from hub.store.encryption import DataKeys
from hub.wechat.client import App, WeChatClient
from hub.wechat.doors import WebConsent, WebsiteConsent
from hub.wechat.transport import Transport


class Doors(NamedTuple):
    """The doors that lead through WeChat; None where one is not configured. *app* needs no WeChat."""

    h5: H5 | None
    open_platform: OpenPlatform | None
    frame_origin: str | None
    """The origin of WeChat's pages, where the sign-in page shows them in a frame."""

    def names(self, default: str) -> tuple[str, ...]:
        """Return the doors that an attempt may name, the *default* one first."""
        found = (door.name for door in (self.h5, self.open_platform) if door)
        return tuple(dict.fromkeys((default, *found, "app")))


def create_doors(
    settings: Settings,
    transport: Transport,
    attempts: Attempts,
    phone: Phone,
    states: ConsentState,
    keys: DataKeys,
) -> Doors:
    """Return the doors of the settings; nothing is opened yet."""
    open_url = settings.wechat_urls[1]
    wechat = WeChatClient(transport, open_url)
    h5, open_platform = None, None
    if settings.h5_app[0]:
        consent = WebConsent(wechat, App(*settings.h5_app), settings.callback_uri, settings.in_app_scope)
        h5 = H5(attempts, phone, consent, states, keys)
    if settings.website_app[0]:
        website = WebsiteConsent(wechat, App(*settings.website_app), settings.callback_uri)
        open_platform = OpenPlatform(attempts, phone, website, states, keys)
    parts = urlsplit(open_url)
    return Doors(h5, open_platform, f"{parts.scheme}://{parts.netloc}" if settings.wechat_embed else None)
