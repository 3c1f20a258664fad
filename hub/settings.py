"""The only reader of the environment: every setting with its default, unit and meaning.

Values come from the environment, then from `.env`. Wrong values are told all at once, each naming its
setting; where there are none, so is all that does not go together.
"""

import ipaddress
import re
import socket
from email.utils import parseaddr
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self, get_args
from urllib.parse import quote, urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

CALLBACK_PATH = "/api/auth/wechat/callback"
SANDBOX_PATH = "/sandbox"

STAND_IN = "development-stand-in-never-use-in-production"
STAND_IN_APP = ("wxsandbox00000h5", "sandbox-secret")
STAND_IN_WEBSITE = ("wxsandbox0website", "sandbox-secret")
STAND_IN_MINI = ("wxsandbox000mini", "sandbox-secret")

Texts = Annotated[tuple[str, ...], NoDecode]
Ring = Literal["cookie_secret", "refresh_keys", "data_keys", "code_peppers"]
RINGS: tuple[Ring, ...] = get_args(Ring)
Secrets = Annotated[tuple[SecretStr, ...], NoDecode]
SmsProviders = Annotated[tuple[Literal["console", "aliyun", "tencent"], ...], NoDecode]
EmailProviders = Annotated[tuple[Literal["console", "smtp"], ...], NoDecode]

_AES_KEY = re.compile(r"[A-Za-z0-9+/]{43}")
_TEMPLATE = re.compile(r"(\*|[a-z_]+)(:[A-Za-z-]+)?=[^\s/=]+(/[a-z_]+)*")
_DEMANDED = {
    "aliyun": (
        "aliyun_access_key_id",
        "aliyun_access_key_secret",
        "aliyun_sms_sign_name",
        "aliyun_sms_templates",
    ),
    "tencent": (
        "tencent_secret_id",
        "tencent_secret_key",
        "tencent_sms_app_id",
        "tencent_sms_sign_name",
        "tencent_sms_templates",
    ),
    "smtp": ("smtp_host", "smtp_from"),
}


class SettingsError(Exception):
    """The settings do not allow a start; each of *lines* names one setting and what to mend."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


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


class Settings(BaseSettings):
    """All settings. Names are those of the environment, in lower case."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True, hide_input_in_errors=True)

    hub_env: Literal["development", "production"] = Field(
        "development", description="`production` refuses every development stand-in"
    )
    site_name: str = Field("Login Hub", min_length=1, max_length=64, description="the name people see")
    public_url: str = Field(
        "", description="where people reach the hub, without a trailing slash; empty: the listening address"
    )
    database_url: str = Field(
        "sqlite:///var/hub.db", description="`sqlite:///path` or `mysql://user:pass@host:port/name`"
    )
    database_connections: int = Field(20, ge=2, le=200, description="connections a process holds (MySQL)")
    redis_url: SecretStr = Field(
        SecretStr(""),
        description="`redis://`, `rediss://`, `unix://`, `redis+sentinel://host:port,…/service` or "
        "`redis+cluster://host:port,…`; empty: REDIS_HOST, or none",
    )
    redis_host: str = Field("", description="Redis host, where REDIS_URL is not given")
    redis_port: int = Field(6379, ge=1, le=65535, description="Redis port")
    redis_password: SecretStr = Field(SecretStr(""), description="Redis password")
    redis_db: int = Field(0, ge=0, description="Redis database")
    redis_key_prefix: str = Field(
        "wechat_login:", max_length=64, description="prefix of all keys and channels"
    )

    allowed_origins: Texts = Field(
        (), description="origins, besides the hub's own, whose pages may call it; comma-separated"
    )
    trusted_proxies: Texts = Field(
        (), description="addresses or networks whose X-Forwarded-For is believed; comma-separated"
    )
    redirect_uris: Texts = Field(
        (), description="exact redirect URIs for public clients (PKCE); comma-separated"
    )
    oauth_clients: Path | None = Field(
        None, description="JSON file of confidential clients: client_id, secret_sha256, redirect_uris"
    )
    hub_limits: Literal["on", "off"] = Field("on", description="rate limits; `off` only outside production")

    cookie_secret: Secrets = Field((), description="ring of cookie keys, first signs; comma-separated")
    jwt_secret: SecretStr = Field(SecretStr(""), description="HS256 key of access tokens, 32 bytes or more")
    jwt_alg: Literal["HS256", "EdDSA", "ES256", "RS256"] = Field(
        "HS256", description="algorithm of access tokens"
    )
    jwt_keys: Texts = Field(
        (), description="PEM files for EdDSA, ES256, RS256; first signs, all verify; comma-separated"
    )
    jwt_issuer: str = Field("", description="`iss` of access tokens; empty: PUBLIC_URL")
    jwt_audience: str = Field("", description="`aud` of access tokens; empty: none")
    access_ttl: int = Field(7200, ge=60, le=86400, description="life of an access token, seconds")
    refresh_keys: Secrets = Field((), description="ring of refresh-token keys, first signs; comma-separated")
    data_keys: Secrets = Field(
        (), description="ring of keys that encrypt what is kept for later, first seals; comma-separated"
    )
    code_peppers: Secrets = Field(
        (), description="ring of keys of one-time codes' hashes, first makes; comma-separated"
    )
    code_length_phone: int = Field(6, ge=4, le=6, description="digits of a code by SMS")
    code_length_email: int = Field(6, ge=6, le=8, description="digits of a code by e-mail")
    code_challenge_url: str = Field(
        "", description="verifier (`siteverify`) of the challenge before codes; empty: no challenge"
    )
    code_challenge_secret: SecretStr = Field(SecretStr(""), description="its secret")
    code_challenge_when_away: Literal["closed", "open"] = Field(
        "closed", description="whether codes are sent while it is away: `closed` sends none"
    )
    sms_countries: str = Field(
        "86",
        pattern=r"^\+?[1-9]\d{0,2}(:\d{1,9})?(,\s*\+?[1-9]\d{0,2}(:\d{1,9})?)*$",
        description="calling codes that get SMS, each with its own most a day where wanted: `86,65:500`",
    )
    sms_daily_budget: int = Field(
        10_000, ge=0, le=10**9, description="most SMS a day (UTC), of the whole hub"
    )
    refresh_ttl: int = Field(30 * 86400, ge=3600, description="absolute life of a session, seconds")
    refresh_idle_ttl: int = Field(14 * 86400, ge=600, description="idle life of a session, seconds")
    max_sessions: int = Field(10, ge=1, le=1000, description="sessions per user; the oldest ends")
    single_session_per_device_type: bool = Field(
        False, description="a new session ends the others of its device type"
    )

    wechat_door: Literal["", "h5", "official_account", "open_platform", "mini_program", "app"] = Field(
        "",
        description="default door; empty: the first configured of h5, official_account, open_platform, app",
    )
    wechat_app_id: str = Field(
        "",
        description="website app of the open platform; an account, where WECHAT_SCOPE names an in-app one",
    )
    wechat_app_secret: SecretStr = Field(SecretStr(""), description="its secret")
    wechat_embed: bool = Field(
        False, description="at the door open_platform the sign-in page shows WeChat's page in a frame"
    )
    wechat_h5_app_id: str = Field(
        "", description="official account for the in-app door; empty: WECHAT_OA_APP_ID"
    )
    wechat_h5_app_secret: SecretStr = Field(SecretStr(""), description="its secret")
    wechat_oa_app_id: str = Field("", description="official account")
    wechat_oa_app_secret: SecretStr = Field(SecretStr(""), description="its secret")
    wechat_oa_token: SecretStr = Field(
        SecretStr(""), description="its Token for pushes; with it the door official_account is open"
    )
    wechat_oa_aes_key: SecretStr = Field(
        SecretStr(""), description="its EncodingAESKey; with it only encrypted pushes are taken"
    )
    wechat_oa_aes_key_previous: SecretStr = Field(
        SecretStr(""), description="the EncodingAESKey before, until WeChat has changed over"
    )
    wechat_oa_confirm: Literal["link", "auto"] = Field(
        "link", description="`link`: the person confirms on a page; `auto`: the scan alone signs in"
    )
    wechat_mini_app_id: str = Field("", description="mini program")
    wechat_mini_app_secret: SecretStr = Field(SecretStr(""), description="its secret")
    wechat_mini_page: str = Field(
        "pages/index/index",
        max_length=128,
        pattern=r"^[^/?#\s][^?#\s]*$",
        description="its page that a code opens",
    )
    wechat_mini_version: Literal["release", "trial", "develop"] = Field(
        "release", description="its version that a code opens"
    )
    wechat_scope: Literal["snsapi_userinfo", "snsapi_base", "snsapi_login"] = Field(
        "snsapi_userinfo",
        description="consent asked of the person in the app; snsapi_base gives no nickname, "
        "snsapi_login is only for websites",
    )
    wechat_redirect_uri: str = Field("", description=f"callback; empty: PUBLIC_URL + `{CALLBACK_PATH}`")
    wechat_api_url: str = Field(
        "", description="WeChat's API; empty: the sandbox in development, else https://api.weixin.qq.com"
    )
    wechat_open_url: str = Field(
        "", description="WeChat's consent pages; empty: the sandbox, else https://open.weixin.qq.com"
    )
    wechat_mp_url: str = Field(
        "",
        description="WeChat's pictures of an account's QR codes, which `hub doctor` looks at; "
        "empty: the sandbox, else https://mp.weixin.qq.com",
    )
    wechat_qr_expires_in: int = Field(300, ge=3, le=3600, description="life of an unscanned attempt, seconds")
    wechat_session_expires_in: int = Field(
        600, ge=10, le=7200, description="life of a whole attempt, seconds"
    )
    qr_rotate_seconds: int = Field(60, ge=5, le=3600, description="life of the visible code, seconds")
    qr_burn_on_second_scan: bool = Field(True, description="a second person's scan ends the attempt")

    sms_providers: SmsProviders = Field(
        (),
        description="order of SMS providers (`aliyun`, `tencent`); empty: `console`, in production none",
    )
    aliyun_access_key_id: str = Field("", description="Aliyun access key")
    aliyun_access_key_secret: SecretStr = Field(SecretStr(""), description="its secret")
    aliyun_sms_sign_name: str = Field("", description="sign name registered with Aliyun")
    aliyun_sms_templates: Texts = Field(
        (), description="template codes by message: `login_code=SMS_1/code`, `login_code:en=…`, `*=…`"
    )
    aliyun_sms_url: str = Field("https://dysmsapi.aliyuncs.com", description="Aliyun's endpoint")
    tencent_secret_id: str = Field("", description="Tencent Cloud secret id")
    tencent_secret_key: SecretStr = Field(SecretStr(""), description="its key")
    tencent_sms_app_id: str = Field("", description="SdkAppId of the SMS application")
    tencent_sms_sign_name: str = Field("", description="sign name registered with Tencent Cloud")
    tencent_sms_templates: Texts = Field(
        (), description="template ids by message: `login_code=1110/code/minutes`, `*=…`"
    )
    tencent_sms_region: str = Field("ap-guangzhou", description="region of the SMS application")
    tencent_sms_url: str = Field("https://sms.tencentcloudapi.com", description="Tencent Cloud's endpoint")
    email_providers: EmailProviders = Field(
        (), description="e-mail providers: `smtp`; empty: `console`, in production none"
    )
    smtp_host: str = Field("", description="mail server")
    smtp_port: int = Field(587, ge=1, le=65535, description="its port")
    smtp_security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="`starttls` (port 587), `tls` (465) or `none` (a relay on this machine)"
    )
    smtp_username: str = Field("", description="sign-in name; empty: none")
    smtp_password: SecretStr = Field(SecretStr(""), description="its password")
    smtp_from: str = Field("", description="From address, `name@example.com` or `Name <name@example.com>`")
    hub_worker: Literal["in-process", "off"] = Field(
        "in-process", description="whether `hub serve` does the worker's work too; `off` beside `hub worker`"
    )
    worker_metrics_port: int = Field(
        0, ge=0, le=65535, description="port on which `hub worker` answers `/metrics`; 0: none"
    )
    archive_dir: Path = Field(
        Path("var/archive"), description="where login logs older than 6 months go, a file a month"
    )

    profile_schema: Path | None = Field(
        None, description="JSON Schema of further profile fields, e.g. `hub/accounts/schemas/tennis.json`"
    )
    geoip_db: Texts = Field(
        (),
        description="city databases, of MaxMind (`.mmdb`) or ip2region (`.xdb`, names of China in Chinese "
        "only), comma-separated; none: places are unknown",
    )
    host: str = Field("127.0.0.1", description="listening address")
    port: int = Field(8000, ge=1, le=65535, description="listening port")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="least severe line told"
    )

    @field_validator(
        "allowed_origins",
        "trusted_proxies",
        "redirect_uris",
        "cookie_secret",
        "jwt_keys",
        "refresh_keys",
        "data_keys",
        "code_peppers",
        "sms_providers",
        "aliyun_sms_templates",
        "tencent_sms_templates",
        "email_providers",
        "geoip_db",
        mode="before",
    )
    @classmethod
    def _split(cls, value: object) -> object:
        return (
            [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value
        )

    @field_validator(
        "public_url",
        "wechat_api_url",
        "wechat_open_url",
        "wechat_mp_url",
        "wechat_redirect_uri",
        "aliyun_sms_url",
        "tencent_sms_url",
        "code_challenge_url",
    )
    @classmethod
    def _address(cls, value: str) -> str:
        if not value:
            return value
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("must be http(s)://host[:port][/path]")
        return value.rstrip("/")

    @field_validator("allowed_origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            parts = urlsplit(origin)
            if origin != f"{parts.scheme}://{parts.netloc}" or parts.scheme not in ("http", "https"):
                raise ValueError(f"{origin!r} is not scheme://host[:port]")
        return value

    @field_validator("redirect_uris")
    @classmethod
    def _redirects(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for uri in value:
            if not urlsplit(uri).scheme or "#" in uri:
                raise ValueError(f"{uri!r} must be absolute and without a fragment (RFC 6749, 3.1.2)")
        return value

    @field_validator("aliyun_sms_templates", "tencent_sms_templates")
    @classmethod
    def _templates(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for entry in value:
            if not _TEMPLATE.fullmatch(entry):
                raise ValueError(f"{entry!r} is not message=template or message=template/field/field")
        return value

    @field_validator("smtp_from")
    @classmethod
    def _mail_address(cls, value: str) -> str:
        name, at, domain = parseaddr(value)[1].rpartition("@")
        if value and not (name and at and domain and value.isprintable()):
            raise ValueError("must be name@example.com or Some Name <name@example.com>")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _proxies(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            ipaddress.ip_network(network, strict=False)
        return value

    @classmethod
    def load(cls, env_file: str | None = ".env", **given: Any) -> Self:
        """Read, check and return the settings; *given* wins over the environment.

        Raises SettingsError with every wrong setting, and with every stand-in that this place does not allow.
        """
        try:
            settings = cls(_env_file=env_file, **given)
        except ValidationError as error:
            raise SettingsError(
                [
                    f"{'.'.join(map(str, item['loc'])).upper()}: {item['msg']}"
                    for item in error.errors(include_url=False, include_input=False)
                ]
            ) from None
        if lines := settings._faults():
            raise SettingsError(lines)
        return settings

    def _faults(self) -> list[str]:
        lines = []
        if self.jwt_secret.get_secret_value() and len(self.jwt_secret.get_secret_value().encode()) < 32:
            lines.append("JWT_SECRET: must be at least 32 bytes (RFC 7518, 3.2)")
        lines += [
            f"{name.upper()}: every key must be at least 32 bytes"
            for name in RINGS
            if any(len(key.encode()) < 32 for key in self.secrets(name))
        ]
        if self.code_challenge_url and not self.code_challenge_secret.get_secret_value():
            lines.append("CODE_CHALLENGE_SECRET: CODE_CHALLENGE_URL needs it")
        if self.jwt_alg != "HS256" and not self.jwt_keys:
            lines.append(f"JWT_KEYS: JWT_ALG={self.jwt_alg} needs at least one PEM file")
        lines += [f"JWT_KEYS: there is no file {path}" for path in self.jwt_keys if not Path(path).is_file()]
        if self.oauth_clients and not self.oauth_clients.is_file():
            lines.append(f"OAUTH_CLIENTS: there is no file {self.oauth_clients}")
        if self.profile_schema and not self.profile_schema.is_file():
            lines.append(f"PROFILE_SCHEMA: there is no file {self.profile_schema}")
        lines += [f"GEOIP_DB: there is no file {path}" for path in self.geoip_db if not Path(path).is_file()]
        lines += [
            f"{setting.upper()}: {provider} needs it"
            for provider in (*self.sms_senders, *self.email_senders)
            for setting in _DEMANDED.get(provider, ())
            if not _given(getattr(self, setting))
        ]
        if self.smtp_username and self.smtp_security == "none":
            lines.append("SMTP_SECURITY: a password is not sent without TLS")
        if self.wechat_door == "h5" and self.production and not self._h5_app()[0]:
            lines.append("WECHAT_H5_APP_ID: the door h5 needs it")
        if self.wechat_door == "open_platform" and not self.website_app[0]:
            lines.append("WECHAT_APP_ID: the door open_platform needs it")
        if self.wechat_door == "mini_program" and not self.mini_app[0]:
            lines.append("WECHAT_MINI_APP_ID: the door mini_program needs it")
        lines += self._official_account_faults()
        if self.production:
            lines += [
                f"{name.upper()}: production demands an https address"
                for name in ("public_url", "aliyun_sms_url", "tencent_sms_url")
                if urlsplit(getattr(self, name)).scheme != "https"
            ]
            lines += [f"{line} (HUB_ENV=production)" for line in self.stand_ins]
        elif self.stand_ins and (place := self._public_place()):
            lines += [f"{line} ({place} is a public address)" for line in self.stand_ins]
        return lines

    def _official_account_faults(self) -> list[str]:
        lines = [
            f"{name.upper()}: an EncodingAESKey has 43 letters and digits"
            for name in ("wechat_oa_aes_key", "wechat_oa_aes_key_previous")
            if (key := getattr(self, name).get_secret_value()) and not _AES_KEY.fullmatch(key)
        ]
        if _given(self.wechat_oa_aes_key_previous) and not _given(self.wechat_oa_aes_key):
            lines.append(
                "WECHAT_OA_AES_KEY: WECHAT_OA_AES_KEY_PREVIOUS is only for the change to another key"
            )
        if _given(self.wechat_oa_token) or self.wechat_door == "official_account":
            lines += [
                f"{name.upper()}: the door official_account needs it"
                for name in ("wechat_oa_app_id", "wechat_oa_app_secret", "wechat_oa_token")
                if not _given(getattr(self, name)) and not self.sandbox
            ]
        return lines

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
        host = own_address() if self._on_all_addresses else self.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @cached_property
    def loopback_url(self) -> str:
        """Where the hub reaches itself, for the mounted sandbox."""
        host = "127.0.0.1" if self._on_all_addresses else self.host
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
        found = self._h5_app()
        return found if found[0] or not self.sandbox else STAND_IN_APP

    def _h5_app(self) -> tuple[str, str]:
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
            tuple(key.get_secret_value() for key in keys if _given(key)),
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
        if self._h5_app()[0]:
            return "h5"
        if _given(self.wechat_oa_token):
            return "official_account"
        if self.wechat_app_id:
            return "open_platform"
        return "h5" if self.sandbox else "app"

    @cached_property
    def callback_uri(self) -> str:
        """Where WeChat sends the person back to."""
        return self.wechat_redirect_uri or f"{self.base_url}{CALLBACK_PATH}"

    @property
    def _on_all_addresses(self) -> bool:
        return self.host in ("0.0.0.0", "::", "")  # noqa: S104 - compared, not bound

    def _public_place(self) -> str:
        listening = own_address() if self._on_all_addresses else self.host
        for place in (urlsplit(self.base_url).hostname or "", listening):
            if "." not in place.strip("[]") and ":" not in place:
                continue  # a name of this machine or of its own network
            if place.endswith((".localhost", ".local", ".internal", ".test")):
                continue
            try:
                address = ipaddress.ip_address(place)
            except ValueError:
                return place  # a name that anyone might reach
            if address.is_global:
                return place
        return ""


def _given(value: object) -> bool:
    return bool(value.get_secret_value() if isinstance(value, SecretStr) else value)


def own_address() -> str:
    """Return the address of this machine's default route, 127.0.0.1 where there is none; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # TEST-NET-1: a UDP connect only picks the local address
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])
