"""Bad input: every endpoint refuses it with a problem body, writes nothing, and never answers 500."""

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any, NamedTuple

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from hub.web.language import LANGUAGES, translate
from tests.people import AT, DESKTOP, sign_in
from tests.problems import refused
from tests.servers.hub import HubProcess

UNKNOWN_SESSION = "s" * 43
UNKNOWN_CODE = "q" * 22
CHALLENGE = "c" * 43


class Endpoint(NamedTuple):
    """One that reads a JSON body: an answer to *body* is never an input error."""

    path: str
    body: dict[str, Any]
    bearer: bool = False

    @property
    def name(self) -> str:
        """How a test id calls it."""
        return self.path.rpartition("/")[2]


QR_CODE = Endpoint(f"{AT}/qr-code", {})
SCAN = Endpoint(f"{AT}/scan", {"qr_code": UNKNOWN_CODE}, bearer=True)
CONFIRM = Endpoint(f"{AT}/confirm", {"session_id": UNKNOWN_SESSION, "action": "confirm"})
TOKEN = Endpoint(f"{AT}/token", {"session_id": UNKNOWN_SESSION})
REFRESH = Endpoint("/api/token/refresh", {"refresh_token": "hubr_unknown"})
LOGOUT = Endpoint("/api/logout", {"device_id": "unknown"}, bearer=True)
SEND_CODE = Endpoint("/api/send-code", {"phone": "13800138000"})
LOGIN = Endpoint("/api/login", {"phone": "13800138000", "code": "000000"})
SEND_EMAIL_CODE = Endpoint("/api/send-verification-code", {"email": "li@example.com"})
EMAIL_LOGIN = Endpoint("/api/login/email", {"email": "li@example.com", "code": "000000"})
REGISTER = Endpoint("/api/register", {"email": "li@example.com", "code": "000000"})
VERIFY_EMAIL = Endpoint("/api/verify-email-code", {"email": "li@example.com", "code": "000000"})
CODES = [SEND_CODE, LOGIN, SEND_EMAIL_CODE, EMAIL_LOGIN, REGISTER, VERIFY_EMAIL]
PASSWORD_LOGIN = Endpoint("/api/login/password", {"account": "nobody", "password": "wrong"})
RESET = Endpoint(
    "/api/password/reset", {"email": "li@example.com", "code": "000000", "new_password": "correct horse"}
)
BIND_PHONE = Endpoint("/api/user/bind-phone", {"phone": "13800138000", "code": "000000"}, bearer=True)
BIND_EMAIL = Endpoint("/api/user/bind-email", {"email": "li@example.com", "code": "000000"}, bearer=True)
ACCOUNT = [PASSWORD_LOGIN, RESET, BIND_PHONE, BIND_EMAIL]
ENDPOINTS = [QR_CODE, SCAN, CONFIRM, TOKEN, REFRESH, LOGOUT, *CODES, *ACCOUNT]
each_endpoint = pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name)

MISSING = object()
NO_TEXT = [1, 1.5, True, [], {}, ["x"]]
SESSION_IDS = [*NO_TEXT, MISSING, None, "", "s" * 42, "s" * 44, "s" * 42 + "\n", "s" * 42 + "é", " " * 43]
NUMBERS = [*NO_TEXT, MISSING, None, "", "x", "10086", "1" * 41, "13800138000\0", "01012345678"]
EMAILS = [*NO_TEXT, MISSING, None, "", "li", "li@", "x" * 65 + "@example.com", "x" * 255, "li\0@example.com"]
ONE_TIME_CODES = [*NO_TEXT, MISSING, None, "", "123", "12345a", "１２３４５６", "123456789", "123456\n"]
FIELDS: list[tuple[Endpoint, str, list[object]]] = [
    (QR_CODE, "redirect_uri", [*NO_TEXT, "", "/relative", "https://shop.example/" + "x" * 2000]),
    (QR_CODE, "state", [*NO_TEXT, "x" * 513, "a\0b", "a\r\nSet-Cookie: x=1", "\x7f"]),
    (QR_CODE, "code_challenge", [*NO_TEXT, "", "c" * 42, "c" * 44, "c" * 42 + "=", "c" * 42 + "\n"]),
    (QR_CODE, "code_challenge_method", [*NO_TEXT, "", None, "plain", "s256"]),
    (QR_CODE, "door", [*NO_TEXT, "", "nowhere", "H5"]),
    (QR_CODE, "purpose", [*NO_TEXT, "", None, "steal"]),
    (SCAN, "qr_code", [*NO_TEXT, MISSING, None, "", "q" * 21, "q" * 23, "q" * 21 + "\n", "q" * 21 + "/"]),
    (CONFIRM, "session_id", SESSION_IDS),
    (CONFIRM, "action", [*NO_TEXT, MISSING, None, "", "Confirm", "redeem"]),
    (TOKEN, "session_id", SESSION_IDS),
    (TOKEN, "code_verifier", [*NO_TEXT, "", "v" * 42, "v" * 129, "v" * 42 + "!", "v" * 43 + "\n"]),
    (TOKEN, "device_name", [*NO_TEXT, "x" * 101, "a\0"]),
    (TOKEN, "device_type", [*NO_TEXT, "x" * 21, "a\n"]),
    (TOKEN, "device_id", [*NO_TEXT, "x" * 129, "a\x1b"]),
    (TOKEN, "token_delivery", [*NO_TEXT, "", None, "pigeon"]),
    (REFRESH, "refresh_token", [*NO_TEXT, "", "x" * 513]),
    (LOGOUT, "device_id", [*NO_TEXT, "", "x" * 129, "a\0"]),
    *((endpoint, "phone", NUMBERS) for endpoint in (SEND_CODE, LOGIN)),
    *((endpoint, "email", EMAILS) for endpoint in (SEND_EMAIL_CODE, EMAIL_LOGIN, VERIFY_EMAIL)),
    *((endpoint, "code", ONE_TIME_CODES) for endpoint in (LOGIN, EMAIL_LOGIN, REGISTER, VERIFY_EMAIL)),
    *((endpoint, "anon_id", [*NO_TEXT, "", "x" * 65, "a\0"]) for endpoint in (SEND_EMAIL_CODE, VERIFY_EMAIL)),
    *((endpoint, "device_id", [*NO_TEXT, "x" * 129, "a\0"]) for endpoint in (LOGIN, EMAIL_LOGIN, REGISTER)),
    (SEND_CODE, "country_code", [*NO_TEXT, "", "+", "CN", "+999", "1" * 9]),
    (SEND_CODE, "purpose", [*NO_TEXT, "", None, "verify", "Login"]),
    (SEND_EMAIL_CODE, "purpose", [*NO_TEXT, "", None, "steal"]),
    (BIND_PHONE, "phone", NUMBERS),
    (BIND_EMAIL, "email", EMAILS),
    *((endpoint, "code", ONE_TIME_CODES) for endpoint in (RESET, BIND_PHONE, BIND_EMAIL)),
    (RESET, "new_password", [*NO_TEXT, MISSING, None, "", "short 7", "x" * 129, "password"]),
    (PASSWORD_LOGIN, "account", [*NO_TEXT, MISSING, None, "", "x" * 255, "li\0"]),
    (PASSWORD_LOGIN, "password", [*NO_TEXT, MISSING, None, "", "x" * 513]),
    (REGISTER, "username", [*NO_TEXT, "", "1li", "li@example", "x" * 65, "x" * 129]),
    (REGISTER, "password", [*NO_TEXT, "", "short 7", "x" * 129, "password"]),
]

UNREADABLE = {
    "empty": b"",
    "half": b'{"session_id":',
    "trailing": b"{} {}",
    "not utf-8": b'{"session_id":"\xff"}',
    "utf-16": '{"session_id":1}'.encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf{}",
    "lone surrogate": b'{"session_id":"\\ud800","state":"\\udc00"}',
    "deep": b"[" * 8000 + b"]" * 8000,
    "deep within": b'{"x":' + b'{"a":' * 2000 + b"1" + b"}" * 2000 + b"}",
    "raw control character": b'{"session_id":"a\nb"}',
}
NO_OBJECT = {"array": b"[]", "null": b"null", "text": b'"session_id"', "number": b"1", "constant": b"NaN"}

METHODS = {
    "/": {"GET", "HEAD"},
    f"/s/{UNKNOWN_CODE}": {"GET", "HEAD"},
    "/problems/not-found": {"GET", "HEAD"},
    "/static/hub.css": {"GET", "HEAD"},
    "/healthz": {"GET", "HEAD"},
    "/readyz": {"GET", "HEAD"},
    "/metrics": {"GET", "HEAD"},
    "/.well-known/jwks.json": {"GET", "HEAD"},
    "/api/user/profile": {"GET", "HEAD", "PATCH"},
    "/api/user": {"DELETE"},
    "/api/user/unbind-wechat": {"POST"},
    f"{AT}/callback": {"GET", "HEAD"},
    f"{AT}/status/{UNKNOWN_SESSION}": {"GET", "HEAD"},
    f"{AT}/events/{UNKNOWN_SESSION}": {"GET", "HEAD"},
    f"{AT}/qr-code/{UNKNOWN_CODE}.svg": {"GET", "HEAD"},
    f"{AT}/qr-code/{UNKNOWN_CODE}.png": {"GET", "HEAD"},
    "/api/check-email-verification": {"GET", "HEAD"},
    "/oauth/token": {"POST"},
    **{endpoint.path: {"POST"} for endpoint in ENDPOINTS},
    "/api/sessions/{id}": {"DELETE", "PATCH"},
    f"{AT}/push": {"GET", "HEAD", "POST"},
}


@pytest.fixture(scope="module")
def access_token(hub_on_sqlite: HubProcess) -> str:
    """The access token of somebody who is signed in."""
    token: str = asyncio.run(sign_in(hub_on_sqlite.url, "emoji"))["access_token"]
    return token


@pytest.fixture
def http(hub_on_sqlite: HubProcess, access_token: str) -> Iterator[httpx2.Client]:
    """A client without cookies; afterwards the hub has the rows it had, and found no defect in itself."""
    before, heard = rows(hub_on_sqlite), len(hub_on_sqlite.log())
    headers = {"user-agent": DESKTOP, "origin": hub_on_sqlite.url}
    with httpx2.Client(base_url=hub_on_sqlite.url, headers=headers, timeout=20) as http:
        yield http
    assert rows(hub_on_sqlite) == before
    assert "defect" not in hub_on_sqlite.log()[heard:]


def rows(hub: HubProcess) -> dict[str, int]:
    """How many rows each table has."""
    with closing(sqlite3.connect(hub.database_url.removeprefix("sqlite:///"))) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {
            name: database.execute(f"SELECT COUNT(*) FROM {name}").fetchone()[0]  # noqa: S608 - the schema's own
            for name in tables
        }


def post(
    http: httpx2.Client, endpoint: Endpoint, content: bytes, token: str, **headers: str
) -> httpx2.Response:
    """Send a body to an endpoint, with the access token where it wants one."""
    headers = {"content-type": "application/json"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    if endpoint.bearer:
        headers["authorization"] = f"Bearer {token}"
    return http.post(endpoint.path, content=content, headers=headers)


@pytest.mark.parametrize(
    ("endpoint", "field", "values"), FIELDS, ids=[f"{endpoint.name}-{field}" for endpoint, field, _ in FIELDS]
)
def test_a_wrong_member_is_named(
    http: httpx2.Client, access_token: str, endpoint: Endpoint, field: str, values: list[object]
) -> None:
    """Missing, of the wrong type, empty, too long, or with control characters: 422, and it is named."""
    for value in values:
        members = {name: given for name, given in endpoint.body.items() if name != field}
        if value is not MISSING:
            members[field] = value
        answer = post(http, endpoint, json.dumps(members).encode(), access_token)
        errors = refused(answer, 422, "invalid-request")["errors"]
        assert [error["field"] for error in errors] == [field], value
        assert errors[0].keys() == {"field", "reason"}


@each_endpoint
def test_an_unreadable_body_is_a_bad_request(
    http: httpx2.Client, access_token: str, endpoint: Endpoint
) -> None:
    """Broken or bottomless JSON, and text in another encoding: 400."""
    for name, content in UNREADABLE.items():
        answer = post(http, endpoint, content, access_token)
        assert refused(answer, 400, "bad-request"), name


@each_endpoint
def test_a_body_that_is_no_object_is_refused(
    http: httpx2.Client, access_token: str, endpoint: Endpoint
) -> None:
    """JSON that is no object has no members to read: 422."""
    for name, content in NO_OBJECT.items():
        assert refused(post(http, endpoint, content, access_token), 422, "invalid-request"), name


@each_endpoint
def test_another_media_type_is_refused(http: httpx2.Client, access_token: str, endpoint: Endpoint) -> None:
    """Only JSON in UTF-8, not compressed, is read: else 415."""
    content = json.dumps(endpoint.body).encode()
    for media_type in (
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json; charset=gbk",
    ):
        answer = post(http, endpoint, content, access_token, content_type=media_type)
        assert refused(answer, 415, "unsupported-media-type"), media_type
    answer = post(http, endpoint, content, access_token, content_encoding="gzip")
    refused(answer, 415, "unsupported-media-type")


@each_endpoint
def test_a_large_body_is_refused(http: httpx2.Client, access_token: str, endpoint: Endpoint) -> None:
    """More than 16 KiB is refused whether its length was announced or it came in chunks."""
    headers = {"content-type": "application/json", "authorization": f"Bearer {access_token}"}
    if not endpoint.bearer:
        del headers["authorization"]
    announced = http.post(endpoint.path, content=b" " * 16385, headers=headers)
    refused(announced, 413, "payload-too-large")
    chunked = http.post(endpoint.path, content=(b" " * 1000 for _ in range(20)), headers=headers)
    refused(chunked, 413, "payload-too-large")


@pytest.mark.parametrize(("path", "allowed"), METHODS.items(), ids=METHODS)
def test_a_wrong_method_is_told_the_right_ones(http: httpx2.Client, path: str, allowed: set[str]) -> None:
    """405 with an Allow header (RFC 9110, 15.5.6)."""
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY"} - allowed:
        answer = http.request(method, path)
        refused(answer, 405, "method-not-allowed")
        assert set(answer.headers["allow"].split(", ")) == allowed


@pytest.mark.parametrize(
    "path",
    [
        "/nowhere",
        "/api/nowhere",
        "/api/auth/wechat/qr-code/",
        "/static/nothing.js",
        "/static/%00",
        "/static/..%2f..%2fpyproject.toml",
        "/static/" + "x" * 5000,
        "/problems/nothing",
        "/problems/%00",
        "/problems/__class__",
    ],
)
def test_an_unknown_address_is_not_found(http: httpx2.Client, path: str) -> None:
    """404, and never a redirect to what the Host header says."""
    refused(http.get(path, headers={"host": "evil.example"}), 404, "not-found")


@pytest.mark.parametrize(
    "name", [UNKNOWN_SESSION, "s", "s" * 42 + "%0A", "%00", "%ff", "%F0%9F%90%B1", "s" * 3000, "..%2f", "'--"]
)
def test_an_unknown_attempt_is_not_found(http: httpx2.Client, name: str) -> None:
    """Whatever stands in the place of an id, there is no attempt of that name."""
    slug = "not-found" if name == "..%2f" else "attempt-not-found"  # a slash within: no such address
    for path in (f"{AT}/status/{name}", f"{AT}/events/{name}"):
        refused(http.get(path), 404, slug)
    for kind in ("svg", "png"):
        refused(http.get(f"{AT}/qr-code/{name}.{kind}"), 404, slug)
    page = http.get(f"/s/{name}")
    assert page.status_code == 404
    if slug == "attempt-not-found":
        assert page.headers["content-type"] == "text/html; charset=utf-8"


def test_unknown_ids_in_bodies(http: httpx2.Client, access_token: str) -> None:
    """A well-formed id that was never given out is unknown, or nobody's to answer for."""
    for endpoint, status, slug in (
        (SCAN, 404, "attempt-not-found"),
        (TOKEN, 404, "attempt-not-found"),
        (CONFIRM, 403, "grant-required"),
        (REFRESH, 401, "invalid-refresh-token"),
    ):
        refused(post(http, endpoint, json.dumps(endpoint.body).encode(), access_token), status, slug)
    bearer = {"authorization": f"Bearer {access_token}"}
    refused(http.post(CONFIRM.path, json=CONFIRM.body, headers=bearer), 404, "attempt-not-found")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("seq=x", "seq"),
        ("seq=", "seq"),
        ("seq=-1", "seq"),
        ("seq=1.5", "seq"),
        ("seq=99999999999999999999", "seq"),
        ("seq=1&seq=2", "seq"),
        ("seq=%00", "seq"),
        ("seq=%ff", "seq"),
        ("wait=nan", "wait"),
        ("wait=inf", "wait"),
        ("wait=-1", "wait"),
        ("wait=61", "wait"),
        ("wait=1&wait=1", "wait"),
    ],
)
def test_a_wrong_query_is_named(http: httpx2.Client, query: str, field: str) -> None:
    """The query of a poll, an event stream and a socket is checked like a body."""
    for channel in ("status", "events"):
        body = refused(http.get(f"{AT}/{channel}/{UNKNOWN_SESSION}?{query}"), 422, "invalid-request")
        assert [error["field"] for error in body["errors"]] == [field]
    address = str(http.base_url).replace("http", "ws", 1).rstrip("/")
    with pytest.raises(InvalidStatus) as denied:
        connect(f"{address}{AT}/ws/{UNKNOWN_SESSION}?{query}")
    assert denied.value.response.status_code == 422
    assert json.loads(denied.value.response.body)["errors"][0]["field"] == field


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?code=x",
        "?state=x",
        "?state=x&code=y",
        "?state=%00&code=%ff",
        "?state=" + "a" * 80 + "&code=y",
        "?state=a&state=b&code=" + "y" * 3000,
        "?state=" + "00" * 40 + "&code=y",
    ],
)
def test_a_callback_out_of_nowhere_shows_a_neutral_page(http: httpx2.Client, query: str) -> None:
    """Nobody began this consent here: the page says nothing, and gives no grant."""
    page = http.get(f"{AT}/callback{query}", headers={"accept-language": "en"})
    assert page.status_code == 200
    assert translate("en", "page.outcome.neutral.title") in page.text
    assert "set-cookie" not in page.headers


@pytest.mark.parametrize(
    ("content", "media_type", "error"),
    [
        (b"", "application/x-www-form-urlencoded", "invalid_request"),
        (b"grant_type", "application/x-www-form-urlencoded", "invalid_request"),
        (b"grant_type=%00", "application/x-www-form-urlencoded", "unsupported_grant_type"),
        (b"grant_type=%ff", "application/x-www-form-urlencoded", "unsupported_grant_type"),
        (b"\xff=\xff", "application/x-www-form-urlencoded", "invalid_request"),
        (b"grant_type=refresh_token&grant_type=x", "application/x-www-form-urlencoded", "invalid_request"),
        (
            b"grant_type=refresh_token&refresh_token=" + b"x" * 3000,
            "application/x-www-form-urlencoded",
            "invalid_request",
        ),
        (b"a=1&" * 100, "application/x-www-form-urlencoded", "invalid_request"),
        (b"a=" + b"x" * 20000, "application/x-www-form-urlencoded", "invalid_request"),
        (b"grant_type=x", "application/x-www-form-urlencoded; charset=gbk", "invalid_request"),
        (b"grant_type=x", "multipart/form-data; boundary=x", "invalid_request"),
        (b'{"grant_type":"x"}', "application/json", "invalid_request"),
        (b"grant_type=x", "", "invalid_request"),
    ],
)
def test_the_token_endpoint_answers_as_oauth_does(
    http: httpx2.Client, content: bytes, media_type: str, error: str
) -> None:
    """RFC 6749, 5.2: 400 with `error` and `error_description`, kept by no cache, without the envelope."""
    answer = http.post("/oauth/token", content=content, headers={"content-type": media_type})
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/json"
    assert (answer.headers["cache-control"], answer.headers["pragma"]) == ("no-store", "no-cache")
    assert answer.headers["x-request-id"]
    assert answer.json().keys() == {"error", "error_description"}
    assert answer.json()["error"] == error


@pytest.mark.parametrize(
    "authorization",
    ["Basic", "Basic !!!", "Basic " + "eA==", "Basic 7789", "Bearer x", "Basic " + "A" * 3000],
)
def test_a_broken_client_authentication_is_an_invalid_client(http: httpx2.Client, authorization: str) -> None:
    """401 with a challenge, whatever the header holds."""
    answer = http.post(
        "/oauth/token", data={"grant_type": "refresh_token"}, headers={"authorization": authorization}
    )
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert answer.headers["www-authenticate"].startswith("Basic ")


@pytest.mark.parametrize(
    "authorization",
    ["Bearer", "Bearer x", "Bearer a.b.c", "Bearer \xff\xfe", "Bearer " + "e" * 9000],
)
def test_a_broken_access_token_is_unauthorized(http: httpx2.Client, authorization: str) -> None:
    """401 with a challenge (RFC 6750, 3), before the body is looked at."""
    raw = [(b"authorization", authorization.encode("latin-1")), (b"content-type", b"application/json")]
    for endpoint in (SCAN, LOGOUT):
        answer = http.post(endpoint.path, content=b"{", headers=raw)
        refused(answer, 401, "unauthorized")
        assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    ("header", "expected"), [(None, "zh-CN"), ("fr", "zh-CN"), ("en", "en"), ("en;q=0.1, zh-CN", "zh-CN")]
)
def test_messages_are_in_the_callers_language(http: httpx2.Client, header: str | None, expected: str) -> None:
    """Chinese unless English is asked for; the title, for developers, is always English."""
    headers = {} if header is None else {"accept-language": header}
    answer = http.get(f"{AT}/status/{UNKNOWN_SESSION}", headers=headers)
    body = refused(answer, 404, "attempt-not-found")
    assert body["message"] == body["detail"] == translate(expected, "problem.attempt-not-found")
    assert body["title"] == translate("en", "problem.attempt-not-found.title")
    assert answer.headers["content-language"] == expected
    assert len({translate(lang, "problem.attempt-not-found") for lang in LANGUAGES}) == 2


@pytest.mark.parametrize(
    "path", ["/", "/nowhere", "/static/hub.css", "/healthz", f"{AT}/status/x", "/metrics"]
)
def test_every_answer_has_a_request_id(http: httpx2.Client, path: str) -> None:
    """A caller's own id is taken where it is a plain word, else there is a fresh one."""
    first, second = (http.get(path).headers["x-request-id"] for _ in range(2))
    assert first != second
    own = "trace-0123456789"
    assert http.get(path, headers={"x-request-id": own}).headers["x-request-id"] == own
    for forged in ("short", "x" * 65, "a b c d e f g h", "<script>alert(1)</script>", "\xff" * 16):
        answer = http.get(path, headers=[(b"x-request-id", forged.encode("latin-1"))])
        assert answer.headers["x-request-id"] != forged


MEMBERS = sorted({name for _, name, _ in FIELDS})
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=60)
    | st.sampled_from(
        [UNKNOWN_SESSION, UNKNOWN_CODE, CHALLENGE, "confirm", "login", "h5", "S256", "x" * 600]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(st.sampled_from(MEMBERS), VALUES, max_size=5).map(
    lambda body: json.dumps(body).encode()
)
FUZZ = settings(
    max_examples=40,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@FUZZ
@given(content=st.binary(max_size=300) | OBJECTS)
def test_no_body_breaks_an_endpoint(hub_on_sqlite: HubProcess, access_token: str, content: bytes) -> None:
    """Whatever the body, the answer is a success or the caller's mistake, never the hub's."""
    with httpx2.Client(base_url=hub_on_sqlite.url, timeout=20) as http:
        for endpoint in ENDPOINTS:
            # A body the hub takes must not end the session these tests go on with.
            token = "x" if endpoint is LOGOUT else access_token
            answer = post(http, endpoint, content, token, origin=hub_on_sqlite.url)
            assert answer.status_code < 500, answer.text
        media_type = {"content-type": "application/x-www-form-urlencoded"}
        assert http.post("/oauth/token", content=content, headers=media_type).status_code < 500
        assert http.get("/readyz").json()["status"] == "ok"
    assert "defect" not in hub_on_sqlite.log()


FRAMES = st.lists(
    st.binary(max_size=200)
    | st.text(max_size=200)
    | VALUES.map(json.dumps)
    | st.sampled_from(['{"type":"ping"}', '{"type":"cancel"}', '{"type":"refresh"}', '{"type":["ping"]}'])
    | st.dictionaries(st.sampled_from(["type", "seq"]), VALUES, max_size=2).map(json.dumps),
    max_size=6,
)


@FUZZ
@given(frames=FRAMES)
def test_no_frame_breaks_a_socket(hub_on_sqlite: HubProcess, frames: list[str | bytes]) -> None:
    """Whatever the frames, the socket goes on or closes with 4500, and the hub stays healthy."""
    with httpx2.Client(base_url=hub_on_sqlite.url, timeout=20) as http:
        attempt = http.post(QR_CODE.path, json={"code_challenge": CHALLENGE}).json()["data"]
        with connect(attempt["ws_url"], open_timeout=10) as socket:
            with suppress(ConnectionClosed):
                for frame in [*frames, '{"type":"ping"}']:
                    socket.send(frame)
                while json.loads(socket.recv(10))["type"] != "pong":
                    pass
            assert socket.close_code in (None, 4500)
        assert http.get("/readyz").json()["status"] == "ok"
    assert "defect" not in hub_on_sqlite.log()


@pytest.mark.parametrize(
    ("members", "lang", "reason"),
    [
        ({"nickname": "李"}, "zh-CN", "至少 2 个字符。"),
        ({"nickname": "李"}, "en", "At least 2 characters."),
        ({"nickname": "\u200b\u200b"}, "en", "There is nothing to see in this."),
        ({"nickname": 7}, "zh-CN", "类型不正确。"),
        ({"bio": "x" * 501}, "en", "At most 500 characters."),
        ({"gender": "both"}, "zh-CN", "只能是：male, female, other, prefer_not_to_say。"),
        ({"birth_date": "1982-02-30"}, "en", "Not in the expected form."),
    ],
)
def test_reasons_speak_the_callers_language(
    http: httpx2.Client, access_token: str, members: dict[str, object], lang: str, reason: str
) -> None:
    """Why a member was refused can be shown to a person at its field."""
    headers = {"authorization": f"Bearer {access_token}", "accept-language": lang}
    answer = http.patch("/api/user/profile", json=members, headers=headers)
    assert [each["reason"] for each in refused(answer, 422, "invalid-request")["errors"]] == [reason]
