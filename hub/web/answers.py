"""The envelope of every `/api` answer, and problem bodies (RFC 9457) with the same members."""

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal, NotRequired

from starlette.responses import Response
from typing_extensions import TypedDict

from hub.errors import HubError, InvalidRequest
from hub.web.language import translate
from hub.web.shapes import described

PROBLEM = "application/problem+json"


@described
class FieldReason(TypedDict):
    """One refused member of a request."""

    field: str
    """Its dotted path."""
    reason: str
    """Why it was refused, in the person's language."""


@described
class Refusal(TypedDict):
    """What is told of a refusal, in an answer and in a frame."""

    success: Literal[False]
    """Nothing was done."""
    code: int
    """The same as `status`."""
    message: str
    """What a person may read, in their language."""
    data: None
    """Nothing."""
    title: str
    """The problem's name, in English."""
    status: int
    """The HTTP status."""
    detail: str
    """The same as `message`."""
    retry_after: NotRequired[int]
    """Seconds until it is worth another try."""
    errors: NotRequired[list[FieldReason]]
    """The members that were refused."""


@described
class Problem(Refusal):
    """A problem body (RFC 9457), with the members of the envelope."""

    type: str
    """Which problem it is, for programs; the address of a page that explains it."""


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def dump(body: object) -> bytes:
    """Return *body* as compact UTF-8 JSON."""
    return _ENCODER.encode(body).encode()


def moment(at: datetime) -> str:
    """Return an aware time as the answers write it: ISO 8601, UTC, milliseconds."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def success(
    content: object, *, status: int = 200, headers: Mapping[str, str] | None = None, message: str = "success"
) -> Response:
    """Return the envelope `{success, code, message, data}` that clients of both generations read."""
    body = dump({"success": True, "code": status, "message": message, "data": content})
    return Response(body, status, {"cache-control": "no-store", **(headers or {})}, "application/json")


def problem(error: HubError, language: str) -> Problem:
    """Return the problem body of *error* in *language* (RFC 9457 section 3)."""
    wait = None if error.retry_after is None else max(1, math.ceil(error.retry_after))
    message = translate(language, f"problem.{error.slug}", retry_after=1 if wait is None else wait)
    body: Problem = {
        "success": False,
        "code": error.status,
        "message": message,
        "data": None,
        "type": f"/problems/{error.slug}",
        "title": translate("en", f"problem.{error.slug}.title"),
        "status": error.status,
        "detail": message,
    }
    if wait is not None:
        body["retry_after"] = wait
    if isinstance(error, InvalidRequest):
        body["errors"] = [
            {"field": item.field, "reason": translate(language, f"reason.{item.reason}", **item.values)}
            for item in error.errors
        ]
    return body


def refusal(error: HubError, language: str) -> Response:
    """Return *error* as an HTTP answer: problem body, status, Retry-After and the error's own headers."""
    body = problem(error, language)
    headers = {"cache-control": "no-store", "content-language": language, **error.headers}
    if "retry_after" in body:
        headers["retry-after"] = str(body["retry_after"])
    if error.status == 401:
        headers.setdefault("www-authenticate", "Bearer")
    return Response(dump(body), error.status, headers, PROBLEM)
