"""The confirm link in the reply to a scan.

It leads its own person to the confirm page, and nobody else: behind it WeChat says who has opened it. One
link of an attempt is alive at a time, the newest, until it is used or the attempt has been answered.
"""

import base64
import hmac
import re
from collections.abc import Sequence
from typing import Final

PATH: Final = "/c/"

_LINK = re.compile(r"[A-Za-z0-9_-]{43}")
_BODY: Final = 16
_MAC: Final = 16


class ConfirmLinks:
    """Makes and reads links. *keys* is a ring: the first makes, all are tried.

    A link is 43 characters: attempt id (8 bytes), the push it answers (8), and a MAC over both. So each try
    of one push is answered with the same one.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = [hmac.digest(key.encode(), b"confirm-link", "sha256") for key in keys]

    def make(self, attempt_id: int, push_key: str) -> str:
        """Return the link of this attempt that answers the push whose key (hex) is given."""
        body = attempt_id.to_bytes(8) + bytes.fromhex(push_key)[:8]
        return _text(body + _mac(self._keys[0], body))

    def read(self, link: str) -> int | None:
        """Return the attempt's id, None for a link that no key has made."""
        if not _LINK.fullmatch(link):
            return None
        raw = base64.urlsafe_b64decode(link + "=")
        body, mac = raw[:_BODY], raw[_BODY:]
        if _text(raw) != link:  # another spelling of the same bytes
            return None
        if not any(hmac.compare_digest(_mac(key, body), mac) for key in self._keys):
            return None
        return int.from_bytes(body[:8])


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _mac(key: bytes, body: bytes) -> bytes:
    return hmac.digest(key, body, "sha256")[:_MAC]
