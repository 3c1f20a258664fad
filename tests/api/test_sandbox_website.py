"""The sandbox's sign-in for websites: the page, its picture, the long poll, the consent on the phone."""

import json
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from hub.wechat.sandbox.people import PEOPLE
from tests.servers.sandbox import APPID, BACK, SECRET, WEBSITE, exchange, returned, served

HOLD = 1.0


@pytest.fixture
def http() -> Iterator[httpx2.Client]:
    """Return a client of a sandbox whose poll waits a second."""
    with (
        served(poll_hold=HOLD) as address,
        httpx2.Client(base_url=address, headers={"accept-language": "en"}) as http,
    ):
        yield http


def qrconnect(
    http: httpx2.Client, person: str | None = None, decision: str | None = None, **changed: str
) -> httpx2.Response:
    """Open the website's page."""
    headers = {"x-sandbox-person": person, "x-sandbox-decision": decision}
    query = {
        "appid": WEBSITE,
        "redirect_uri": BACK,
        "response_type": "code",
        "scope": "snsapi_login",
        "state": "st",
    }
    return http.get(
        "/connect/qrconnect",
        params={**query, **changed},
        headers={name: value for name, value in headers.items() if value is not None},
    )


def begun(http: httpx2.Client) -> str:
    """Open the page and return the uuid of its code."""
    found = re.search(r"/connect/qrcode/([\w-]+)", qrconnect(http).text)
    assert found
    return found[1]


def poll(http: httpx2.Client, uuid: str, **query: str) -> tuple[int, str]:
    """Poll and return errcode and code, as the page's own script reads them."""
    answer = http.get("/connect/l/qrconnect", params={"uuid": uuid, **query})
    found = re.fullmatch(r"window\.wx_errcode=(\d+);window\.wx_code='([^']*)';", answer.text)
    assert found, answer.text
    return int(found[1]), found[2]


def scan(
    http: httpx2.Client, uuid: str, person: str = "alice", decision: str | None = None
) -> httpx2.Response:
    """Let the phone of *person* scan the code, and decide where that is given."""
    http.get(f"/phone/people/{person}")
    page = http.get("/connect/confirm", params={"uuid": uuid})
    if decision is None:
        return page
    return http.post("/connect/confirm", params={"uuid": uuid}, data={"decision": decision})


def test_the_person_header_decides_at_once(http: httpx2.Client) -> None:
    """A named person is led back with code and state, and the code is good."""
    answer = returned(qrconnect(http, "alice"))
    assert answer["state"] == "st"
    reply = exchange(http, answer["code"], appid=WEBSITE)
    assert reply["openid"] == PEOPLE["alice"].openid(WEBSITE)
    assert reply["scope"] == "snsapi_login"
    assert reply["unionid"] == PEOPLE["alice"].unionid


@pytest.mark.parametrize(("person", "decision"), [("alice", "deny"), ("decliner", None)])
def test_a_refusal_by_header_leads_back_without_a_code(
    http: httpx2.Client, person: str, decision: str | None
) -> None:
    """Declining gives the state alone."""
    assert returned(qrconnect(http, person, decision)) == {"state": "st"}


@pytest.mark.parametrize(
    "changed",
    [
        {"appid": APPID},
        {"redirect_uri": "javascript:alert(1)"},
        {"response_type": "token"},
        {"scope": "snsapi_userinfo"},
        {"state": "s" * 129},
    ],
)
def test_a_wrong_link_shows_wechats_error_page(http: httpx2.Client, changed: dict[str, str]) -> None:
    """A wrong parameter gives a page and no redirect; an account is no website."""
    assert qrconnect(http, "alice", **changed).status_code == 400


def test_an_account_cannot_spend_a_websites_code(http: httpx2.Client) -> None:
    """A code belongs to the app that asked for it."""
    code = returned(qrconnect(http, "alice"))["code"]
    assert exchange(http, code, appid=APPID, secret=SECRET)["errcode"] == 40029


def test_the_page_can_be_framed_by_any_site(http: httpx2.Client) -> None:
    """WxLogin shows it in a frame, so its policy allows that; scripts are still its own only."""
    policy = qrconnect(http).headers["content-security-policy"]
    assert "frame-ancestors *" in policy
    assert "script-src 'self';" in policy


def test_the_picture_lives_as_long_as_the_code(http: httpx2.Client) -> None:
    """The picture is 404 for an unknown code and after five minutes."""
    uuid = begun(http)
    assert http.get(f"/connect/qrcode/{uuid}").content.startswith(b"\x89PNG")
    assert http.get("/connect/qrcode/unknown").status_code == 404
    http.post("/clock", json={"advance": 301})
    assert http.get(f"/connect/qrcode/{uuid}").status_code == 404


def test_an_unscanned_code_is_408(http: httpx2.Client) -> None:
    """Nothing happens, and the poll says so after its hold."""
    assert poll(http, begun(http)) == (408, "")


def test_the_whole_way(http: httpx2.Client) -> None:
    """Scanned is 404, approved is 405 with a code that is worth the person."""
    uuid = begun(http)
    assert "Sign in to the website" in scan(http, uuid).text
    assert poll(http, uuid) == (404, "")
    assert poll(http, uuid, last="404") == (408, "")
    assert "Signed in" in scan(http, uuid, decision="allow").text
    errcode, code = poll(http, uuid, last="404")
    assert errcode == 405
    assert exchange(http, code, appid=WEBSITE)["openid"] == PEOPLE["alice"].openid(WEBSITE)


def test_a_declined_code_can_be_scanned_again(http: httpx2.Client) -> None:
    """403 after Reject, on which nobody is led anywhere; another person may scan then."""
    uuid = begun(http)
    scan(http, uuid, decision="deny")
    assert poll(http, uuid) == (403, "")
    assert poll(http, uuid, last="403") == (408, "")
    scan(http, uuid, "bob", decision="allow")
    assert poll(http, uuid, last="403")[0] == 405


def test_a_second_person_is_turned_away(http: httpx2.Client) -> None:
    """Who scans what another has scanned is told so, and cannot decide."""
    uuid = begun(http)
    scan(http, uuid, "alice")
    assert scan(http, uuid, "bob").status_code == 409
    assert http.post("/connect/confirm", params={"uuid": uuid}, data={"decision": "allow"}).status_code == 410
    assert poll(http, uuid)[0] == 404


def test_a_named_person_decides_on_the_phone(http: httpx2.Client) -> None:
    """The headers decide on the phone's page too, and the desktop learns it by its poll."""
    uuid, other = begun(http), begun(http)
    http.get("/connect/confirm", params={"uuid": uuid}, headers={"x-sandbox-person": "bob"})
    http.get("/connect/confirm", params={"uuid": other}, headers={"x-sandbox-person": "decliner"})
    assert poll(http, uuid)[0] == 405
    assert poll(http, other)[0] == 403


def test_a_poll_is_woken_by_the_scan(http: httpx2.Client) -> None:
    """A poll that waits is answered as soon as something happens, long before its hold is over."""
    with (
        served(poll_hold=60) as address,
        httpx2.Client(base_url=address, timeout=30) as desktop,
        httpx2.Client(base_url=address) as phone,
        ThreadPoolExecutor(1) as pool,
    ):
        uuid = begun(desktop)
        asked = threading.Event()

        def wait() -> tuple[int, str]:
            asked.set()
            return poll(desktop, uuid)

        answer = pool.submit(wait)
        asked.wait()
        scan(phone, uuid)
        assert answer.result(20)[0] == 404


def test_a_poll_whose_caller_has_left_ends(http: httpx2.Client) -> None:
    """A caller that gives up leaves nothing behind: the code can be scanned and polled as before."""
    with served(poll_hold=60) as address, httpx2.Client(base_url=address) as desktop:
        uuid = begun(desktop)
        with pytest.raises(httpx2.ReadTimeout):
            desktop.get("/connect/l/qrconnect", params={"uuid": uuid}, timeout=0.3)
        scan(desktop, uuid)
        assert poll(desktop, uuid)[0] == 404


def test_a_poll_is_woken_by_the_clock(http: httpx2.Client) -> None:
    """A poll that waits learns at once that its code has expired."""
    with (
        served(poll_hold=60) as address,
        httpx2.Client(base_url=address, timeout=30) as desktop,
        ThreadPoolExecutor(1) as pool,
    ):
        uuid = begun(desktop)
        answer = pool.submit(poll, desktop, uuid)
        with httpx2.Client(base_url=address) as control:
            control.post("/clock", json={"advance": 301})
        assert answer.result(20)[0] == 402


def test_an_expired_code_is_402_and_an_unknown_one_500(http: httpx2.Client) -> None:
    """On both the page begins anew; the phone is told that the code is over."""
    uuid = begun(http)
    http.post("/clock", json={"advance": 301})
    assert poll(http, uuid) == (402, "")
    assert poll(http, "unknown") == (500, "")
    assert scan(http, uuid).status_code == 410


def test_the_poll_speaks_three_forms(http: httpx2.Client) -> None:
    """A script by default, JSON by `f=json`, and by `f=url` where to go with the code."""
    uuid = begun(http)
    scan(http, uuid, decision="allow")
    script = http.get("/connect/l/qrconnect", params={"uuid": uuid})
    assert script.headers["content-type"] == "text/javascript"
    read = http.get("/connect/l/qrconnect", params={"uuid": uuid, "f": "json"}).json()
    assert read == {"wx_errcode": 405, "wx_code": poll(http, uuid)[1]}
    form = http.get("/connect/l/qrconnect", params={"uuid": uuid, "f": "url"}).text
    found = re.search(r"window\.wx_redirecturl='([^']*)'", form)
    assert found
    assert parse_qs(urlsplit(found[1]).query) == {"code": [read["wx_code"]], "state": ["st"]}


def test_a_poll_can_be_spoiled(http: httpx2.Client) -> None:
    """Faults act on the poll as on any call."""
    uuid = begun(http)
    scan(http, uuid)
    http.post("/faults", json={"fault": "broken_json", "call": "l/qrconnect", "count": 1})
    with pytest.raises(json.JSONDecodeError):
        http.get("/connect/l/qrconnect", params={"uuid": uuid, "f": "json"}).json()
    assert poll(http, uuid)[0] == 404


def test_no_address_breaks_out_of_the_script(http: httpx2.Client) -> None:
    """A quote or backslash in the callback stays within the script's text."""
    page = qrconnect(http, redirect_uri="https://shop.test/a'b\\c").text
    found = re.search(r"/connect/qrcode/([\w-]+)", page)
    assert found
    scan(http, found[1], decision="allow")
    script = http.get("/connect/l/qrconnect", params={"uuid": found[1], "f": "url"}).text
    assert "https://shop.test/a%27b%5Cc?code=" in script
    assert script.count("'") == 4


@pytest.mark.parametrize("decision", ["", "maybe", "Allow"])
def test_a_decision_that_is_none_asks(http: httpx2.Client, decision: str) -> None:
    """Only `allow` and `deny` decide; a named person is then themselves."""
    assert "code" in returned(qrconnect(http, "alice", decision))
    assert returned(qrconnect(http, "decliner", decision)) == {"state": "st"}
