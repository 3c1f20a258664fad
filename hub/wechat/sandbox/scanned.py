"""What a scanned text means to the phone."""

from typing import Literal, NamedTuple
from urllib.parse import urlsplit

Kind = Literal["own", "link", "text"]


class Scanned(NamedTuple):
    """`own` is an address of the sandbox itself (*target* is its path), `link` any other, `text` none."""

    kind: Kind
    target: str


def web_link(text: str) -> str | None:
    """Return *text* where it is an http or https address, else None: nothing else may be opened."""
    try:
        parts = urlsplit(text)
        return text if parts.scheme in ("http", "https") and parts.hostname else None
    except ValueError:
        return None


def meaning(text: str, addresses: tuple[str, ...]) -> Scanned:
    """Return what *text* means on the phone; *addresses* are those by which the sandbox itself is known."""
    link = web_link(text)
    if link is None:
        return Scanned("text", text)
    for address in addresses:
        path = link.removeprefix(address)
        if path != link and path.startswith(("/q/", "/m/", "/connect/confirm?")):
            return Scanned("own", path)
    return Scanned("link", link)
