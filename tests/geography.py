"""A city database of the MaxMind format with three made-up networks."""

from pathlib import Path
from typing import Final

from mmdb_writer import MMDBWriter
from netaddr import IPSet

HANGZHOU: Final = "203.0.113.7"
HANGZHOU_TOO: Final = "198.18.0.7"  # the same city in another network
BERLIN: Final = "198.51.100.7"
NOWHERE: Final = "192.0.2.7"


def write_cities(path: Path) -> Path:
    """Write the database to *path*, and return it."""
    writer = MMDBWriter(ip_version=6, ipv4_compatible=True, float_type="f64")
    hangzhou = {
        "city": {"geoname_id": 1808926, "names": {"en": "Hangzhou", "zh-CN": "杭州"}},
        "location": {"latitude": 30.29, "longitude": 120.16},
    }
    berlin = {
        "city": {"geoname_id": 2950159, "names": {"en": "Berlin", "zh-CN": "柏林"}},
        "location": {"latitude": 52.52, "longitude": 13.4},
    }
    writer.insert_network(IPSet(["203.0.113.0/24", "198.18.0.0/24"]), hangzhou)
    writer.insert_network(IPSet(["198.51.100.0/24"]), berlin)
    writer.to_db_file(str(path))
    return path
