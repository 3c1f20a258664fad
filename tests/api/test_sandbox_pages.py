"""The sandbox's pages: consent, the headers that decide it, the simulated phone."""

import re
from collections.abc import Iterator
from html import unescape
from urllib.parse import quote

import httpx2
import pytest

from hub.wechat.sandbox import create_sandbox
from hub.wechat.sandbox.pages import catalogue
from tests.servers.sandbox import APPID, BACK, authorize, exchange, returned, served, signed_in
from tests.servers.uvicorn_app import serve

LINK = "https://hub.test/s/AbC-_123?x=1&y=2"


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    """Serve one sandbox for all tests of this module."""
    with served() as address:
        yield address


@pytest.fixture
def http(base: str) -> Iterator[httpx2.Client]:
    """Return a browser-like client: it keeps cookies, but follows no redirect."""
    with httpx2.Client(base_url=base, headers={"accept-language": "en"}) as http:
        http.delete("/clock")
        yield http


def href(page: httpx2.Response, element: str) -> str:
    """Return where the link with the id *element* leads, below the sandbox's prefix."""
    found = re.search(rf'<a [^>]*id="{element}"[^>]*>', page.text)
    assert found, page.text
    address = re.search(r'href="([^"]*)"', found[0])
    assert address
    return unescape(address[1]).removeprefix("/sandbox")


def test_the_person_header_decides_at_once(http: httpx2.Client) -> None:
    """A named person consents without a page: back to the app with code and state."""
    answer = authorize(http, "alice")
    assert answer.headers["location"].startswith(f"{BACK}?code=")
    assert returned(answer)["state"] == "st"
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(("person", "decision"), [("alice", "deny"), ("decliner", None), (None, "deny")])
def test_a_refusal_comes_back_with_the_state_alone(
    http: httpx2.Client, person: str | None, decision: str | None
) -> None:
    """Declining gives no code, whether by header or by the person's nature."""
    assert returned(authorize(http, person, decision)) == {"state": "st"}


def test_the_decliner_can_be_told_to_allow(http: httpx2.Client) -> None:
    """The decision header outweighs the person's nature."""
    assert "code" in returned(authorize(http, "decliner", "allow"))


def test_nobody_is_asked_about_the_silent_scope(http: httpx2.Client) -> None:
    """`snsapi_base` shows no page that could be declined: the decliner's code comes at once."""
    assert "code" in returned(authorize(http, "decliner", scope="snsapi_base"))


def test_the_apps_own_query_is_kept(http: httpx2.Client) -> None:
    """Parameters of the callback address stay in front of code and state."""
    assert returned(authorize(http, "alice", redirect_uri=f"{BACK}?tenant=7"))["tenant"] == "7"


@pytest.mark.parametrize(
    ("changed", "notice"),
    [
        ({"appid": "wx-unknown"}, "notice.appid"),
        ({"redirect_uri": ""}, "notice.redirect_uri"),
        ({"redirect_uri": "javascript:alert(1)"}, "notice.redirect_uri"),
        ({"redirect_uri": "/back"}, "notice.redirect_uri"),
        ({"redirect_uri": "http://[/"}, "notice.redirect_uri"),
        ({"response_type": "token"}, "notice.response_type"),
        ({"scope": "snsapi_login"}, "notice.scope"),
        ({"state": "s" * 129}, "notice.state"),
    ],
)
@pytest.mark.parametrize("lang", ["zh-CN", "en"])
def test_a_wrong_link_shows_wechats_error_page(
    http: httpx2.Client, lang: str, changed: dict[str, str], notice: str
) -> None:
    """A wrong parameter gives a page that says which, in the reader's language, and no redirect."""
    http.headers["accept-language"] = lang
    page = authorize(http, "alice", **changed)
    assert page.status_code == 400
    assert catalogue(lang)[notice] in unescape(page.text)


def test_an_unknown_person_is_an_error(http: httpx2.Client) -> None:
    """A misspelt name in the header is told, not taken for nobody."""
    assert authorize(http, "mallory").status_code == 400


def test_a_callback_outside_the_registered_domains_is_refused() -> None:
    """With registered domains only these, with their port, get a code."""
    with served(callback_hosts=("hub.test", "127.0.0.1:8000")) as base, httpx2.Client(base_url=base) as http:
        assert authorize(http, "alice", redirect_uri="https://hub.test/cb").status_code == 302
        assert authorize(http, "alice", redirect_uri="http://127.0.0.1:8000/cb").status_code == 302
        for stranger in ("https://evil.test/cb", "http://127.0.0.1:9/cb", "https://hub.test@evil.test/cb"):
            assert authorize(http, "alice", redirect_uri=stranger).status_code == 400


def test_a_phone_of_nobody_asks_who_holds_it(http: httpx2.Client) -> None:
    """Without a picked person the consent page lists everybody, and picking one leads to the consent."""
    page = authorize(http)
    picked = http.get(href(page, "person-emoji"))
    assert picked.status_code == 303
    assert "Path=/sandbox" in picked.headers["set-cookie"]
    consent = http.get(picked.headers["location"].removeprefix("/sandbox"))
    assert "🦊小狐狸👩‍💻🎉" in consent.text
    assert "Acme &amp; Sons" in consent.text


def test_allow_gives_a_code_once(http: httpx2.Client) -> None:
    """Allow leads back with a good code; the same page cannot be answered twice."""
    http.get("/phone/people/alice")
    allow = href(authorize(http), "allow")
    assert "openid" in exchange(http, returned(http.get(allow))["code"])
    assert http.get(allow).status_code == 410


def test_reject_gives_the_state_alone(http: httpx2.Client) -> None:
    """Reject leads back without a code, and Allow of the same page is then over."""
    http.get("/phone/people/alice")
    page = authorize(http)
    assert returned(http.get(href(page, "reject"))) == {"state": "st"}
    assert http.get(href(page, "allow")).status_code == 410


def test_a_consent_page_left_open_is_over(http: httpx2.Client) -> None:
    """After ten minutes of the sandbox's clock the page decides nothing."""
    http.get("/phone/people/alice")
    page = authorize(http)
    http.post("/clock", json={"advance": 601})
    assert http.get(href(page, "allow")).status_code == 410


def test_a_picked_person_signs_in_silently(http: httpx2.Client) -> None:
    """With `snsapi_base` the phone's holder comes back at once, as themselves."""
    http.get("/phone/people/bob")
    code = returned(authorize(http, scope="snsapi_base"))["code"]
    assert exchange(http, code)["openid"] == signed_in(http, "bob")["openid"]


def test_the_holder_can_be_changed_from_the_consent_page(http: httpx2.Client) -> None:
    """The switch leads to the list, where the holder is marked, and from there back to the consent."""
    http.get("/phone/people/alice")
    people = http.get(href(authorize(http), "switch"))
    assert re.search(r'id="person-alice" aria-current="true"', people.text)
    back = http.get(href(people, "person-bob")).headers["location"].removeprefix("/sandbox")
    assert "Bob" in http.get(back).text


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.test/",
        "//evil.test/",
        "/sandbox/\\evil",
        "/elsewhere",
        "/sandboxed",
        "/sandbox/\r\nx: y",
        "",
    ],
)
def test_picking_a_person_leads_nowhere_else(http: httpx2.Client, target: str) -> None:
    """`next` is only ever a page of the sandbox itself."""
    answer = http.get("/phone/people/alice", params={"next": target})
    assert answer.headers["location"] == "/sandbox/phone"


def test_an_unknown_name_is_not_remembered(http: httpx2.Client) -> None:
    """Only people who exist can hold the phone, by link or by cookie."""
    assert "set-cookie" not in http.get("/phone/people/mallory").headers
    http.cookies.set("sandbox_person", "mallory")
    assert http.get("/phone").status_code == 200


def test_a_scanned_link_can_be_opened(http: httpx2.Client) -> None:
    """The phone shows what it has scanned, and Open leads exactly there, in the same window."""
    page = http.get("/phone", params={"scan": LINK})
    assert href(page, "open") == LINK
    assert "target=" not in page.text


@pytest.mark.parametrize(
    "scan",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "hello",
        "http://",
        "//hub.test/s/x",
        "http://[",
        "file:///x",
    ],
)
def test_only_web_links_can_be_opened(http: httpx2.Client, scan: str) -> None:
    """Anything but http and https is refused, and shown only as the text it is."""
    page = http.get("/phone", params={"scan": scan})
    assert 'id="open"' not in page.text
    assert 'role="alert"' in page.text


def test_what_was_scanned_is_escaped(http: httpx2.Client) -> None:
    """A scanned text cannot become markup."""
    for scan in ('"><script>alert(1)</script>', 'https://hub.test/"><script>alert(1)</script>'):
        assert "<script>" not in http.get("/phone", params={"scan": scan}).text


@pytest.mark.parametrize(("accept", "lang"), [("zh-CN,zh;q=0.9,en;q=0.5", "zh-CN"), ("en-GB,zh;q=0.4", "en")])
@pytest.mark.parametrize(
    "path", ["/phone", f"/phone?scan={quote(LINK)}", "/phone/people", "/connect/oauth2/authorize"]
)
def test_pages_speak_the_readers_language(http: httpx2.Client, path: str, accept: str, lang: str) -> None:
    """Every page is in zh-CN or en by Accept-Language, and says so."""
    page = http.get(path, headers={"accept-language": accept})
    assert f'<html lang="{lang}">' in page.text
    assert catalogue(lang)["mark"] in page.text


def test_the_consent_page_speaks_both_languages(http: httpx2.Client) -> None:
    """Allow and Reject are said in the reader's language."""
    http.get("/phone/people/alice")
    assert {">Allow<", ">Reject<"} <= set(re.findall(r">\w+<", authorize(http).text))
    http.headers["accept-language"] = "zh-CN"
    assert {">允许<", ">拒绝<"} <= set(re.findall(r">\w+<", authorize(http).text))


def test_both_catalogues_have_the_same_keys() -> None:
    """No text is missing in either language, and placeholders agree."""
    zh, en = catalogue("zh-CN"), catalogue("en")
    assert zh.keys() == en.keys()
    for key in zh:
        assert re.findall(r"{\w+}", zh[key]) == re.findall(r"{\w+}", en[key]), key


@pytest.mark.parametrize("path", ["/phone", "/phone/people", "/connect/oauth2/authorize"])
def test_pages_carry_strict_headers(http: httpx2.Client, path: str) -> None:
    """Only the sandbox's own scripts run, nothing frames the page, nothing of its address is told on."""
    page = http.get(path)
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert page.headers["referrer-policy"] == "no-referrer"
    assert not re.search(r"<script(?! type=\"module\" src=)|<style| style=| on\w+=", page.text)


def test_the_prefix_leads_to_the_phone(http: httpx2.Client) -> None:
    """Who opens the sandbox's own address gets the phone."""
    assert http.get("/").headers["location"] == "/sandbox/phone"


def test_the_sandbox_works_alone() -> None:
    """Served without a prefix, its links, cookie and style sheet follow."""
    with serve(create_sandbox({APPID: "s"})) as base, httpx2.Client(base_url=base) as http:
        page = http.get("/phone")
        assert 'href="/static/sandbox.css"' in page.text
        picked = http.get(href(page, "person-alice"))
        assert "Path=/;" in picked.headers["set-cookie"]
        assert picked.headers["location"] == "/phone"
        stray = http.get("/phone/people/alice", params={"next": "//evil.test/"})
        assert stray.headers["location"] == "/phone"
        assert http.get("/static/sandbox.css").headers["content-type"].startswith("text/css")
