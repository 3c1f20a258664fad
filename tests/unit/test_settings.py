"""The settings: defaults, errors told at once, and what production refuses."""

from pathlib import Path

import pytest

from hub.settings import Settings, SettingsError, load_settings

SECRET = "0123456789abcdef" * 2
PRODUCTION = {
    "hub_env": "production",
    "public_url": "https://login.example.com",
    "jwt_secret": SECRET,
    "cookie_secret": SECRET,
    "refresh_keys": SECRET,
    "data_keys": SECRET,
    "code_peppers": SECRET,
    "wechat_h5_app_id": "wx1",
    "wechat_h5_app_secret": "s",
}


def load(**given: object) -> Settings:
    """Settings from these values alone."""
    return load_settings(None, **given)


def faults(**given: object) -> list[str]:
    """The lines that these values are refused with."""
    with pytest.raises(SettingsError) as caught:
        load(**given)
    return caught.value.lines


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the machine's own settings out."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def test_the_embedded_default_needs_nothing() -> None:
    """Without any setting the hub runs on SQLite, in process, with the sandbox, on loopback."""
    settings = load()
    assert (settings.base_url, settings.redis, settings.sandbox) == ("http://127.0.0.1:8000", "", True)
    assert settings.default_door == "h5"


def test_all_errors_at_once() -> None:
    """Every wrong setting is named, each in one line."""
    lines = faults(port=99999, hub_env="staging", public_url="ftp://x", allowed_origins="https://a/b")
    assert [line.partition(":")[0] for line in lines] == ["HUB_ENV", "PUBLIC_URL", "ALLOWED_ORIGINS", "PORT"]


def test_an_error_does_not_show_the_value() -> None:
    """What was given, and could be a secret, is not repeated."""
    assert "hunter2" not in " ".join(faults(redis_port="hunter2"))


def test_production_is_complete() -> None:
    """With its own secrets, an https address and an app, production starts."""
    assert load(**PRODUCTION).stand_ins == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("jwt_secret", ""),
        ("cookie_secret", ""),
        ("refresh_keys", ""),
        ("data_keys", ""),
        ("code_peppers", ""),
        ("jwt_secret", "jwt_secret-development-stand-in-never-use-in-production"),
        ("hub_limits", "off"),
        ("public_url", "http://login.example.com"),
    ],
)
def test_production_refuses(name: str, value: str) -> None:
    """Production names each stand-in that it does not start with."""
    lines = faults(**{**PRODUCTION, name: value})
    assert [line.partition(":")[0] for line in lines] == [name.upper()]


@pytest.mark.parametrize("given", [{"public_url": "http://203.0.114.9"}, {"host": "8.8.8.8"}])
def test_a_public_place_refuses_stand_ins(given: dict[str, str]) -> None:
    """Without HUB_ENV the sandbox is never served where the world can reach it."""
    assert any("sandbox" in line for line in faults(**given))


@pytest.mark.parametrize("url", ["http://192.168.1.20:8000", "http://localhost:8000", "http://hub.local"])
def test_a_private_place_takes_stand_ins(url: str) -> None:
    """A laptop and its own network may use them."""
    assert load(public_url=url).sandbox


def test_short_secrets_are_refused() -> None:
    """A key under 32 bytes is no key (RFC 7518, 3.2)."""
    assert len(faults(jwt_secret="short", cookie_secret="short", refresh_keys=f"{SECRET},short")) == 3


def test_redis_by_host_and_password() -> None:
    """The parts make one address, with the password escaped."""
    settings = load(redis_host="cache", redis_password="p@ss:/", redis_db=2)
    assert settings.redis == "redis://:p%40ss%3A%2F@cache:6379/2"


def test_names_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The environment wins over `.env`."""
    file = tmp_path / ".env"
    file.write_text("SITE_NAME=From file\nPORT=9000\n")
    monkeypatch.setenv("SITE_NAME", "From environment")
    settings = load_settings(str(file))
    assert (settings.site_name, settings.port) == ("From environment", 9000)


def test_secrets_are_not_shown() -> None:
    """Neither repr nor str tell a secret."""
    settings = load(**PRODUCTION)
    assert SECRET not in repr(settings) + str(settings)


def test_own_origins() -> None:
    """The hub's own pages may call it, and what ALLOWED_ORIGINS adds."""
    settings = load(**PRODUCTION, allowed_origins="https://shop.example.com")
    assert settings.origins == {"https://login.example.com", "https://shop.example.com"}
