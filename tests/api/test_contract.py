"""The tap on the API tests sees what the documents do not have."""

import json

import httpx2
import pytest

from tests.servers.hub import HubProcess
from tests.traffic import Documents

ID = {"x-request-id": "a" * 16}
SOCKET = "/api/sessions/stream"


@pytest.fixture(scope="module")
def described(hub_on_sqlite: HubProcess) -> Documents:
    """The documents of a hub."""
    return Documents(hub_on_sqlite.url)


def test_an_unknown_status_is_seen(described: Documents) -> None:
    """A status that the operation does not have."""
    with pytest.raises(AssertionError, match="not described"):
        described.check_answer("GET", "/healthz", httpx2.Response(418, headers=ID), whole=True)


def test_an_unknown_path_is_seen(described: Documents) -> None:
    """An answer where no operation is."""
    with pytest.raises(AssertionError, match="not described"):
        described.check_answer("GET", "/nowhere", httpx2.Response(200, headers=ID), whole=True)


@pytest.mark.parametrize("body", [{"status": "ok", "more": 1}, {}, {"status": "well"}])
def test_a_wrong_body_is_seen(described: Documents, body: dict[str, object]) -> None:
    """A member too many, one that is missing, and a wrong value."""
    with pytest.raises(AssertionError):
        described.check_answer("GET", "/healthz", httpx2.Response(200, headers=ID, json=body), whole=True)


def test_an_unknown_problem_is_seen(described: Documents) -> None:
    """A problem that another operation may answer, and this one not."""
    body = {"success": False, "code": 401, "message": "x", "data": None, "title": "x", "status": 401}
    body |= {"detail": "x", "type": "/problems/invalid-credentials"}
    headers = {**ID, "www-authenticate": "Bearer", "content-type": "application/problem+json"}
    answer = httpx2.Response(401, headers=headers, content=json.dumps(body))
    with pytest.raises(AssertionError, match="invalid-credentials"):
        described.check_answer("GET", "/api/sessions", answer, whole=True)


def test_a_missing_header_is_seen(described: Documents) -> None:
    """An answer without the tag that it always has."""
    path = f"/api/auth/wechat/status/{'s' * 43}"
    with pytest.raises(AssertionError, match="ETag"):
        described.check_answer("GET", path, httpx2.Response(304, headers=ID), whole=True)


def test_an_unknown_frame_is_seen(described: Documents) -> None:
    """A frame of a type that the socket does not send, and one with a member too many."""
    described.check_frame(SOCKET, '{"type":"pong"}')
    for frame in ('{"type":"status"}', '{"type":"pong","seq":1}'):
        with pytest.raises(AssertionError):
            described.check_frame(SOCKET, frame)


def test_an_unknown_close_code_is_seen(described: Documents) -> None:
    """A code of another socket."""
    described.check_close(SOCKET, 4501)
    with pytest.raises(AssertionError, match="4511"):
        described.check_close(SOCKET, 4511)
