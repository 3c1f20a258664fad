"""Places by IP address, from a local database file; nothing ever asks the outside."""

from pathlib import Path
from typing import Any, NamedTuple

import maxminddb

_NAMES = {"zh-CN": ("zh-CN", "en"), "en": ("en",)}


class Place(NamedTuple):
    """A city: its key in the database, and its name in the language asked for."""

    key: str
    name: str


class Places:
    """Looks cities up in a file of the MaxMind format; without a file every place is unknown."""

    def __init__(self, path: Path | None) -> None:
        """Raises OSError or ValueError for a file that is none."""
        try:
            self._reader = maxminddb.open_database(path) if path else None
        except maxminddb.InvalidDatabaseError as error:
            raise ValueError(f"{path} is not a MaxMind database") from error

    def find(self, address: str, language: str) -> Place | None:
        """Return where *address* is, None where that is not known."""
        if self._reader is None:
            return None
        try:
            found: Any = self._reader.get(address)
        except ValueError:
            return None
        city: dict[str, Any] = (found or {}).get("city", {})
        names: dict[str, str] = city.get("names", {})
        name = next((names[key] for key in _NAMES[language] if key in names), None)
        return Place(str(city.get("geoname_id") or names.get("en") or name), name) if name else None

    def name(self, address: str, language: str) -> str | None:
        """Return only the name of the place where *address* is."""
        found = self.find(address, language)
        return found.name if found else None
