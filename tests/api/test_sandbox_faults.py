"""The sandbox's faults at every kind of call, and what it writes down of them."""

from collections.abc import Iterator

import httpx2
import pytest

from tests.servers.sandbox import MINI, SECRET, served, stable_token, ticket, token_of


@pytest.fixture
def http() -> Iterator[httpx2.Client]:
    """Return a client of a sandbox of its own."""
    with served() as address, httpx2.Client(base_url=address) as http:
        yield http


def image(http: httpx2.Client, token: str) -> httpx2.Response:
    """Order a mini program's code."""
    return http.post("/wxa/getwxacodeunlimit", params={"access_token": token}, json={"scene": "x"})


@pytest.mark.parametrize(
    ("call", "path"),
    [
        ("token", "/cgi-bin/token"),
        ("stable_token", "/cgi-bin/stable_token"),
        ("qrcode/create", "/cgi-bin/qrcode/create"),
        ("create", "/cgi-bin/qrcode/create"),
        ("user/info", "/cgi-bin/user/info"),
        ("jscode2session", "/sns/jscode2session"),
        ("getwxacodeunlimit", "/wxa/getwxacodeunlimit"),
        ("getuserphonenumber", "/wxa/business/getuserphonenumber"),
        ("access_token", "/sns/oauth2/access_token"),
    ],
)
def test_a_fault_is_named_by_its_call(http: httpx2.Client, call: str, path: str) -> None:
    """Any errcode can be had from any call by its name, in that call's own media type; others stay good."""
    http.post("/faults", json={"fault": "errcode", "errcode": 40226, "call": call})
    answer = http.get(path)
    kind = "text/plain" if path.startswith("/sns/") else "application/json; encoding=utf-8"
    assert answer.json()["errcode"] == 40226
    assert answer.headers["content-type"] == kind
    assert http.get("/sns/userinfo").json()["errcode"] == 41001


def test_a_call_is_not_named_by_a_part_of_its_name(http: httpx2.Client) -> None:
    """`token` is not `stable_token`."""
    http.post("/faults", json={"fault": "busy", "call": "token"})
    assert "errcode" not in stable_token(http)


def test_a_busy_call_is_carried_out(http: httpx2.Client) -> None:
    """Whoever gets -1 for a token finds the token made all the same."""
    http.post("/faults", json={"fault": "busy", "call": "stable_token", "count": 1})
    assert stable_token(http)["errcode"] == -1
    http.post("/quotas", json={"call": "stable_token", "limit": 1})
    assert stable_token(http)["errcode"] == 45011


def test_a_picture_can_be_broken(http: httpx2.Client) -> None:
    """Half a picture is still called one; a busy call sends JSON instead."""
    token = token_of(http, MINI)
    whole = image(http, token)
    http.post("/faults", json={"fault": "broken_json", "call": "getwxacodeunlimit", "count": 1})
    half = image(http, token)
    assert half.headers["content-type"] == "image/png"
    assert len(half.content) == len(whole.content) // 2
    http.post("/faults", json={"fault": "busy", "call": "getwxacodeunlimit", "count": 1})
    assert image(http, token).json()["errcode"] == -1


@pytest.mark.parametrize("fault", ["gbk", "slow"])
def test_a_picture_comes_through_the_other_faults(http: httpx2.Client, fault: str) -> None:
    """A fault of texts spoils a picture, and a slow picture is the same one."""
    token = token_of(http, MINI)
    whole = image(http, token)
    http.post("/faults", json={"fault": fault, "seconds": 0, "call": "getwxacodeunlimit"})
    answer = image(http, token)
    assert answer.status_code == 200
    assert (answer.content == whole.content) is (fault == "slow")


def test_a_dropped_call_breaks_off(http: httpx2.Client) -> None:
    """A POST is cut within its answer too."""
    http.post("/faults", json={"fault": "drop", "call": "stable_token", "count": 1})
    with pytest.raises(httpx2.RemoteProtocolError):
        stable_token(http)


def test_a_redirect_leads_away(http: httpx2.Client) -> None:
    """A client that follows it would send its secret elsewhere."""
    http.post("/faults", json={"fault": "redirect", "call": "stable_token", "count": 1})
    answer = http.post("/cgi-bin/stable_token", json={})
    assert (answer.status_code, answer.headers["location"]) == (302, "https://weixin.qq.com/")


def test_a_wrong_charset_is_of_the_calls_own_kind(http: httpx2.Client) -> None:
    """JSON that calls itself Latin-1 is still called JSON."""
    http.post("/faults", json={"fault": "wrong_charset", "call": "token", "count": 1})
    assert http.get("/cgi-bin/token").headers["content-type"] == "application/json; charset=ISO-8859-1"


@pytest.mark.parametrize("call", ["Token", "/token", "token/", "", "a b"])
def test_a_call_that_is_none_is_refused(http: httpx2.Client, call: str) -> None:
    """A name has small letters, figures and underscores, its parts a slash between them."""
    assert http.post("/faults", json={"fault": "busy", "call": call}).status_code == 422


def test_bodies_are_listed_without_the_secret(http: httpx2.Client) -> None:
    """A POST is written down with its body; what is no JSON is kept as text."""
    ticket(http)
    http.post("/cgi-bin/stable_token", content=b"no json")
    broken, order, token = http.get("/requests").json()
    assert broken["body"] == "no json"
    assert order["body"]["action_name"] == "QR_STR_SCENE"
    assert token["body"]["secret"] == "***"
    assert SECRET not in http.get("/requests").text


def test_a_call_that_lost_its_answer_is_listed(http: httpx2.Client) -> None:
    """What a fault has spoiled has been called all the same, body and all."""
    http.post("/faults", json={"fault": "server_error", "call": "stable_token", "count": 1})
    assert http.post("/cgi-bin/stable_token", json={"appid": "x"}).status_code == 500
    assert http.get("/requests").json()[0]["body"] == {"appid": "x"}
