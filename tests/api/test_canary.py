"""No secret leaves its place: each is used, and then looked for wherever it must not be."""

import asyncio
import base64
import hashlib
import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hub.qr.identifiers import hashed
from tests.canary import Canary, monitored
from tests.people import AT, Browser, CustomerApp, Phone, frame
from tests.servers.hub import SECRET, HubProcess
from tests.servers.mariadb import MariaDB
from tests.servers.redis import RedisServer
from tests.servers.uvicorn_app import serve
from tests.signing_in import rows

CLIENT, CLIENT_SECRET = "shop", "client-" + secrets.token_urlsafe(16)
WECHAT_SECRET = "wechat-" + secrets.token_urlsafe(16)
CALLBACK, SPA = "https://shop.example.com/callback", "https://spa.example.com/callback"
BASIC = base64.b64encode(f"{CLIENT}:{CLIENT_SECRET}".encode()).decode()

# What the protocol itself puts there: WeChat sends its code through the person's browser, the browser knows
# its own session_id, and a confirmed attempt's status says where to take the authorization code.
MEANT = {
    ("addresses", "WeChat code"),
    *((sink, "session_id") for sink in ("addresses", "frames", "events", "statuses")),
    ("statuses", "authorization code"),
}


@pytest.fixture
def canary() -> Canary:
    """One that knows the settings' secrets."""
    canary = Canary()
    canary.secrets = {
        "server key": {f"{name}-{SECRET}" for name in ("jwt", "cookie", "refresh")},
        "WeChat secret": {WECHAT_SECRET},
        "client secret": {CLIENT_SECRET, BASIC},
    }
    return canary


class Tap:
    """Stands between the hub and WeChat's API, and notes the codes and tokens that go through."""

    def __init__(self, canary: Canary) -> None:
        self._canary = canary
        self.sandbox = ""
        self.app = Starlette(routes=[Route("/{path:path}", self.forward)])

    async def forward(self, request: Request) -> Response:
        """Pass one call on."""
        if code := request.query_params.get("code"):
            self._canary.note("WeChat code", code)
        try:
            async with httpx2.AsyncClient() as http:
                answer = await http.get(f"{self.sandbox}{request.url.path}?{request.url.query}")
            for name in {"access_token", "refresh_token"} & answer.json().keys():
                self._canary.note("WeChat token", answer.json()[name])
        except (httpx2.HTTPError, ValueError) as trouble:  # switched on by the test
            return Response(str(trouble), 500)
        return Response(answer.content, media_type="text/plain")


@pytest.fixture
def hub(tmp_path: Path, mariadb_url: str, own_redis: RedisServer, canary: Canary) -> Iterator[HubProcess]:
    """A hub on MariaDB and a Redis of its own that logs all it can; its calls to WeChat are read along."""
    client = {
        "client_id": CLIENT,
        "secret_sha256": [hashlib.sha256(CLIENT_SECRET.encode()).hexdigest()],
        "redirect_uris": [CALLBACK],
    }
    (tmp_path / "clients.json").write_text(json.dumps([client]))
    tap = Tap(canary)
    with serve(tap.app) as address:
        hub = HubProcess(
            tmp_path,
            DATABASE_URL=mariadb_url,
            REDIS_URL=own_redis.url,
            LOG_LEVEL="debug",
            WECHAT_API_URL=address,
            WECHAT_H5_APP_ID="wxcanary",
            WECHAT_H5_APP_SECRET=WECHAT_SECRET,
            OAUTH_CLIENTS=str(tmp_path / "clients.json"),
            REDIRECT_URIS=SPA,
        ).start()
        tap.sandbox = f"{hub.url}/sandbox"
        yield hub
        hub.stop()


class Walk:
    """One browser and one phone that do all that the hub can do with an attempt."""

    def __init__(self, hub: HubProcess, canary: Canary) -> None:
        self.hub = hub
        self.canary = canary
        self.browser = Browser(hub.url)
        self.phone = Phone(hub.url)
        for http in (self.browser.http, self.phone.http):
            canary.listen(http)

    async def __aenter__(self) -> "Walk":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.browser.http.aclose()
        await self.phone.http.aclose()

    async def begin(self, **members: Any) -> None:
        """Begin an attempt and ask for all that hangs on it."""
        await self.browser.begin(**members)
        self.canary.note("session_id", self.browser.session_id)
        if self.browser.verifier:
            self.canary.note("code_verifier", self.browser.verifier)
        await self.browser.http.get("/")
        for kind in ("svg", "png"):
            await self.browser.http.get(f"{AT}/qr-code/{self.browser.attempt['qr_code']}.{kind}")

    async def scan(self) -> None:
        """Scan by WeChat, up to the confirm page."""
        await self.phone.scan(self.browser.attempt["qr_content"])
        self.canary.note("CSRF token", self.phone.meta("csrf-token"))

    async def to_confirmed(self, **members: Any) -> None:
        """Go as far as a redemption, with a socket and a stream that listen in."""
        await self.begin(**members)
        listener = asyncio.create_task(self.stream())
        cookies = "; ".join(f"{name}={value}" for name, value in self.browser.http.cookies.items())
        async with self.browser.socket(Cookie=cookies) as socket:
            await self.take(socket)
            await socket.send('{"type":"ping"}')
            await self.take(socket)
            await socket.send(json.dumps({"type": "redeem", "code_verifier": self.browser.verifier}))
            await self.take(socket)
            await self.scan()
            await self.take(socket)
            await self.phone.answer()
            await self.take(socket)
        await listener
        self.canary.give("statuses", (await self.browser.status(seq=0, wait=1)).text)

    async def take(self, socket: Any) -> None:
        """Write down one frame."""
        self.canary.give("frames", json.dumps(await frame(socket)))

    async def stream(self) -> None:
        """Write down the event stream."""
        async with self.browser.http.stream("GET", self.browser.attempt["events_url"]) as stream:
            async for line in stream.aiter_lines():
                self.canary.give("events", line)

    async def code(self) -> str:
        """The authorization code that the status answer leads away with."""
        url = (await self.browser.status()).json()["data"]["redirect_url"]
        code: str = parse_qs(urlsplit(url).query)["code"][0]
        self.canary.note("authorization code", code)
        return code


async def sign_in_and_out(walk: Walk) -> None:
    """By verifier: wrong tries, the right one, refreshes, theft of a refresh token, logout."""
    browser = walk.browser
    await walk.to_confirmed()
    await browser.redeem(code_verifier="wrong" * 10)
    await browser.redeem(code_verifier=f"{browser.verifier}!")
    reply = (await browser.redeem(device_name="canary")).json()["data"]
    await browser.redeem()
    bearer = {"authorization": f"Bearer {reply['access_token']}"}
    await browser.http.get("/api/user/profile", headers=bearer)
    await browser.http.get("/api/user/profile", headers={"authorization": bearer["authorization"] + "x"})
    refresh = {"refresh_token": reply["refresh_token"]}
    await browser.http.post("/api/token/refresh", json=refresh)
    await browser.http.post("/api/token/refresh", json={"refresh_token": reply["refresh_token"] + "x"})
    await browser.http.post("/api/token/refresh", json=refresh, headers={"user-agent": "thief"})
    await browser.http.post("/api/logout", headers=bearer)


async def sign_in_by_cookie(walk: Walk) -> None:
    """By binding and refresh cookie, and with wrong and missing CSRF tokens."""
    browser, phone = walk.browser, walk.phone
    await walk.begin(pkce=False)
    await walk.scan()
    body = {"session_id": browser.session_id, "action": "confirm"}
    origin = {"origin": walk.hub.url}
    await phone.http.post(f"{AT}/confirm", json=body, headers=origin)
    wrong = {"x-csrf-token": phone.meta("csrf-token")[:-1] + "x"}
    await phone.http.post(f"{AT}/confirm", json=body, headers=origin | wrong)
    await phone.answer()
    reply = (await browser.redeem(token_delivery="cookie")).json()["data"]
    await browser.http.post("/api/token/refresh", headers=origin)
    async with CustomerApp(walk.hub.url, reply["access_token"]) as app:
        walk.canary.listen(app.http)
        for action in ("cancel", "report", "confirm"):
            await walk.begin(door="app")
            await app.scan(browser.attempt["qr_code"])
            await app.answer(browser.session_id, action)
        await browser.redeem()
    await browser.http.post("/api/logout", headers={"authorization": f"Bearer {reply['access_token']}"})


async def sign_in_elsewhere(walk: Walk) -> None:
    """By authorization code, of a confidential and of a public client, with wrong tries of each."""
    http = walk.browser.http
    await walk.to_confirmed(pkce=False, redirect_uri=CALLBACK, state="canary-state")
    form = {"grant_type": "authorization_code", "code": await walk.code(), "redirect_uri": CALLBACK}
    await http.post("/oauth/token", data=form)
    await http.post("/oauth/token", data=form, auth=(CLIENT, CLIENT_SECRET + "x"))
    tokens = (await http.post("/oauth/token", data=form, auth=(CLIENT, CLIENT_SECRET))).json()
    await http.post("/oauth/token", data=form, auth=(CLIENT, CLIENT_SECRET))
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    await http.post("/oauth/token", data=form | {"client_id": CLIENT, "client_secret": CLIENT_SECRET})
    await walk.to_confirmed(redirect_uri=SPA)
    form = {"grant_type": "authorization_code", "code": await walk.code(), "redirect_uri": SPA}
    await http.post("/oauth/token", data=form | {"code_verifier": f"{walk.browser.verifier}!"})
    await http.post("/oauth/token", data=form | {"code_verifier": walk.browser.verifier})


async def go_wrong(walk: Walk) -> None:
    """A second scanner, callbacks out of place, WeChat's troubles, and secrets where none belong."""
    browser, phone = walk.browser, walk.phone
    await walk.begin()
    await walk.scan()
    async with Phone(walk.hub.url, "bob") as other:
        walk.canary.listen(other.http)
        await other.scan(browser.attempt["qr_content"])
    await walk.begin()
    for fault in ("busy", "broken_json", "drop", "server_error"):
        await phone.http.post("/sandbox/faults", json={"fault": fault, "count": 1})
        await phone.scan(browser.attempt["qr_content"])
    everything = "&".join(sorted(secret for known in walk.canary.secrets.values() for secret in known))[:3000]
    raw = json.dumps({"session_id": everything, "refresh_token": everything, "qr_code": everything})
    json_type = {"content-type": "application/json"}
    for path in (f"{AT}/token", f"{AT}/confirm", f"{AT}/qr-code", "/api/token/refresh"):
        await browser.http.post(path, content=raw, headers=json_type | {"origin": walk.hub.url})
        await browser.http.post(path, content=raw[:-1], headers=json_type | {"origin": walk.hub.url})
    async with browser.socket() as socket:
        await walk.take(socket)
        await socket.send(raw[:2000])
        await walk.take(socket)
        await socket.send('{"type":"cancel"}')
        await walk.take(socket)
        await socket.send('{"type":"refresh"}')
        await walk.take(socket)


async def test_no_secret_is_anywhere_else(
    hub: HubProcess,
    mariadb_server: MariaDB,
    own_redis: RedisServer,
    canary: Canary,
) -> None:
    """Frames, addresses, headers, refusals, Redis, log and database hold no secret but what is meant."""
    async with monitored(own_redis, canary), Walk(hub, canary) as walk:
        await sign_in_and_out(walk)
        await sign_in_by_cookie(walk)
        await sign_in_elsewhere(walk)
        await go_wrong(walk)
        # Lost servers are logged with their troubles.
        database = urlsplit(hub.database_url).path[1:]
        for (number,) in mariadb_server.execute(
            f"SELECT id FROM information_schema.processlist WHERE db = '{database}'"  # noqa: S608 - our own
        ):
            mariadb_server.execute(f"KILL {number}")
        await sign_in_and_out(walk)
    own_redis.kill()
    async with Walk(hub, canary) as walk:
        await sign_in_and_out(walk)
    for (table,) in mariadb_server.execute(f"SHOW TABLES FROM {database}"):
        canary.give("database", await rows(hub.database_url, f"SELECT * FROM {table}"))  # noqa: S608
    canary.give("log", hub.log())

    assert {(sink, kind) for sink in canary.sinks for kind in canary.found(sink)} - MEANT == set()

    # And the nets were out: each sink has caught what must be there, and each kind of secret was there.
    assert {(sink, kind) for sink, kind in MEANT if kind not in canary.found(sink)} == set()
    caught = {
        "addresses": "/sandbox/connect/oauth2/authorize",
        "headers": "no-store",
        "refusals": "/problems/binding-mismatch",
        "statuses": '"confirmed"',
        "frames": '"confirmed"',
        "events": '"confirmed"',
        "Redis": '"status\\":\\"confirmed',
        "log": "consent_failed",
        "database": hashed(next(iter(canary.secrets["session_id"]))),
    }
    assert canary.sinks.keys() == caught.keys()
    assert {sink for sink, text in caught.items() if text not in canary.sinks[sink]} == set()
    assert canary.secrets.keys() == {
        "WeChat code",
        "WeChat secret",
        "WeChat token",
        "CSRF token",
        "access_token",
        "authorization code",
        "client secret",
        "code_verifier",
        "cookie hub_binding",
        "cookie hub_grant",
        "cookie hub_refresh",
        "refresh_token",
        "server key",
        "session_id",
    }
