"""Passwords over HTTP, on real processes: sign-in, reset, change and renewed proof."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic
from typing import Any

import httpx2
import pytest

from tests.code_client import Person, new_email, new_number
from tests.problems import refused
from tests.servers.hub import HubProcess

GOOD = "correct horse battery"
OTHER = "another horse battery"


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


async def register(person: Person, email: str, **members: object) -> dict[str, Any]:
    """Make an account with a password, and return the token reply."""
    code = await person.code(email, purpose="register")
    answer = await person.post("/api/register", email=email, code=code, password=GOOD, **members)
    assert answer.status_code == 200, answer.text
    reply: dict[str, Any] = answer.json()["data"]
    return reply


async def login(person: Person, account: str, password: str = GOOD, **members: object) -> httpx2.Response:
    """Sign in by password."""
    return await person.post("/api/login/password", account=account, password=password, **members)


def bearer(reply: dict[str, Any]) -> dict[str, str]:
    """The header that a token reply gives right to."""
    return {"authorization": f"Bearer {reply['access_token']}"}


async def test_sign_in_by_password(person: Person) -> None:
    """Number, address and username give a token reply with the account, whose session the list shows."""
    email = new_email()
    name = email.partition("@")[0].replace(".", "-")
    first = await register(person, email, username=name)
    for account in (email.upper(), name):
        answer = await login(person, account, device_name="Li's laptop", device_type="web")
        assert answer.status_code == 200, answer.text
        reply = answer.json()["data"]
        assert (reply["user"]["id"], reply["is_new_user"]) == (first["user"]["id"], False)
        sessions = await person.http.get("/api/sessions", headers=bearer(reply))
        (current,) = [row for row in sessions.json()["data"]["sessions"] if row["current"]]
        assert (current["device_name"], current["amr"]) == ("Li's laptop", ["pwd"])


async def test_wrong_and_unknown_are_alike(local: Person) -> None:
    """The same status, headers and bytes, and neither comes before its time."""
    email = new_email()
    await register(local, email)
    answers = []
    for account in (email, new_email(), new_number(), "nobody"):
        began = monotonic()
        answers.append(await login(local, account, OTHER))
        assert monotonic() - began >= 0.49
    refused(answers[0], 401, "invalid-credentials")
    assert len({answer.content for answer in answers}) == 1
    told = [{name for name in answer.headers if name != "x-request-id"} for answer in answers]
    assert all(names == told[0] for names in told)


async def test_the_wait_is_told(tmp_path: Path) -> None:
    """After five wrong ones a guesser is told when to come back, and the own device is let in."""
    process = HubProcess(tmp_path, HUB_LIMITS="on", TRUSTED_PROXIES="127.0.0.1").start()
    try:
        email = new_email()
        async with (
            Person(process.url, **{"x-forwarded-for": "192.0.2.1"}) as owner,
            Person(process.url, **{"x-forwarded-for": "198.51.100.1"}) as guesser,
        ):
            await register(owner, email)
            assert (await login(owner, email)).status_code == 200
            guesses = await asyncio.gather(*(login(guesser, email, f"guess {n}") for n in range(12)))
            limited = [answer for answer in guesses if answer.status_code == 429]
            assert limited
            refused(limited[0], 429, "rate-limited")
            assert int(limited[0].headers["retry-after"]) >= 1
            assert (await login(owner, email)).status_code == 200
    finally:
        process.stop()


async def test_a_reset_over_http(person: Person) -> None:
    """The code of its own purpose sets the password, and the old session is refused everywhere."""
    number = new_number()
    reply = await person.sign_in(number)
    code = await person.code(number, purpose="reset_password")
    asked = {"phone": number, "code": code, "new_password": OTHER}
    both = await person.post("/api/password/reset", email="a@b.cn", **asked)
    refused(both, 422, "invalid-request")
    answer = await person.post("/api/password/reset", **asked)
    assert answer.status_code == 200, answer.text
    profile = await person.http.get("/api/user/profile", headers=bearer(dict(reply)))
    assert profile.status_code == 401
    assert (await login(person, number, OTHER)).status_code == 200


async def test_a_change_over_http(person: Person) -> None:
    """This session stays, the other ends, and only the new password counts."""
    email = new_email()
    here = await register(person, email)
    there = (await login(person, email)).json()["data"]
    asked = {"current_password": GOOD, "new_password": OTHER}
    refused(await person.post("/api/password/change", **asked), 401, "unauthorized")
    answer = await person.http.post("/api/password/change", json=asked, headers=bearer(here))
    assert answer.status_code == 200, answer.text
    assert (await person.http.get("/api/sessions", headers=bearer(here))).status_code == 200
    assert (await person.http.get("/api/sessions", headers=bearer(there))).status_code == 401
    assert (await login(person, email)).status_code == 401
    assert (await login(person, email, OTHER)).status_code == 200


async def test_a_password_renews_the_proof(local: Person) -> None:
    """A password gives an access token of the same session; a wrong one, none or both prove nothing."""
    reply = await register(local, new_email())

    async def reauth(**members: object) -> httpx2.Response:
        return await local.http.post("/api/reauth", json=members, headers=bearer(reply))

    answer = await reauth(password=GOOD)
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"]["session_id"] == reply["session_id"]
    refused(await reauth(password=OTHER), 401, "invalid-credentials")
    refused(await reauth(), 422, "invalid-request")
    refused(await reauth(password=GOOD, code="123456"), 422, "invalid-request")
