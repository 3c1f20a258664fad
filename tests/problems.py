"""What every refusal looks like: a problem body (RFC 9457) that carries the envelope's members as well."""

from typing import Any

import httpx2

MEMBERS = {"success", "code", "message", "data", "type", "title", "status", "detail"}


def refused(answer: httpx2.Response, status: int, slug: str) -> dict[str, Any]:
    """Check that *answer* is the problem *slug* in every member, and return its body."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-request-id"]
    body: dict[str, Any] = answer.json()
    assert body["type"] == f"/problems/{slug}"
    assert set(body) - {"errors", "retry_after"} == MEMBERS
    assert (body["success"], body["code"], body["status"], body["data"]) == (False, status, status, None)
    assert body["message"]
    assert body["title"]
    assert ("errors" in body) is (slug == "invalid-request")
    assert ("retry_after" in body) is ("retry-after" in answer.headers)
    return body
