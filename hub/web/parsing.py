"""Reading what came in: bodies, queries, bearer tokens. What does not fit raises before anything is done."""

import asyncio
import ipaddress
import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, TypeVar
from urllib.parse import parse_qsl

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError
from python_multipart.multipart import parse_options_header
from starlette.requests import ClientDisconnect, HTTPConnection, Request

from hub.errors import BadRequest, FieldError, InvalidRequest, PayloadTooLarge, Reason, UnsupportedMediaType

BODY_LIMIT = 16 * 1024  # bytes
BODY_TIME = 10.0  # seconds a client may take to send its body
_USER_AGENT_LENGTH = 512  # characters; the columns'


class Body(BaseModel):
    """A request body: types are exact, unknown members are ignored, text is trimmed of nothing.

    The docstring under a member describes it to the callers.
    """

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, use_attribute_docstrings=True)


# The C0 and C1 controls, and what breaks lines or turns letters: a name with these shows other than it is.
# Marks that only isolate stay, for systems put them around names.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202d\u202e]")


def _printable(text: str) -> str:
    if _CONTROL.search(text):
        raise PydanticCustomError("control_characters", "control characters are not allowed")
    return text


def _prose(text: str) -> str:
    _printable(re.sub(r"[\t\r\n]", "", text))
    return text


# Not to be seen, though Unicode calls them letters or symbols: the fillers of Hangul, and Braille's blank.
_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")


def _visible(text: str) -> str:
    if not any(unicodedata.category(each)[0] in "LNPS" and each not in _BLANK for each in text):
        raise PydanticCustomError("invisible", "there is nothing to see")
    return text


Printable = Annotated[str, AfterValidator(_printable)]
Visible = Annotated[Printable, AfterValidator(_visible)]  # of which at least one character can be seen
Prose = Annotated[str, AfterValidator(_prose)]  # with tabs and line breaks

# From pydantic's types of errors to the reasons that people are told, and the name there of what limits it.
_REASONS: Mapping[str, tuple[Reason, str]] = {
    "control_characters": ("control_characters", ""),
    "future_day": ("future_day", ""),
    "invisible": ("invisible", ""),
    "missing": ("missing", ""),
    "literal_error": ("not_listed", "expected"),
    "string_too_short": ("too_short", "min_length"),
    "string_too_long": ("too_long", "max_length"),
    "too_short": ("too_short", "min_length"),
    "too_long": ("too_long", "max_length"),
    "greater_than_equal": ("too_small", "ge"),
    "less_than_equal": ("too_large", "le"),
    "string_pattern_mismatch": ("wrong_form", ""),
    "value_error": ("wrong_form", ""),
}

_OF_TYPE = ("_type", "_parsing", "_from_float")

Model = TypeVar("Model", bound=BaseModel)


async def body(request: Request, model: type[Model], *, optional: bool = False) -> Model:
    """Return the JSON body as *model*; with *optional* no body at all stands for `{}`.

    Raises UnsupportedMediaType, PayloadTooLarge, BadRequest (broken JSON) or InvalidRequest (wrong members).
    """
    if optional and "content-type" not in request.headers:
        raw = await _read(request)
        if raw:
            raise UnsupportedMediaType("no content type")
        return _validate(model, b"{}")
    _expect(request, "application/json")
    return _validate(model, await _read(request))


async def form(request: Request, model: type[Model]) -> Model:
    """Return the `application/x-www-form-urlencoded` body as *model*.

    A repeated parameter is refused (RFC 6749 section 3.2). Raises like `body`.
    """
    _expect(request, "application/x-www-form-urlencoded")
    raw = await _read(request)
    try:
        pairs = parse_qsl(raw.decode(), keep_blank_values=True, strict_parsing=bool(raw), max_num_fields=50)
    except ValueError as error:
        raise BadRequest(f"broken form: {error}") from None
    return _pairs(pairs, model)


async def raw_body(request: Request, limit: int, seconds: float) -> bytes:
    """Return the body as it is. Raises PayloadTooLarge over *limit* bytes, BadRequest after *seconds*."""
    return await _read(request, limit, seconds)


def query(request: HTTPConnection, model: type[Model]) -> Model:
    """Return the query string as *model*. Raises InvalidRequest."""
    return _pairs(request.query_params.multi_items() if request.scope["query_string"] else [], model)


def members(given: Mapping[str, Any], model: type[Model]) -> Model:
    """Return members that were read already as *model*. Raises InvalidRequest."""
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise _refused(error) from None


def bearer(connection: HTTPConnection) -> str | None:
    """Return the bearer token of the Authorization header (RFC 6750 section 2.1), else None."""
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def client_address(connection: HTTPConnection) -> str:
    """Return the client's IP address in its one canonical spelling; proxies were taken off by the server."""
    return _canonical(connection.client.host if connection.client else "")


def user_agent(connection: HTTPConnection) -> str:
    """Return the User-Agent header, as much of it as is kept; empty where there is none."""
    return connection.headers.get("user-agent", "")[:_USER_AGENT_LENGTH]


def is_wechat(connection: HTTPConnection) -> bool:
    """Tell whether it is WeChat's own browser that asks."""
    return "micromessenger" in user_agent(connection).lower()


@lru_cache(4096)
def _canonical(host: str) -> str:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host[:45] or "unknown"
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def _pairs(pairs: list[tuple[str, str]], model: type[Model]) -> Model:
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name in members and name in model.model_fields:
            raise InvalidRequest([FieldError(name, "repeated")])
        members[name] = value
    try:
        return model.model_validate(members, strict=False)
    except ValidationError as error:
        raise _refused(error) from None


def _validate(model: type[Model], raw: bytes) -> Model:
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        if any(item["type"] == "json_invalid" for item in error.errors(include_url=False)):
            raise BadRequest("broken JSON") from None
        raise _refused(error) from None


def _refused(error: ValidationError) -> InvalidRequest:
    return InvalidRequest([_field(item) for item in error.errors(include_url=False, include_input=False)])


def _field(item: ErrorDetails) -> FieldError:
    kind = item["type"]
    reason, limit = _REASONS.get(kind, ("wrong_type" if kind.endswith(_OF_TYPE) else "not_allowed", ""))
    values = {"limit": _plain(item["ctx"][limit])} if limit else {}
    return FieldError(".".join(map(str, item["loc"])), reason, values)


def _plain(limit: object) -> str:
    """Pydantic words a list of literals in English, `'a', 'b' or 'c'`; this is `a, b, c`."""
    return str(limit).replace("'", "").replace(" or ", ", ")


def _expect(request: Request, media_type: str) -> None:
    given, parameters = parse_options_header(request.headers.get("content-type", ""))
    if given != media_type.encode():
        raise UnsupportedMediaType(f"{given[:60]!r}")
    charset = parameters.get(b"charset", b"utf-8")
    if charset.lower() not in (b"utf-8", b"utf8"):
        raise UnsupportedMediaType(f"charset {charset[:40]!r}")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType("encoded body")


async def _read(request: Request, limit: int = BODY_LIMIT, seconds: float = BODY_TIME) -> bytes:
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > limit:
        raise PayloadTooLarge(f"{length} bytes announced")
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(seconds):
            async for part in request.stream():
                size += len(part)
                if size > limit:
                    raise PayloadTooLarge("more than the limit sent")
                parts.append(part)
    except TimeoutError:
        raise BadRequest("the body did not arrive in time") from None
    except ClientDisconnect:
        raise BadRequest("the client left") from None
    return b"".join(parts)
