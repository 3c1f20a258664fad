"""Token revocation (RFC 7009) and introspection (RFC 7662) over HTTP."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import httpx2
import pytest

from tests.people import DESKTOP, Browser, Phone, sign_in
from tests.problems import refused
from tests.servers.hub import HubProcess
from tests.signing_in import execute
from tests.streaming import AccountSocket, bearer

SHOP, BANK = ("shop", "the shop's own secret"), ("bank", "the bank's own secret")
CALLBACK = "https://shop.example.com/callback"


@pytest.fixture(scope="module")
def client_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two confidential clients."""
    entries = [
        {
            "client_id": name,
            "secret_sha256": [hashlib.sha256(secret.encode()).hexdigest()],
            "redirect_uris": [CALLBACK] if name == "shop" else [],
        }
        for name, secret in (SHOP, BANK)
    ]
    path = tmp_path_factory.mktemp("clients") / "clients.json"
    path.write_text(json.dumps(entries))
    return str(path)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, client_file: str) -> Iterator[HubProcess]:
    """A hub that knows them."""
    process = HubProcess(tmp_path_factory.mktemp("oauth"), OAUTH_CLIENTS=client_file).start()
    yield process
    process.stop()


@pytest.fixture
async def http(server: HubProcess) -> AsyncIterator[httpx2.AsyncClient]:
    """A back end."""
    async with httpx2.AsyncClient(base_url=server.url, headers={"user-agent": DESKTOP}) as http:
        yield http


async def sign_in_to_shop(server: HubProcess, http: httpx2.AsyncClient) -> Mapping[str, Any]:
    """Return tokens that were issued to the shop."""
    async with Browser(server.url) as browser, Phone(server.url) as phone:
        await browser.begin(pkce=False, redirect_uri=CALLBACK)
        await phone.scan(browser.attempt["qr_content"])
        await phone.answer()
        redirect = (await browser.status()).json()["data"]["redirect_url"]
    code = redirect.partition("code=")[2]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK}
    tokens: Mapping[str, Any] = (await http.post("/oauth/token", data=form, auth=SHOP)).json()
    return tokens


async def introspect(http: httpx2.AsyncClient, token: str, auth: tuple[str, str] = SHOP) -> dict[str, Any]:
    """Ask about a token."""
    answer = await http.post("/oauth/introspect", data={"token": token}, auth=auth)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    told: dict[str, Any] = answer.json()
    return told


async def is_good(http: httpx2.AsyncClient, tokens: Mapping[str, Any]) -> bool:
    """Tell whether the access token is accepted."""
    return (await http.get("/api/user/profile", headers=bearer(tokens))).status_code == 200


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
async def test_public_token_is_revoked_by_its_holder(
    server: HubProcess, http: httpx2.AsyncClient, kind: str
) -> None:
    """Either token ends the session, both tokens are refused, and the session's socket closes."""
    tokens = await sign_in(server.url)
    async with AccountSocket(server.url, tokens) as stream:
        answer = await http.post("/oauth/revoke", data={"token": tokens[kind], "token_type_hint": "x"})
        assert (answer.status_code, answer.content) == (200, b"")
        assert (await stream.frame())["data"]["reason"] == "logout"
        assert await stream.closed() == 4501
    assert not await is_good(http, tokens)
    refreshed = await http.post("/api/token/refresh", json={"refresh_token": tokens["refresh_token"]})
    assert refreshed.status_code == 401


@pytest.mark.parametrize("token", ["nonsense", "a.b.c", "hubr_x", "hubr_" + "A" * 70])
async def test_unknown_token_is_no_error(http: httpx2.AsyncClient, token: str) -> None:
    """What is good for nothing is revoked already, and is not active."""
    assert (await http.post("/oauth/revoke", data={"token": token})).status_code == 200
    assert await introspect(http, token) == {"active": False}


async def test_revoking_twice_is_no_error(server: HubProcess, http: httpx2.AsyncClient) -> None:
    """The second time is answered like the first one, and another session goes on."""
    tokens, other = await sign_in(server.url), await sign_in(server.url)
    for kind in ("refresh_token", "refresh_token", "access_token"):
        assert (await http.post("/oauth/revoke", data={"token": tokens[kind]})).status_code == 200
    assert await is_good(http, other)


async def test_former_refresh_token_revokes(server: HubProcess, http: httpx2.AsyncClient) -> None:
    """Whoever holds an authentic old one can end the session, as presenting it would."""
    tokens = await sign_in(server.url)
    await http.post("/api/token/refresh", json={"refresh_token": tokens["refresh_token"]})
    assert (await http.post("/oauth/revoke", data={"token": tokens["refresh_token"]})).status_code == 200
    assert not await is_good(http, tokens)


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
async def test_token_of_a_client_is_revoked_by_it_alone(
    server: HubProcess, http: httpx2.AsyncClient, kind: str
) -> None:
    """Another client, or nobody in particular, is refused and ends nothing."""
    tokens = await sign_in_to_shop(server, http)
    for auth in (BANK, httpx2.USE_CLIENT_DEFAULT):
        answer = await http.post("/oauth/revoke", data={"token": tokens[kind]}, auth=auth)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    assert await is_good(http, tokens)
    assert (await http.post("/oauth/revoke", data={"token": tokens[kind]}, auth=SHOP)).status_code == 200
    assert not await is_good(http, tokens)


async def test_public_token_and_a_client(server: HubProcess, http: httpx2.AsyncClient) -> None:
    """A confidential client does not end sessions that are not its own."""
    tokens = await sign_in(server.url)
    answer = await http.post("/oauth/revoke", data={"token": tokens["refresh_token"]}, auth=SHOP)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    assert await is_good(http, tokens)


@pytest.mark.parametrize("path", ["/oauth/revoke", "/oauth/introspect"])
@pytest.mark.parametrize(
    ("form", "auth", "status", "error"),
    [
        ({}, SHOP, 400, "invalid_request"),
        ({"token": ""}, SHOP, 400, "invalid_request"),
        ({"token": ["a", "b"]}, SHOP, 400, "invalid_request"),
        ({"token": "x"}, ("shop", "wrong"), 401, "invalid_client"),
        ({"token": "x", "client_id": "shop"}, None, 401, "invalid_client"),
        ({"token": "x", "client_id": "shop", "client_secret": "y"}, SHOP, 400, "invalid_request"),
    ],
)
async def test_errors(
    http: httpx2.AsyncClient,
    path: str,
    form: dict[str, Any],
    auth: tuple[str, str] | None,
    status: int,
    error: str,
) -> None:
    """Each is answered as RFC 6749 section 5.2 says."""
    answer = await http.post(path, data=form, auth=auth or httpx2.USE_CLIENT_DEFAULT)
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert ("www-authenticate" in answer.headers) is (status == 401)
    assert answer.headers["cache-control"] == "no-store"


async def test_introspection_is_for_clients(server: HubProcess, http: httpx2.AsyncClient) -> None:
    """Nobody else is told anything, whatever they hold."""
    tokens = await sign_in(server.url)
    for headers in ({}, bearer(tokens)):
        answer = await http.post("/oauth/introspect", data={"token": tokens["access_token"]}, headers=headers)
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


async def test_guessing_client_secrets_is_limited(
    tmp_path_factory: pytest.TempPathFactory, client_file: str
) -> None:
    """Failed authentications run into the limit; good ones, and what the right client asks, do not."""
    folder = tmp_path_factory.mktemp("limited")
    process = HubProcess(folder, OAUTH_CLIENTS=client_file, HUB_LIMITS="on").start()
    try:
        async with httpx2.AsyncClient(base_url=process.url, timeout=30) as http:
            asked = {"token": "x"}

            async def guess() -> httpx2.Response:
                return await http.post("/oauth/introspect", data=asked, auth=("shop", "wrong"))

            for _ in range(20):
                answers = await asyncio.gather(*(guess() for _ in range(50)))
                assert {answer.status_code for answer in answers} == {401}
            refused(await guess(), 429, "rate-limited")
            assert (await http.post("/oauth/introspect", data=asked, auth=SHOP)).json() == {"active": False}
    finally:
        process.stop()


async def test_introspection_of_an_access_token(server: HubProcess, http: httpx2.AsyncClient) -> None:
    """Any client learns what the token says, until the session ends."""
    tokens = await sign_in_to_shop(server, http)
    for auth in (SHOP, BANK):
        told = await introspect(http, tokens["access_token"], auth)
        assert (told["active"], told["token_type"], told["client_id"]) == (True, "Bearer", "shop")
        assert (told["iss"], told["sid"]) == (server.url, tokens["session_id"])
        assert told["sub"].isdecimal()
        assert told["exp"] - told["iat"] <= 7200
        assert told["amr"] == ["wechat"]
        assert "email" not in told
    await http.post("/api/logout", headers=bearer(tokens))
    assert await introspect(http, tokens["access_token"]) == {"active": False}


async def test_introspection_of_a_refresh_token(server: HubProcess, http: httpx2.AsyncClient) -> None:
    """Its own client learns that the newest one is good; others, and about older ones, learn nothing."""
    tokens = await sign_in_to_shop(server, http)
    told = await introspect(http, tokens["refresh_token"])
    assert (told["active"], told["client_id"], told["sid"]) == (True, "shop", tokens["session_id"])
    assert await introspect(http, tokens["refresh_token"], BANK) == {"active": False}
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    second = (await http.post("/oauth/token", data=form, auth=SHOP)).json()
    form["refresh_token"] = second["refresh_token"]
    third = (await http.post("/oauth/token", data=form, auth=SHOP)).json()
    assert await introspect(http, tokens["refresh_token"]) == {"active": False}
    assert (await introspect(http, third["refresh_token"]))["active"] is True
    assert await is_good(http, third)  # asking about an old one was nobody's use of it


async def test_introspection_of_a_blocked_account(server: HubProcess, http: httpx2.AsyncClient) -> None:
    """A ban shows at once, before any refresh."""
    tokens = await sign_in(server.url, "bob")
    sub = (await introspect(http, tokens["access_token"]))["sub"]
    await execute(server.database_url, f"UPDATE users SET status = 'banned' WHERE id = {sub}")  # noqa: S608
    assert await introspect(http, tokens["access_token"]) == {"active": False}
