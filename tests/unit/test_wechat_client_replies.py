"""WeChat's replies, read without any I/O."""

import json
from collections.abc import Callable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.wechat import replies

TOKENS = {"openid": "oAbC", "access_token": "a" * 40, "refresh_token": "r" * 40, "scope": "snsapi_userinfo"}


def profile(**members: object) -> replies.Profile:
    """Read a profile whose members beside the openid are *members*."""
    return replies.profile(replies.parse(json.dumps({"openid": "oAbC", **members}).encode()))


def test_utf8_is_read_whatever_comes_before_it() -> None:
    """A byte order mark before the object does no harm."""
    assert replies.parse(b'\xef\xbb\xbf{"nickname":"\xe5\xb0\x8f\xe7\x8b\x90"}') == {"nickname": "小狐"}


def test_raw_control_characters_within_a_string_pass() -> None:
    """A nickname with a raw line feed in the JSON is read, and shown with a space instead."""
    assert replies.profile(replies.parse(b'{"openid":"o1","nickname":"a\nb\x00"}')).nickname == "a b"


def test_emoji_survive() -> None:
    """An emoji of several code points comes through whole, escaped or not."""
    assert profile(nickname="🦊👩‍💻").nickname == "🦊👩‍💻"
    assert replies.profile(replies.parse('{"openid":"o1","nickname":"🦊"}'.encode())).nickname == "🦊"


def test_a_lone_surrogate_becomes_storable() -> None:
    """Half an emoji, which neither SQL nor UTF-8 can hold, becomes U+FFFD."""
    nickname = replies.profile(replies.parse(rb'{"openid":"o1","nickname":"a\ud83dz"}')).nickname
    assert nickname == "a\ufffdz"


@given(st.text(st.characters(min_codepoint=0, max_codepoint=0x1FFFF, categories=None), max_size=200))
def test_every_nickname_can_be_stored(nickname: str) -> None:
    """Whatever stands in a nickname, surrogates too, comes out short, encodable and free of controls."""
    read = profile(nickname=nickname).nickname
    assert len(read) <= 64
    assert not any(ord(character) < 32 for character in read.encode().decode())


def test_bytes_that_are_no_utf8_cost_only_the_character() -> None:
    """A nickname in another encoding is garbled, the identifiers beside it are not."""
    read = replies.profile(replies.parse(b'{"openid":"o1","nickname":"' + "小明".encode("gbk") + b'"}'))
    assert read.openid == "o1"
    assert "\ufffd" in read.nickname


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"{",
        b"\xff\xfe\x00",
        b"[" * 60_000,
        b'{"errcode":' + b"9" * 5000 + b"}",
        b"callback({})",
    ],
)
def test_what_is_no_json_object_is_a_value_error(body: bytes) -> None:
    """Garbage, other JSON values, endless nesting and endless numbers raise ValueError and nothing else."""
    with pytest.raises(ValueError):  # noqa: PT011 - the messages are json's own
        replies.parse(body)


@pytest.mark.parametrize(
    ("reply", "code"),
    [({}, 0), ({"errcode": 0}, 0), ({"errcode": 40029}, 40029), ({"errcode": "-1"}, -1)],
)
def test_errcode_is_read(reply: dict[str, object], code: int) -> None:
    """A missing errcode is success, and one sent as text counts as well."""
    assert replies.errcode(reply) == code


@pytest.mark.parametrize("value", [None, "forty", 1.5, [40029], {"code": 1}])
def test_an_odd_errcode_is_garbage(value: object) -> None:
    """An errcode that is no whole number is never taken for success."""
    with pytest.raises(ValueError, match="whole number"):
        replies.errcode({"errcode": value})


@pytest.mark.parametrize(
    ("errmsg", "rid"),
    [
        ("invalid code, rid: 6256f8a1-3b2e7a55-1f2d3c4b", "6256f8a1-3b2e7a55-1f2d3c4b"),
        ("invalid code, hints: [ req_id: Cf1aO03ce-5uK4a ]", "Cf1aO03ce-5uK4a"),
        ("access_token is invalid or not latest hint: [HGj0662vr19!]", "HGj0662vr19!"),
        ("system error", None),
        (["rid: 1"], None),
    ],
)
def test_the_request_id_is_found_in_each_form(errmsg: object, rid: str | None) -> None:
    """All three ways in which WeChat has named its request id are understood."""
    assert replies.rid({"errmsg": errmsg}) == rid


def test_a_code_reply_without_unionid_or_expiry_is_whole() -> None:
    """An app outside any open-platform account has no unionid, and two hours are the usual life."""
    read = replies.code_reply(TOKENS)
    assert (read.unionid, read.expires_in, read.is_snapshot) == (None, 7200, False)


def test_an_empty_unionid_is_none() -> None:
    """An empty unionid is no unionid: it would make one person of all who have none."""
    assert replies.code_reply({**TOKENS, "unionid": ""}).unionid is None


@pytest.mark.parametrize("read", [replies.profile, replies.follower])
def test_a_language_fits_its_column(
    read: Callable[[Mapping[str, object]], replies.Profile | replies.Follower],
) -> None:
    """What is too long for a language is cut, in either reply: MySQL would refuse the whole row."""
    assert read({"openid": "o", "language": "zh_CN" * 20}).language == "zh_CNzh_CNzh_CNz"


@pytest.mark.parametrize("flag", [1, "1", True])
def test_a_snapshot_user_is_known(flag: object) -> None:
    """`is_snapshotuser` is understood as number and as text."""
    assert replies.code_reply({**TOKENS, "is_snapshotuser": flag}).is_snapshot


@pytest.mark.parametrize(
    "member", [{"openid": ""}, {"openid": None}, {"openid": "o" * 65}, {"openid": "o b"}, {"openid": "ö"}]
)
def test_an_odd_openid_is_refused_not_mended(member: dict[str, object]) -> None:
    """An openid that is missing, too long or not ASCII is refused, for a shortened one is somebody else's."""
    with pytest.raises(ValueError, match="identifier"):
        replies.code_reply({**TOKENS, **member})


@pytest.mark.parametrize(("sent", "read"), [(-5, 0), (7200, 7200), ("7200", 7200), (10**30, 30 * 86400)])
def test_the_expiry_is_held_within_what_a_clock_can_add(sent: object, read: int) -> None:
    """A life time that no datetime could hold is cut to the longest that WeChat knows."""
    assert replies.code_reply({**TOKENS, "expires_in": sent}).expires_in == read


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)",
        "data:image/svg+xml,<svg/>",
        "https://",
        "https:///132",
        "https://[/132",
        "https://qlogo.cn/a b",
        "https://qlogo.cn/" + "a" * 600,
        7,
    ],
)
def test_a_picture_address_that_is_not_plain_http_is_dropped(address: object) -> None:
    """Only a whole http or https address is ever shown as a picture."""
    assert profile(headimgurl=address).avatar_url == ""


def test_a_picture_address_is_kept() -> None:
    """An ordinary picture address, with its slashes escaped, is read as it is."""
    read = replies.profile(
        replies.parse(rb'{"openid":"o1","headimgurl":"https:\/\/thirdwx.qlogo.cn\/x\/132"}')
    )
    assert read.avatar_url == "https://thirdwx.qlogo.cn/x/132"


@pytest.mark.parametrize(("sent", "read"), [(0, 0), (1, 1), ("2", 2), (7, 0), (None, 0), ([], 0)])
def test_gender_is_one_of_three(sent: object, read: int) -> None:
    """Anything but 1 and 2 means that the gender is not known."""
    assert profile(sex=sent).gender == read


def test_an_app_token_of_documented_length_is_read() -> None:
    """WeChat asks for 512 characters of room; a token twice as long is read too."""
    assert replies.app_token({"access_token": "t" * 1024, "expires_in": 7200}).expires_in == 7200


@pytest.mark.parametrize(
    "reply",
    [
        {},
        {"access_token": "t"},
        {"access_token": "t", "expires_in": 0},
        {"access_token": "t", "expires_in": -1},
        {"access_token": "", "expires_in": 7200},
        {"access_token": "t" * 1025, "expires_in": 7200},
        {"access_token": ["t"], "expires_in": 7200},
    ],
)
def test_an_app_token_without_life_is_none(reply: dict[str, object]) -> None:
    """A token that is missing, too long or already over is refused."""
    with pytest.raises(ValueError, match=r"token|whole|identifier"):
        replies.app_token(reply)


def test_a_ticket_is_read() -> None:
    """Ticket, life and what the QR code is to say."""
    read = replies.ticket({"ticket": "gQ==", "expire_seconds": 60, "url": "http://weixin.qq.com/q/kZ"})
    assert read == replies.Ticket("gQ==", "http://weixin.qq.com/q/kZ", 60)


@pytest.mark.parametrize(
    "member", [{"url": ""}, {"url": "weixin://q"}, {"ticket": ""}, {"expire_seconds": "x"}]
)
def test_a_ticket_that_cannot_be_drawn_is_none(member: dict[str, object]) -> None:
    """Without ticket, life or an address to draw there is no QR code."""
    good = {"ticket": "gQ==", "expire_seconds": 60, "url": "http://weixin.qq.com/q/kZ"}
    with pytest.raises(ValueError, match=r"address|identifier|whole"):
        replies.ticket({**good, **member})


def test_who_does_not_follow_has_an_openid_only() -> None:
    """Without `subscribe` nothing else is sent."""
    assert replies.follower({"subscribe": 0, "openid": "oAbC"}) == replies.Follower("oAbC")


def test_a_follower_is_read() -> None:
    """Who follows has a unionid, a language, and with older accounts name and picture."""
    read = replies.follower(
        {
            "subscribe": 1,
            "openid": "oAbC",
            "unionid": "u",
            "language": "en",
            "nickname": "🦊",
            "headimgurl": "",
        }
    )
    assert (read.subscribe, read.unionid, read.language, read.nickname) == (True, "u", "en", "🦊")


def test_a_mini_session_is_read() -> None:
    """Openid and key, and a unionid where there is one; the key stays out of the repr."""
    read = replies.mini_session({"openid": "oAbC", "session_key": "tiihtNczf5v6AKRyjwEUhQ=="})
    assert (read.openid, read.unionid, read.session_key) == ("oAbC", None, "tiihtNczf5v6AKRyjwEUhQ==")
    assert read.session_key not in repr(read)


@pytest.mark.parametrize(
    ("code", "number", "whole"),
    [
        ("86", "13800138000", "+8613800138000"),
        (86, "13800138000", "+8613800138000"),
        ("+1", "2015550123", "+12015550123"),
    ],
)
def test_a_mini_phone_is_read(code: object, number: str, whole: str) -> None:
    """Calling code and number make an E.164 number, whether the code comes as text or number."""
    read = replies.mini_phone({"phone_info": {"countryCode": code, "purePhoneNumber": number}})
    assert read.phone_e164 == whole
    assert number not in repr(read)


@pytest.mark.parametrize(
    "info",
    [
        None,
        [],
        {},
        {"countryCode": "86"},
        {"countryCode": "86", "purePhoneNumber": ""},
        {"countryCode": "86", "purePhoneNumber": 13800138000},
        {"countryCode": "0", "purePhoneNumber": "13800138000"},
        {"countryCode": "86", "purePhoneNumber": "138-0013-8000"},
        {"countryCode": "862", "purePhoneNumber": "1234567890123"},
    ],
)
def test_what_is_no_phone_number_is_refused(info: object) -> None:
    """A number that is missing, malformed or too long for E.164 is never half taken."""
    with pytest.raises(ValueError, match="phone"):
        replies.mini_phone({"phone_info": info})


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (b"\x89PNG\r\n\x1a\n...", "image/png"),
        (b"\xff\xd8\xff\xe0...", "image/jpeg"),
        (b"{}", None),
        (b"", None),
    ],
)
def test_a_picture_is_known_by_its_first_bytes(body: bytes, media_type: str | None) -> None:
    """PNG and JPEG are pictures, anything else is not."""
    image = replies.image(body)
    assert (image and image.media_type) == media_type
