"""Places by IP, and the warning when phone and browser are in different ones."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from hub.audit.places import Places
from hub.qr.attempt import Attempt
from hub.qr.request_info import RequestInfo
from hub.qr.states import Status

CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/150.0.0.0 Safari/537.36"
MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ATTEMPT = Attempt(
    id=1,
    key="k",
    session_seed="s",
    user_id=None,
    qr_code="c",
    previous_qr_code=None,
    qr_expires_at=MOMENT,
    status=Status.SCANNED,
    reason=None,
    seq=2,
    purpose="login",
    door="h5",
    binding="",
    successor_id=None,
    redirect_uri=None,
    state=None,
    scanned_by=None,
    profile={},
    ip_address="203.0.113.7",
    user_agent=CHROME,
    city=None,
    created_at=MOMENT,
    expires_at=MOMENT,
    redeemed_at=None,
)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """A database of two cities, one of them without a Chinese name."""
    writer = MMDBWriter(ip_version=6, ipv4_compatible=True)
    hangzhou = {"city": {"geoname_id": 1808926, "names": {"en": "Hangzhou", "zh-CN": "杭州"}}}
    writer.insert_network(IPSet(["203.0.113.0/24"]), hangzhou)
    writer.insert_network(IPSet(["198.51.100.0/24"]), {"city": {"names": {"en": "Ghent"}}})
    path = tmp_path / "cities.mmdb"
    writer.to_db_file(str(path))
    return Places(path)


def test_a_city_in_both_languages(places: Places) -> None:
    """A city is named in the person's language, in English where there is no other name."""
    for address, language, name in [
        ("203.0.113.7", "zh-CN", "杭州"),
        ("203.0.113.7", "en", "Hangzhou"),
        ("198.51.100.1", "zh-CN", "Ghent"),
    ]:
        found = places.find(address, language)
        assert found is not None
        assert found.name == name


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1", "unknown", ""])
def test_unknown_places(places: Places, address: str) -> None:
    """An address that is not in the file, or none at all, has no place."""
    assert places.find(address, "en") is None


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    """A wrong file is refused when it is opened."""
    path = tmp_path / "cities.mmdb"
    path.write_text("no database")
    with pytest.raises(ValueError, match="not a MaxMind database"):
        Places(path)


@pytest.mark.parametrize(
    ("phone", "mismatch"), [("203.0.113.99", False), ("198.51.100.1", True), ("192.0.2.1", False)]
)
def test_mismatch(places: Places, phone: str, mismatch: bool) -> None:
    """The person is warned when both places are known and differ, and only then."""
    info = RequestInfo("Shop", places).describe(ATTEMPT, phone, "en")
    assert info == {
        "site": "Shop",
        "browser": "Chrome",
        "os": "Windows",
        "ip": "203.0.113.7",
        "city": "Hangzhou",
        "requested_at": "2026-01-02T03:04:05+00:00",
        "mismatch": mismatch,
    }


def test_an_unknown_browser() -> None:
    """Without a database and with a browser nobody knows, the parts are told as unknown."""
    unknown = replace(ATTEMPT, user_agent="")
    info = RequestInfo("Shop", Places(None)).describe(unknown, "203.0.113.7", "en")
    assert (info["browser"], info["os"], info["city"], info["mismatch"]) == (None, None, None, False)
