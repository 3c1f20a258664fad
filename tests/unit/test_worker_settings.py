"""The settings of senders and worker: what is demanded, and what production refuses."""

import pytest

from hub.settings import Settings, SettingsError, load_settings
from tests.servers.worker import ALIYUN as ALIYUN_ENV
from tests.unit.test_settings import PRODUCTION

ALIYUN = {name.lower(): value for name, value in ALIYUN_ENV.items()}
TENCENT = {
    "sms_providers": "tencent",
    "tencent_secret_id": "id",
    "tencent_secret_key": "key",
    "tencent_sms_app_id": "1400006666",
    "tencent_sms_sign_name": "登录中心",
    "tencent_sms_templates": "*=1110/code/minutes,login_code:en=1111",
}
SMTP = {"email_providers": "smtp", "smtp_host": "mail.example.com", "smtp_from": "Hub <no-reply@example.com>"}


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the machine's own settings out."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def faults(**given: object) -> list[str]:
    """The settings that are complained about."""
    with pytest.raises(SettingsError) as caught:
        load_settings(None, **given)
    return [line.partition(":")[0] for line in caught.value.lines]


def test_development_prints_on_the_console() -> None:
    """Without any setting both kinds have a stand-in, and it is named."""
    settings = load_settings(None)
    assert (settings.sms_senders, settings.email_senders) == (("console",), ("console",))
    assert sum("console" in line for line in settings.stand_ins) == 2


def test_production_sends_nothing_by_default() -> None:
    """Who names no provider has none; the console is never one by default."""
    settings = load_settings(None, **PRODUCTION)
    assert (settings.sms_senders, settings.email_senders) == ((), ())


def test_production_refuses_the_console() -> None:
    """Not even behind a real provider."""
    given = {**PRODUCTION, **ALIYUN, "sms_providers": "aliyun,console", "email_providers": "console"}
    assert faults(**given) == ["SMS_PROVIDERS", "EMAIL_PROVIDERS"]


def test_providers_keep_their_order() -> None:
    """The first choice comes first."""
    given = {**PRODUCTION, **ALIYUN, **TENCENT, **SMTP, "sms_providers": "tencent, aliyun"}
    settings = load_settings(None, **given)
    assert settings.sms_senders == ("tencent", "aliyun")
    assert settings.email_senders == ("smtp",)


@pytest.mark.parametrize("given", [ALIYUN, TENCENT, SMTP], ids=["aliyun", "tencent", "smtp"])
def test_a_provider_demands_its_settings(given: dict[str, str]) -> None:
    """Each one that is missing is named."""
    name = next(iter(given))
    assert faults(**{name: given[name]}) == [other.upper() for other in given if other != name]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sms_providers", "pigeon"),
        ("aliyun_sms_templates", "login_code"),
        ("aliyun_sms_templates", "login_code=SMS 1"),
        ("tencent_sms_templates", "login code=1"),
        ("smtp_from", "nobody"),
        ("smtp_from", "a@b\nbcc: c@d"),
        ("smtp_security", "ssl"),
        ("hub_worker", "yes"),
        ("aliyun_sms_url", "dysmsapi.aliyuncs.com"),
    ],
)
def test_wrong_values_are_named(name: str, value: str) -> None:
    """In one line, before anything starts."""
    assert faults(**{name: value})[0].startswith(name.upper())


def test_no_password_goes_without_tls() -> None:
    """A relay on this machine may do without; then there is no password either."""
    assert faults(**SMTP, smtp_security="none", smtp_username="u") == ["SMTP_SECURITY"]
    load_settings(None, **SMTP, smtp_security="none")


def test_production_calls_providers_by_https() -> None:
    """Codes and numbers are in these calls."""
    given = {**PRODUCTION, **ALIYUN, "aliyun_sms_url": "http://dysmsapi.aliyuncs.com"}
    assert faults(**given) == ["ALIYUN_SMS_URL"]


def test_secrets_are_not_shown() -> None:
    """Neither repr nor str tell a key."""
    settings = load_settings(
        None, **{**ALIYUN, "aliyun_access_key_secret": "hunter2", "smtp_password": "hunter2"}
    )
    assert "hunter2" not in repr(settings) + str(settings)
