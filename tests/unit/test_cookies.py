"""Signed cookies: who may write them, and what they look like on the wire."""

import itsdangerous.timed
import pytest
from starlette.requests import HTTPConnection
from starlette.responses import Response

from hub.web.cookies import BINDING, BINDING_AGE, REFRESH, Cookies

OLD, NEW = "old-key-" * 4, "new-key-" * 4
DAY = 86400


def carried(*responses: Response, raw: str | None = None) -> HTTPConnection:
    """The connection of a browser that got these responses, or that sends this header."""
    pairs = [response.headers["set-cookie"].partition(";")[0] for response in responses]
    header = "; ".join(pairs) if raw is None else raw
    return HTTPConnection({"type": "http", "headers": [(b"cookie", header.encode("latin-1"))]})


def written(cookies: Cookies, value: str = "value", cookie: str = BINDING) -> Response:
    """A response that sets a cookie for a day."""
    response = Response()
    cookies.write(response, cookie, value, DAY)
    return response


def test_what_was_written_is_read() -> None:
    """A value comes back as it was, and under its own name only."""
    cookies = Cookies([NEW], secure=False)
    browser = carried(written(cookies, "a:b.c"))
    assert cookies.read(browser, BINDING, DAY) == "a:b.c"
    assert cookies.read(browser, REFRESH, DAY) is None


def test_a_cookie_under_another_name_is_worth_nothing() -> None:
    """A signature is for one cookie: a binding secret cannot be sent in as a scan grant."""
    cookies = Cookies([NEW], secure=False)
    signed = written(cookies).headers["set-cookie"].partition(";")[0].partition("=")[2]
    assert cookies.read(carried(raw=f"hub_grant={signed}"), "hub_grant", DAY) is None
    assert cookies.read(carried(raw=f"{BINDING}={signed}"), BINDING, DAY) == "value"


def test_a_ring_reads_what_any_key_signed() -> None:
    """After a rotation the old key's cookies are read, and the first key signs."""
    signed_by_old = carried(written(Cookies([OLD], secure=False)))
    signed_by_both = carried(written(Cookies([NEW, OLD], secure=False)))
    assert Cookies([NEW, OLD], secure=False).read(signed_by_old, BINDING, DAY) == "value"
    assert Cookies([NEW], secure=False).read(signed_by_both, BINDING, DAY) == "value"
    assert Cookies([OLD], secure=False).read(signed_by_both, BINDING, DAY) is None


def test_an_old_cookie_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """The age is in the signature, whatever the browser has kept."""
    cookies = Cookies([NEW], secure=False)
    browser = carried(written(cookies))
    signer = cookies._signer(BINDING)
    now = signer.get_timestamp()
    monkeypatch.setattr(signer, "get_timestamp", lambda: now + DAY)
    assert cookies.read(browser, BINDING, DAY) == "value"
    monkeypatch.setattr(signer, "get_timestamp", lambda: now + DAY + 1)
    assert cookies.read(browser, BINDING, DAY) is None


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "hub_binding=",
        "hub_binding=value",
        "hub_binding=value.x.y",
        "hub_binding=..",
        "hub_binding=\xff.\xff.\xff",
        "hub_binding=" + "A" * 4000,
        "=;=;;,hub_binding",
    ],
)
def test_a_forged_cookie_is_none(raw: str) -> None:
    """What we did not sign counts as nothing, and breaks nothing."""
    assert Cookies([NEW], secure=False).read(carried(raw=raw), BINDING, DAY) is None


def test_over_https_the_name_holds_the_host() -> None:
    """`__Host-` cookies are Secure, for the whole site and for no other host."""
    cookie = written(Cookies([NEW], secure=True)).headers["set-cookie"]
    name, _, attributes = cookie.partition("; ")
    assert name.startswith("__Host-hub_binding=")
    assert {part.lower() for part in attributes.split("; ")} == {
        "httponly",
        f"max-age={DAY}",
        "path=/",
        "samesite=lax",
        "secure",
    }


def test_over_http_there_is_no_prefix() -> None:
    """Without https a browser would drop `__Host-` and Secure cookies."""
    cookie = written(Cookies([NEW], secure=False)).headers["set-cookie"]
    assert cookie.startswith("hub_binding=")
    assert "secure" not in cookie.lower()
    assert "httponly" in cookie.lower()


@pytest.mark.parametrize("secure", [True, False])
def test_clearing_names_the_same_cookie(secure: bool) -> None:
    """A browser deletes only what has the same name and path; `__Host-` must be Secure here too."""
    cookies = Cookies([NEW], secure=secure)
    response = Response()
    cookies.take_refresh(carried(written(cookies, cookie=REFRESH)), response)
    cookie = response.headers["set-cookie"]
    assert cookie.startswith(f"{cookies.name(REFRESH)}=")
    assert "Max-Age=0" in cookie
    assert "Path=/" in cookie
    assert ("Secure" in cookie) is secure


def test_a_browser_keeps_its_binding() -> None:
    """The secret is given once, and then read for all attempts and tabs."""
    cookies = Cookies([NEW], secure=False)
    stranger = carried(raw="")
    secret = cookies.binding_or_new(stranger)
    assert len(secret) == 43
    assert secret != cookies.binding_or_new(stranger)
    first, second = Response(), Response()
    cookies.bind(stranger, first, secret)
    browser = carried(first)
    assert cookies.binding_or_new(browser) == secret
    cookies.bind(browser, second, secret)
    assert "set-cookie" not in second.headers
    assert f"Max-Age={BINDING_AGE}" in first.headers["set-cookie"]


def test_a_csrf_token_belongs_to_one_page() -> None:
    """It is stable for its page, different for another, and read by every key of the ring."""
    old, new = Cookies([OLD], secure=False), Cookies([NEW, OLD], secure=False)
    token = old.csrf_token("page")
    assert token == old.csrf_token("page")
    assert new.csrf_matches("page", token)
    assert new.csrf_matches("page", new.csrf_token("page"))
    assert not new.csrf_matches("other", token)
    assert not Cookies([NEW], secure=False).csrf_matches("page", token)


@pytest.mark.parametrize("token", ["", "0" * 64, "\xff", "é" * 64])
def test_a_wrong_csrf_token_is_only_wrong(token: str) -> None:
    """Whatever a header can hold is compared, and nothing raises."""
    assert not Cookies([NEW], secure=False).csrf_matches("page", token)


@pytest.mark.parametrize(("ahead", "value"), [(-300, "value"), (DAY - 1, "value"), (DAY + 1, None)])
def test_a_cookie_may_come_from_a_faster_clock(
    monkeypatch: pytest.MonkeyPatch, ahead: int, value: str | None
) -> None:
    """Whoever signed it is believed, though another process' clock is minutes ahead; age alone ends it."""
    now = itsdangerous.timed.TimestampSigner([NEW]).get_timestamp()
    cookies = Cookies([NEW], secure=False)
    browser = carried(written(cookies))
    monkeypatch.setattr(itsdangerous.timed.TimestampSigner, "get_timestamp", lambda _: now + ahead)
    assert cookies.read(browser, BINDING, DAY) == value
