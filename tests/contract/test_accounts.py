"""The account behind a WeChat identity, on both engines: found, made, bound, refreshed, refused."""

import json
from datetime import timedelta
from typing import Any

import pytest

from hub.accounts.identities import Identity, SealedTokens, find_or_create
from hub.accounts.profile import Profiles
from hub.errors import AccountBlocked, Unauthorized
from hub.store.database import Connection, Row, Store
from hub.store.encryption import DataKeys, Place
from hub.wechat.client import Person
from tests.signing_in import execute, record_statements, rows

KEYS = DataKeys(["a-data-key-of-more-than-thirty-two-bytes"])


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the statements that units of work run, as they run."""
    return record_statements(monkeypatch.setattr)


def person(**members: Any) -> Person:
    """Return who consented: a made-up Li in app wx1."""
    given: dict[str, Any] = {
        "appid": "wx1",
        "openid": "oAbCdEf",
        "unionid": None,
        "nickname": "李",
        "avatar_url": "https://thirdwx.qlogo.cn/1",
        "gender": 2,
        "country": "中国",
        "province": "浙江",
        "city": "杭州",
        "language": "zh_CN",
        "is_snapshot": False,
        "scope": "snsapi_userinfo",
        "access_token": "wechat-access-token",
        "refresh_token": "wechat-refresh-token",
        "expires_in": 7200,
    }
    return Person(**(given | members))


async def confirm(store: Store, who: Person | Identity) -> Row:
    """Find or make the account of a person, as a confirm does."""
    identity = who if isinstance(who, Identity) else Identity.from_person(who)

    async def work(tx: Connection) -> Row:
        return await find_or_create(tx, identity, store.now())

    return await store.write(work)


async def test_unknown_person_gets_an_account(store: Store, database_url: str, statements: list[str]) -> None:
    """Account, identity and login type are made in six statements."""
    user = await confirm(store, person())
    assert (user["nickname"], user["avatar_url"]) == ("李", "https://thirdwx.qlogo.cn/1")
    assert (user["status"], user["role"], user["email"], user["phone"]) == ("active", "user", None, None)
    (account,) = await rows(database_url, "SELECT * FROM users")
    assert (account["gender"], account["country_code"]) == ("female", "+86")
    (known,) = await rows(database_url, "SELECT * FROM wechat_users")
    assert (known["uid"], known["appid"], known["openid"]) == (user["id"], "wx1", "oAbCdEf")
    assert (known["city"], known["gender"], known["access_token"]) == ("杭州", 2, None)
    assert known["bind_at"] == known["created_at"] == known["last_login_at"]
    (kind,) = await rows(database_url, "SELECT * FROM user_login_types")
    assert (kind["user_id"], kind["login_type"], kind["wechat_user_id"]) == (
        user["id"],
        "wechat",
        known["id"],
    )
    assert statements == [
        "accounts.by_openid",
        "accounts.add_wechat",
        "accounts.add_user",
        "accounts.add_login_type",
        "accounts.bind_wechat",
        "accounts.user",
    ]


async def test_known_person_comes_back(store: Store, database_url: str, statements: list[str]) -> None:
    """The same openid finds the same account, in two statements."""
    first = await confirm(store, person())
    statements.clear()
    again = await confirm(store, person())
    assert again["id"] == first["id"]
    assert statements == ["accounts.by_openid", "accounts.refresh_wechat"]
    assert len(await rows(database_url, "SELECT id FROM users")) == 1


async def test_openids_differ_by_case(store: Store) -> None:
    """Two openids that differ by case only are two people."""
    one, other = await confirm(store, person()), await confirm(store, person(openid="oABCDEF"))
    assert one["id"] != other["id"]


async def test_openid_belongs_to_its_app(store: Store) -> None:
    """The same openid in another app is another person."""
    one, other = await confirm(store, person()), await confirm(store, person(appid="wx2"))
    assert one["id"] != other["id"]


async def test_unionid_joins_apps(store: Store, database_url: str) -> None:
    """A person known by unionid from another app signs in to the same account."""
    first = await confirm(store, person(unionid="uni"))
    again = await confirm(store, person(appid="wx2", openid="oOther", unionid="uni"))
    assert again["id"] == first["id"]
    known = await rows(database_url, "SELECT uid, bind_at FROM wechat_users")
    assert [row["uid"] for row in known] == [first["id"]] * 2
    assert all(row["bind_at"] for row in known)
    assert len(await rows(database_url, "SELECT id FROM user_login_types")) == 1


async def test_late_unionid_fills_in(store: Store) -> None:
    """A unionid that comes later joins the apps from then on, and is not lost when it is left out again."""
    first = await confirm(store, person())
    await confirm(store, person(unionid="uni"))
    await confirm(store, person())
    again = await confirm(store, person(appid="wx2", openid="oOther", unionid="uni"))
    assert again["id"] == first["id"]


async def test_own_binding_wins_over_the_unionid(store: Store) -> None:
    """Two accounts that turn out to be one person stay apart: each openid keeps its own."""
    one = await confirm(store, person())
    other = await confirm(store, person(appid="wx2", openid="oOther", unionid="uni"))
    assert (await confirm(store, person(unionid="uni")))["id"] == one["id"] != other["id"]


async def test_unbound_identity_is_bound_again(store: Store, database_url: str) -> None:
    """An identity whose account is gone gets a new one, and keeps its row."""
    first = await confirm(store, person())
    await execute(database_url, "DELETE FROM users WHERE id = :id", id=first["id"])
    again = await confirm(store, person())
    assert again["id"] != first["id"]
    (known,) = await rows(database_url, "SELECT uid FROM wechat_users")
    assert known["uid"] == again["id"]
    (kind,) = await rows(database_url, "SELECT user_id FROM user_login_types")
    assert kind["user_id"] == again["id"]


async def test_unbound_identity_is_bound_by_its_stored_unionid(store: Store, database_url: str) -> None:
    """The unionid known from before counts when WeChat leaves it out."""
    owner = await confirm(store, person(appid="wx2", openid="oOther", unionid="uni"))
    await confirm(store, person(unionid="uni"))
    await execute(database_url, "UPDATE wechat_users SET uid = NULL WHERE appid = 'wx1'")
    assert (await confirm(store, person()))["id"] == owner["id"]


@pytest.mark.parametrize("status", ["banned", "inactive", "pending"])
async def test_blocked_account_is_refused(store: Store, database_url: str, status: str) -> None:
    """A person whose account is not active is refused, by openid and by unionid, and nothing is written."""
    await confirm(store, person(unionid="uni"))
    await execute(database_url, "UPDATE users SET status = :status", status=status)
    for who in (person(nickname="王"), person(appid="wx2", unionid="uni")):
        with pytest.raises(AccountBlocked):
            await confirm(store, who)
    (known,) = await rows(database_url, "SELECT nickname FROM wechat_users")
    assert known["nickname"] == "李"


async def test_name_and_picture_follow_wechat(store: Store, database_url: str, statements: list[str]) -> None:
    """What the account shows from WeChat is refreshed, in three statements."""
    await confirm(store, person())
    statements.clear()
    user = await confirm(store, person(nickname="小李", avatar_url="https://thirdwx.qlogo.cn/2"))
    assert (user["nickname"], user["avatar_url"]) == ("小李", "https://thirdwx.qlogo.cn/2")
    assert len(statements) == 3
    (account,) = await rows(database_url, "SELECT nickname, avatar_url FROM users")
    assert dict(account) == {"nickname": "小李", "avatar_url": "https://thirdwx.qlogo.cn/2"}


async def test_own_name_and_picture_stay(store: Store, database_url: str) -> None:
    """A name or picture that the person chose here is left alone, though WeChat's own is kept up to date."""
    await confirm(store, person())
    await execute(database_url, "UPDATE users SET nickname = 'Li Na'")
    user = await confirm(store, person(nickname="小李", avatar_url="https://thirdwx.qlogo.cn/2"))
    assert (user["nickname"], user["avatar_url"]) == ("Li Na", "https://thirdwx.qlogo.cn/2")
    (account,) = await rows(database_url, "SELECT nickname FROM users")
    (known,) = await rows(database_url, "SELECT nickname FROM wechat_users")
    assert (account["nickname"], known["nickname"]) == ("Li Na", "小李")


async def test_what_wechat_leaves_out_is_not_forgotten(store: Store, database_url: str) -> None:
    """A consent that tells the openid only keeps the profile of an earlier one."""
    await confirm(store, person(unionid="uni"))
    bare = dict.fromkeys(("nickname", "avatar_url", "country", "province", "city", "language"), "")
    user = await confirm(store, person(**bare, gender=0))
    assert user["nickname"] == "李"
    (known,) = await rows(database_url, "SELECT * FROM wechat_users")
    assert (known["nickname"], known["gender"], known["city"], known["unionid"]) == ("李", 2, "杭州", "uni")


async def test_a_person_without_a_name_gets_an_account(store: Store) -> None:
    """WeChat may tell nothing but the openid."""
    user = await confirm(store, Identity(appid="wx1", openid="oAbCdEf"))
    assert (user["nickname"], user["avatar_url"]) == (None, None)


async def test_tokens_are_stored_sealed(store: Store, database_url: str) -> None:
    """With a key WeChat's tokens are kept, each opening only in its own row and column."""
    who = person()
    identity = Identity.from_person(who, SealedTokens.seal(KEYS, who, store.now()))
    await confirm(store, Identity.from_profile(json.loads(json.dumps(identity.profile()))))
    (known,) = await rows(database_url, "SELECT * FROM wechat_users")
    assert "wechat-access-token" not in repr(known)
    row = (known["appid"], known["openid"])
    assert (
        KEYS.open(known["access_token"], Place("wechat_users", row, "access_token")) == "wechat-access-token"
    )
    assert (
        KEYS.open(known["refresh_token"], Place("wechat_users", row, "refresh_token"))
        == "wechat-refresh-token"
    )
    assert known["expires_at"] - known["created_at"] >= timedelta(seconds=7199)


async def test_snapshot_user_is_nobody() -> None:
    """WeChat's made-up user of a snapshot page never becomes an identity."""
    with pytest.raises(ValueError, match="snapshot"):
        Identity.from_person(person(is_snapshot=True))


async def test_profile_is_read(store: Store, database_url: str) -> None:
    """The profile of a new account, with a day of birth as an ISO date."""
    user = await confirm(store, person())
    await execute(database_url, "UPDATE users SET birth_date = '2000-01-31'")
    profile = await Profiles(store).read(user["id"])
    assert (profile["id"], profile["nickname"], profile["birth_date"]) == (user["id"], "李", "2000-01-31")
    assert (profile["login_type"], profile["login_methods"]) == ("wechat", ["wechat"])
    assert profile["wechat_info"] is not None
    assert profile["wechat_info"]["openid"] == "oAbCdEf"
    assert profile["created_at"] == profile["wechat_info"]["bind_at"]
    assert (profile["is_active"], profile["is_premium"], profile["last_login_at"]) == (True, False, None)


async def test_profile_of_a_deleted_account(store: Store, database_url: str) -> None:
    """A token that outlived its account opens nothing."""
    user = await confirm(store, person())
    await execute(database_url, "DELETE FROM users WHERE id = :id", id=user["id"])
    with pytest.raises(Unauthorized):
        await Profiles(store).read(user["id"])
