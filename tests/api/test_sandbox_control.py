"""The sandbox's faults, clock and list of calls."""

from collections.abc import Iterator

import httpx2
import pytest

from tests.servers.sandbox import SECRET, authorize, exchange, returned, served


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    """Serve one sandbox for all tests of this module."""
    with served() as address:
        yield address


@pytest.fixture
def http(base: str) -> Iterator[httpx2.Client]:
    """Return a client of the sandbox, with nothing switched on and nothing listed."""
    with httpx2.Client(base_url=base) as http:
        for control in ("/faults", "/clock", "/requests"):
            http.delete(control)
        yield http


@pytest.fixture
def code(http: httpx2.Client) -> str:
    """Return a fresh code."""
    return returned(authorize(http, "alice"))["code"]


@pytest.mark.parametrize(
    ("fault", "errcode"),
    [
        ({"fault": "busy"}, -1),
        ({"fault": "too_fast"}, 45011),
        ({"fault": "errcode", "errcode": 40164}, 40164),
    ],
)
def test_an_errcode_fault_answers_for_the_call(
    http: httpx2.Client, code: str, fault: dict[str, object], errcode: int
) -> None:
    """The fault's errcode is answered, and the code is spent behind it, as with WeChat."""
    http.post("/faults", json={**fault, "count": 1})
    assert exchange(http, code)["errcode"] == errcode
    assert exchange(http, code)["errcode"] == 40163


def test_a_fault_with_a_count_ends(http: httpx2.Client) -> None:
    """A fault for two calls spoils two calls; the listing shows what is left."""
    http.post("/faults", json={"fault": "busy", "count": 2})
    assert exchange(http, "x")["errcode"] == -1
    assert http.get("/faults").json()[0]["count"] == 1
    assert [exchange(http, "x")["errcode"] for _ in range(2)] == [-1, 40029]
    assert http.get("/faults").json() == []


def test_a_fault_holds_for_its_path_only(http: httpx2.Client, code: str) -> None:
    """A fault of userinfo leaves the exchange alone."""
    http.post("/faults", json={"fault": "busy", "path": "/sns/userinfo"})
    assert "errcode" not in exchange(http, code)
    assert http.get("/sns/userinfo").json()["errcode"] == -1


def test_a_fault_without_count_stays_until_cleared(http: httpx2.Client) -> None:
    """DELETE switches everything off."""
    http.post("/faults", json={"fault": "busy"})
    assert [exchange(http, "x")["errcode"] for _ in range(3)] == [-1, -1, -1]
    assert http.delete("/faults").json() == []
    assert exchange(http, "x")["errcode"] == 40029


def test_faults_act_one_after_the_other(http: httpx2.Client) -> None:
    """Two faults of the same path act in the order in which they were switched on."""
    http.post("/faults", json={"fault": "too_fast", "count": 1})
    http.post("/faults", json={"fault": "busy", "count": 1})
    assert [exchange(http, "x")["errcode"] for _ in range(2)] == [45011, -1]


def test_broken_json_is_cut(http: httpx2.Client, code: str) -> None:
    """The body ends in the middle, the answer does not."""
    http.post("/faults", json={"fault": "broken_json", "count": 1})
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        exchange(http, code)


def test_a_server_error_is_html(http: httpx2.Client) -> None:
    """A 500 comes as a page, not as JSON."""
    http.post("/faults", json={"fault": "server_error"})
    answer = http.get("/sns/userinfo")
    assert answer.status_code == 500
    assert answer.headers["content-type"].startswith("text/html")


def test_a_dropped_connection_breaks_within_the_body(http: httpx2.Client) -> None:
    """The answer begins and never ends."""
    http.post("/faults", json={"fault": "drop", "count": 1})
    with pytest.raises(httpx2.RemoteProtocolError, match="without sending complete"):
        http.get("/sns/userinfo")


def test_a_slow_answer_outlasts_a_short_patience(http: httpx2.Client) -> None:
    """A slow answer comes after its seconds, unless the caller has left."""
    http.post("/faults", json={"fault": "slow", "seconds": 60, "count": 1})
    with pytest.raises(httpx2.ReadTimeout):
        http.get("/sns/userinfo", timeout=0.1)
    http.post("/faults", json={"fault": "slow", "seconds": 0.05, "count": 1})
    assert http.get("/sns/userinfo").json()["errcode"] == 41001


def test_the_charset_can_lie_and_the_bytes_too(http: httpx2.Client) -> None:
    """One fault labels UTF-8 as ISO-8859-1, the other sends GBK without a label."""
    tokens = exchange(http, returned(authorize(http, "noavatar"))["code"])
    query = {"access_token": str(tokens["access_token"]), "openid": str(tokens["openid"])}
    for fault in ("wrong_charset", "gbk"):
        http.post("/faults", json={"fault": fault, "count": 1})
    labelled = http.get("/sns/userinfo", params=query)
    encoded = http.get("/sns/userinfo", params=query)
    assert labelled.headers["content-type"] == "text/plain; charset=ISO-8859-1"
    assert "没有头像".encode() in labelled.content
    assert encoded.headers["content-type"] == "text/plain"
    assert "没有头像".encode("gbk") in encoded.content


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"fault":"none"}',
        b'{"fault":"busy","count":0}',
        b'{"fault":"busy","path":"sns"}',
        b'{"fault":"busy","more":1}',
    ],
)
def test_a_fault_that_means_nothing_is_refused(http: httpx2.Client, body: bytes) -> None:
    """A wrong fault is a 422 that names the member, and nothing is switched on."""
    answer = http.post("/faults", content=body)
    assert answer.status_code == 422
    assert answer.json()[0]["msg"]
    assert http.get("/faults").json() == []


def test_the_clock_moves_and_goes_back(http: httpx2.Client) -> None:
    """Moves add up, and DELETE puts the clock right."""
    http.post("/clock", json={"advance": 60})
    assert http.post("/clock", json={"advance": 30}).json()["offset"] == 90
    assert http.delete("/clock").json()["offset"] == 0


@pytest.mark.parametrize("body", [b"{}", b'{"advance":"soon"}', b'{"advance":1e300}', b'{"advance":NaN}'])
def test_a_move_that_no_clock_can_make_is_refused(http: httpx2.Client, body: bytes) -> None:
    """A wrong move is a 422 and leaves the clock where it was."""
    assert http.post("/clock", content=body).status_code == 422
    assert http.get("/clock").json()["offset"] == 0


def test_calls_are_listed_without_the_secret(http: httpx2.Client, code: str) -> None:
    """The newest call comes first, with its query, but never with the app's secret."""
    exchange(http, code)
    answer = http.get("/requests")
    assert SECRET not in answer.text
    newest, older = answer.json()
    assert (newest["method"], newest["path"]) == ("GET", "/sns/oauth2/access_token")
    assert newest["query"]["secret"] == "***"
    assert newest["query"]["code"] == code
    assert older["path"] == "/connect/oauth2/authorize"


def test_the_phones_own_pages_and_controls_are_not_listed(http: httpx2.Client) -> None:
    """Only what an app calls is listed."""
    http.get("/phone")
    http.get("/faults")
    assert http.get("/requests").json() == []
