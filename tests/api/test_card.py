"""The card of `<login-hub>`, as a page of another site asks for it."""

from collections.abc import Iterator

import httpx2
import pytest

from tests.problems import refused
from tests.servers.hub import ALLOWED_ORIGIN, HubProcess

STRANGER = "https://stranger.example.com"


@pytest.fixture
def get(hub_on_sqlite: HubProcess) -> Iterator[httpx2.Client]:
    """A client of the hub."""
    with httpx2.Client(base_url=hub_on_sqlite.url) as client:
        yield client


def test_an_allowed_site_gets_it(get: httpx2.Client) -> None:
    """It may read the card, in the language and with the ways that it asks for."""
    headers = {"origin": ALLOWED_ORIGIN, "accept-language": "zh-CN"}
    answer = get.get("/api/card", params={"methods": "phone password"}, headers=headers)
    assert answer.headers["access-control-allow-origin"] == ALLOWED_ORIGIN
    card = answer.json()["data"]
    assert 'lang="zh-CN"' in card["html"]
    assert 'id="panel-phone"' in card["html"]
    assert 'id="panel-email"' not in card["html"]
    assert ":host" in card["css"]


def test_a_stranger_may_read_why_not(get: httpx2.Client) -> None:
    """Its page can say what is wrong, and has nothing else from us."""
    answer = get.get("/api/card", headers={"origin": STRANGER})
    refused(answer, 403, "origin-not-allowed")
    assert answer.headers["access-control-allow-origin"] == "*"


def test_modules_load_anywhere(get: httpx2.Client) -> None:
    """The element itself comes to any site, else nothing there could say that it is not allowed."""
    answer = get.get("/static/login-hub.js", headers={"origin": STRANGER})
    assert answer.headers["access-control-allow-origin"] == "*"


def test_another_site_is_led_to_wechats_page(get: httpx2.Client) -> None:
    """From there only a redirect reaches that door; without one another door is shown."""
    headers, asked = {"origin": ALLOWED_ORIGIN}, {"door": "open_platform"}
    html = get.get("/api/card", params=asked, headers=headers).json()["data"]["html"]
    assert 'id="code"' in html
    asked |= {"redirect_uri": "https://shop.example.com/back"}
    html = get.get("/api/card", params=asked, headers=headers).json()["data"]["html"]
    assert 'href="/?door=open_platform&amp;redirect_uri=' in html
    assert 'id="code"' not in html
