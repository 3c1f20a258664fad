"""What follows from the settings: addresses, apps, rings and senders, with the stand-ins of development."""

import socket
from functools import cached_property
from typing import Literal, NamedTuple, get_args
from urllib.parse import quote, urlsplit

from pydantic import SecretStr

from hub.settings.table import CALLBACK_PATH, Table

SANDBOX_PATH = "/sandbox"

Ring = Literal["cookie_secret", "refresh_keys", "data_keys", "code_peppers"]
RINGS: tuple[Ring, ...] = get_args(Ring)

STAND_IN = "development-stand-in-never-use-in-production"
STAND_IN_APP = ("wxsandbox00000h5", "sandbox-secret")
STAND_IN_WEBSITE = ("wxsandbox0website", "sandbox-secret")
STAND_IN_MINI = ("wxsandbox000mini", "sandbox-secret")


class Account(NamedTuple):
    """An official account that pushes: the EncodingAESKeys, the current one first, are none in plain mode."""

    app_id: str
    secret: str
    token: str
    aes_keys: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Account(app_id={self.app_id!r})"


STAND_IN_ACCOUNT = Account("wxsandbox00000oa", "sandbox-secret", "sandbox-token", ("sandbox" * 6 + "0",))


class WeChatUrls(NamedTuple):
    """The API as the hub reaches it, the consent pages as people reach them, and the pictures of codes."""

    api: str
    pages: str
    pictures: str


_WECHAT = WeChatUrls("https://api.weixin.qq.com", "https://open.weixin.qq.com", "https://mp.weixin.qq.com")


class Settings(Table):
    """All settings, and what follows from them."""

    @property
    def production(self) -> bool:
        """Whether development stand-ins are refused."""
        return self.hub_env == "production"

    @cached_property
    def stand_ins(self) -> list[str]:
        """The development stand-ins in use, one line each."""
        rings = {
            "JWT_SECRET": [self.jwt_key] if self.jwt_alg == "HS256" else [],
            **{name.upper(): self.secrets(name) for name in RINGS},
        }
        lines = [
            f"{name}: the development stand-in is in use"
            for name, ring in rings.items()
            if any(STAND_IN in key for key in ring)
        ]
        if self.sandbox:
            lines.append("WECHAT_API_URL, WECHAT_OPEN_URL: the sandbox stands in for WeChat")
        lines += [
            f"{name}: the console stands in for a real sender"
            for name, senders in (
                ("SMS_PROVIDERS", self.sms_senders),
                ("EMAIL_PROVIDERS", self.email_senders),
            )
            if "console" in senders
        ]
        if self.hub_limits == "off":
            lines.append("HUB_LIMITS: rate limits are off")
        return lines

    @cached_property
    def sandbox(self) -> bool:
        """Whether the hub mounts the sandbox that stands in for WeChat."""
        return not self.production and not (self.wechat_api_url and self.wechat_open_url)

    @cached_property
    def phone_url(self) -> str | None:
        """The simulated phone's address, None where the real WeChat is asked and people have real phones."""
        if self.sandbox:
            return f"{SANDBOX_PATH}/phone"
        pages = self.wechat_urls.pages
        is_real = self.production or urlsplit(pages).hostname == "open.weixin.qq.com"
        return None if is_real else f"{pages}/phone"

    @cached_property
    def base_url(self) -> str:
        """Where people reach the hub."""
        if self.public_url:
            return self.public_url
        host = own_address() if self.on_all_addresses else self.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @cached_property
    def loopback_url(self) -> str:
        """Where the hub reaches itself, for the mounted sandbox."""
        host = "127.0.0.1" if self.on_all_addresses else self.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @cached_property
    def origins(self) -> frozenset[str]:
        """The origins whose pages may call the hub: its own, and ALLOWED_ORIGINS."""
        own = urlsplit(self.base_url)
        found = {f"{own.scheme}://{own.netloc}", *self.allowed_origins}
        if not self.production and own.hostname in ("127.0.0.1", "localhost"):
            found |= {f"{own.scheme}://{host}:{own.port}" for host in ("127.0.0.1", "localhost") if own.port}
        return frozenset(found)

    @cached_property
    def redis(self) -> str:
        """The Redis address; empty means in process."""
        if url := self.redis_url.get_secret_value():
            return url
        if not self.redis_host:
            return ""
        password = quote(self.redis_password.get_secret_value(), safe="")
        credentials = f":{password}@" if password else ""
        return f"redis://{credentials}{self.redis_host}:{self.redis_port}/{self.redis_db}"

    def secrets(self, name: Ring) -> list[str]:
        """Return the key ring *name*; in development a stand-in where none is given."""
        ring: tuple[SecretStr, ...] = getattr(self, name)
        return [key.get_secret_value() for key in ring] or [f"{name}-{STAND_IN}"]

    @cached_property
    def sms_budgets(self) -> dict[str, int | None]:
        """The calling codes that get SMS, with their plus sign, and the own budget of each, if any."""
        entries = (entry.strip().lstrip("+").partition(":") for entry in self.sms_countries.split(","))
        return {f"+{code}": int(most) if most else None for code, _, most in entries}

    @property
    def jwt_key(self) -> str:
        """The HS256 key; in development a stand-in where none is given."""
        return self.jwt_secret.get_secret_value() or f"jwt_secret-{STAND_IN}"

    @property
    def sms_senders(self) -> tuple[str, ...]:
        """The SMS providers in use, the first choice first."""
        return self.sms_providers or (() if self.production else ("console",))

    @property
    def email_senders(self) -> tuple[str, ...]:
        """The e-mail providers in use, the first choice first."""
        return self.email_providers or (() if self.production else ("console",))

    @cached_property
    def h5_app(self) -> tuple[str, str]:
        """App id and secret of the in-app door, two empty texts where it is not configured."""
        found = self.own_h5_app
        return found if found[0] or not self.sandbox else STAND_IN_APP

    @property
    def own_h5_app(self) -> tuple[str, str]:
        """App id and secret of the in-app door as configured, without a stand-in."""
        if self.wechat_h5_app_id:
            return self.wechat_h5_app_id, self.wechat_h5_app_secret.get_secret_value()
        if self._in_app:
            return self.wechat_app_id, self.wechat_app_secret.get_secret_value()
        return self.wechat_oa_app_id, self.wechat_oa_app_secret.get_secret_value()

    @property
    def _in_app(self) -> bool:
        """Whether WECHAT_APP_ID, the one app of older installations, is an account and not a website."""
        named = self.wechat_h5_app_id or self.wechat_oa_app_id
        return "wechat_scope" in self.model_fields_set and self.wechat_scope != "snsapi_login" and not named

    @cached_property
    def website_app(self) -> tuple[str, str]:
        """App id and secret of the door `open_platform`, two empty texts where it is not configured."""
        if self.wechat_app_id and not self._in_app:
            return self.wechat_app_id, self.wechat_app_secret.get_secret_value()
        return STAND_IN_WEBSITE if self.sandbox else ("", "")

    @cached_property
    def mini_app(self) -> tuple[str, str]:
        """App id and secret of the door `mini_program`, two empty texts where it is not configured."""
        if self.wechat_mini_app_id:
            return self.wechat_mini_app_id, self.wechat_mini_app_secret.get_secret_value()
        return STAND_IN_MINI if self.sandbox else ("", "")

    @property
    def in_app_scope(self) -> str:
        """The consent asked of the person at the door `h5`."""
        return "snsapi_userinfo" if self.wechat_scope == "snsapi_login" else self.wechat_scope

    @cached_property
    def official_account(self) -> Account | None:
        """The official account of the door `official_account`, None where it is not configured."""
        keys = (self.wechat_oa_aes_key, self.wechat_oa_aes_key_previous)
        account = Account(
            self.wechat_oa_app_id,
            self.wechat_oa_app_secret.get_secret_value(),
            self.wechat_oa_token.get_secret_value(),
            tuple(key.get_secret_value() for key in keys if given(key)),
        )
        if not self.sandbox:
            return account if account.token else None
        if not account.app_id:
            account = account._replace(app_id=STAND_IN_ACCOUNT.app_id, secret=STAND_IN_ACCOUNT.secret)
        if not account.token:
            keys_in_use = account.aes_keys or STAND_IN_ACCOUNT.aes_keys
            account = account._replace(token=STAND_IN_ACCOUNT.token, aes_keys=keys_in_use)
        return account

    @cached_property
    def wechat_urls(self) -> WeChatUrls:
        """WeChat's addresses, or the sandbox's."""
        stand_in = f"{self.loopback_url}{SANDBOX_PATH}"
        urls = WeChatUrls(stand_in, f"{self.base_url}{SANDBOX_PATH}", stand_in) if self.sandbox else _WECHAT
        return WeChatUrls(
            self.wechat_api_url or urls.api,
            self.wechat_open_url or urls.pages,
            self.wechat_mp_url or urls.pictures,
        )

    @cached_property
    def default_door(self) -> Literal["h5", "official_account", "open_platform", "mini_program", "app"]:
        """The door of an attempt that names none; a stand-in's only where no other is configured."""
        if self.wechat_door:
            return self.wechat_door
        if self.own_h5_app[0]:
            return "h5"
        if given(self.wechat_oa_token):
            return "official_account"
        if self.wechat_app_id:
            return "open_platform"
        return "h5" if self.sandbox else "app"

    @cached_property
    def callback_uri(self) -> str:
        """Where WeChat sends the person back to."""
        return self.wechat_redirect_uri or f"{self.base_url}{CALLBACK_PATH}"

    @property
    def on_all_addresses(self) -> bool:
        """Whether the hub listens on every address of the machine."""
        return self.host in ("0.0.0.0", "::", "")  # noqa: S104 - compared, not bound


def given(value: object) -> bool:
    """Tell whether a setting's value is there and not empty."""
    return bool(value.get_secret_value() if isinstance(value, SecretStr) else value)


def own_address() -> str:
    """Return the address of this machine's default route, 127.0.0.1 where there is none; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # TEST-NET-1: a UDP connect only picks the local address
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])
