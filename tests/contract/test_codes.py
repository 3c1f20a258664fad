"""One-time codes on both engines: sent, checked, used, locked, budgeted."""

import json
from datetime import timedelta
from typing import Any

import pytest

from hub.codes.rules import Asker, Purpose
from hub.codes.service import Codes, Proof
from hub.errors import (
    CodeLocked,
    HubError,
    InvalidCode,
    InvalidRequest,
    RateLimited,
    SmsBudgetSpent,
    Unavailable,
)
from hub.store.database import Connection, QueryFailed, Store, connect
from hub.store.location import Location
from hub.store.queries import Bound
from tests.code_sign_in import EMAIL, NUMBER, OWNER, STRANGER, another, ask, channel_of, make_codes, sent
from tests.scanning import Stopped
from tests.signing_in import Clock, rows

MINUTE = 60
HOUR = 3600
DAY = 86400


@pytest.fixture
def codes(store: Store) -> Codes:
    """Codes with all limits."""
    return make_codes(store)


@pytest.fixture
def clock(store: Store, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The store's clock, to be moved by hand."""
    return Clock(store, monkeypatch.setattr)


async def check(
    codes: Codes,
    code: str,
    *,
    address: str = NUMBER,
    purpose: Purpose = "login",
    asker: Asker = OWNER,
) -> Proof:
    """Check a code for signing in by the owner's number, unless said otherwise."""
    return await codes.check(channel_of(address)[0], address, purpose, code, asker)


async def use(store: Store, proof: Proof) -> None:
    """Use a proof up, as whatever rests on it does."""

    async def work(tx: Connection) -> None:
        await proof.use(tx)

    await store.write(work)


async def refusal(codes: Codes, code: str, **how: Any) -> HubError:
    """Expect a check to be refused, and return why."""
    with pytest.raises(HubError) as refused:
        await check(codes, code, **how)
    return refused.value


async def test_a_code_goes_out_and_comes_back(codes: Codes, store: Store) -> None:
    """The message has the code, the address, the language and the life that the answer promises."""
    answer = await codes.send("phone", NUMBER, "login", OWNER, "en")
    assert (answer.expires_in, answer.resend_in) == (300, 60)
    (message,) = await sent(store)
    assert (message.to, message.template, message.language) == (NUMBER, "login_code", "en")
    assert message.params == {"minutes": "5"}
    assert message.code is not None
    assert len(message.code) == 6
    assert timedelta(seconds=290) < message.expires_at - store.now() <= timedelta(seconds=300)
    await use(store, await check(codes, message.code))


@pytest.mark.parametrize("purpose", ["register", "login", "reset_password", "bind", "verify"])
async def test_every_purpose_goes_by_mail(codes: Codes, store: Store, purpose: Purpose) -> None:
    """Each has its own template, and lives ten minutes by e-mail."""
    answer = await codes.send("email", EMAIL, purpose, OWNER, "zh-CN")
    assert (answer.expires_in, answer.resend_in) == (600, 60)
    (message,) = await sent(store, "email")
    assert (message.template, message.params) == (f"{purpose}_code", {"minutes": "10"})
    assert message.code is not None
    await check(codes, message.code, address=EMAIL, purpose=purpose)


async def test_a_code_has_the_length_of_its_setting(store: Store) -> None:
    """Installations with four digits keep them."""
    short = make_codes(store, lengths={"phone": 4, "email": 6})
    assert len(await ask(store, short)) == 4
    assert len(await ask(store, short, EMAIL)) == 6


async def test_the_row_keeps_no_code(codes: Codes, store: Store, database_url: str) -> None:
    """Neither the code's row nor the queue holds the code in clear."""
    code = await ask(store, codes)
    (row,) = await rows(database_url, "SELECT * FROM verification_codes")
    (queued,) = await rows(database_url, "SELECT * FROM outbox")
    assert code not in repr({**row, "id": 0, "created_at": 0, "expires_at": 0})
    assert code not in queued["payload"]
    assert NUMBER not in queued["payload"]
    assert (row["ip_address"], json.loads(row["device_info"])["user_agent"]) == (OWNER.ip, "Firefox")


async def test_a_code_is_used_once(codes: Codes, store: Store, database_url: str) -> None:
    """Used up, it is as good as a wrong one; that and when is in its row."""
    code = await ask(store, codes)
    proof = await check(codes, code)
    await use(store, proof)
    with pytest.raises(InvalidCode):
        await use(store, proof)
    assert isinstance(await refusal(codes, code), InvalidCode)
    (row,) = await rows(database_url, "SELECT is_used, used_at FROM verification_codes")
    assert (row["is_used"], row["used_at"]) == (1, proof.checked_at)


async def test_a_use_that_fails_leaves_the_code(codes: Codes, store: Store) -> None:
    """When the transaction that uses a code rolls back, the code is still good for another try."""
    code = await ask(store, codes)
    proof = await check(codes, code)

    async def work(tx: Connection) -> None:
        await proof.use(tx)
        raise RuntimeError("what rests on it failed")

    with pytest.raises(RuntimeError, match="what rests"):
        await store.write(work)
    await use(store, await check(codes, code))


@pytest.mark.parametrize(
    "how",
    [
        {"purpose": "register"},
        {"purpose": "bind"},
        {"address": "+8613800138001"},
        {"address": EMAIL},
    ],
)
async def test_a_code_is_bound_to_what_it_is_for(codes: Codes, store: Store, how: dict[str, Any]) -> None:
    """It is no good for another purpose or address."""
    code = await ask(store, codes)
    assert isinstance(await refusal(codes, code, **how), InvalidCode)
    await check(codes, code)


@pytest.mark.parametrize(("address", "life"), [(NUMBER, 300), (EMAIL, 600)])
async def test_a_code_dies_of_age(codes: Codes, store: Store, clock: Clock, address: str, life: int) -> None:
    """It is good until its last second, and then refused as a wrong one is, but put down as expired."""
    code = await ask(store, codes, address)
    clock.forward(life - 1)
    await check(codes, code, address=address)
    clock.forward(1)
    refused = await refusal(codes, code, address=address)
    assert isinstance(refused, InvalidCode)
    assert refused.expired


async def test_a_new_code_kills_the_former(codes: Codes, store: Store, clock: Clock) -> None:
    """Of one address and purpose only the newest is live; other purposes are left alone."""
    first = await ask(store, codes)
    clock.forward(MINUTE)
    other = await ask(store, codes, purpose="bind")
    clock.forward(MINUTE)
    second = await ask(store, codes)
    if first != second:
        assert isinstance(await refusal(codes, first), InvalidCode)
    await check(codes, second)
    await check(codes, other, purpose="bind")


async def test_a_proof_dies_with_its_code(codes: Codes, store: Store, clock: Clock) -> None:
    """Who had the right code, but lets a newer one be sent first, can no longer use it."""
    proof = await check(codes, await ask(store, codes))
    clock.forward(MINUTE)
    await ask(store, codes)
    with pytest.raises(InvalidCode):
        await use(store, proof)


async def test_three_tries_in_all(codes: Codes, store: Store, database_url: str) -> None:
    """After three wrong tries the right code is wrong too, for everybody."""
    code = await ask(store, codes)
    for _ in range(3):
        assert isinstance(await refusal(codes, another(code)), InvalidCode)
    assert isinstance(await refusal(codes, code), CodeLocked)
    assert isinstance(await refusal(codes, code, asker=STRANGER), InvalidCode)
    (row,) = await rows(database_url, "SELECT attempt_count FROM verification_codes")
    assert row["attempt_count"] == 3


async def test_the_third_try_may_be_right(codes: Codes, store: Store) -> None:
    """Two slips cost nothing."""
    code = await ask(store, codes)
    for _ in range(2):
        await refusal(codes, another(code))
    await use(store, await check(codes, code))


async def test_tries_count_only_against_a_live_code(codes: Codes, store: Store, clock: Clock) -> None:
    """Without a code, or with an old one, nothing is counted and nobody is locked out."""
    for _ in range(5):
        assert isinstance(await refusal(codes, "000000"), InvalidCode)
    await ask(store, codes)
    clock.forward(5 * MINUTE)
    for _ in range(5):
        assert isinstance(await refusal(codes, "000000"), InvalidCode)
    await check(codes, await ask(store, codes))


async def test_who_burns_a_code_is_locked_out(codes: Codes, store: Store, clock: Clock) -> None:
    """For ten minutes this asker neither tries nor gets a code of that address and purpose."""
    code = await ask(store, codes)
    for _ in range(3):
        await refusal(codes, another(code))
    refused = await refusal(codes, code)
    assert isinstance(refused, CodeLocked)
    assert refused.retry_after is not None
    assert 595 < refused.retry_after <= 600
    clock.forward(2 * MINUTE)
    with pytest.raises(CodeLocked):
        await codes.send("phone", NUMBER, "login", OWNER, "en")
    fresh = await ask(store, codes, asker=STRANGER)
    assert isinstance(await refusal(codes, fresh), CodeLocked)
    await check(codes, await ask_later(codes, store, clock, "bind"), purpose="bind")
    clock.forward(8 * MINUTE)
    await check(codes, await ask(store, codes))


FORBID = {
    "mysql": "CREATE TRIGGER no_lock BEFORE INSERT ON code_locks FOR EACH ROW SIGNAL SQLSTATE '45000'",
    "sqlite": "CREATE TRIGGER no_lock BEFORE INSERT ON code_locks BEGIN SELECT RAISE(ABORT, 'no'); END",
}


async def alter(database_url: str, sql: str) -> None:
    """Change the schema beside the store."""
    link = await connect(Location.parse(database_url))
    try:
        await link.execute(Bound("test", sql, ()))
    finally:
        await link.close()


async def test_a_last_try_comes_with_its_lock(codes: Codes, store: Store, database_url: str) -> None:
    """Where the lock cannot be written, neither is the try; once it can, the code's burner is locked out."""
    code = await ask(store, codes)
    for _ in range(2):
        await refusal(codes, another(code))
    await alter(database_url, FORBID[store.engine])
    with pytest.raises(QueryFailed):
        await check(codes, another(code))
    (row,) = await rows(database_url, "SELECT attempt_count FROM verification_codes")
    assert row["attempt_count"] == 2
    await alter(database_url, "DROP TRIGGER no_lock")
    assert isinstance(await refusal(codes, another(code)), InvalidCode)
    assert isinstance(await refusal(codes, code), CodeLocked)


async def ask_later(codes: Codes, store: Store, clock: Clock, purpose: Purpose) -> str:
    """Ask for another code once the gap is over."""
    clock.forward(MINUTE)
    return await ask(store, codes, purpose=purpose)


async def test_a_lock_ends_at_its_time(codes: Codes, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A millisecond before it the asker is told to wait, and then is let in."""
    clock = Stopped(store, monkeypatch.setattr)
    code = await ask(store, codes)
    for _ in range(3):
        await refusal(codes, another(code))
    clock.forward(10 * MINUTE - 0.001)
    locked = await refusal(codes, code)
    assert isinstance(locked, CodeLocked)
    assert locked.retry_after == pytest.approx(0.001)
    clock.forward(0.001)
    await check(codes, await ask(store, codes))


async def test_a_stranger_locks_only_himself_out(codes: Codes, store: Store, clock: Clock) -> None:
    """The owner of a number that a stranger has burnt a code of gets the next one, and it works."""
    code = await ask(store, codes)
    for _ in range(3):
        await refusal(codes, another(code), asker=STRANGER)
    assert isinstance(await refusal(codes, code, asker=STRANGER), CodeLocked)
    clock.forward(MINUTE)
    fresh = await ask(store, codes)
    await refusal(codes, another(fresh))
    await check(codes, fresh)


async def test_a_strangers_tries_do_not_count_as_the_owners(codes: Codes, store: Store, clock: Clock) -> None:
    """Two tries of a stranger and one slip of the owner kill the code, and lock nobody out."""
    code = await ask(store, codes)
    for _ in range(2):
        await refusal(codes, another(code), asker=STRANGER)
    await refusal(codes, another(code))
    assert isinstance(await refusal(codes, code), InvalidCode)
    clock.forward(MINUTE)
    await check(codes, await ask(store, codes))


async def test_devices_of_one_network_are_apart(codes: Codes, store: Store, clock: Clock) -> None:
    """A device with its own cookie goes on while its network is locked out."""
    code = await ask(store, codes)
    for _ in range(3):
        await refusal(codes, another(code))
    device = OWNER._replace(device="d" * 64)
    clock.forward(MINUTE)
    await check(codes, await ask(store, codes, asker=device), asker=device)
    assert isinstance(await refusal(codes, "000000", asker=OWNER._replace(ip="192.0.2.99")), CodeLocked)


async def test_the_gap_between_two_codes(codes: Codes, store: Store, clock: Clock) -> None:
    """Within a minute there is no second code for an address, whatever it is for; the first one lives on."""
    code = await ask(store, codes)
    clock.forward(18)
    for purpose in ("login", "bind"):
        with pytest.raises(RateLimited) as refused:
            await ask(store, codes, purpose=purpose)
        assert refused.value.retry_after == pytest.approx(42, abs=1)
    await ask(store, codes, "+8613800138001")
    await check(codes, code)
    clock.forward(43)
    await ask(store, codes)


async def test_the_budgets_of_an_address(codes: Codes, store: Store, clock: Clock) -> None:
    """Five codes an hour and ten a day, and the refusal tells when the next one may come."""
    for hour in range(2):
        for _ in range(5):
            await ask(store, codes)
            clock.forward(MINUTE)
        with pytest.raises(RateLimited) as refused:
            await ask(store, codes)
        assert refused.value.retry_after is not None
        clock.forward(refused.value.retry_after + 1 if hour == 0 else HOUR)
    with pytest.raises(RateLimited) as refused:
        await ask(store, codes)
    assert refused.value.retry_after is not None
    assert DAY - 3 * HOUR < refused.value.retry_after < DAY
    clock.forward(refused.value.retry_after + 1)
    await ask(store, codes)


async def test_without_limits_the_newest_is_live(store: Store) -> None:
    """Where limits are off a second code goes out at once, and replaces the first."""
    codes = make_codes(store, limited=False)
    first = await ask(store, codes)
    second = await ask(store, codes)
    if first != second:
        assert isinstance(await refusal(codes, first), InvalidCode)
    await check(codes, second)


async def test_other_countries_get_no_sms(codes: Codes, store: Store, database_url: str) -> None:
    """A number of a country that is not allowed is refused before anything is written."""
    with pytest.raises(InvalidRequest):
        await ask(store, codes, "+14155552671")
    assert await rows(database_url, "SELECT * FROM verification_codes") == []
    both = make_codes(store, countries={"+86": None, "+1": None})
    await ask(store, both, "+14155552671")


async def test_the_fuse_of_a_day(store: Store, clock: Clock, database_url: str) -> None:
    """Over the whole hub's budget no SMS goes out until midnight UTC; e-mail still does."""
    to_midnight = DAY - (store.now() - store.now().replace(hour=0, minute=0, second=0)).total_seconds()
    clock.forward(to_midnight + 10)
    codes = make_codes(store, daily_budget=2)
    for number in range(2):
        await ask(store, codes, f"+861380013800{number}")
    with pytest.raises(SmsBudgetSpent) as refused:
        await ask(store, make_codes(store, daily_budget=2), "+8613800138009")
    assert refused.value.retry_after == pytest.approx(DAY - 10, abs=5)
    assert len(await rows(database_url, "SELECT id FROM verification_codes")) == 2
    assert len(await rows(database_url, "SELECT id FROM outbox")) == 2
    await ask(store, codes, EMAIL)
    clock.forward(DAY)
    await ask(store, codes, "+8613800138009")


async def test_the_budget_of_a_country(store: Store) -> None:
    """A country with a budget of its own is cut off by itself."""
    codes = make_codes(store, countries={"+86": None, "+1": 1})
    await ask(store, codes, "+14155552671")
    with pytest.raises(SmsBudgetSpent):
        await ask(store, codes, "+14155552672")
    await ask(store, codes)


async def test_a_refused_send_leaves_the_former_code(store: Store, clock: Clock) -> None:
    """When nothing can be sent, the code that the person has stays good."""
    codes = make_codes(store, daily_budget=1)
    code = await ask(store, codes)
    clock.forward(MINUTE)
    with pytest.raises(SmsBudgetSpent):
        await ask(store, codes)
    await check(codes, code)


async def test_without_a_sender_nothing_is_promised(store: Store, database_url: str) -> None:
    """Where no SMS can be sent at all, that is said, and no code is made."""
    codes = make_codes(store, kinds=("email",))
    with pytest.raises(Unavailable):
        await ask(store, codes)
    assert await rows(database_url, "SELECT * FROM verification_codes") == []
