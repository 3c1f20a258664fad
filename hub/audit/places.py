"""Places by IP address, from local database files; nothing ever asks the outside."""

from pathlib import Path
from typing import Any, NamedTuple

import maxminddb

from hub.audit.ip2region import Ip2Region
from hub.audit.rules import Coordinates

_NAMES = {"zh-CN": ("zh-CN", "en"), "en": ("en",)}


class Place(NamedTuple):
    """A city: its key in the database, its name in the language asked for, and, if told, where it is."""

    key: str
    name: str
    coordinates: Coordinates | None = None


class Places:
    """Looks cities up in files of MaxMind's or of ip2region's format; without any every place is unknown.

    The first file that knows a place is believed. ip2region has one name for a city, whatever the language.
    """

    def __init__(self, *paths: Path) -> None:
        """Raises OSError or ValueError for a file that is neither."""
        self._readers = [_open(path) for path in paths]

    def find(self, address: str, language: str) -> Place | None:
        """Return where *address* is, None where that is not known."""
        for reader in self._readers:
            if isinstance(reader, Ip2Region):
                city = reader.get(address)
                place = Place(city.key, city.name) if city else None
            else:
                place = _in_maxmind(reader, address, language)
            if place:
                return place
        return None

    def name(self, address: str, language: str) -> str | None:
        """Return only the name of the place where *address* is."""
        found = self.find(address, language)
        return found.name if found else None


def _open(path: Path) -> maxminddb.Reader | Ip2Region:
    try:
        return maxminddb.open_database(path)
    except maxminddb.InvalidDatabaseError:
        pass
    try:
        return Ip2Region(path)
    except ValueError as error:
        raise ValueError(f"neither a MaxMind nor an ip2region database: {error}") from None


def _in_maxmind(reader: maxminddb.Reader, address: str, language: str) -> Place | None:
    try:
        found: Any = reader.get(address)
    except ValueError:
        return None
    city: dict[str, Any] = (found or {}).get("city", {})
    names: dict[str, str] = city.get("names", {})
    name = next((names[key] for key in _NAMES[language] if key in names), None)
    if name is None:
        return None
    key = str(city.get("geoname_id") or names.get("en") or name)
    return Place(key, name, _coordinates(found.get("location", {})))


def _coordinates(location: dict[str, Any]) -> Coordinates | None:
    try:
        return Coordinates(float(location["latitude"]), float(location["longitude"]))
    except (KeyError, TypeError, ValueError):
        return None
