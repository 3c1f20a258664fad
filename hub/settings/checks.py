"""What does not go together in the settings, and what production and public places refuse."""

import ipaddress
import re
from pathlib import Path
from urllib.parse import urlsplit

from hub.settings.derived import RINGS, Settings, given, own_address

_AES_KEY = re.compile(r"[A-Za-z0-9+/]{43}")
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


def faults(settings: Settings) -> list[str]:
    """Return a line for each setting that does not go with others, or is not allowed in this place."""
    lines = []
    if settings.jwt_secret.get_secret_value() and len(settings.jwt_secret.get_secret_value().encode()) < 32:
        lines.append("JWT_SECRET: must be at least 32 bytes (RFC 7518, 3.2)")
    lines += [
        f"{name.upper()}: every key must be at least 32 bytes"
        for name in RINGS
        if any(len(key.encode()) < 32 for key in settings.secrets(name))
    ]
    if settings.code_challenge_url and not settings.code_challenge_secret.get_secret_value():
        lines.append("CODE_CHALLENGE_SECRET: CODE_CHALLENGE_URL needs it")
    if settings.jwt_alg != "HS256" and not settings.jwt_keys:
        lines.append(f"JWT_KEYS: JWT_ALG={settings.jwt_alg} needs at least one PEM file")
    lines += [f"JWT_KEYS: there is no file {path}" for path in settings.jwt_keys if not Path(path).is_file()]
    if settings.oauth_clients and not settings.oauth_clients.is_file():
        lines.append(f"OAUTH_CLIENTS: there is no file {settings.oauth_clients}")
    if settings.profile_schema and not settings.profile_schema.is_file():
        lines.append(f"PROFILE_SCHEMA: there is no file {settings.profile_schema}")
    lines += [f"GEOIP_DB: there is no file {path}" for path in settings.geoip_db if not Path(path).is_file()]
    lines += [
        f"{setting.upper()}: {provider} needs it"
        for provider in (*settings.sms_senders, *settings.email_senders)
        for setting in _DEMANDED.get(provider, ())
        if not given(getattr(settings, setting))
    ]
    if settings.smtp_username and settings.smtp_security == "none":
        lines.append("SMTP_SECURITY: a password is not sent without TLS")
    if settings.wechat_door == "h5" and settings.production and not settings.own_h5_app[0]:
        lines.append("WECHAT_H5_APP_ID: the door h5 needs it")
    if settings.wechat_door == "open_platform" and not settings.website_app[0]:
        lines.append("WECHAT_APP_ID: the door open_platform needs it")
    if settings.wechat_door == "mini_program" and not settings.mini_app[0]:
        lines.append("WECHAT_MINI_APP_ID: the door mini_program needs it")
    lines += _official_account(settings)
    if settings.production:
        lines += [
            f"{name.upper()}: production demands an https address"
            for name in ("public_url", "aliyun_sms_url", "tencent_sms_url")
            if urlsplit(getattr(settings, name)).scheme != "https"
        ]
        lines += [f"{line} (HUB_ENV=production)" for line in settings.stand_ins]
    elif settings.stand_ins and (place := _public_place(settings)):
        lines += [f"{line} ({place} is a public address)" for line in settings.stand_ins]
    return lines


def _official_account(settings: Settings) -> list[str]:
    lines = [
        f"{name.upper()}: an EncodingAESKey has 43 letters and digits"
        for name in ("wechat_oa_aes_key", "wechat_oa_aes_key_previous")
        if (key := getattr(settings, name).get_secret_value()) and not _AES_KEY.fullmatch(key)
    ]
    if given(settings.wechat_oa_aes_key_previous) and not given(settings.wechat_oa_aes_key):
        lines.append("WECHAT_OA_AES_KEY: WECHAT_OA_AES_KEY_PREVIOUS is only for the change to another key")
    if given(settings.wechat_oa_token) or settings.wechat_door == "official_account":
        lines += [
            f"{name.upper()}: the door official_account needs it"
            for name in ("wechat_oa_app_id", "wechat_oa_app_secret", "wechat_oa_token")
            if not given(getattr(settings, name)) and not settings.sandbox
        ]
    return lines


def _public_place(settings: Settings) -> str:
    listening = own_address() if settings.on_all_addresses else settings.host
    for place in (urlsplit(settings.base_url).hostname or "", listening):
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
