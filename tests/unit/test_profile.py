"""The profile answer: every member, in the form that clients read."""

from datetime import UTC, datetime
from typing import Any

import pytest

from hub.accounts.profile import answer
from hub.accounts.profile_schema import ProfileSchema
from hub.errors import InvalidRequest

MOMENT = datetime(2026, 3, 1, 12, 30, 0, 250_000, tzinfo=UTC)


def row(**changes: Any) -> dict[str, Any]:
    """Return what the query gives for somebody who signs in by WeChat, with *changes*."""
    return {
        "id": 7,
        "phone": None,
        "country_code": "+86",
        "email": None,
        "email_verified": 0,
        "is_phone_verified": 0,
        "username": None,
        "nickname": "李",
        "avatar_url": "https://a/1",
        "bio": None,
        "gender": "female",
        "birth_date": "2000-01-31",
        "status": "active",
        "role": "user",
        "is_premium": 0,
        "is_profile_completed": 1,
        "created_at": MOMENT,
        "updated_at": MOMENT,
        "last_login_at": None,
        "has_password": 0,
        "login_type": "wechat",
        "wechat_user_id": 9,
        "openid": "oAbC",
        "wechat_nickname": "小李",
        "wechat_avatar_url": "https://a/2",
        "wechat_gender": 2,
        "country": "中国",
        "province": "浙江",
        "city": "杭州",
        "bind_at": MOMENT,
    } | changes


UNBOUND = dict.fromkeys(
    ["wechat_user_id", "openid", "wechat_nickname", "wechat_avatar_url", "wechat_gender", "bind_at"]
)


def test_somebody_who_signs_in_by_wechat() -> None:
    """All members, in their form on the wire."""
    assert answer(row()) == {
        "id": 7,
        "phone": "",
        "country_code": "+86",
        "email": None,
        "username": None,
        "nickname": "李",
        "avatar_url": "https://a/1",
        "avatar": "https://a/1",
        "bio": None,
        "gender": "female",
        "birth_date": "2000-01-31",
        "status": 1,
        "role": "user",
        "is_active": True,
        "is_phone_verified": False,
        "email_verified": False,
        "is_premium": False,
        "is_profile_completed": True,
        "login_type": "wechat",
        "login_methods": ["wechat"],
        "wechat_info": {
            "wechat_user_id": 9,
            "openid": "oAbC",
            "nickname": "小李",
            "avatar_url": "https://a/2",
            "gender": 2,
            "country": "中国",
            "province": "浙江",
            "city": "杭州",
            "bind_at": "2026-03-01T12:30:00.250Z",
        },
        "created_at": "2026-03-01T12:30:00.250Z",
        "updated_at": "2026-03-01T12:30:00.250Z",
        "last_login_at": None,
    }


@pytest.mark.parametrize(
    ("status", "number", "is_active"),
    [("inactive", 0, False), ("active", 1, True), ("pending", 2, False), ("banned", 3, False)],
)
def test_status_is_a_number(status: str, number: int, is_active: bool) -> None:
    """Clients know the status by its number."""
    told = answer(row(status=status))
    assert (told["status"], told["is_active"]) == (number, is_active)


@pytest.mark.parametrize(
    ("changes", "login_type", "methods"),
    [
        (UNBOUND | {"phone": "+8613800000000", "login_type": "phone"}, "phone", ["phone"]),
        ({"phone": "+8613800000000", "login_type": "both"}, "both", ["phone", "wechat"]),
        (
            UNBOUND | {"email": "li@example.cn", "has_password": 1, "login_type": "email"},
            "email",
            ["email", "password"],
        ),
        (UNBOUND | {"email": "li@example.cn", "login_type": None}, "email", ["email"]),
        (UNBOUND | {"phone": "+8613800000000", "login_type": None}, "phone", ["phone"]),
    ],
)
def test_ways_to_sign_in(changes: dict[str, Any], login_type: str, methods: list[str]) -> None:
    """Every way is named, and the type sums them up."""
    told = answer(row(**changes))
    assert (told["login_type"], told["login_methods"]) == (login_type, methods)
    assert (told["wechat_info"] is None) is ("wechat" not in methods)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [float("-inf")]])
def test_what_is_no_json_is_refused(value: object) -> None:
    """A body may spell numbers that JSON does not have; no database keeps them."""
    schema = ProfileSchema({"properties": {"height": {}}}, ())
    with pytest.raises(InvalidRequest) as refused:
        schema.merged(None, {"height": value})
    assert [error.field for error in refused.value.errors] == ["height"]
