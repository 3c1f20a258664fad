"""Usernames: names to sign in with, which never look like a number or an e-mail address."""

import re
import unicodedata

from hub.errors import FieldError, InvalidRequest

_USERNAME = re.compile(r"[^\W\d_][\w.-]{1,63}")


def username(text: str) -> str:
    """Return a username in the form it is kept and compared in: NFKC, case-folded, 2 to 64 characters.

    It begins with a letter of any script and goes on with letters, digits, `_`, `.` and `-`. Raises
    InvalidRequest.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    if not _USERNAME.fullmatch(folded):
        raise InvalidRequest([FieldError("username", "username_form")])
    return folded
