"""No code, password or number leaves its place: each is used, and then looked for wherever it must not be."""

import asyncio
import contextlib
import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.canary import Canary, monitored
from tests.code_client import Person, new_email, new_number
from tests.servers.hub import SECRET, HubProcess
from tests.servers.mariadb import MariaDB
from tests.servers.redis import RedisServer
from tests.servers.waiting import until
from tests.signing_in import rows
from tests.streaming import AccountSocket, bearer

# The columns that are there for a number.
FOR_NUMBERS = {"code_locks.address", "login_logs.account", "users.phone", "verification_codes.address"}
KEYS = {
    "JWT_SECRET": "jwt",
    "COOKIE_SECRET": "cookie",
    "REFRESH_KEYS": "refresh",
    "CODE_PEPPERS": "pepper",
    "DATA_KEYS": "data",
}


@pytest.fixture
def canary() -> Canary:
    """One that knows the settings' secrets."""
    canary = Canary()
    canary.secrets = {"server key": {f"{name}-{SECRET}" for name in KEYS.values()}}
    return canary


@pytest.fixture
def hub(tmp_path: Path, mariadb_url: str, own_redis: RedisServer) -> Iterator[HubProcess]:
    """A hub on MariaDB and a Redis of its own that logs all it can."""
    keys = {setting: f"{name}-{SECRET}" for setting, name in KEYS.items()}
    hub = HubProcess(
        tmp_path, DATABASE_URL=mariadb_url, REDIS_URL=own_redis.url, LOG_LEVEL="debug", **keys
    ).start()
    yield hub
    hub.stop()


class Walk:
    """Somebody who does all that can be done with codes and passwords; the mailbox is read elsewhere."""

    def __init__(self, hub: HubProcess, canary: Canary) -> None:
        self.canary = canary
        self.person, self.mailbox = Person(hub.url), Person(hub.url)
        self.number, self.email = new_number(), new_email()
        self._url = hub.url
        canary.listen(self.person.http)
        canary.note("phone number", self.number)

    async def __aenter__(self) -> "Walk":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.person.http.aclose()
        await self.mailbox.http.aclose()

    def password(self) -> str:
        """A new password."""
        password = f"correct horse {secrets.token_urlsafe(12)}"
        self.canary.note("password", password)
        return password

    async def code(self, address: str, **members: str) -> str:
        """Ask for a code, as the person, and read it where it arrives."""
        while True:
            before = await self.mailbox.messages(address)
            await self.person.send(address, **members)

            async def arrived(known: int = len(before)) -> bool:
                return len(await self.mailbox.messages(address)) > known

            await until(arrived)
            code: str = (await self.mailbox.messages(address))[0]["code"]
            if not code.endswith("000"):  # as times do that are kept in milliseconds
                self.canary.note_code(code)
                return code

    async def listen(self, reply: dict[str, Any]) -> None:
        """Write down what both channels tell of the account from its beginning."""
        async with AccountSocket(self._url, reply, "?seq=0") as socket:
            self.canary.give("frames", json.dumps(socket.greeting))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    while True:
                        self.canary.give("frames", json.dumps(await socket.frame()))
        events = self.mailbox.http.stream("GET", "/api/sessions/events?seq=0", headers=bearer(reply))
        async with events as stream:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    async for line in stream.aiter_lines():
                        self.canary.give("events", line)


def another(code: str) -> str:
    """A code of the same length that is not the one."""
    return f"{(int(code) + 1) % 10 ** len(code):0{len(code)}d}"


async def sign_in_by_code(walk: Walk) -> None:
    """By a wrong code, the right one, a used one; codes for what is one's own; then the account goes."""
    person, number, email = walk.person, walk.number, walk.email
    code = await walk.code(number)
    await person.login(number, another(code))
    reply = (await person.login(number, code, device_name="canary")).json()["data"]
    await person.login(number, code)
    person.http.headers.update(bearer(reply))
    await person.post("/api/user/bind-email", email=email, code=await walk.code(email, purpose="bind"))
    await person.post("/api/reauth", code=await walk.code(number))
    await person.post("/api/reauth", code="000000")
    other = new_number()
    walk.canary.note("phone number", other)
    await person.post("/api/user/bind-phone", phone=other, code=await walk.code(other, purpose="bind"))
    await person.post("/api/user/bind-phone", phone=walk.number, code="000000")
    await walk.listen(reply)
    await person.http.get("/api/login-logs")
    await person.http.get("/api/sessions")
    await person.http.delete("/api/user")
    del person.http.headers["authorization"]


async def sign_in_by_password(walk: Walk) -> None:
    """Register with a password, be wrong about it, type it into the wrong field, change it and forget it."""
    person, number = walk.person, walk.number
    first, second, third = walk.password(), walk.password(), walk.password()
    code = await walk.code(number, purpose="register")
    await person.post("/api/register", phone=number, code=code, password=first[:5])
    await person.post("/api/register", phone=number, code=code, password=first)
    await person.post("/api/login/password", account=number, password=first)
    reply = (await person.post("/api/login/password", account=f"+86{number}", password=first)).json()["data"]
    await person.post("/api/login/password", account=f"+86{number}", password=second)
    await person.post("/api/login/password", account=second, password=first)
    headers = bearer(reply)
    change = {"current_password": first, "new_password": second}
    for _ in range(2):  # the second time it is no longer the current one
        await person.http.post("/api/password/change", json=change, headers=headers)
    await person.http.post("/api/reauth", json={"password": second}, headers=headers)
    code = await walk.code(number, purpose="reset_password")
    for _ in range(2):
        await person.post("/api/password/reset", phone=number, code=code, new_password=third)
    await person.post("/api/login/password", account=f"+86{number}", password=third)


async def verify_an_address(walk: Walk) -> None:
    """Sign in by e-mail, and have an address verified without an account."""
    person = walk.person
    code = await walk.code(walk.email, purpose="login")
    await person.login(walk.email, another(code))
    await person.login(walk.email, code)
    code = await walk.code(walk.email, anon_id="reader-1")
    for given in (another(code), code, code):
        await person.post("/api/verify-email-code", email=walk.email, code=given, anon_id="reader-1")


async def go_wrong(walk: Walk) -> None:
    """Secrets where none belong, in bodies whole and broken."""
    known = [secret for kind in walk.canary.secrets.values() for secret in sorted(kind)]
    raw = json.dumps(dict.fromkeys(("phone", "email", "account", "code", "password", "purpose"), known[-1]))
    wrong = json.dumps(dict.fromkeys(("phone", "code", "password", "new_password", "purpose"), known))
    for path in (
        "/api/send-code",
        "/api/login",
        "/api/login/email",
        "/api/login/password",
        "/api/register",
        "/api/password/reset",
        "/api/verify-email-code",
    ):
        for content in (raw, raw[:-1], wrong):
            headers = {"content-type": "application/json"}
            await walk.person.http.post(path, content=content, headers=headers)


async def test_no_code_password_or_number_is_anywhere_else(
    hub: HubProcess, mariadb_server: MariaDB, own_redis: RedisServer, canary: Canary
) -> None:
    """Frames, addresses, headers, refusals, Redis, metrics, log and database hold none but what is meant."""
    async with monitored(own_redis, canary):
        for steps in (sign_in_by_code, sign_in_by_password, verify_an_address, go_wrong):
            async with Walk(hub, canary) as walk:
                await steps(walk)
        canary.give("metrics", (await walk_metrics(hub)))
    numbers, where = canary.secrets["phone number"], set()
    database = urlsplit(hub.database_url).path[1:]
    for (table,) in mariadb_server.execute(f"SHOW TABLES FROM {database}"):
        for row in await rows(hub.database_url, f"SELECT * FROM {table}"):  # noqa: S608 - our own
            for column, value in row.items():
                if any(number in str(value) for number in numbers):
                    where.add(f"{table}.{column}")
                else:
                    canary.give("database", value)
    assert where == FOR_NUMBERS
    canary.give("log", hub.log())

    assert {(sink, kind) for sink in canary.sinks for kind in canary.found(sink)} == set()

    # And the nets were out: each sink has caught what must be there, and each kind of secret was there.
    caught = {
        "addresses": "/api/login/password",
        "headers": "no-store",
        "refusals": "/problems/invalid-code",
        "frames": '"session.created"',
        "events": '"session.created"',
        "Redis": "EVALSHA",
        "metrics": 'hub_code_checks_total{channel="phone",result="right"}',
        "log": "/api/password/reset",
        "database": "$argon2id$",
    }
    assert canary.sinks.keys() == caught.keys()
    assert {sink for sink, text in caught.items() if text not in canary.sinks[sink]} == set()
    assert len(canary.codes) >= 8
    assert canary.secrets.keys() == {
        "access_token",
        "cookie hub_device",
        "password",
        "phone number",
        "refresh_token",
        "server key",
    }


async def walk_metrics(hub: HubProcess) -> str:
    """The metrics as they are told."""
    async with Person(hub.url) as person:
        return (await person.http.get("/metrics")).text
