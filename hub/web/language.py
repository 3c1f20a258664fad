"""The languages people read: negotiation and the catalogue of `hub/web/lang/`."""

import json
import re
from functools import cache

from starlette.requests import HTTPConnection

from hub import assets

LANGUAGES = ("zh-CN", "en")

_RANGE = re.compile(r"(\*|[A-Za-z]{1,8})(?:-[A-Za-z0-9-]+)?(?:\s*;\s*[qQ]=([01](?:\.[0-9]{0,3})?))?")
_RANGES = 20  # of one header; nobody speaks more


@cache
def catalogue(language: str) -> dict[str, str]:
    """Return the flat key → text catalogue of *language*, read once per process."""
    text = (assets.folder("web/lang") / f"{language}.json").read_text("utf-8")
    return dict(json.loads(text))


def translate(language: str, key: str, /, **params: object) -> str:
    """Return the text of *key* with its `{placeholders}` filled.

    Raises KeyError for a key that the catalogue lacks; a test keeps both catalogues whole.
    """
    text = catalogue(language)[key]
    return text.format_map(params) if params else text


def negotiate(accept_language: str) -> str:
    """Return the best of LANGUAGES for an Accept-Language header (RFC 9110, 12.5.4); zh-CN by default.

    Only the primary tag counts: whoever reads zh-TW is better served with zh-CN than with English. Of two
    that weigh the same, the one named first wins.
    """
    ranks: dict[str, tuple[float, int]] = {}
    for place, item in enumerate(accept_language.split(",")[:_RANGES]):
        if found := _RANGE.fullmatch(item.strip()):
            primary, rank = found[1].lower(), (float(found[2] or 1), -place)
            ranks[primary] = max(rank, ranks.get(primary, rank))
    others = ranks.get("*", (0.0, 1))  # rather one that is not named than one that is unwanted
    return max(LANGUAGES, key=lambda language: ranks.get(language.partition("-")[0], others))


def language(connection: HTTPConnection) -> str:
    """Return the caller's language: `?lang=`, else Accept-Language, else zh-CN."""
    asked = connection.query_params.get("lang")
    if asked in LANGUAGES:
        return asked
    return negotiate(connection.headers.get("accept-language", ""))
