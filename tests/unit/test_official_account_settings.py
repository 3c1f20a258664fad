"""The settings of the official account."""

import pytest

from hub.settings import STAND_IN_ACCOUNT, Settings, SettingsError, load_settings
from tests.pushing import AES_KEY, APPID, PREVIOUS_KEY, SECRET, TOKEN
from tests.unit.test_settings import PRODUCTION

ACCOUNT = {"wechat_oa_app_id": APPID, "wechat_oa_app_secret": SECRET, "wechat_oa_token": TOKEN}


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the machine's own settings out."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def load(**given: object) -> Settings:
    """Settings of a production from these values."""
    return load_settings(None, **{**PRODUCTION, **given})


def test_plain_mode() -> None:
    """Without an EncodingAESKey the account is open in plain."""
    assert load(**ACCOUNT).official_account == (APPID, SECRET, TOKEN, ())


def test_secure_mode() -> None:
    """The current key comes first, the one before is kept beside it."""
    keys = {"wechat_oa_aes_key": AES_KEY, "wechat_oa_aes_key_previous": PREVIOUS_KEY}
    account = load(**ACCOUNT, **keys).official_account
    assert account is not None
    assert account.aes_keys == (AES_KEY, PREVIOUS_KEY)
    assert SECRET not in repr(account)
    assert TOKEN not in repr(account)


def test_an_account_for_pages_alone() -> None:
    """An account without a Token serves the in-app door, and no pushes."""
    settings = load(wechat_oa_app_id=APPID, wechat_oa_app_secret=SECRET, wechat_h5_app_id="")
    assert settings.official_account is None
    assert settings.h5_app == (APPID, SECRET)
    assert settings.default_door == "h5"


def test_the_default_door() -> None:
    """It may be named, and comes after the in-app door, which the same account opens."""
    assert load(**ACCOUNT).default_door == "h5"
    assert load(**ACCOUNT, wechat_door="official_account").default_door == "official_account"


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({**ACCOUNT, "wechat_oa_aes_key": "A" * 42}, "WECHAT_OA_AES_KEY"),
        ({**ACCOUNT, "wechat_oa_aes_key": "!" * 43}, "WECHAT_OA_AES_KEY"),
        ({**ACCOUNT, "wechat_oa_aes_key_previous": AES_KEY}, "WECHAT_OA_AES_KEY"),
        ({"wechat_oa_token": TOKEN, "wechat_oa_app_id": APPID}, "WECHAT_OA_APP_SECRET"),
        ({"wechat_oa_token": TOKEN, "wechat_oa_app_secret": SECRET}, "WECHAT_OA_APP_ID"),
        ({"wechat_door": "official_account", **ACCOUNT, "wechat_oa_token": ""}, "WECHAT_OA_TOKEN"),
    ],
)
def test_half_a_configuration(given: dict[str, str], named: str) -> None:
    """What is missing or mistyped stops the start, by its name and without its value."""
    with pytest.raises(SettingsError) as refused:
        load(**given)
    (line,) = refused.value.lines
    assert line.startswith(f"{named}: ")
    assert AES_KEY not in line


def test_development() -> None:
    """The sandbox's account stands in, and takes on whatever is configured."""
    assert load_settings(None).official_account == STAND_IN_ACCOUNT
    own = load_settings(None, **ACCOUNT).official_account
    assert own == (APPID, SECRET, TOKEN, ())
    sealed = load_settings(None, wechat_oa_aes_key=AES_KEY).official_account
    assert sealed == STAND_IN_ACCOUNT._replace(aes_keys=(AES_KEY,))
