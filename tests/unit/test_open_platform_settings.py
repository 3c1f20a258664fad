"""Which door an installation has, by the WeChat apps that it names."""

import pytest

from hub.settings import STAND_IN_APP, STAND_IN_MINI, STAND_IN_WEBSITE, Settings, SettingsError, load_settings

URLS = {"wechat_api_url": "https://api.example", "wechat_open_url": "https://open.example"}


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the machine's own settings out."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("given", "door"),
    [
        ({}, "h5"),
        ({**URLS}, "app"),
        ({"wechat_app_id": "wx1"}, "open_platform"),
        ({"wechat_app_id": "wx1", **URLS}, "open_platform"),
        ({"wechat_app_id": "wx1", "wechat_scope": "snsapi_login"}, "open_platform"),
        ({"wechat_app_id": "wx1", "wechat_scope": "snsapi_userinfo"}, "h5"),
        ({"wechat_app_id": "wx1", "wechat_scope": "snsapi_base", **URLS}, "h5"),
        ({"wechat_app_id": "wx1", "wechat_h5_app_id": "wx2"}, "h5"),
        ({"wechat_app_id": "wx1", "wechat_oa_app_id": "wx2", "wechat_scope": "snsapi_base"}, "h5"),
        (
            {"wechat_app_id": "wx1", "wechat_h5_app_id": "wx2", "wechat_door": "open_platform"},
            "open_platform",
        ),
        ({"wechat_mini_app_id": "wx1", "wechat_door": "mini_program"}, "mini_program"),
    ],
)
def test_the_default_door(given: dict[str, str], door: str) -> None:
    """The first that is configured; a stand-in of the sandbox only where nothing is."""
    assert load_settings(None, **given).default_door == door


def test_one_app_for_the_website() -> None:
    """`WECHAT_APP_ID` by itself is the website's app, and asks nobody in the app."""
    settings = load_settings(
        None, wechat_app_id="wx1", wechat_app_secret="s", wechat_scope="snsapi_login", **URLS
    )
    assert (settings.website_app, settings.h5_app) == (("wx1", "s"), ("", ""))
    assert settings.in_app_scope == "snsapi_userinfo"


def test_one_app_for_the_account() -> None:
    """With an in-app scope it is the account's, as older installations have it."""
    settings = load_settings(
        None, wechat_app_id="wx1", wechat_app_secret="s", wechat_scope="snsapi_userinfo", **URLS
    )
    assert (settings.website_app, settings.h5_app) == (("", ""), ("wx1", "s"))


def test_the_sandbox_has_every_door() -> None:
    """In development each door that is not configured has its stand-in."""
    settings = load_settings(None)
    assert (settings.h5_app, settings.website_app, settings.mini_app) == (
        STAND_IN_APP,
        STAND_IN_WEBSITE,
        STAND_IN_MINI,
    )


@pytest.mark.parametrize(
    ("door", "name"), [("open_platform", "WECHAT_APP_ID"), ("mini_program", "WECHAT_MINI_APP_ID")]
)
def test_a_door_needs_its_app(door: str, name: str) -> None:
    """A default door that cannot be opened stops the start, and names what is missing."""
    with pytest.raises(SettingsError) as refused:
        load_settings(None, wechat_door=door, **URLS)
    assert [line.partition(":")[0] for line in refused.value.lines] == [name]


@pytest.mark.parametrize("page", ["/pages/index", "pages/index?a=1", "", "a b"])
def test_a_page_that_wechat_does_not_take(page: str) -> None:
    """The mini program's page has no leading slash and no query."""
    with pytest.raises(SettingsError, match="WECHAT_MINI_PAGE"):
        load_settings(None, wechat_mini_page=page)
