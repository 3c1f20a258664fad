"""The languages people read: negotiation and the catalogue of `static/lang/`."""

import json
from functools import cache

from starlette.requests import HTTPConnection

from hub import assets

LANGUAGES = ("zh-CN", "en")


@cache
def catalogue(language: str) -> dict[str, str]:
    """Return the flat key → text catalogue of *language*, read once per process."""
    text = (assets.folder("static") / "lang" / f"{language}.json").read_text("utf-8")
    return dict(json.loads(text))


def translate(language: str, key: str, /, **params: object) -> str:
    """Return the text of *key* with its `{placeholders}` filled.

    Raises KeyError for a key that the catalogue lacks; a test keeps both catalogues whole.
    """
    text = catalogue(language)[key]
    return text.format_map(params) if params else text


def negotiate(accept_language: str) -> str:
    """Return the best of LANGUAGES for an Accept-Language header (RFC 9110, 12.5.4); zh-CN by default."""
    best, best_weight = LANGUAGES[0], 0.0
    for item in accept_language.split(",")[:20]:
        tag, _, parameter = item.strip().partition(";")
        try:
            weight = float(parameter.strip().removeprefix("q=")) if parameter else 1.0
        except ValueError:
            continue
        primary = tag.partition("-")[0].lower()
        for language in LANGUAGES:
            if primary == language.partition("-")[0] and weight > best_weight:
                best, best_weight = language, weight
    return best


def language(connection: HTTPConnection) -> str:
    """Return the caller's language: `?lang=`, else Accept-Language, else zh-CN."""
    asked = connection.query_params.get("lang")
    if asked in LANGUAGES:
        return asked
    return negotiate(connection.headers.get("accept-language", ""))
