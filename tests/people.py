"""The two who sign in: a desktop browser and a phone, each an HTTP client with its own cookies."""

import base64
import hashlib
import json
import re
import secrets
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx2
from websockets.asyncio.client import ClientConnection, connect

AT = "/api/auth/wechat"
DESKTOP = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/150.0.0.0 Safari/537.36"
IN_WECHAT = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) MicroMessenger/8.0.60"

_TLS = ssl.create_default_context()  # one for all: to make one for each client would take most of their time


def challenge(verifier: str) -> str:
    """The S256 challenge of a PKCE verifier."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


class Browser:
    """A desktop browser that waits on a sign-in."""

    def __init__(self, url: str, **headers: str) -> None:
        self.url = url
        self.http = httpx2.AsyncClient(
            verify=_TLS,
            base_url=url,
            headers={"user-agent": DESKTOP, "accept-language": "en", **headers},
            timeout=40,
        )
        self.verifier: str | None = None
        self.attempt: dict[str, Any] = {}

    async def __aenter__(self) -> "Browser":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()

    async def begin(self, *, pkce: bool = True, **members: object) -> dict[str, Any]:
        """Begin an attempt and return the reply's data."""
        self.verifier = secrets.token_urlsafe(48) if pkce else None
        if self.verifier:
            members["code_challenge"] = challenge(self.verifier)
        answer = await self.http.post(f"{AT}/qr-code", json=members)
        assert answer.status_code == 200, answer.text
        self.attempt = answer.json()["data"]
        return self.attempt

    @property
    def session_id(self) -> str:
        """The session_id of the attempt begun last."""
        session_id: str = self.attempt["session_id"]
        return session_id

    def socket(self, session_id: str | None = None, query: str = "", **headers: str) -> connect:
        """Open the attempt's WebSocket: `async with browser.socket() as socket`."""
        at = self.url.replace("http", "ws", 1)
        return connect(
            f"{at}{AT}/ws/{session_id or self.session_id}{query}",
            subprotocols=["login.v1"],  # type: ignore[list-item]  # a NewType of str
            additional_headers=headers,
            open_timeout=10,
        )

    async def status(self, session_id: str | None = None, **query: object) -> httpx2.Response:
        """Ask for the snapshot."""
        params = {name: str(value) for name, value in query.items()}
        return await self.http.get(f"{AT}/status/{session_id or self.session_id}", params=params)

    async def redeem(self, session_id: str | None = None, **members: object) -> httpx2.Response:
        """Swap the attempt for tokens."""
        if self.verifier:
            members.setdefault("code_verifier", self.verifier)
        return await self.http.post(
            f"{AT}/token", json={"session_id": session_id or self.session_id, **members}
        )


class Phone:
    """A phone in WeChat, whose person is one of the sandbox's."""

    def __init__(self, url: str, person: str = "alice", **headers: str) -> None:
        self.url = url
        self.person = person
        self.http = httpx2.AsyncClient(
            verify=_TLS,
            base_url=url,
            headers={"user-agent": IN_WECHAT, "accept-language": "en", **headers},
            timeout=40,
        )
        self.page = ""

    async def __aenter__(self) -> "Phone":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()

    async def scan(self, qr_content: str) -> httpx2.Response:
        """Scan, consent, and return the page it ends on."""
        url = qr_content
        for _ in range(8):
            headers = {"x-sandbox-person": self.person} if "/sandbox/" in url else {}
            answer = await self.http.get(url, headers=headers)
            if not answer.is_redirect:
                self.page = answer.text
                return answer
            url = str(answer.url.join(answer.headers["location"]))
        raise AssertionError("redirected for ever")

    def meta(self, name: str) -> str:
        """A <meta> of the page the phone is on."""
        found = re.search(rf'<meta name="{name}" content="([^"]+)">', self.page)
        assert found, self.page
        return found[1]

    async def answer(self, action: str = "confirm", **members: object) -> httpx2.Response:
        """Press a button of the confirm page."""
        return await self.http.post(
            f"{AT}/confirm",
            json={"session_id": self.meta("session-id"), "action": action, **members},
            headers={"x-csrf-token": self.meta("csrf-token"), "origin": origin(self.url)},
        )


class CustomerApp:
    """The customer's own app, signed in: it claims and confirms with its bearer token."""

    def __init__(self, url: str, access_token: str) -> None:
        self.http = httpx2.AsyncClient(
            verify=_TLS,
            base_url=url,
            headers={"authorization": f"Bearer {access_token}", "accept-language": "en"},
        )

    async def __aenter__(self) -> "CustomerApp":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()

    async def scan(self, qr_code: str) -> httpx2.Response:
        """Claim an attempt."""
        return await self.http.post(f"{AT}/scan", json={"qr_code": qr_code})

    async def answer(self, session_id: str, action: str = "confirm") -> httpx2.Response:
        """Answer it."""
        return await self.http.post(f"{AT}/confirm", json={"session_id": session_id, "action": action})


async def frame(socket: ClientConnection) -> dict[str, Any]:
    """The next frame of a socket."""
    received: dict[str, Any] = json.loads(await socket.recv())
    return received


async def sign_in(url: str, person: str = "alice", **redeem: Any) -> Mapping[str, Any]:
    """Sign *person* in from beginning to end, and return the token reply."""
    async with Browser(url) as browser, Phone(url, person) as phone:
        await browser.begin()
        page = await phone.scan(browser.attempt["qr_content"])
        assert page.status_code == 200, page.text
        answered = await phone.answer()
        assert answered.status_code == 200, answered.text
        redeemed = await browser.redeem(**redeem)
        assert redeemed.status_code == 200, redeemed.text
        reply: Mapping[str, Any] = redeemed.json()["data"]
        return reply


async def forget(url: str, person: str) -> None:
    """Delete the account of *person*, whatever other tests of a shared hub have made of it."""
    reply = await sign_in(url, person)
    bearer = {"authorization": f"Bearer {reply['access_token']}"}
    async with Browser(url, **bearer) as browser:
        deleted = await browser.http.delete("/api/user")
        assert deleted.status_code == 200, deleted.text


def origin(url: str) -> str:
    """The origin of a URL."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
