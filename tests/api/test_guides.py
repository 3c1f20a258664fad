"""The guides as a hub serves them."""

from collections.abc import Iterator

import httpx2
import pytest

from hub.docs.guide import NAMES
from tests.problems import refused
from tests.servers.hub import HubProcess


@pytest.fixture
def get(hub_on_sqlite: HubProcess) -> Iterator[httpx2.Client]:
    """A client of the hub."""
    with httpx2.Client(base_url=hub_on_sqlite.url) as client:
        yield client


@pytest.mark.parametrize("name", NAMES)
def test_each_guide_is_a_page(get: httpx2.Client, name: str) -> None:
    """It is HTML, under the policy of all pages, and the list leads to it."""
    page = get.get(f"/docs/guides/{name}", params={"lang": "en"})
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert '<article class="guide" lang="en">' in page.text
    assert f'href="/docs/guides/{name}?lang=en"' in get.get("/docs/guides", params={"lang": "en"}).text


def test_unknown_guides(get: httpx2.Client) -> None:
    """What is no guide is not found, whatever its name looks like."""
    for name in ("nothing", "embed.md", "..%2f..%2fsettings", "EMBED"):
        refused(get.get(f"/docs/guides/{name}"), 404, "not-found")


def test_guides_in_chinese(get: httpx2.Client) -> None:
    """A guide that is translated comes in the reader's language."""
    page = get.get("/docs/guides/embed", headers={"accept-language": "zh-CN"})
    assert '<article class="guide" lang="zh-CN">' in page.text
    assert "五分钟接入登录" in page.text
