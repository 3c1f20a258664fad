"""Every setting with its default, unit and meaning, and how each is read by itself."""

import ipaddress
import re
from email.utils import parseaddr
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

CALLBACK_PATH = "/api/auth/wechat/callback"

Texts = Annotated[tuple[str, ...], NoDecode]
Secrets = Annotated[tuple[SecretStr, ...], NoDecode]
SmsProviders = Annotated[tuple[Literal["console", "aliyun", "tencent"], ...], NoDecode]
EmailProviders = Annotated[tuple[Literal["console", "smtp"], ...], NoDecode]

_TEMPLATE = re.compile(r"(\*|[a-z_]+)(:[A-Za-z-]+)?=[^\s/=]+(/[a-z_]+)*")


class Table(BaseSettings):
    """All settings as they are given. Names are those of the environment, in lower case."""

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
