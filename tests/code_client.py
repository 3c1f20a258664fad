"""A person with a number and a mailbox: an HTTP client with its own cookies, and the codes it is sent."""

import itertools
import secrets
from collections.abc import Mapping
from typing import Any

import httpx2

from tests.people import DESKTOP
from tests.servers.waiting import until

_NUMBERS = itertools.count(secrets.randbelow(10**7) * 10)  # tests share hubs, and one number its budgets


def new_number() -> str:
    """A mobile number that no other test has."""
    return f"138{next(_NUMBERS) % 10**8:08d}"


def new_email() -> str:
    """An e-mail address that no other test has."""
    return f"li.{next(_NUMBERS)}@example.com"


class Person:
    """Somebody who signs in by codes. *headers* go with every request."""

    def __init__(self, url: str, **headers: str) -> None:
        self.url = url
        self.http = httpx2.AsyncClient(
            base_url=url, headers={"user-agent": DESKTOP, "accept-language": "en", **headers}, timeout=20
        )

    async def __aenter__(self) -> "Person":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()

    async def post(self, path: str, **members: object) -> httpx2.Response:
        """Send a JSON body."""
        return await self.http.post(path, json=members)

    async def send(self, address: str, **members: object) -> httpx2.Response:
        """Ask for a code."""
        if "@" in address:
            return await self.post("/api/send-verification-code", email=address, **members)
        return await self.post("/api/send-code", phone=address, **members)

    async def code(self, address: str, **members: object) -> str:
        """Ask for a code, and read it where it arrives."""
        before = await self._codes(address)
        answer = await self.send(address, **members)
        assert answer.status_code == 200, answer.text

        async def arrived() -> bool:
            return len(await self._codes(address)) > len(before)

        await until(arrived)
        return (await self._codes(address))[0]

    async def _codes(self, address: str) -> list[str]:
        """The codes among the messages: a warning of an unusual sign-in has none."""
        return [each["code"] for each in await self.messages(address) if each["code"] is not None]

    async def messages(self, address: str) -> list[dict[str, Any]]:
        """What was sent to an address so far, newest first."""
        answer = await self.http.get("/sandbox/messages", params={"to": address})
        found: list[dict[str, Any]] = answer.json()
        return found

    async def login(self, address: str, code: str, **members: object) -> httpx2.Response:
        """Sign in by a code."""
        if "@" in address:
            return await self.post("/api/login/email", email=address, code=code, **members)
        return await self.post("/api/login", phone=address, code=code, **members)

    async def sign_in(self, address: str, **members: object) -> Mapping[str, Any]:
        """Sign in by a fresh code, and return the reply's data."""
        purpose = {"purpose": "login"} if "@" in address else {}
        answer = await self.login(address, await self.code(address, **purpose), **members)
        assert answer.status_code == 200, answer.text
        reply: Mapping[str, Any] = answer.json()["data"]
        return reply
