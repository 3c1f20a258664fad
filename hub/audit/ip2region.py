"""Cities in files of ip2region (xdb, structure 3), one file for IPv4 and one for IPv6.

Names stand there in one language: Chinese for places in China, mostly English for all others.
"""

import ipaddress
import mmap
from pathlib import Path
from typing import NamedTuple, cast

from ip2region import searcher, util

_FIELDS = 5  # country, province, city, provider, country code
_UNKNOWN = ("", "0")


class City(NamedTuple):
    """A city: what tells it from others of the same name, and its name."""

    key: str
    name: str


class Ip2Region:
    """Looks cities up in one file, which its processes share in memory."""

    def __init__(self, path: Path) -> None:
        """Raises OSError, or ValueError for a file that is none, or of another structure."""
        with path.open("rb") as file:
            head = file.read(util.HeaderInfoLength)
            if len(head) < util.HeaderInfoLength:
                raise ValueError(f"{path} is too short for an xdb file")
            header = util.Header(head)
            version = util.version_from_header(header)
            if header.version != util.XdbStructure30 or version is None:
                raise ValueError(f"{path} is no xdb file of structure 3")
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if len(content) < util.HeaderInfoLength + util.VectorIndexLength:
            raise ValueError(f"{path} is cut off")
        self._bytes = version.byte_num
        # The library takes whatever yields bytes by index and slice, though it says only bytes.
        self._searcher = searcher.new_with_buffer(version, cast("bytes", content))

    def get(self, address: str) -> City | None:
        """Return the city of *address*; None for an address of the other kind, or one that is in no city."""
        try:
            packed = ipaddress.ip_address(address).packed
        except ValueError:
            return None
        if len(packed) != self._bytes:
            return None
        try:
            fields = self._searcher.search(packed).split("|")
        except (IndexError, UnicodeDecodeError):  # a damaged file must not stand in the way of a sign-in
            return None
        if len(fields) < _FIELDS or fields[2] in _UNKNOWN:
            return None
        return City("|".join(fields[:3]), fields[2])
