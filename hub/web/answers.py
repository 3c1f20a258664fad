"""The envelope of every `/api` answer, and problem bodies (RFC 9457) with the same members."""

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from starlette.responses import Response

from hub.errors import HubError, InvalidRequest
from hub.web.language import translate

PROBLEM = "application/problem+json"

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


def problem(error: HubError, language: str, **members: object) -> dict[str, Any]:
    """Return the problem body of *error* in *language*, with extension *members* (RFC 9457 section 3.2)."""
    wait = None if error.retry_after is None else max(1, math.ceil(error.retry_after))
    message = translate(language, f"problem.{error.slug}", retry_after=1 if wait is None else wait)
    body: dict[str, Any] = {
        "success": False,
        "code": error.status,
        "message": message,
        "data": None,
        "type": f"/problems/{error.slug}",
        "title": translate("en", f"problem.{error.slug}.title"),
        "status": error.status,
        "detail": message,
        **members,
    }
    if wait is not None:
        body["retry_after"] = wait
    if isinstance(error, InvalidRequest):
        body["errors"] = [item._asdict() for item in error.errors]
    return body


def refusal(error: HubError, language: str, **members: object) -> Response:
    """Return *error* as an HTTP answer: problem body, status, Retry-After and the error's own headers."""
    body = problem(error, language, **members)
    headers = {"cache-control": "no-store", "content-language": language, **error.headers}
    if "retry_after" in body:
        headers["retry-after"] = str(body["retry_after"])
    if error.status == 401:
        headers.setdefault("www-authenticate", "Bearer")
    return Response(dump(body), error.status, headers, PROBLEM)
