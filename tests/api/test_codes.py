"""Codes over HTTP, on real processes: sign-in, registration, verification, and what clients are told."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from redis import Redis

from tests.code_client import Person, new_email, new_number
from tests.code_sign_in import another
from tests.problems import refused
from tests.servers.hub import HubProcess
from tests.signing_in import execute, rows

TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()"
RECORDED = Path(__file__).parents[1] / "recorded"
# What differs from person to person and from time to time, by the end of its path.
VOLATILE = ("_token", ".session_id", ".expires_in", ".user.id", ".user.phone", "_at")


@pytest.fixture
async def person(hub: HubProcess) -> AsyncIterator[Person]:
    """Somebody at a hub without limits, on each pair of back ends in turn."""
    async with Person(hub.url) as person:
        yield person


@pytest.fixture
async def local(hub_on_sqlite: HubProcess) -> AsyncIterator[Person]:
    """Somebody at the embedded default without limits: for what does not depend on the back ends."""
    async with Person(hub_on_sqlite.url) as person:
        yield person


@pytest.fixture(scope="module")
def limited_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    """A hub with limits that believes its proxy, so that a test can come from many addresses."""
    folder = tmp_path_factory.mktemp("limited")
    process = HubProcess(folder, HUB_LIMITS="on", TRUSTED_PROXIES="127.0.0.1", SMS_COUNTRIES="86,1:2").start()
    yield process
    process.stop()


def recorded(name: str) -> Any:
    """A body as clients in the field have seen it."""
    return json.loads((RECORDED / name).read_text("utf-8"))


def same(found: Any, expected: Any, path: str = "") -> None:
    """Check that a body has the recorded members, types and constants."""
    assert type(found) is type(expected), path
    if isinstance(expected, dict):
        assert found.keys() == expected.keys(), path
        for name, value in expected.items():
            same(found[name], value, f"{path}.{name}")
    elif not path.endswith(VOLATILE):
        assert found == expected, path


async def test_sign_in_by_phone(person: Person) -> None:
    """A code comes by SMS; with it an unknown number gets an account, and a known one comes back to it."""
    number = new_number()
    first = await person.sign_in(number, device_name="Li's phone", device_type="ios", device_id="d1")
    assert (first["is_new_user"], first["user"]["phone"]) == (True, f"+86{number}")
    bearer = {"authorization": f"Bearer {first['access_token']}"}
    profile = (await person.http.get("/api/user/profile", headers=bearer)).json()["data"]
    assert profile == first["user"]
    again = await person.sign_in(f"+86{number}")
    assert (again["is_new_user"], again["user"]["id"]) == (False, first["user"]["id"])
    renewed = await person.post("/api/token/refresh", refresh_token=again["refresh_token"])
    assert renewed.json()["data"]["session_id"] == again["session_id"]
    copied = f"\u202d+86 {number}\u202c"  # as a phone's list of contacts hands it over
    answer = await person.login(copied, await person.code(number))
    assert answer.json()["data"]["user"]["id"] == first["user"]["id"]


async def test_sign_in_by_email(person: Person) -> None:
    """The same by e-mail, in whatever case the address is written."""
    email = new_email()
    first = await person.sign_in(email.upper())
    assert (first["is_new_user"], first["user"]["email"]) == (True, email)
    again = await person.sign_in(email)
    assert (again["is_new_user"], again["user"]["id"]) == (False, first["user"]["id"])


async def test_registration(person: Person) -> None:
    """A code to register makes an account with a username; with a name that is taken the code stays good."""
    email, number = new_email(), new_number()
    name = f"li{number}"
    code = await person.code(email, purpose="register")
    made = await person.post(
        "/api/register", email=email, code=code, username=name.upper(), password="correct horse"
    )
    assert made.status_code == 200, made.text
    assert made.json()["data"]["user"]["username"] == name
    code = await person.code(number, purpose="register")
    body = {"phone": number, "code": code, "password": "correct horse"}
    taken = await person.post("/api/register", **body, username=name)
    refused(taken, 409, "username-taken")
    made = await person.post("/api/register", **body, username=f"{name}b")
    assert made.json()["data"]["is_new_user"]
    code = await person.code(number, purpose="register")
    again = await person.post("/api/register", phone=number, code=code, username="ignored")
    assert again.json()["data"]["user"]["username"] == f"{name}b"


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"phone": "13800138000", "email": "li@example.com"},
        {"email": "li@example.com", "username": "1li"},
        {"email": "li@example.com", "password": "password"},
        {"email": "li@example.com", "password": "li@example.com"},
    ],
)
async def test_registration_says_what_is_missing(local: Person, members: dict[str, str]) -> None:
    """Neither or both addresses, a bad name or password: 422, before the code is looked at."""
    answer = await local.post("/api/register", code="123456", **members)
    refused(answer, 422, "invalid-request")


async def test_the_mobile_client_reads_a_sign_in(local: Person) -> None:
    """The reply to a sign-in has every member, type and constant of the recorded one, in a flat user."""
    reply = await local.login(number := new_number(), await local.code(number))
    same(reply.json(), recorded("login.json"))
    assert reply.headers["cache-control"] == "no-store"
    refresh_token = reply.json()["data"]["refresh_token"]
    renewed = await local.post("/api/token/refresh", refresh_token=refresh_token)
    same(renewed.json(), recorded("refresh.json"))
    assert list(renewed.json()["data"]) == list(recorded("refresh.json")["data"])


@pytest.mark.parametrize("address", [new_number(), new_email()], ids=["phone", "email"])
async def test_the_mobile_client_reads_a_sending(local: Person, address: str) -> None:
    """The reply to a sending is the recorded one to the letter."""
    name = "send-verification-code.json" if "@" in address else "send-code.json"
    assert (await local.send(address)).json() == recorded(name)


async def test_the_mobile_client_reads_a_refusal(local: Person) -> None:
    """A wrong code is refused in the recorded words."""
    local.http.headers["accept-language"] = "zh-CN"
    answer = await local.login(new_number(), "000000")
    assert refused(answer, 400, "invalid-code") == recorded("invalid-code.json")


async def test_sending_tells_nothing_of_accounts(local: Person) -> None:
    """Known and unknown numbers get the same answer."""
    known, unknown = new_number(), new_number()
    await local.sign_in(known)
    first, second = [await local.send(number) for number in (known, unknown)]
    assert first.content == second.content
    assert set(first.headers) - {"set-cookie"} == set(second.headers)


async def test_a_wrong_code_tells_nothing_of_accounts(hub: HubProcess, person: Person) -> None:
    """Known, banned and unknown numbers are refused in the same words."""
    known, banned, unknown = new_number(), new_number(), new_number()
    for number in (known, banned):
        await person.sign_in(number)
    await execute(
        hub.database_url, "UPDATE users SET status = 'banned' WHERE phone = :phone", phone=f"+86{banned}"
    )
    bodies = []
    for number in (known, banned, unknown):
        code = await person.code(number)
        bodies.append(refused(await person.login(number, another(code)), 400, "invalid-code"))
        if number == banned:
            refused(await person.login(number, code), 403, "account-blocked")
    assert bodies[0] == bodies[1] == bodies[2]


async def test_the_one_who_guesses_is_locked_out(hub_on_sqlite: HubProcess) -> None:
    """A guesser is locked out with its network; the owner's device, by its cookie, goes on."""
    number = new_number()
    async with Person(hub_on_sqlite.url) as owner, Person(hub_on_sqlite.url) as guesser:
        code = await owner.code(number)
        for _ in range(3):
            refused(await guesser.login(number, another(code)), 400, "invalid-code")
        locked = refused(await guesser.login(number, code), 429, "code-locked")
        assert 590 <= locked["retry_after"] <= 600
        refused(await guesser.send(number), 429, "code-locked")
        refused(await owner.login(number, code), 400, "invalid-code")
        await owner.sign_in(number)


async def test_a_device_keeps_its_name(local: Person) -> None:
    """The cookie is given once, cannot be read by scripts, and stays the same."""
    first = await local.send(new_number())
    assert "HttpOnly" in first.headers["set-cookie"]
    assert "SameSite=lax" in first.headers["set-cookie"]
    second = await local.send(new_number())
    assert "set-cookie" not in second.headers


async def test_verification_of_an_address(person: Person) -> None:
    """Only who had the code sent is told that the address has answered."""
    email = new_email()
    code = await person.code(email, anon_id="reader-1")

    async def verified(anon_id: str | None) -> bool:
        query = {"email": email} if anon_id is None else {"email": email, "anon_id": anon_id}
        answer = await person.http.get("/api/check-email-verification", params=query)
        found: bool = answer.json()["data"]["verified"]
        return found

    assert not await verified("reader-1")
    wrong = await person.post("/api/verify-email-code", email=email, code=another(code), anon_id="reader-1")
    refused(wrong, 400, "invalid-code")
    right = await person.post("/api/verify-email-code", email=email, code=code, anon_id="reader-1")
    assert right.json()["data"] == {"verified": True}
    assert [await verified(anon_id) for anon_id in ("reader-1", "reader-2", None)] == [True, False, False]


async def test_verification_by_who_is_signed_in(hub: HubProcess, person: Person) -> None:
    """An account's own address is marked for its bearer, and told to its bearer."""
    email, number = new_email(), new_number()
    reply = await person.sign_in(number)
    await execute(
        hub.database_url,
        "UPDATE users SET email = :email WHERE phone = :phone",
        email=email,
        phone=f"+86{number}",
    )
    code = await person.code(email)
    person.http.headers["authorization"] = f"Bearer {reply['access_token']}"
    answer = await person.post("/api/verify-email-code", email=email, code=code)
    assert answer.status_code == 200, answer.text
    check = await person.http.get("/api/check-email-verification", params={"email": email})
    assert check.json()["data"] == {"verified": True}
    profile = (await person.http.get("/api/user/profile")).json()["data"]
    assert profile["email_verified"]
    person.http.headers["authorization"] = "Bearer nonsense"
    refused(
        await person.http.get("/api/check-email-verification", params={"email": email}), 401, "unauthorized"
    )


async def test_foreign_pages_send_nothing(local: Person) -> None:
    """A page of another site gets no code sent and nobody signed in."""
    local.http.headers["origin"] = "https://evil.example"
    refused(await local.send(new_number()), 403, "origin-not-allowed")
    refused(await local.login(new_number(), "000000"), 403, "origin-not-allowed")


async def test_a_second_code_has_to_wait(limited_hub: HubProcess) -> None:
    """Within a minute, from wherever it is asked: 429, and when to come back, in the words clients know."""
    number = new_number()
    async with Person(limited_hub.url, **{"x-forwarded-for": "203.0.113.1"}) as first:
        code = await first.code(number)
    async with Person(
        limited_hub.url, **{"x-forwarded-for": "198.51.100.1", "accept-language": "zh-CN"}
    ) as second:
        body = refused(await second.send(number, purpose="bind"), 429, "rate-limited")
        assert body["message"] == f"请 {body['retry_after']} 秒后再试"
        assert 55 <= body["retry_after"] <= 60
        assert (await second.login(number, code)).status_code == 200


async def test_waiting_costs_nothing(limited_hub: HubProcess) -> None:
    """A code that is refused because the number has to wait leaves the address' twenty as they were."""
    number = new_number()
    async with Person(limited_hub.url, **{"x-forwarded-for": "203.0.113.40"}) as person:
        assert (await person.send(number)).status_code == 200
        for _ in range(3):
            answer = await person.send(number)
            refused(answer, 429, "rate-limited")
            assert answer.headers["ratelimit"].startswith('"sends";r=19;')
        assert (await person.send(new_number())).headers["ratelimit"].startswith('"sends";r=18;')


async def test_an_address_sends_twenty_an_hour(limited_hub: HubProcess) -> None:
    """The twenty-first code from one address is refused; another address goes on."""
    async with Person(limited_hub.url, **{"x-forwarded-for": "203.0.113.20"}) as person:
        answers = [await person.send(new_number()) for _ in range(20)]
        assert {answer.status_code for answer in answers} == {200}
        assert answers[0].headers["ratelimit-policy"] == '"sends";q=20;w=3600'
        assert answers[0].headers["ratelimit"].startswith('"sends";r=19;')
        last = await person.send(new_number())
        refused(last, 429, "rate-limited")
        assert int(last.headers["retry-after"]) > 3500
        person.http.headers["x-forwarded-for"] = "203.0.113.21"
        assert (await person.send(new_number())).status_code == 200


async def test_a_network_sends_a_hundred_an_hour(limited_hub: HubProcess) -> None:
    """Changing the address within a /24 gains no more than the network's budget."""
    async with Person(limited_hub.url) as person:
        found = []
        for number in range(101):
            person.http.headers["x-forwarded-for"] = f"192.0.2.{number + 1}"
            found.append((await person.send(new_number())).status_code)
    assert found == [200] * 100 + [429]


async def test_countries_have_their_budgets(limited_hub: HubProcess) -> None:
    """A country that is not allowed gets nothing, and one with a budget no more than that."""
    async with Person(limited_hub.url, **{"x-forwarded-for": "203.0.113.30"}) as person:
        body = refused(await person.send("7400123456", country_code="+44"), 422, "invalid-request")
        assert body["errors"][0]["field"] == "phone"
        for number in ("2015550123", "2015550124"):
            assert (await person.send(number, country_code="+1")).status_code == 200
        body = refused(await person.send("2015550125", country_code="+1"), 503, "sms-budget-spent")
        assert 0 < body["retry_after"] <= 86400


async def test_codes_stay_where_they_belong(
    hub_env: dict[str, str], redis_url: str, redis_prefix: str, tmp_path: Path
) -> None:
    """No code is in the log, in Redis, or in clear in the database, and no number is in the log in full."""
    number, email = new_number(), new_email()
    process = HubProcess(tmp_path, **hub_env, HUB_LIMITS="on").start()
    try:
        async with Person(process.url) as person:
            codes = [await person.code(number), await person.code(email, purpose="login")]
            await person.login(number, another(codes[0]))
            for address, code in zip((number, email), codes, strict=True):
                assert (await person.login(address, code)).status_code == 200
        in_redis = remembered(redis_url, redis_prefix)
    finally:
        process.stop()
    log = re.sub(r"\.\d+Z|(request_id|reference)=\S+", "", process.log())
    in_database = await stored(hub_env["DATABASE_URL"])
    assert "/api/login" in log
    assert "limit:" in in_redis
    assert "+86" + number in in_database
    for secret in (*codes, number, email):
        assert secret not in log
        assert secret not in in_redis
    for code in codes:
        assert code not in in_database


def remembered(url: str, prefix: str) -> str:
    """Every name and value that Redis keeps under a prefix."""
    with Redis.from_url(url, decode_responses=True) as redis:
        texts = []
        for name in redis.scan_iter(f"{prefix}*"):
            read = redis.get if redis.type(name) == "string" else redis.hgetall
            texts.append(f"{name} {read(name)}")
    return "\n".join(texts)


async def stored(url: str) -> str:
    """Every text that the database keeps, without ids and times, which may hold any six digits."""
    tables = [str(next(iter(row.values()))) for row in await rows(url, TABLES)]
    texts = []
    for table in tables:
        for row in await rows(url, f"SELECT * FROM {table}"):  # noqa: S608 - the schema's own names
            texts += [value for value in row.values() if isinstance(value, str)]
    return "\n".join(texts)


async def test_nothing_is_lost_between_two_processes(
    hub_on_servers: HubProcess, hub_env: dict[str, str], tmp_path: Path
) -> None:
    """A code that one process sent is good at another, once."""
    other = HubProcess(tmp_path, **hub_env).start()
    try:
        async with Person(hub_on_servers.url) as here, Person(other.url) as there:
            number = new_number()
            code = await here.code(number)
            answers: list[httpx2.Response] = list(
                await asyncio.gather(here.login(number, code), there.login(number, code))
            )
    finally:
        other.stop()
    assert sorted(answer.status_code for answer in answers) == [200, 400]
