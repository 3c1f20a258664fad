"""Parallel sends, guesses and sign-ins: one live code, three tries, one winner, one account."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable

import pytest

from hub.codes.rules import Peppers, Target
from hub.codes.service import Codes, Sent
from hub.codes.sign_in import SignedIn
from hub.errors import CodeLocked, HubError, InvalidCode, RateLimited, SmsBudgetSpent
from hub.store.database import Store
from tests.code_sign_in import (
    EMAIL,
    NUMBER,
    OWNER,
    STRANGER,
    Entry,
    another,
    ask,
    make_codes,
    make_entry,
    sent,
)
from tests.signing_in import rows, warm

RACERS = 20
GUESSES = 200
LIVE = "SELECT id FROM verification_codes WHERE is_used = 0"


@pytest.fixture
async def entry(store: Store) -> AsyncIterator[Entry]:
    """The services, started, over open connections."""
    entry = make_entry(store)
    await entry.sessions.start()
    await warm(store)
    yield entry
    await entry.sessions.stop()


@pytest.fixture
def comparisons(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The codes that are compared, as they are."""
    compared: list[str] = []
    match = Peppers.match

    def noted(self: Peppers, code_hash: str, target: Target, code: str) -> bool:
        compared.append(code)
        return match(self, code_hash, target, code)

    monkeypatch.setattr(Peppers, "match", noted)
    return compared


async def outcomes(*racers: Awaitable[object]) -> Counter[str]:
    """Count what came of the racers: the class of each result or error."""
    results = await asyncio.gather(*racers, return_exceptions=True)
    return Counter(type(result).__name__ for result in results)


async def test_parallel_guesses_get_three_comparisons(
    store: Store, database_url: str, comparisons: list[str]
) -> None:
    """Of two hundred guesses at once three are compared; the code is dead and its guesser locked out."""
    codes = make_codes(store)
    code = await ask(store, codes)
    await warm(store)
    wrong = [f"{(int(code) + 1 + number) % 10**6:06d}" for number in range(GUESSES)]
    results = await asyncio.gather(
        *(codes.check("phone", NUMBER, "login", guess, OWNER) for guess in wrong), return_exceptions=True
    )
    assert all(isinstance(result, InvalidCode | CodeLocked) for result in results), Counter(
        map(type, results)
    )
    assert len(comparisons) == 3
    (row,) = await rows(database_url, "SELECT attempt_count FROM verification_codes")
    assert row["attempt_count"] == 3
    with pytest.raises(CodeLocked):
        await codes.check("phone", NUMBER, "login", code, OWNER)
    with pytest.raises(InvalidCode):
        await codes.check("phone", NUMBER, "login", code, STRANGER)


async def test_guesses_of_many_askers_get_three_comparisons(
    store: Store, database_url: str, comparisons: list[str]
) -> None:
    """Guessing from two hundred networks gains no try, and locks nobody out."""
    codes = make_codes(store)
    code = await ask(store, codes)
    await warm(store)
    askers = [OWNER._replace(network=f"10.0.{number}.0/24") for number in range(GUESSES)]
    found = await outcomes(*(codes.check("phone", NUMBER, "login", another(code), asker) for asker in askers))
    assert found == {"InvalidCode": GUESSES}
    assert len(comparisons) == 3
    assert await rows(database_url, "SELECT asker FROM code_locks WHERE asker <> ''") == []


async def test_a_right_answer_among_guesses_is_used_once(entry: Entry, store: Store) -> None:
    """However the right answers lie among the wrong ones, at most one session comes of a code."""
    code = await ask(store, entry.codes)
    answers = [code if number % 3 == 0 else another(code) for number in range(30)]
    found = await outcomes(*(entry.sign_in(code=answer) for answer in answers))
    assert found["SignedIn"] <= 1
    assert found["SignedIn"] + found["InvalidCode"] + found["CodeLocked"] == 30


@pytest.mark.parametrize("address", [NUMBER, EMAIL])
async def test_of_two_right_answers_one_wins(
    entry: Entry, store: Store, database_url: str, address: str
) -> None:
    """The same code twice at once: one session, one account, one refusal; ten times over."""
    for _ in range(10):
        code = await ask(store, entry.codes, address)
        found = await outcomes(*(entry.sign_in(address, code) for _ in range(2)))
        assert found == {"SignedIn": 1, "InvalidCode": 1}
    assert len(await rows(database_url, "SELECT id FROM user_sessions")) == 10
    assert len(await rows(database_url, "SELECT id FROM users")) == 1


async def test_parallel_sends_leave_one_live_code(store: Store, database_url: str) -> None:
    """Of twenty sends to one number at once, one goes out; the others are told to wait."""
    codes = make_codes(store)
    await warm(store)
    found = await outcomes(*(codes.send("phone", NUMBER, "login", OWNER, "en") for _ in range(RACERS)))
    assert found == {Sent.__name__: 1, RateLimited.__name__: RACERS - 1}
    assert len(await rows(database_url, LIVE)) == 1
    assert len(await sent(store)) == 1


async def test_parallel_sends_of_two_processes(store: Store, database_url: str) -> None:
    """The gap is held by the database: two processes that know nothing of each other keep it too."""
    other = Store(database_url)
    await other.start()
    both: list[Codes] = [make_codes(store), make_codes(other)]
    found = await outcomes(
        *(both[number % 2].send("phone", NUMBER, "login", OWNER, "en") for number in range(RACERS))
    )
    await other.stop()
    assert found == {Sent.__name__: 1, RateLimited.__name__: RACERS - 1}


async def test_without_limits_parallel_sends_leave_one_live_code(store: Store, database_url: str) -> None:
    """Each send replaces all that went before, and the one that is left is the newest."""
    codes = make_codes(store, limited=False)
    await warm(store)
    found = await outcomes(*(codes.send("phone", NUMBER, "login", OWNER, "en") for _ in range(RACERS)))
    assert found == {Sent.__name__: RACERS}
    (live,) = await rows(database_url, LIVE)
    (newest,) = await rows(database_url, "SELECT MAX(id) AS id FROM verification_codes")
    assert live["id"] == newest["id"]
    right = (await sent(store))[-1].code
    assert right is not None
    await codes.check("phone", NUMBER, "login", right, OWNER)


async def test_a_send_and_a_use_at_once(entry: Entry, store: Store, database_url: str) -> None:
    """A code that is replaced while it is being used signs in or does not; one live code is left."""
    for _ in range(10):
        code = await ask(store, entry.codes)
        found = await outcomes(
            entry.sign_in(code=code), entry.codes.send("phone", NUMBER, "login", OWNER, "en")
        )
        assert found["Sent"] == 1
        assert found["SignedIn"] + found["InvalidCode"] == 1
        assert len(await rows(database_url, LIVE)) == 1


async def test_the_fuse_holds_under_parallel_sends(store: Store, database_url: str) -> None:
    """Of thirty sends to as many numbers, the budget of seven is spent and not one SMS more."""
    codes = make_codes(store, daily_budget=7)
    await warm(store)
    numbers = [f"+86138001380{number:02d}" for number in range(30)]
    found = await outcomes(*(codes.send("phone", number, "login", OWNER, "en") for number in numbers))
    assert found == {Sent.__name__: 7, SmsBudgetSpent.__name__: 23}
    assert len(await rows(database_url, "SELECT id FROM outbox")) == 7


async def test_first_sign_ins_of_one_number_make_one_account(
    entry: Entry, store: Store, database_url: str
) -> None:
    """Signing in and registering at once, each with its own code, end in the same new account."""
    for number in range(5):
        address = f"+8613800138{number:03d}"
        login = await ask(store, entry.codes, address, "login")
        register = await ask(store, entry.codes, address, "register")
        results = await asyncio.gather(
            entry.sign_in(address, login),
            entry.sign_in(address, register, purpose="register"),
            return_exceptions=True,
        )
        signed_in = [result for result in results if isinstance(result, SignedIn)]
        assert len(signed_in) == 2, results
        assert len({result.user["id"] for result in signed_in}) == 1
        assert sorted(result.is_new_user for result in signed_in) == [False, True]
    for table in ("users", "user_login_types"):
        assert len(await rows(database_url, f"SELECT id FROM {table}")) == 5  # noqa: S608 - constants


async def test_one_username_goes_to_one_account(entry: Entry, store: Store, database_url: str) -> None:
    """Ten registrations of one name: one has it, the others may choose again with the same code."""
    codes = {
        address: await ask(store, entry.codes, address, "register")
        for address in (f"li{number}@example.com" for number in range(10))
    }

    async def register(address: str, name: str) -> SignedIn | HubError:
        try:
            return await entry.sign_in(address, codes[address], purpose="register", username=name)
        except HubError as refusal:
            return refusal

    results = dict(zip(codes, await asyncio.gather(*(register(a, "lina") for a in codes)), strict=True))
    losers = [address for address, result in results.items() if not isinstance(result, SignedIn)]
    assert {type(results[address]).__name__ for address in losers} == {"UsernameTaken"}
    assert len(losers) == 9
    again = await register(losers[0], "lina2")
    assert isinstance(again, SignedIn)
    assert again.is_new_user
