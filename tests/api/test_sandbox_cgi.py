"""The sandbox's `cgi-bin` endpoints: access tokens, codes with a scene, followers."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import httpx2
import pytest

from hub.wechat.sandbox.people import PEOPLE
from tests.servers.sandbox import (
    ACCOUNT,
    APPID,
    MINI,
    SECRET,
    WEBSITE,
    served,
    stable_token,
    ticket,
    token_of,
)

ALICE = PEOPLE["alice"].openid(ACCOUNT)


@pytest.fixture
def http() -> Iterator[httpx2.Client]:
    """Return a client of a sandbox of its own: tokens and followers outlive a call."""
    with served() as address, httpx2.Client(base_url=address) as http:
        yield http


def plain_token(http: httpx2.Client, **changed: str) -> dict[str, object]:
    """Ask for a token of `cgi-bin/token` and return the reply."""
    query = {"grant_type": "client_credential", "appid": ACCOUNT, "secret": SECRET, **changed}
    reply: dict[str, object] = http.get("/cgi-bin/token", params=query).json()
    return reply


def errcode(http: httpx2.Client, token: object) -> object:
    """Return what a call with *token* is refused with, None where it is good."""
    query = {"access_token": str(token), "openid": ALICE}
    return http.get("/cgi-bin/user/info", params=query).json().get("errcode")


def move(http: httpx2.Client, seconds: float) -> None:
    """Move the sandbox's clock on."""
    http.post("/clock", json={"advance": seconds})


def user_info(http: httpx2.Client, person: str, **changed: str) -> dict[str, object]:
    """Ask about a person and return the reply."""
    query = {"access_token": token_of(http), "openid": PEOPLE[person].openid(ACCOUNT), **changed}
    reply: dict[str, object] = http.get("/cgi-bin/user/info", params=query).json()
    return reply


def scan(http: httpx2.Client, person: str, scene: object = "scene-1") -> httpx2.Response:
    """Let a person scan."""
    return http.post("/official-account/scan", json={"scene": scene, "person": person})


def test_replies_call_themselves_json(http: httpx2.Client) -> None:
    """Unlike `sns`, `cgi-bin` sends JSON by its name, with WeChat's odd parameter."""
    answer = http.get("/cgi-bin/token")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json; encoding=utf-8"
    assert answer.json()["errcode"] == 40002


def test_a_new_token_retires_the_former_in_five_minutes(http: httpx2.Client) -> None:
    """Each call gives another token; the one before is good for 300 s more, then "not latest"."""
    first, second = plain_token(http), plain_token(http)
    assert first["expires_in"] == second["expires_in"] == 7200
    assert first["access_token"] != second["access_token"]
    assert errcode(http, first["access_token"]) is None
    move(http, 301)
    assert errcode(http, first["access_token"]) == 40001
    assert errcode(http, second["access_token"]) is None


def test_a_token_lives_two_hours(http: httpx2.Client) -> None:
    """A token that nobody has replaced is 42001 after 7200 s."""
    token = plain_token(http)["access_token"]
    move(http, 7190)
    assert errcode(http, token) is None
    move(http, 11)
    assert errcode(http, token) == 42001


def test_the_stable_token_stays_the_same(http: httpx2.Client) -> None:
    """Within its life every call gives the same token and what is left of it."""
    first = stable_token(http)
    move(http, 6000)
    second = stable_token(http)
    assert second["access_token"] == first["access_token"]
    assert second["expires_in"] in range(1195, 1201)


def test_the_stable_token_is_renewed_in_its_last_five_minutes(http: httpx2.Client) -> None:
    """From 6900 s on there is a new one, and the former stays good to its end."""
    first = stable_token(http)
    move(http, 6901)
    second = stable_token(http)
    assert second["access_token"] != first["access_token"]
    assert second["expires_in"] == 7200
    assert errcode(http, first["access_token"]) is None
    move(http, 300)
    assert errcode(http, first["access_token"]) == 42001
    assert errcode(http, second["access_token"]) is None


def test_the_two_kinds_of_token_leave_each_other_alone(http: httpx2.Client) -> None:
    """Calls of `cgi-bin/token` do not retire the stable token."""
    stable = stable_token(http)["access_token"]
    for _ in range(3):
        plain_token(http)
    move(http, 301)
    assert errcode(http, stable) is None


def test_force_refresh_ends_the_former_at_once(http: httpx2.Client) -> None:
    """A forced token is new, and the former is "not latest" from then on."""
    first = stable_token(http)["access_token"]
    forced = stable_token(http, force_refresh=True)["access_token"]
    assert errcode(http, first) == 40001
    assert errcode(http, forced) is None
    assert stable_token(http)["access_token"] == forced


def test_force_refresh_is_rationed(http: httpx2.Client) -> None:
    """Forcing is allowed every 30 s (45011) and 20 times a day (45009)."""
    now = datetime.fromisoformat(http.get("/clock").json()["now"])
    noon = (now + timedelta(days=1)).replace(hour=4, minute=0)  # in Beijing, far from the quota's midnight
    move(http, (noon - now).total_seconds())
    assert "errcode" not in stable_token(http, force_refresh=True)
    assert stable_token(http, force_refresh=True)["errcode"] == 45011
    replies = []
    for _ in range(20):
        move(http, 31)
        replies.append(stable_token(http, force_refresh=True).get("errcode"))
    assert replies == [None] * 19 + [45009]
    move(http, 86400)
    assert "errcode" not in stable_token(http, force_refresh=True)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"grant_type": ""}, 40002),
        ({"grant_type": "authorization_code"}, 40002),
        ({"appid": ""}, 41002),
        ({"secret": ""}, 41004),
        ({"appid": "wx-unknown"}, 40013),
        ({"appid": WEBSITE}, 40013),
        ({"secret": "wrong"}, 40125),
    ],
)
def test_a_wrong_token_call_is_refused(http: httpx2.Client, changed: dict[str, str], code: int) -> None:
    """Both token calls have the same errcode for each wrong parameter."""
    assert plain_token(http, **changed)["errcode"] == code
    assert stable_token(http, **changed)["errcode"] == code


@pytest.mark.parametrize("appid", [ACCOUNT, APPID, MINI])
def test_accounts_and_mini_programs_get_tokens(http: httpx2.Client, appid: str) -> None:
    """The token calls serve every app that has server calls of its own."""
    assert "access_token" in stable_token(http, appid)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"appid=1&secret=2"])
def test_a_body_that_is_no_object_is_47001(http: httpx2.Client, body: bytes) -> None:
    """The body of a POST is a JSON object."""
    assert http.post("/cgi-bin/stable_token", content=body).json()["errcode"] == 47001


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("POST", "/cgi-bin/token", 43001),
        ("POST", "/cgi-bin/user/info", 43001),
        ("GET", "/cgi-bin/stable_token", 43002),
        ("GET", "/cgi-bin/qrcode/create", 43002),
        ("GET", "/wxa/getwxacodeunlimit", 43002),
    ],
)
def test_the_wrong_method_is_refused(http: httpx2.Client, method: str, path: str, code: int) -> None:
    """Reading calls want GET, the others POST."""
    assert http.request(method, path).json()["errcode"] == code


def test_a_code_with_a_scene(http: httpx2.Client) -> None:
    """The reply holds a ticket that an address must escape, its life, and an address below the sandbox."""
    reply = ticket(http)
    assert set(reply) == {"ticket", "expire_seconds", "url"}
    assert reply["expire_seconds"] == 300
    assert str(reply["ticket"]).endswith("=")
    assert str(reply["url"]).startswith(f"{http.base_url}q/")


def test_the_life_of_a_code_has_a_default(http: httpx2.Client) -> None:
    """A temporary code of which nothing else is said lives a minute."""
    order = {"action_name": "QR_SCENE", "action_info": {"scene": {"scene_id": 7}}}
    params = {"access_token": token_of(http)}
    assert http.post("/cgi-bin/qrcode/create", params=params, json=order).json()["expire_seconds"] == 60


def test_a_permanent_code_has_no_life(http: httpx2.Client) -> None:
    """The reply for a permanent code has no `expire_seconds`."""
    assert set(ticket(http, action_name="QR_LIMIT_STR_SCENE")) == {"ticket", "url"}


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"action_name": "QR_OTHER"}, 40052),
        ({"action_name": None}, 40052),
        ({"action_info": {}}, 40053),
        ({"action_info": {"scene": {"scene_str": ""}}}, 40053),
        ({"action_info": {"scene": {"scene_str": "x" * 65}}}, 40053),
        ({"action_info": {"scene": {"scene_str": 5}}}, 40053),
        ({"action_name": "QR_SCENE", "action_info": {"scene": {"scene_id": 0}}}, 40053),
        ({"action_name": "QR_SCENE", "action_info": {"scene": {"scene_id": 2**32}}}, 40053),
        ({"action_name": "QR_LIMIT_SCENE", "action_info": {"scene": {"scene_id": 100_001}}}, 40053),
        ({"expire_seconds": 0}, 40097),
        ({"expire_seconds": 2_592_001}, 40097),
        ({"expire_seconds": "60"}, 40097),
    ],
)
def test_a_wrong_order_is_refused(http: httpx2.Client, changed: dict[str, Any], code: int) -> None:
    """Kind, scene and life are checked."""
    assert ticket(http, **changed)["errcode"] == code


def test_the_longest_code(http: httpx2.Client) -> None:
    """Thirty days and 64 characters are allowed."""
    assert ticket(http, "x" * 64, expire_seconds=2_592_000)["expire_seconds"] == 2_592_000


def test_the_picture_of_a_ticket(http: httpx2.Client) -> None:
    """Anybody may load it without a token; a ticket that nobody ordered is 404."""
    picture = http.get("/cgi-bin/showqrcode", params={"ticket": str(ticket(http)["ticket"])})
    assert picture.headers["content-type"] == "image/png"
    assert picture.content.startswith(b"\x89PNG")
    assert http.get("/cgi-bin/showqrcode", params={"ticket": "wrong"}).status_code == 404


@pytest.mark.parametrize(("token", "code"), [("", 41001), ("wrong", 40001)])
def test_a_call_without_a_good_token_is_refused(http: httpx2.Client, token: str, code: int) -> None:
    """A missing token and an unknown one differ."""
    assert (
        http.post("/cgi-bin/qrcode/create", params={"access_token": token}, json={}).json()["errcode"] == code
    )


def test_a_mini_programs_token_orders_no_account_codes(http: httpx2.Client) -> None:
    """A good token of an app of another kind is 48001."""
    params = {"access_token": token_of(http, MINI)}
    assert http.post("/cgi-bin/qrcode/create", params=params, json={}).json()["errcode"] == 48001


def test_who_does_not_follow_shows_nothing(http: httpx2.Client) -> None:
    """`subscribe` is 0 and the rest is missing."""
    reply = user_info(http, "alice")
    assert reply["subscribe"] == 0
    assert "subscribe_time" not in reply


def test_a_follower_shows_the_scene_but_no_nickname(http: httpx2.Client) -> None:
    """After a scan `subscribe` is 1 with the scene; since 2021 nickname and picture are empty."""
    ticket(http)
    scan(http, "alice")
    reply = user_info(http, "alice")
    assert (reply["subscribe"], reply["qr_scene_str"], reply["qr_scene"]) == (1, "scene-1", 0)
    assert (reply["nickname"], reply["headimgurl"]) == ("", "")
    assert reply["unionid"] == PEOPLE["alice"].unionid


def test_a_number_scene_is_a_number(http: httpx2.Client) -> None:
    """The scene of QR_SCENE is told in `qr_scene`."""
    scan(http, "bob", 4711)
    assert (user_info(http, "bob")["qr_scene"], user_info(http, "bob")["qr_scene_str"]) == (4711, "")


def test_lateunion_shows_the_unionid_at_the_second_scan(http: httpx2.Client) -> None:
    """The first scan tells no unionid, the next one does."""
    ticket(http)
    scan(http, "lateunion")
    assert "unionid" not in user_info(http, "lateunion")
    scan(http, "lateunion")
    assert user_info(http, "lateunion")["unionid"] == PEOPLE["lateunion"].unionid


@pytest.mark.parametrize(("changed", "code"), [({"openid": ""}, 41009), ({"openid": "oWrong"}, 40003)])
def test_a_wrong_openid_is_refused(http: httpx2.Client, changed: dict[str, str], code: int) -> None:
    """An openid must be there and be one of this account."""
    assert user_info(http, "alice", **changed)["errcode"] == code


def test_a_quota_ends_and_comes_back(http: httpx2.Client) -> None:
    """A lowered quota refuses the call after the last one, until the next day of the sandbox's clock."""
    http.post("/quotas", json={"call": "token", "limit": 2})
    assert [plain_token(http).get("errcode") for _ in range(3)] == [None, None, 45009]
    assert http.get("/quotas").json() == [
        {"call": "token", "key": ACCOUNT, "seconds": 86400, "limit": 2, "used": 2}
    ]
    move(http, 86400)
    assert "errcode" not in plain_token(http)
    http.delete("/quotas")
    assert http.get("/quotas").json() == []


def test_a_call_without_a_quota_cannot_be_limited(http: httpx2.Client) -> None:
    """A misspelt call is told."""
    assert http.post("/quotas", json={"call": "tokens", "limit": 2}).status_code == 422
    assert http.post("/quotas", json={"call": "token", "limit": -1}).status_code == 422
