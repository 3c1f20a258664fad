"""The sandbox's `sns` endpoints: WeChat's wire, its errcodes and life times."""

from collections.abc import Iterator

import httpx2
import pytest

from tests.servers.sandbox import (
    APPID,
    OTHER_APPID,
    OTHER_SECRET,
    authorize,
    exchange,
    returned,
    served,
    signed_in,
)

PEOPLE = ("alice", "bob", "noavatar", "emoji", "decliner", "snapshot", "lateunion")


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    """Serve one sandbox for all tests of this module."""
    with served() as address:
        yield address


@pytest.fixture
def http(base: str) -> Iterator[httpx2.Client]:
    """Return a client of the sandbox, whose clock is put right."""
    with httpx2.Client(base_url=base) as http:
        http.delete("/clock")
        yield http


def code_of(http: httpx2.Client, person: str = "alice", **changed: str) -> str:
    """Return the code of a consent by *person*."""
    return returned(authorize(http, person, **changed))["code"]


def userinfo(http: httpx2.Client, tokens: dict[str, object], **changed: str) -> dict[str, object]:
    """Return the profile reply for the *tokens* of an exchange."""
    query = {"access_token": str(tokens["access_token"]), "openid": str(tokens["openid"])}
    reply: dict[str, object] = http.get("/sns/userinfo", params={**query, **changed}).json()
    return reply


def refresh(http: httpx2.Client, refresh_token: object, **changed: str) -> dict[str, object]:
    """Return the reply of a refresh."""
    query = {"appid": APPID, "grant_type": "refresh_token", "refresh_token": str(refresh_token)}
    reply: dict[str, object] = http.get("/sns/oauth2/refresh_token", params={**query, **changed}).json()
    return reply


def test_replies_are_plain_text_without_charset(http: httpx2.Client) -> None:
    """An error is HTTP 200, its media type text/plain, its message ends in a request id."""
    answer = http.get("/sns/oauth2/access_token")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain"
    assert answer.json()["errcode"] == 41002
    assert answer.json()["errmsg"].startswith("appid missing, rid: ")


def test_slashes_are_escaped_and_text_is_utf8(http: httpx2.Client) -> None:
    """The profile is raw UTF-8 with escaped slashes, as WeChat sends it."""
    tokens = signed_in(http, "emoji")
    query = {"access_token": str(tokens["access_token"]), "openid": str(tokens["openid"])}
    body = http.get("/sns/userinfo", params=query).content
    assert "🦊".encode() in body
    assert rb"\/avatars\/emoji.svg" in body


def test_a_code_is_worth_tokens_once(http: httpx2.Client) -> None:
    """The first exchange gives tokens and no errcode, the second 40163."""
    code = code_of(http)
    tokens = exchange(http, code)
    assert "errcode" not in tokens
    assert tokens["expires_in"] == 7200
    assert tokens["scope"] == "snsapi_userinfo"
    assert exchange(http, code)["errcode"] == 40163


@pytest.mark.parametrize(
    ("changed", "errcode"),
    [
        ({"appid": ""}, 41002),
        ({"secret": ""}, 41004),
        ({"code": ""}, 41008),
        ({"grant_type": "client_credential"}, 40002),
        ({"appid": "wx-unknown"}, 40013),
        ({"secret": "wrong"}, 40125),
        ({"code": "wrong"}, 40029),
    ],
)
def test_a_wrong_exchange_spends_nothing(http: httpx2.Client, changed: dict[str, str], errcode: int) -> None:
    """Each wrong parameter has its errcode, and the code can still be used."""
    code = code_of(http)
    assert exchange(http, **{"code": code, **changed})["errcode"] == errcode
    assert "errcode" not in exchange(http, code)


def test_another_apps_try_spends_the_code(http: httpx2.Client) -> None:
    """A code brought by the wrong app is a bad code, and a used one from then on."""
    code = code_of(http)
    assert exchange(http, code, appid=OTHER_APPID, secret=OTHER_SECRET)["errcode"] == 40029
    assert exchange(http, code)["errcode"] == 40163


@pytest.mark.parametrize(("seconds", "errcode"), [(590, None), (601, 42003)])
def test_a_code_lives_ten_minutes(http: httpx2.Client, seconds: int, errcode: int | None) -> None:
    """A code is good for ten minutes of the sandbox's clock."""
    code = code_of(http)
    http.post("/clock", json={"advance": seconds})
    assert exchange(http, code).get("errcode") == errcode


def test_openids_differ_by_person_and_by_app(http: httpx2.Client) -> None:
    """No two people share an openid at an app, and nobody has the same one at two apps."""
    here = {person: signed_in(http, person)["openid"] for person in PEOPLE if person != "decliner"}
    assert len(set(here.values())) == len(here)
    code = code_of(http, appid=OTHER_APPID)
    there = exchange(http, code, appid=OTHER_APPID, secret=OTHER_SECRET)["openid"]
    assert there not in here.values()


def test_two_openids_differ_by_letter_case_only(http: httpx2.Client) -> None:
    """Alice's and bob's openids are the same to a database that ignores case."""
    alice, bob = str(signed_in(http, "alice")["openid"]), str(signed_in(http, "bob")["openid"])
    assert alice != bob
    assert alice.lower() == bob.lower()


def test_the_unionid_is_one_for_all_apps(http: httpx2.Client) -> None:
    """One person has one unionid, which the silent scope does not show."""
    here = signed_in(http, "alice")
    code = code_of(http, appid=OTHER_APPID)
    there = exchange(http, code, appid=OTHER_APPID, secret=OTHER_SECRET)
    assert here["unionid"] == there["unionid"] == userinfo(http, here)["unionid"]
    assert "unionid" not in signed_in(http, "alice", scope="snsapi_base")


def test_lateunion_has_a_unionid_from_the_second_sign_in_on(http: httpx2.Client) -> None:
    """The first grant shows no unionid for all its life, the next one does."""
    first, second = (
        exchange(http, code_of(http, "lateunion", appid=OTHER_APPID), appid=OTHER_APPID, secret=OTHER_SECRET)
        for _ in range(2)
    )
    assert "unionid" not in first
    assert "unionid" not in userinfo(http, first)
    assert second["unionid"] == userinfo(http, second)["unionid"]


def test_the_snapshot_user_is_marked(http: httpx2.Client) -> None:
    """Only the virtual user's exchange says `is_snapshotuser`."""
    assert signed_in(http, "snapshot")["is_snapshotuser"] == 1
    assert "is_snapshotuser" not in signed_in(http, "alice")


def test_a_snapshot_page_can_be_forced(http: httpx2.Client) -> None:
    """With forceSnapShot the same person comes back as a virtual user of another openid."""
    forced = signed_in(http, "alice", forceSnapShot="true")
    assert forced["is_snapshotuser"] == 1
    assert forced["openid"] != signed_in(http, "alice")["openid"]


def test_a_profile_shows_no_gender_and_no_place(http: httpx2.Client) -> None:
    """The members that WeChat has emptied are there, and empty."""
    profile = userinfo(http, signed_in(http, "alice"))
    empty = [profile[name] for name in ("sex", "city", "province", "country", "privilege")]
    assert empty == [0, "", "", "", []]


def test_the_picture_is_served_by_the_sandbox(http: httpx2.Client) -> None:
    """The picture's address leads to an SVG of the sandbox's own; one person has none."""
    picture = http.get(str(userinfo(http, signed_in(http, "bob"))["headimgurl"]))
    assert picture.headers["content-type"].startswith("image/svg+xml")
    assert picture.content.startswith(b"<svg")
    assert userinfo(http, signed_in(http, "noavatar"))["headimgurl"] == ""


@pytest.mark.parametrize(
    ("changed", "errcode"),
    [
        ({"access_token": ""}, 41001),
        ({"openid": ""}, 41009),
        ({"access_token": "wrong"}, 40001),
        ({"openid": "oWrong"}, 40003),
    ],
)
def test_a_wrong_profile_call_is_refused(http: httpx2.Client, changed: dict[str, str], errcode: int) -> None:
    """Each wrong parameter of userinfo has its errcode."""
    assert userinfo(http, signed_in(http, "alice"), **changed)["errcode"] == errcode


def test_a_silent_token_reads_no_profile(http: httpx2.Client) -> None:
    """userinfo with a `snsapi_base` token is 48001."""
    assert userinfo(http, signed_in(http, "alice", scope="snsapi_base"))["errcode"] == 48001


def test_check_tells_good_tokens_from_bad(http: httpx2.Client) -> None:
    """`/sns/auth` answers 0 for the token's own openid and 40003 for another."""
    tokens = signed_in(http, "alice")
    query = {"access_token": str(tokens["access_token"]), "openid": str(tokens["openid"])}
    assert http.get("/sns/auth", params=query).json() == {"errcode": 0, "errmsg": "ok"}
    assert http.get("/sns/auth", params={**query, "openid": "oWrong"}).json()["errcode"] == 40003


def test_a_live_access_token_is_lengthened(http: httpx2.Client) -> None:
    """A refresh before the two hours are over keeps the token and gives it two hours more."""
    tokens = signed_in(http, "alice")
    http.post("/clock", json={"advance": 7000})
    assert refresh(http, tokens["refresh_token"])["access_token"] == tokens["access_token"]
    http.post("/clock", json={"advance": 7000})
    assert "errcode" not in userinfo(http, tokens)


def test_a_dead_access_token_is_replaced(http: httpx2.Client) -> None:
    """After two hours the token is 42001, and a refresh gives another one."""
    tokens = signed_in(http, "alice")
    http.post("/clock", json={"advance": 7201})
    assert userinfo(http, tokens)["errcode"] == 42001
    renewed = refresh(http, tokens["refresh_token"])
    assert renewed["access_token"] != tokens["access_token"]
    assert renewed["refresh_token"] == tokens["refresh_token"]
    assert "errcode" not in userinfo(http, renewed)


def test_a_refresh_token_lives_thirty_days(http: httpx2.Client) -> None:
    """Refreshing does not prolong the refresh token itself."""
    tokens = signed_in(http, "alice")
    http.post("/clock", json={"advance": 20 * 86400})
    assert "errcode" not in refresh(http, tokens["refresh_token"])
    http.post("/clock", json={"advance": 11 * 86400})
    assert refresh(http, tokens["refresh_token"])["errcode"] == 42002


@pytest.mark.parametrize(
    ("changed", "errcode"),
    [
        ({"appid": ""}, 41002),
        ({"refresh_token": ""}, 41003),
        ({"grant_type": "authorization_code"}, 40002),
        ({"appid": "wx-unknown"}, 40013),
        ({"appid": OTHER_APPID}, 40030),
        ({"refresh_token": "wrong"}, 40030),
    ],
)
def test_a_wrong_refresh_is_refused(http: httpx2.Client, changed: dict[str, str], errcode: int) -> None:
    """Each wrong parameter of a refresh has its errcode; another app's token is a wrong one."""
    tokens = signed_in(http, "alice")
    assert refresh(http, **{"refresh_token": str(tokens["refresh_token"]), **changed})["errcode"] == errcode


@pytest.mark.parametrize("path", ["oauth2/access_token", "oauth2/refresh_token", "auth", "userinfo"])
def test_post_is_refused(http: httpx2.Client, path: str) -> None:
    """All four endpoints want GET."""
    assert http.post(f"/sns/{path}").json()["errcode"] == 43001
