"""The sandbox's mini programs: sessions, codes with a scene, phone numbers."""

from collections.abc import Iterator

import httpx2
import pytest

from hub.wechat.sandbox.people import PEOPLE
from tests.servers.sandbox import ACCOUNT, APPID, MINI, SECRET, served, token_of


@pytest.fixture
def http() -> Iterator[httpx2.Client]:
    """Return a client of a sandbox of its own."""
    with served() as address, httpx2.Client(base_url=address) as http:
        yield http


def login(http: httpx2.Client, person: str = "alice") -> str:
    """Return what `wx.login` gives on this person's phone."""
    return str(http.post("/mini-program/login", json={"person": person}).json()["code"])


def session(http: httpx2.Client, code: str, **changed: str) -> dict[str, object]:
    """Swap a `js_code` and return the reply."""
    query = {"appid": MINI, "secret": SECRET, "js_code": code, "grant_type": "authorization_code"}
    reply: dict[str, object] = http.get("/sns/jscode2session", params={**query, **changed}).json()
    return reply


def image(http: httpx2.Client, **members: object) -> httpx2.Response:
    """Order a code."""
    order = {"scene": "AbC-_123", "page": "pages/sign-in", **members}
    return http.post("/wxa/getwxacodeunlimit", params={"access_token": token_of(http, MINI)}, json=order)


def number(http: httpx2.Client, code: str, appid: str = MINI) -> dict[str, object]:
    """Swap a phone-number code and return the reply."""
    params = {"access_token": token_of(http, appid)}
    reply: dict[str, object] = http.post(
        "/wxa/business/getuserphonenumber", params=params, json={"code": code}
    ).json()
    return reply


def number_code(http: httpx2.Client, person: str) -> str:
    """Return what the button `getPhoneNumber` gives on this person's phone."""
    return str(http.post("/mini-program/phone-number", json={"person": person}).json()["code"])


def test_a_js_code_is_worth_a_session_once(http: httpx2.Client) -> None:
    """The first swap gives openid, key and unionid without an errcode, the second is 40163."""
    code = login(http)
    reply = session(http, code)
    assert set(reply) == {"openid", "session_key", "unionid"}
    assert reply["openid"] == PEOPLE["alice"].openid(MINI)
    assert session(http, code)["errcode"] == 40163


def test_the_session_comes_as_plain_text(http: httpx2.Client) -> None:
    """`jscode2session` is an `sns` call, with its media type."""
    assert http.get("/sns/jscode2session").headers["content-type"] == "text/plain"


@pytest.mark.parametrize(("seconds", "errcode"), [(290, None), (301, 40029)])
def test_a_js_code_lives_five_minutes(http: httpx2.Client, seconds: int, errcode: int | None) -> None:
    """A code is good for five minutes of the sandbox's clock."""
    code = login(http)
    http.post("/clock", json={"advance": seconds})
    assert session(http, code).get("errcode") == errcode


@pytest.mark.parametrize(
    ("changed", "errcode"),
    [
        ({"appid": ""}, 41002),
        ({"secret": ""}, 41004),
        ({"js_code": ""}, 41008),
        ({"js_code": "wrong"}, 40029),
        ({"grant_type": "client_credential"}, 40002),
        ({"appid": APPID}, 40013),
        ({"secret": "wrong"}, 40125),
    ],
)
def test_a_wrong_swap_is_refused(http: httpx2.Client, changed: dict[str, str], errcode: int) -> None:
    """Each wrong parameter has its errcode, and the code is not spent."""
    code = login(http)
    assert session(http, code, **changed)["errcode"] == errcode
    assert "errcode" not in session(http, code)


def test_one_person_may_come_a_hundred_times_a_minute(http: httpx2.Client) -> None:
    """The 101st swap of a minute is 45011 for this person only, and spends nothing."""
    http.post("/quotas", json={"call": "jscode2session", "limit": 2})
    for _ in range(2):
        assert "errcode" not in session(http, login(http))
    code = login(http)
    assert session(http, code)["errcode"] == 45011
    assert "errcode" not in session(http, login(http, "bob"))
    http.post("/clock", json={"advance": 60})
    assert "errcode" not in session(http, code)


def test_lateunion_has_a_unionid_at_the_second_login(http: httpx2.Client) -> None:
    """The first session has none."""
    assert "unionid" not in session(http, login(http, "lateunion"))
    assert session(http, login(http, "lateunion"))["unionid"] == PEOPLE["lateunion"].unionid


def test_the_image_is_one(http: httpx2.Client) -> None:
    """A good order is answered with the bytes of a picture."""
    answer = image(http)
    assert answer.headers["content-type"] == "image/png"
    assert answer.content.startswith(b"\x89PNG")


def test_the_image_has_about_the_width_asked_for(http: httpx2.Client) -> None:
    """The width is kept within 280 and 1280 pixels."""
    widths = [int.from_bytes(image(http, width=width).content[16:20]) for width in (1, 280, 600, 1280, 9999)]
    assert widths[0] == widths[1]
    assert widths[3] == widths[4]
    assert 240 <= widths[1] <= 280
    assert 550 <= widths[2] <= 600


def test_the_scene_may_hold_every_allowed_sign(http: httpx2.Client) -> None:
    """All signs of the documents pass, 32 at a time."""
    for scene in ("!#$&'()*+,/:;=?@-._~", "0123456789ABCDEFGHIJKLMNOPQRSTUV"):
        assert image(http, scene=scene).headers["content-type"] == "image/png"


@pytest.mark.parametrize(
    ("members", "errcode"),
    [
        ({"scene": ""}, 40169),
        ({"scene": "x" * 33}, 40169),
        ({"scene": 7}, 40169),
        ({"scene": "50%"}, 40129),
        ({"scene": "a b"}, 40129),
        ({"scene": "码"}, 40129),
        ({"page": "/pages/sign-in"}, 41030),
        ({"page": "pages/sign-in?x=1"}, 41030),
        ({"page": ""}, 41030),
        ({"env_version": "beta"}, 40097),
        ({"width": "wide"}, 40097),
        ({"line_color": {"r": 1}}, 40097),
    ],
)
def test_a_wrong_order_is_refused(http: httpx2.Client, members: dict[str, object], errcode: int) -> None:
    """A wrong order is answered with JSON instead of a picture."""
    answer = image(http, **members)
    assert answer.headers["content-type"] == "application/json; encoding=utf-8"
    assert answer.json()["errcode"] == errcode


def test_images_have_a_quota(http: httpx2.Client) -> None:
    """Beyond the minute's quota an order is 45009."""
    http.post("/quotas", json={"call": "getwxacodeunlimit", "limit": 1})
    assert image(http).headers["content-type"] == "image/png"
    assert image(http).json()["errcode"] == 45009


@pytest.mark.parametrize("path", ["/wxa/getwxacodeunlimit", "/wxa/business/getuserphonenumber"])
def test_an_accounts_token_is_not_a_mini_programs(http: httpx2.Client, path: str) -> None:
    """A good token of an app of another kind is 48001."""
    answer = http.post(path, params={"access_token": token_of(http, ACCOUNT)}, json={"scene": "x"})
    assert answer.json()["errcode"] == 48001


def test_a_number_is_told_once(http: httpx2.Client) -> None:
    """The code of the button gives the number with its watermark, and is then 40029."""
    code = number_code(http, "alice")
    reply = number(http, code)
    info = reply["phone_info"]
    assert isinstance(info, dict)
    assert (reply["errcode"], info["phoneNumber"], info["countryCode"]) == (0, "13800138001", "86")
    assert info["watermark"]["appid"] == MINI
    assert number(http, code)["errcode"] == 40029


def test_a_number_from_abroad_has_its_country_code(http: httpx2.Client) -> None:
    """Outside the mainland `phoneNumber` holds the calling code as well."""
    info = number(http, number_code(http, "emoji"))["phone_info"]
    assert isinstance(info, dict)
    assert (info["phoneNumber"], info["purePhoneNumber"], info["countryCode"]) == (
        "+85291234567",
        "91234567",
        "852",
    )


def test_a_number_code_lives_five_minutes(http: httpx2.Client) -> None:
    """After 300 s of the sandbox's clock it is 40029."""
    code = number_code(http, "alice")
    http.post("/clock", json={"advance": 301})
    assert number(http, code)["errcode"] == 40029


@pytest.mark.parametrize("body", [{"person": "mallory"}, {}, {"person": "alice", "appid": APPID}])
def test_a_login_of_nobody_is_refused(http: httpx2.Client, body: dict[str, str]) -> None:
    """The control call names what is wrong."""
    assert http.post("/mini-program/login", json=body).status_code == 422
