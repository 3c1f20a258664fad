"""Signing in and registering by a code, on both engines."""

from collections.abc import AsyncIterator

import pytest

from hub.errors import AccountBlocked, CodeLocked, HubError, InvalidCode, Unauthorized, UsernameTaken
from hub.store.database import Row, Store
from hub.tokens.service import TokenPair
from tests.code_sign_in import EMAIL, NUMBER, OWNER, Entry, another, ask, make_entry
from tests.signing_in import Clock, execute, record_statements, rows, sign_in


@pytest.fixture
async def entry(store: Store) -> AsyncIterator[Entry]:
    """The services, started."""
    entry = make_entry(store)
    await entry.sessions.start()
    yield entry
    await entry.sessions.stop()


async def runs(entry: Entry, tokens: TokenPair) -> bool:
    """Tell whether the access token is still accepted."""
    try:
        await entry.sessions.verify(tokens.access_token)
    except Unauthorized:
        return False
    return True


async def account(store: Store, database_url: str, **columns: object) -> Row:
    """Put an account there, as an import from elsewhere does, and return it."""
    given = {"phone": None, "email": None, "status": "active", **columns}
    names = ", ".join(given)
    values = ", ".join(f":{name}" for name in given)
    await execute(
        database_url,
        f"INSERT INTO users ({names}, created_at, updated_at) VALUES ({values}, :now, :now)",  # noqa: S608 - our names
        **given,
        now=store.now(),
    )
    (row,) = await rows(database_url, "SELECT * FROM users")
    return row


async def test_an_unknown_number_gets_an_account(entry: Entry, database_url: str) -> None:
    """Verified, with its calling code and login type, signed in, and told as new."""
    signed_in = await entry.sign_in()
    claims = await entry.sessions.verify(signed_in.tokens.access_token)
    assert (claims.user_id, claims.amr) == (signed_in.user["id"], ("otp", "sms"))
    assert signed_in.is_new_user
    assert (signed_in.user["phone"], signed_in.user["country_code"]) == (NUMBER, "+86")
    assert (signed_in.user["is_phone_verified"], signed_in.user["email_verified"]) == (True, False)
    assert (signed_in.user["login_type"], signed_in.user["login_methods"]) == ("phone", ["phone"])
    assert signed_in.user["last_login_at"] is not None
    (kind,) = await rows(database_url, "SELECT user_id, login_type FROM user_login_types")
    assert (kind["user_id"], kind["login_type"]) == (claims.user_id, "phone")


async def test_an_unknown_address_gets_an_account(entry: Entry, database_url: str) -> None:
    """By e-mail as by SMS."""
    signed_in = await entry.sign_in(EMAIL)
    claims = await entry.sessions.verify(signed_in.tokens.access_token)
    assert (claims.email, claims.amr) == (EMAIL, ("otp", "email"))
    assert (signed_in.user["email"], signed_in.user["phone"]) == (EMAIL, "")
    assert (signed_in.user["is_phone_verified"], signed_in.user["email_verified"]) == (False, True)
    (kind,) = await rows(database_url, "SELECT login_type FROM user_login_types")
    assert kind["login_type"] == "email"


@pytest.mark.parametrize("address", [NUMBER, EMAIL])
async def test_a_known_person_comes_back(entry: Entry, database_url: str, address: str) -> None:
    """The same account, and the sessions of before run on."""
    first = await entry.sign_in(address)
    again = await entry.sign_in(address)
    assert not again.is_new_user
    assert again.user["id"] == first.user["id"]
    assert again.tokens.session_id != first.tokens.session_id
    assert await runs(entry, first.tokens)
    assert len(await rows(database_url, "SELECT id FROM users")) == 1


async def test_registration_sets_name_and_password(entry: Entry, database_url: str) -> None:
    """A new account has the username and a hash of the password."""
    signed_in = await entry.sign_in(EMAIL, purpose="register", username="lina", password="correct horse")
    assert signed_in.is_new_user
    assert signed_in.user["username"] == "lina"
    assert signed_in.user["login_methods"] == ["email", "password"]
    (row,) = await rows(database_url, "SELECT password_hash FROM users")
    assert row["password_hash"].startswith("$argon2id$")


async def test_registering_again_signs_in(entry: Entry, database_url: str) -> None:
    """On an address that exists the name and the password are ignored."""
    first = await entry.sign_in(purpose="register", username="lina", password="correct horse")
    (before,) = await rows(database_url, "SELECT username, password_hash FROM users")
    again = await entry.sign_in(purpose="register", username="other", password="another horse")
    assert not again.is_new_user
    assert again.user["id"] == first.user["id"]
    assert await rows(database_url, "SELECT username, password_hash FROM users") == [before]


async def test_a_taken_username_leaves_the_code(entry: Entry, store: Store, database_url: str) -> None:
    """Nothing is made, and the same code registers under another name."""
    await entry.sign_in(purpose="register", username="lina")
    code = await ask(store, entry.codes, EMAIL, "register")
    with pytest.raises(UsernameTaken):
        await entry.sign_in(EMAIL, code, purpose="register", username="lina")
    assert len(await rows(database_url, "SELECT id FROM users")) == 1
    signed_in = await entry.sign_in(EMAIL, code, purpose="register", username="lina2")
    assert signed_in.is_new_user


@pytest.mark.parametrize("purpose", ["login", "register"])
async def test_a_code_opens_only_its_own_door(entry: Entry, store: Store, purpose: str) -> None:
    """A code to register does not sign in, nor the other way round."""
    code = await ask(store, entry.codes, NUMBER, "login" if purpose == "register" else "register")
    with pytest.raises(InvalidCode):
        await entry.sign_in(NUMBER, code, purpose=purpose)


async def test_a_code_signs_in_once(entry: Entry, store: Store, database_url: str) -> None:
    """The second sign-in with a code is refused, and opens no session."""
    code = await ask(store, entry.codes)
    await entry.sign_in(code=code)
    with pytest.raises(InvalidCode):
        await entry.sign_in(code=code)
    assert len(await rows(database_url, "SELECT id FROM user_sessions")) == 1


@pytest.mark.parametrize("status", ["banned", "inactive"])
@pytest.mark.parametrize("address", [NUMBER, EMAIL])
async def test_a_blocked_account_stays_out(
    entry: Entry, store: Store, database_url: str, status: str, address: str
) -> None:
    """With the right code that is said, and recorded; with a wrong one it is a wrong code like any other."""
    user = (await entry.sign_in(address)).user
    await execute(database_url, "UPDATE users SET status = :status", status=status)
    code = await ask(store, entry.codes, address)
    with pytest.raises(InvalidCode):
        await entry.sign_in(address, another(code))
    with pytest.raises(AccountBlocked):
        await entry.sign_in(address, code)
    assert len(await rows(database_url, "SELECT id FROM user_sessions")) == 1
    log = await rows(database_url, "SELECT * FROM login_logs ORDER BY id DESC LIMIT 1")
    assert [(row["login_status"], row["failure_reason"], row["user_id"]) for row in log] == [
        ("blocked", "account_blocked", user["id"])
    ]


async def test_a_proved_address_activates_its_account(entry: Entry, store: Store, database_url: str) -> None:
    """An account that waits for its e-mail address becomes active with the first code from there."""
    await account(store, database_url, email=EMAIL, status="pending")
    signed_in = await entry.sign_in(EMAIL)
    assert (signed_in.user["status"], signed_in.user["email_verified"]) == (1, True)


async def test_another_address_does_not_activate(entry: Entry, store: Store, database_url: str) -> None:
    """A code to its phone is no word from the e-mail address that the account waits for."""
    await account(store, database_url, phone=NUMBER, email=EMAIL, status="pending")
    with pytest.raises(AccountBlocked):
        await entry.sign_in()
    (row,) = await rows(database_url, "SELECT status, is_phone_verified FROM users")
    assert (row["status"], row["is_phone_verified"]) == ("pending", 0)


@pytest.mark.parametrize("address", [NUMBER, EMAIL])
async def test_the_first_proof_drops_what_was_set_before(
    entry: Entry, store: Store, database_url: str, address: str
) -> None:
    """Whoever made the account without ever proving the address loses password and sessions."""
    column = "email" if "@" in address else "phone"
    user = await account(store, database_url, **{column: address, "password_hash": "$argon2id$squatter"})
    squatter = await sign_in(store, entry.sessions, user)
    signed_in = await entry.sign_in(address)
    assert signed_in.user["id"] == user["id"]
    assert not await runs(entry, squatter)
    assert await runs(entry, signed_in.tokens)
    (row,) = await rows(database_url, "SELECT password_hash FROM users")
    assert row["password_hash"] is None
    ended = await rows(database_url, "SELECT revoked_reason FROM user_sessions WHERE is_active = 0")
    assert [row["revoked_reason"] for row in ended] == ["address_verified"]


async def test_a_later_proof_drops_nothing(entry: Entry, database_url: str) -> None:
    """A password that was set by the owner of the address outlives the next sign-in by code."""
    await entry.sign_in(purpose="register", password="correct horse")
    await entry.sign_in()
    (row,) = await rows(database_url, "SELECT password_hash FROM users")
    assert row["password_hash"].startswith("$argon2id$")


async def test_every_try_is_on_record(entry: Entry, store: Store, clock: Clock, database_url: str) -> None:
    """Wrong, right, used, old and locked-out tries, each with its reason, account, device and address."""
    code = await ask(store, entry.codes)
    await fails(entry, another(code))
    await entry.sign_in(code=code)
    await fails(entry, code)
    stale = await ask(store, entry.codes)
    clock.forward(300)
    await fails(entry, stale)
    burnt = await ask(store, entry.codes)
    for _ in range(3):
        await fails(entry, another(burnt))
    assert isinstance(await fails(entry, burnt), CodeLocked)
    log = await rows(database_url, "SELECT * FROM login_logs ORDER BY id")
    assert [(row["login_status"], row["failure_reason"]) for row in log] == [
        ("failed", "invalid_code"),
        ("success", None),
        ("failed", "invalid_code"),
        ("failed", "expired_code"),
        *[("failed", "invalid_code")] * 3,
        ("blocked", "rate_limit"),
    ]
    assert {row["account"] for row in log} == {NUMBER}
    assert {row["login_method"] for row in log} == {"sms_code"}
    assert {(row["ip_address"], row["device_name"], row["device_type"]) for row in log} == {
        ("198.51.100.7", "Phone", "ios")
    }
    assert [row["user_id"] is not None for row in log] == [False, True, *[False] * 6]


async def fails(entry: Entry, code: str) -> HubError:
    """Expect a sign-in to be refused, and return why."""
    with pytest.raises(HubError) as refused:
        await entry.sign_in(code=code)
    return refused.value


async def test_tries_by_mail_are_on_record(entry: Entry, database_url: str) -> None:
    """The method tells the channel."""
    await entry.sign_in(EMAIL)
    (row,) = await rows(database_url, "SELECT login_method, account FROM login_logs")
    assert (row["login_method"], row["account"]) == ("email_code", EMAIL)


async def test_wrong_codes_cost_the_same_statements(
    entry: Entry, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until a code has proved right, no statement depends on whether there is an account."""
    await entry.sign_in()
    asked: list[list[str]] = []
    for address in (NUMBER, "+8613800138001"):
        code = await ask(store, entry.codes, address)
        names: list[str] = []
        with monkeypatch.context() as patched:
            record_store(patched, names)
            statements = record_statements(patched.setattr)
            with pytest.raises(InvalidCode):
                await entry.sign_in(address, another(code))
        asked.append(names + statements)
    assert asked[0] == asked[1]
    assert "codes.count_try" in asked[0]


def record_store(patched: pytest.MonkeyPatch, names: list[str]) -> None:
    """Note the name of each statement that the store is given, but for what the sessions read each second."""
    for method in ("one", "all", "changed", "insert"):
        real = getattr(Store, method)

        async def noted(self: Store, query: str, /, *, _real: object = real, **values: object) -> object:
            if query != "tokens.revoked_since":
                names.append(query)
            return await _real(self, query, **values)  # type: ignore[operator]  # a method of Store

        patched.setattr(Store, method, noted)


async def test_a_sign_in_takes_few_statements(
    entry: Entry, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The try by itself; then a known number's transaction: the code, the account, its session."""
    await entry.sign_in()
    code = await ask(store, entry.codes)
    names = record_statements(monkeypatch.setattr)
    await entry.sign_in(code=code)
    assert names[:3] == ["codes.count_try", "codes.use", "accounts.by_phone"]
    assert names[-2:] == ["audit.record", "accounts.profile"]
    assert len(names) <= 11


async def test_asker_and_device_are_apart(entry: Entry, store: Store) -> None:
    """Who is locked out is the asker, whatever device it says it is."""
    code = await ask(store, entry.codes)
    for _ in range(3):
        await fails(entry, another(code))
    with pytest.raises(CodeLocked):
        await entry.sign_in(code=code, asker=OWNER)
    other = await ask(store, entry.codes, asker=OWNER._replace(device="d" * 64))
    await entry.sign_in(code=other, asker=OWNER._replace(device="d" * 64))


@pytest.fixture
def clock(store: Store, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The store's clock, to be moved by hand."""
    return Clock(store, monkeypatch.setattr)
