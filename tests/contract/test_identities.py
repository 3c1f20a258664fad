"""One person over all doors: openids, unionids that show up late, and what `user_login_types` says then."""

import itertools
import time
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple

import pytest

from hub.accounts import identities
from hub.accounts.bindings import Bindings
from hub.accounts.contacts import Choice, Contact, find_or_create
from hub.accounts.deletion import Deletion
from hub.accounts.identities import Identity
from hub.errors import AlreadyBound, HubError, LastSignInMethod, NotFound, WechatBound
from hub.realtime.memory import MemoryBroker
from hub.store.database import Connection, Row, Store
from hub.tokens.claims import Claims
from hub.tokens.events import AccountEvents
from tests.signing_in import execute, make_sessions, rows

_EXAMPLES = itertools.count()
DOORS = ("wx1", "wx2", "wx3")
PEOPLE = ("a", "A")  # whose openids and unionids differ by letter case only


async def enter(store: Store, identity: Identity) -> Row:
    """Sign a person in, and return the account."""
    return await store.write(lambda tx: identities.find_or_create(tx, identity, store.now()))


async def come(store: Store, openid: str, unionid: str | None = None) -> Row:
    """Sign in a person of app wx1."""
    return await enter(store, Identity("wx1", openid, unionid, nickname="李"))


async def test_a_late_unionid_leads_to_its_account(store: Store, database_url: str) -> None:
    """An identity without account is bound to the one that its unionid turns out to be of."""
    await come(store, "oLi")
    await execute(database_url, "DELETE FROM users")
    owner = await come(store, "oOther", unionid="uLi")
    assert (await come(store, "oLi", unionid="uLi"))["id"] == owner["id"]


async def test_a_late_unionid_of_another_account_is_not_kept(store: Store, database_url: str) -> None:
    """The openid's own account is signed in to, and the unionid goes on to lead to the other one alone."""
    mine = await come(store, "oLi")
    other = await come(store, "oOther", unionid="uLi")
    for _ in range(2):
        assert (await come(store, "oLi", unionid="uLi"))["id"] == mine["id"]
        (known,) = await rows(database_url, "SELECT uid, unionid FROM wechat_users WHERE openid = 'oLi'")
        assert known == {"uid": mine["id"], "unionid": None}
    assert (await come(store, "oThird", unionid="uLi"))["id"] == other["id"]
    assert len(await rows(database_url, "SELECT id FROM users")) == 2


async def test_a_late_unionid_is_kept_once_the_other_account_is_gone(store: Store, database_url: str) -> None:
    """Then the person's further doors lead to the account that is left."""
    mine = await come(store, "oLi")
    other = await come(store, "oOther", unionid="uLi")
    await come(store, "oLi", unionid="uLi")
    await execute(database_url, "DELETE FROM users WHERE id = :id", id=other["id"])
    await come(store, "oLi", unionid="uLi")
    for openid in ("oThird", "oOther"):
        assert (await come(store, openid, unionid="uLi"))["id"] == mine["id"]


async def test_unionids_differ_by_case(store: Store) -> None:
    """Two unionids that differ by letter case only are two people."""
    one, other = await come(store, "oOne", unionid="uLi"), await come(store, "oTwo", unionid="uLI")
    assert one["id"] != other["id"]


async def test_a_joined_account_names_one_of_its_identities(store: Store, database_url: str) -> None:
    """Whichever was known first; its login type stays what it was."""
    await come(store, "oLi")
    await execute(database_url, "DELETE FROM users")
    owner = await come(store, "oOther", unionid="uLi")
    await execute(database_url, "UPDATE users SET phone = '+8613800138000'")
    await come(store, "oLi", unionid="uLi")
    (first, _) = await rows(database_url, "SELECT id FROM wechat_users ORDER BY id")
    (kind,) = await rows(database_url, "SELECT user_id, login_type, wechat_user_id FROM user_login_types")
    assert kind == {"user_id": owner["id"], "login_type": "both", "wechat_user_id": first["id"]}


async def test_an_account_without_a_name_gets_it_from_a_later_door(store: Store, database_url: str) -> None:
    """Who came by a door that shows neither name nor picture has both once another door shows them."""
    nameless = await enter(store, Identity("wx1", "oLi", "uLi"))
    shown = Identity("wx2", "oOther", "uLi", nickname="李", avatar_url="https://thirdwx.qlogo.cn/li/132")
    entered = await enter(store, shown)
    assert (entered["id"], entered["nickname"]) == (nameless["id"], "李")
    (account,) = await rows(database_url, "SELECT nickname, avatar_url FROM users")
    assert account == {"nickname": "李", "avatar_url": "https://thirdwx.qlogo.cn/li/132"}


async def test_a_later_door_leaves_a_name_alone(store: Store, database_url: str) -> None:
    """What the account shows already stays when an identity with another name joins it."""
    await come(store, "oLi", unionid="uLi")
    await enter(store, Identity("wx2", "oOther", "uLi", nickname="Li"))
    assert await rows(database_url, "SELECT nickname FROM users") == [{"nickname": "李"}]


class Act(NamedTuple):
    """Something that a person does at a door, or an account's owner with the *account*th account."""

    kind: str
    door: str
    person: str
    tells: bool  # whether WeChat tells the unionid
    account: int


KINDS = ("sign_in", "sign_in", "sign_in", "bind", "bind", "unbind", "unfollow", "number", "join", "delete")


def draw(chance: Random) -> Act:
    """Something at random."""
    return Act(
        chance.choice(KINDS),
        chance.choice(DOORS),
        chance.choice((*PEOPLE, *PEOPLE[:1] * 2)),
        tells=chance.random() < 0.5,
        account=chance.randrange(4),
    )


@dataclass
class Known:
    """One identity: its account, if any, and its unionid, as far as it is known."""

    owner: int | None = None
    unionid: str | None = None


@dataclass
class Model:
    """What the accounts are bound to, by the specification; accounts are numbered as they are made."""

    phones: dict[int, bool] = field(default_factory=dict)  # which accounts there are, and have a number
    known: dict[tuple[str, str], Known] = field(default_factory=dict)  # in the order of their rows
    made: int = 0

    def make(self, *, phone: bool) -> int:
        """Make an account."""
        self.made += 1
        self.phones[self.made] = phone
        return self.made

    def bound(self, account: int) -> list[tuple[str, str]]:
        """The identities of an account."""
        return [name for name, known in self.known.items() if known.owner == account]

    def owner(self, unionid: str | None) -> int | None:
        """The account that a unionid leads to; there is never more than one."""
        owners = {known.owner for known in self.known.values() if unionid and known.unionid == unionid}
        owners.discard(None)
        assert len(owners) <= 1
        return owners.pop() if owners else None

    def sign_in(self, act: Act) -> int:
        """Return the account that is signed in to."""
        known = self.known.setdefault((act.door, act.person), Known())
        told = act.person if act.tells else None
        if known.owner is None:
            known.unionid = told or known.unionid
            known.owner = self.owner(known.unionid) or self.make(phone=False)
        elif told and self.owner(told) in (None, known.owner):
            known.unionid = told
        return known.owner

    def bind(self, act: Act, account: int) -> type[HubError] | None:
        """Return why it is refused, if so."""
        name = (act.door, act.person)
        known = self.known.get(name) or Known()
        unionid = act.person if act.tells else known.unionid
        if known.owner not in (None, account) or self.owner(unionid) not in (None, account):
            return AlreadyBound
        if known.owner is None and any(door == act.door for door, _ in self.bound(account)):
            return WechatBound
        self.known[name] = known
        known.owner, known.unionid = account, unionid
        return None

    def unbind(self, account: int) -> type[HubError] | None:
        """Return why it is refused, if so."""
        bound = self.bound(account)
        if not bound:
            return NotFound
        if not self.phones[account]:
            return LastSignInMethod
        for name in bound:
            del self.known[name]
        return None

    def unfollow(self, name: tuple[str, str]) -> None:
        """Forget an identity, unless it is an account's only way in."""
        known = self.known.get(name)
        if known is None:
            return
        if known.owner is None or self.phones[known.owner] or len(self.bound(known.owner)) > 1:
            del self.known[name]

    def delete(self, account: int) -> None:
        """Delete an account with its identities."""
        for name in self.bound(account):
            del self.known[name]
        del self.phones[account]

    def login_type(self, account: int) -> str:
        """What `user_login_types` has to say."""
        if self.bound(account):
            return "both" if self.phones[account] else "wechat"
        return "phone"


class World:
    """The services, and the names of one example: no two examples share a person or a number."""

    def __init__(self, store: Store, url: str) -> None:
        broker = MemoryBroker()
        self.store = store
        self.url = url
        self.sessions = make_sessions(store, broker)
        self.bindings = Bindings(store, self.sessions, AccountEvents(store, broker))
        self.number = next(_EXAMPLES)
        self.ids: dict[int, int] = {}  # of the model's accounts

    def phone(self, account: int) -> str:
        """An account's number."""
        return f"+86{13 * 10**9 + self.number * 1000 + account}"

    def identity(self, act: Act) -> Identity:
        """Who an act is of, as WeChat describes them."""
        unionid = f"u{self.number}{act.person}" if act.tells else None
        return Identity(act.door, f"o{self.number}{act.person}", unionid, nickname="Li")

    def claims(self, account: int) -> Claims:
        """What an access token of an account says."""
        now = int(time.time())
        sub = str(self.ids[account])
        claims: dict[str, Any] = {"iss": "i", "sub": sub, "iat": now, "nbf": now, "exp": now + 60, "jti": "j"}
        return Claims(**claims, sid="s", role="user", amr=("wechat",), auth_time=now)

    async def refused(self, act: Act, model: Model, account: int) -> type[HubError] | None:
        """Do what may be refused, and return why it was."""

        async def bind(tx: Connection) -> None:
            await self.bindings.bind_wechat(tx, self.claims(account), self.identity(act), self.store.now())

        try:
            await (
                self.store.write(bind)
                if act.kind == "bind"
                else self.bindings.unbind_wechat(self.claims(account))
            )
        except HubError as error:
            return type(error)
        return None

    async def do(self, act: Act, model: Model) -> None:
        """Do *act* here and in the model, and compare what comes of it."""
        account = sorted(model.phones)[act.account % len(model.phones)] if model.phones else None
        contact = Contact("phone", self.phone(account or 0))
        now = self.store.now()
        match act.kind:
            case "sign_in":
                owner = model.sign_in(act)
                user = await enter(self.store, self.identity(act))
                assert self.ids.setdefault(owner, user["id"]) == user["id"]
            case "join":
                account = model.make(phone=True)
                contact = Contact("phone", self.phone(account))
                found = await self.store.write(lambda tx: find_or_create(tx, contact, Choice(), now))
                self.ids[account] = found.user["id"]
            case "unfollow":
                model.unfollow((act.door, act.person))
                identity = self.identity(act)
                await self.store.write(
                    lambda tx: self.bindings.forget_wechat(tx, identity.appid, identity.openid, now)
                )
            case _ if account is None:
                return
            case "number":
                model.phones[account] = True
                claims = self.claims(account)
                await self.store.write(lambda tx: self.bindings.bind_contact(tx, claims, contact, now))
            case "delete":
                model.delete(account)
                await Deletion(self.store, self.sessions).delete(self.claims(account))
            case "bind":
                assert await self.refused(act, model, account) == model.bind(act, account)
            case "unbind":
                assert await self.refused(act, model, account) == model.unbind(account)

    async def compare(self, model: Model) -> None:
        """Compare the rows of this example with the model."""
        every = await rows(self.url, "SELECT id, uid, appid, openid, unionid FROM wechat_users ORDER BY id")
        found = [row for row in every if row["openid"][:-1] == f"o{self.number}"]
        assert [(row["uid"], row["appid"], row["openid"][-1], row["unionid"]) for row in found] == [
            (
                self.ids[known.owner] if known.owner else None,
                door,
                person,
                known.unionid and f"u{self.number}{known.unionid}",
            )
            for (door, person), known in model.known.items()
        ]
        for account in model.phones:
            user_id = self.ids[account]
            (kind,) = await rows(
                self.url,
                f"SELECT login_type, wechat_user_id FROM user_login_types WHERE user_id = {user_id}",  # noqa: S608
            )
            bound = [row["id"] for row in found if row["uid"] == user_id]
            assert kind == {
                "login_type": model.login_type(account),
                "wechat_user_id": bound[0] if bound else None,
            }


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_happens_the_rows_are_true(store: Store, database_url: str, seed: int) -> None:
    """Signing in, binding, parting, unfollowing and deleting in any order come to what the model says."""
    chance = Random(seed)  # noqa: S311 - the same acts each time
    for _ in range(12):
        world, model = World(store, database_url), Model()
        for _ in range(30):
            await world.do(draw(chance), model)
            await world.compare(model)
