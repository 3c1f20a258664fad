"""The grant that a program sends as bearer: for one attempt and one subject, for a short time."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.errors import GrantRequired
from hub.qr.grants import LIFE, PREFIX, Grant, Grants
from hub.web.cookies import GRANT, Cookies

OLD, NEW = "old-key-" * 4, "new-key-" * 4
COOKIES = Cookies([NEW], secure=True)
GRANTS = Grants(COOKIES)
KEY = "k" * 64
SUBJECT = "wechat:wx1:oAbC"


def test_it_says_who_may_answer_what() -> None:
    """The attempt and the subject come back as they were, and it is a token of RFC 6750."""
    token = GRANTS.token(KEY, SUBJECT)
    assert token.startswith(PREFIX)
    assert set(token) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/=")
    assert GRANTS.demand_token(token, KEY) == Grant(KEY, SUBJECT)


def test_another_attempt() -> None:
    """A grant is for its attempt alone."""
    with pytest.raises(GrantRequired):
        GRANTS.demand_token(GRANTS.token(KEY, SUBJECT), "x" * 64)


def test_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends."""
    token = GRANTS.token(KEY, SUBJECT)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + LIFE - 1)
    assert GRANTS.demand_token(token, KEY)
    monkeypatch.setattr(time, "time", lambda: now + LIFE + 2)
    with pytest.raises(GrantRequired):
        GRANTS.demand_token(token, KEY)


def test_a_ring() -> None:
    """After a rotation those that are out stay good; a key that is gone opens nothing."""
    token = Grants(Cookies([OLD], secure=True)).token(KEY, SUBJECT)
    assert Grants(Cookies([NEW, OLD], secure=True)).demand_token(token, KEY)
    with pytest.raises(GrantRequired):
        GRANTS.demand_token(token, KEY)


def test_a_page_s_cookie_is_none() -> None:
    """What a web page's cookie holds is signed for that alone."""
    with pytest.raises(GrantRequired):
        GRANTS.demand_token(PREFIX + COOKIES.sign(GRANT, f"{KEY}:{SUBJECT}"), KEY)


@given(st.text(max_size=80))
def test_no_text_breaks_it(text: str) -> None:
    """Whatever comes as bearer is no grant."""
    for token in (text, PREFIX + text, PREFIX + COOKIES.sign("hub_grant_bearer", "_" + text)):
        with pytest.raises(GrantRequired):
            GRANTS.demand_token(token, KEY)
