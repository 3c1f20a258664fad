"""The doors by which people come in, joined from the settings: those that are configured."""

from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from hub.accounts.bindings import Bindings
from hub.accounts.wechat_tokens import PersonTokens
from hub.qr.attempts import Attempts
from hub.qr.consent import ConsentState
from hub.qr.h5 import H5
from hub.qr.mini.service import MiniDoor
from hub.qr.official_account.consent import LinkConsent
from hub.qr.official_account.door import NAME, OfficialAccountDoor
from hub.qr.official_account.links import ConfirmLinks
from hub.qr.open_platform.service import OpenPlatform
from hub.qr.phone import Phone
from hub.settings import Account, Settings
from hub.store.encryption import DataKeys
from hub.wechat.account import OfficialAccount
from hub.wechat.account_token import AccountTokens
from hub.wechat.client import App, WeChatClient
from hub.wechat.crypto import MessageCrypto
from hub.wechat.doors import WebConsent, WebsiteConsent
from hub.wechat.mini import MiniProgram
from hub.wechat.people import People
from hub.wechat.push import Push
from hub.wechat.transport import Transport


class PushedDoor(NamedTuple):
    """The door `official_account` in its parts."""

    scans: OfficialAccountDoor
    push: Push
    consent: LinkConsent

    @property
    def name(self) -> Literal["official_account"]:
        """The door's name on the wire."""
        return NAME


class Doors(NamedTuple):
    """The doors that lead through WeChat; None where one is not configured. *app* needs no WeChat."""

    h5: H5 | None
    official_account: PushedDoor | None
    open_platform: OpenPlatform | None
    mini_program: MiniDoor | None
    frame_origin: str | None
    """The origin of WeChat's pages, where the sign-in page shows them in a frame."""

    def names(self, default: str) -> tuple[str, ...]:
        """Return the doors that an attempt may name, the *default* one first."""
        doors = (self.h5, self.official_account, self.open_platform, self.mini_program)
        return tuple(dict.fromkeys((default, *(door.name for door in doors if door), "app")))

    @property
    def parts(self) -> tuple[OfficialAccountDoor | Push | MiniDoor, ...]:
        """What is to be started, in this order, and stopped the other way round."""
        pushed = self.official_account
        return (
            *((pushed.scans, pushed.push) if pushed else ()),
            *((self.mini_program,) if self.mini_program else ()),
        )


def create_doors(
    settings: Settings,
    transport: Transport,
    attempts: Attempts,
    phone: Phone,
    bindings: Bindings,
    states: ConsentState,
    keys: DataKeys,
    tokens: AccountTokens,
    account: OfficialAccount | None,
) -> Doors:
    """Return the doors of the settings; nothing is opened yet."""
    open_url = settings.wechat_urls.pages
    wechat = WeChatClient(transport, open_url)
    h5, open_platform = None, None
    if settings.h5_app[0]:
        consent = WebConsent(wechat, App(*settings.h5_app), settings.callback_uri, settings.in_app_scope)
        h5 = H5(attempts, phone, consent, states, keys)
    if settings.website_app[0]:
        website = WebsiteConsent(wechat, App(*settings.website_app), settings.callback_uri)
        open_platform = OpenPlatform(attempts, phone, website, states, keys)
    pushed = None
    if account and settings.official_account:
        people = PersonTokens(attempts.store, keys, People(wechat, [account.app]))
        pushed = _pushed(
            settings, settings.official_account, account, people, wechat, attempts, phone, bindings, states
        )
    mini_program = None
    if settings.mini_app[0]:
        mini_program = MiniDoor(
            attempts,
            phone,
            MiniProgram(transport, tokens, App(*settings.mini_app)),
            bindings,
            keys,
            page=settings.wechat_mini_page,
            version=settings.wechat_mini_version,
        )
    parts = urlsplit(open_url)
    frame_origin = f"{parts.scheme}://{parts.netloc}" if settings.wechat_embed else None
    return Doors(h5, pushed, open_platform, mini_program, frame_origin)


def create_account(settings: Settings, transport: Transport, tokens: AccountTokens) -> OfficialAccount | None:
    """Return the official account of the settings, None where it is not configured."""
    found = settings.official_account
    return OfficialAccount(transport, tokens, App(found.app_id, found.secret)) if found else None


def _pushed(
    settings: Settings,
    found: Account,
    account: OfficialAccount,
    people: PersonTokens,
    wechat: WeChatClient,
    attempts: Attempts,
    phone: Phone,
    bindings: Bindings,
    states: ConsentState,
) -> PushedDoor:
    """Return the door `official_account`; the consent behind its links is always that account's."""
    links = ConfirmLinks(settings.secrets("cookie_secret"))
    scans = OfficialAccountDoor(
        attempts,
        phone,
        bindings,
        account,
        people,
        links,
        base_url=settings.base_url,
        site_name=settings.site_name,
        auto=settings.wechat_oa_confirm == "auto",
    )
    crypto = MessageCrypto(found.token, found.app_id, found.aes_keys)
    web = WebConsent(wechat, account.app, settings.callback_uri, "snsapi_base")
    return PushedDoor(
        scans,
        Push(crypto, attempts.store.now, scans.receive),
        LinkConsent(attempts, scans, links, web, states),
    )
