"""Places by IP, and the warning when phone and browser are in different ones."""

import ipaddress
import struct
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from hub.audit.places import Place, Places
from hub.qr.attempt import Attempt
from hub.qr.request_info import RequestInfo
from hub.qr.states import Status

CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/150.0.0.0 Safari/537.36"
VECTORS = 8 * 256 * 256
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


def xdb(path: Path, regions: dict[str, str], *, structure: int = 3) -> Path:
    """Write networks, from lower to higher ones, as ip2region's maker does; each within one /16."""
    networks = [ipaddress.ip_network(network) for network in regions]
    order: Literal["little", "big"] = "little" if networks[0].version == 4 else "big"
    vectors, begin = bytearray(VECTORS), 256 + VECTORS
    size = 2 * len(networks[0][0].packed) + 6
    segments, texts = b"", b""
    for network, region in zip(networks, regions.values(), strict=True):
        start, end = network[0], network[-1]
        at, text = begin + len(segments), region.encode()
        cell = 8 * (start.packed[0] * 256 + start.packed[1])
        first = struct.unpack_from("<I", vectors, cell)[0] or at
        struct.pack_into("<II", vectors, cell, first, at + size)
        segments += b"".join(int(ip).to_bytes(len(ip.packed), order) for ip in (start, end))
        segments += struct.pack("<HI", len(text), begin + size * len(networks) + len(texts))
        texts += text
    head = struct.pack("<HHIIIHH", structure, 1, 0, begin, begin, networks[0].version, 4)
    path.write_bytes(head.ljust(256, b"\0") + vectors + segments + texts)
    return path


@pytest.fixture
def regions(tmp_path: Path) -> Places:
    """Two files of ip2region."""
    fourth = {
        "203.0.113.0/25": "中国|浙江省|杭州市|电信|CN",
        "203.0.113.128/25": "中国|浙江省|宁波市|电信|CN",
        "204.0.0.0/24": "United States|California|San Jose|xTom|US",
        "204.0.1.0/24": "Australia|0|0|0|AU",
    }
    sixth = {"240e:3b7::/32": "中国|广东省|深圳市|电信|CN"}
    return Places(xdb(tmp_path / "v4.xdb", fourth), xdb(tmp_path / "v6.xdb", sixth))


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("203.0.113.7", Place("中国|浙江省|杭州市", "杭州市")),
        ("203.0.113.200", Place("中国|浙江省|宁波市", "宁波市")),
        ("204.0.0.1", Place("United States|California|San Jose", "San Jose")),
        ("240e:3b7::1", Place("中国|广东省|深圳市", "深圳市")),
        ("204.0.1.1", None),
        ("203.0.114.1", None),
        ("192.0.2.1", None),
        ("2001:db8::1", None),
        ("unknown", None),
    ],
)
def test_a_city_of_ip2region(regions: Places, address: str, place: Place | None) -> None:
    """Found in the file of its kind, and named the same in each language; a country alone is no place."""
    assert [regions.find(address, language) for language in ("zh-CN", "en")] == [place, place]


@pytest.mark.parametrize(("structure", "length"), [(2, 10**6), (3, VECTORS), (3, 100), (3, 0)])
def test_an_ip2region_file_that_cannot_be_read(tmp_path: Path, structure: int, length: int) -> None:
    """One of an older structure, and one that is cut off, is refused when it is opened."""
    path = tmp_path / "v4.xdb"
    xdb(path, {"203.0.113.0/24": "中国|浙江省|杭州市|电信|CN"}, structure=structure)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ValueError, match="neither a MaxMind nor an ip2region database"):
        Places(path)


def test_a_damaged_ip2region_file(tmp_path: Path) -> None:
    """An address where the file is wrong has no place, and nobody is kept from signing in."""
    path = xdb(tmp_path / "v4.xdb", {"203.0.113.0/24": "中国|浙江省|杭州市|电信|CN"})
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])
    assert Places(path).find("203.0.113.7", "zh-CN") is None


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    """A wrong file is refused when it is opened."""
    path = tmp_path / "cities.mmdb"
    path.write_text("no database")
    with pytest.raises(ValueError, match="neither a MaxMind nor an ip2region database"):
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
    info = RequestInfo("Shop", Places()).describe(unknown, "203.0.113.7", "en")
    assert (info["browser"], info["os"], info["city"], info["mismatch"]) == (None, None, None, False)
