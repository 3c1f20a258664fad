"""Tokens over HTTP: refresh, logout, profile, the OAuth token endpoint and the public keys."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import jwt
import pytest

from tests.people import DESKTOP, Browser, Phone, forget, sign_in
from tests.servers.hub import HubProcess
from tests.unit.key_files import PRIVATE, private_pem

CLIENT = ("shop", "the shop's own secret")
CALLBACK = "https://shop.example.com/callback"
SPA = "https://spa.example.com/callback"


@pytest.fixture
async def http(hub: HubProcess) -> AsyncIterator[httpx2.AsyncClient]:
    """A client without cookies."""
    async with httpx2.AsyncClient(base_url=hub.url, headers={"user-agent": DESKTOP}, timeout=20) as http:
        yield http


@pytest.fixture
async def embedded(hub_on_sqlite: HubProcess) -> AsyncIterator[httpx2.AsyncClient]:
    """The same, of the embedded default: for what does not depend on the back ends."""
    async with httpx2.AsyncClient(base_url=hub_on_sqlite.url, headers={"user-agent": DESKTOP}) as http:
        yield http


@pytest.fixture(scope="module")
def oauth_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    """A hub that knows one confidential client and one public redirect URI, and signs by ES256."""
    folder = tmp_path_factory.mktemp("oauth")
    entry = {
        "client_id": CLIENT[0],
        "secret_sha256": [hashlib.sha256(CLIENT[1].encode()).hexdigest()],
        "redirect_uris": [CALLBACK],
    }
    (folder / "clients.json").write_text(json.dumps([entry]))
    (folder / "key.pem").write_bytes(private_pem(PRIVATE["ES256"]))
    process = HubProcess(
        folder,
        OAUTH_CLIENTS=str(folder / "clients.json"),
        REDIRECT_URIS=SPA,
        JWT_ALG="ES256",
        JWT_KEYS=str(folder / "key.pem"),
    ).start()
    yield process
    process.stop()


def bearer(reply: Mapping[str, Any]) -> dict[str, str]:
    """Return the header that presents a reply's access token."""
    return {"authorization": f"Bearer {reply['access_token']}"}


async def refresh(http: httpx2.AsyncClient, refresh_token: object) -> httpx2.Response:
    """Refresh with the token in the body."""
    return await http.post("/api/token/refresh", json={"refresh_token": refresh_token})


async def code_for(browser: Browser, phone: Phone, redirect_uri: str, *, pkce: bool) -> str:
    """Sign in towards *redirect_uri* and return the authorization code."""
    await browser.begin(pkce=pkce, redirect_uri=redirect_uri, state="xyz")
    await phone.scan(browser.attempt["qr_content"])
    await phone.answer()
    redirect = urlsplit((await browser.status()).json()["data"]["redirect_url"])
    assert redirect.geturl().startswith(redirect_uri)
    assert parse_qs(redirect.query)["state"] == ["xyz"]
    code: str = parse_qs(redirect.query)["code"][0]
    return code


async def test_refresh_gives_a_new_pair(hub: HubProcess, http: httpx2.AsyncClient) -> None:
    """The whole token reply, with another refresh token and the same session, kept by no cache."""
    reply = await sign_in(hub.url)
    answer = await refresh(http, reply["refresh_token"])
    renewed = answer.json()["data"]
    assert renewed.keys() == reply.keys()
    assert (renewed["session_id"], renewed["token_type"]) == (reply["session_id"], "Bearer")
    assert renewed["refresh_token"] != reply["refresh_token"]
    assert 6840 <= renewed["expires_in"] <= 7200
    assert answer.headers["cache-control"] == "no-store"
    assert (await refresh(http, renewed["refresh_token"])).status_code == 200


async def test_parallel_refreshes_share_one_successor(hub: HubProcess, http: httpx2.AsyncClient) -> None:
    """Ten tabs that refresh at once all go on with the same new token."""
    reply = await sign_in(hub.url)
    answers = await asyncio.gather(*(refresh(http, reply["refresh_token"]) for _ in range(10)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["data"]["refresh_token"] for answer in answers}) == 1


async def test_stolen_refresh_token_ends_the_session(hub: HubProcess, http: httpx2.AsyncClient) -> None:
    """The former token with another user agent: 401, and the owner's tokens are refused from then on."""
    reply = await sign_in(hub.url)
    renewed = (await refresh(http, reply["refresh_token"])).json()["data"]
    assert (await http.get("/api/user/profile", headers=bearer(renewed))).status_code == 200
    http.headers["user-agent"] = "thief"
    stolen = await refresh(http, reply["refresh_token"])
    assert stolen.status_code == 401
    assert stolen.json()["type"] == "/problems/invalid-refresh-token"
    http.headers["user-agent"] = DESKTOP
    assert (await refresh(http, renewed["refresh_token"])).status_code == 401
    assert (await http.get("/api/user/profile", headers=bearer(renewed))).status_code == 401


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"refresh_token": "hubr_nonsense"}, 401),
        ({"refresh_token": ""}, 422),
        ({"refresh_token": 7}, 422),
        ({"refresh_token": "x" * 1000}, 422),
        ({}, 422),
    ],
)
async def test_unusable_refresh_requests(embedded: httpx2.AsyncClient, body: object, status: int) -> None:
    """What is no token is unauthorized, what is no request is refused as such."""
    answer = await embedded.post("/api/token/refresh", json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, status)


async def test_refresh_cookie_of_a_foreign_page(hub_on_sqlite: HubProcess) -> None:
    """Another site's page cannot use the cookie; the hub's own can, and logging out deletes it."""
    async with Browser(hub_on_sqlite.url) as browser, Phone(hub_on_sqlite.url) as phone:
        await browser.begin()
        await phone.scan(browser.attempt["qr_content"])
        await phone.answer()
        redeemed = await browser.redeem(token_delivery="cookie")
        first = redeemed.headers["set-cookie"]
        assert "HttpOnly" in first
        assert "SameSite=strict" in first
        foreign = await browser.http.post("/api/token/refresh", headers={"origin": "https://evil.example"})
        assert foreign.status_code == 403
        own = await browser.http.post("/api/token/refresh", headers={"origin": hub_on_sqlite.url})
        assert own.headers["set-cookie"] != first
        left = await browser.http.post("/api/logout", headers=bearer(own.json()["data"]))
        assert "Max-Age=0" in left.headers["set-cookie"]
        assert (
            await browser.http.post("/api/token/refresh", headers={"origin": hub_on_sqlite.url})
        ).status_code == 422


async def test_forged_refresh_cookie(hub_on_sqlite: HubProcess, embedded: httpx2.AsyncClient) -> None:
    """A refresh token in a cookie that the hub did not sign is refused."""
    reply = await sign_in(hub_on_sqlite.url)
    headers = {"origin": hub_on_sqlite.url, "cookie": f"hub_refresh={reply['refresh_token']}"}
    assert (await embedded.post("/api/token/refresh", headers=headers)).status_code == 401


async def test_logout(hub: HubProcess, http: httpx2.AsyncClient) -> None:
    """Both tokens are refused afterwards; another session of the same person goes on."""
    reply, other = await sign_in(hub.url), await sign_in(hub.url)
    assert (await http.post("/api/logout", headers=bearer(reply))).json()["success"] is True
    assert (await http.get("/api/user/profile", headers=bearer(reply))).status_code == 401
    assert (await refresh(http, reply["refresh_token"])).status_code == 401
    assert (await http.get("/api/user/profile", headers=bearer(other))).status_code == 200


async def test_logout_of_a_device(hub: HubProcess, http: httpx2.AsyncClient) -> None:
    """One device can sign out another one of the same person, and nobody else's of that name."""
    here = await sign_in(hub.url, device_id="here")
    there = await sign_in(hub.url, device_id="there")
    strange = await sign_in(hub.url, "bob", device_id="there")
    left = await http.post("/api/logout", json={"device_id": "there"}, headers=bearer(here))
    assert left.status_code == 200
    asked = [await http.get("/api/user/profile", headers=bearer(reply)) for reply in (here, there, strange)]
    assert [answer.status_code for answer in asked] == [200, 401, 200]


@pytest.mark.parametrize("token", [None, "nonsense", "a.b.c"])
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/api/logout"), ("GET", "/api/user/profile"), ("POST", "/api/auth/wechat/scan")],
)
async def test_bearer_token_is_demanded(
    embedded: httpx2.AsyncClient, method: str, path: str, token: str | None
) -> None:
    """RFC 6750 section 3: 401 with a challenge, and the error only where a token was sent."""
    answer = await embedded.request(
        method, path, headers={"authorization": f"Bearer {token}"} if token else {}
    )
    assert answer.status_code == 401
    challenge = answer.headers["www-authenticate"]
    assert challenge == ('Bearer error="invalid_token"' if token else "Bearer")


async def test_profile(hub_on_sqlite: HubProcess, embedded: httpx2.AsyncClient) -> None:
    """The signed-in person's own profile, with the binding it came by."""
    await forget(hub_on_sqlite.url, "alice")  # others may have bound a door that tells no name
    profile = (
        await embedded.get("/api/user/profile", headers=bearer(await sign_in(hub_on_sqlite.url)))
    ).json()["data"]
    assert (profile["login_type"], profile["login_methods"], profile["status"]) == ("wechat", ["wechat"], 1)
    assert profile["wechat_info"]["nickname"] == profile["nickname"]
    assert profile["last_login_at"].endswith("Z")


async def test_no_public_keys_for_a_secret(embedded: httpx2.AsyncClient) -> None:
    """HS256 publishes an empty set."""
    assert (await embedded.get("/.well-known/jwks.json")).json() == {"keys": []}


async def test_published_keys_verify_access_tokens(oauth_hub: HubProcess) -> None:
    """A back end that knows the key set and nothing else can check the tokens."""
    reply = await sign_in(oauth_hub.url)
    async with httpx2.AsyncClient(base_url=oauth_hub.url) as http:
        (shown,) = (await http.get("/.well-known/jwks.json")).json()["keys"]
        assert "d" not in shown
        key = jwt.PyJWK(shown)
        assert jwt.get_unverified_header(reply["access_token"])["kid"] == key.key_id
        claims = jwt.decode(reply["access_token"], key, algorithms=["ES256"], issuer=oauth_hub.url)
        assert claims["sid"] == reply["session_id"]


async def test_code_of_a_confidential_client(oauth_hub: HubProcess) -> None:
    """Its back end swaps the code once, by its secret, and alone may refresh what it got."""
    async with (
        Browser(oauth_hub.url) as browser,
        Phone(oauth_hub.url) as phone,
        httpx2.AsyncClient(base_url=oauth_hub.url) as http,
    ):
        code = await code_for(browser, phone, CALLBACK, pkce=False)
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK}
        assert (await http.post("/oauth/token", data=form)).json()["error"] == "invalid_grant"
        answer = await http.post("/oauth/token", data=form, auth=CLIENT)
        assert answer.status_code == 200
        assert (answer.headers["cache-control"], answer.headers["pragma"]) == ("no-store", "no-cache")
        tokens = answer.json()
        assert tokens["token_type"] == "Bearer"
        assert "success" not in tokens
        assert (await http.get("/api/user/profile", headers=bearer(tokens))).status_code == 200
        again = await http.post("/oauth/token", data=form, auth=CLIENT)
        assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
        form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
        assert (await http.post("/oauth/token", data=form)).json()["error"] == "invalid_grant"
        assert (await refresh(http, tokens["refresh_token"])).status_code == 401
        form |= {"client_id": CLIENT[0], "client_secret": CLIENT[1]}
        renewed = (await http.post("/oauth/token", data=form)).json()
        assert renewed["session_id"] == tokens["session_id"]


async def test_code_of_a_public_client(oauth_hub: HubProcess) -> None:
    """The verifier alone swaps the code of a public client; a wrong one consumes nothing."""
    async with (
        Browser(oauth_hub.url) as browser,
        Phone(oauth_hub.url) as phone,
        httpx2.AsyncClient(base_url=oauth_hub.url) as http,
    ):
        code = await code_for(browser, phone, SPA, pkce=True)
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": SPA, "client_id": "spa"}
        proof = {"code_verifier": browser.verifier}
        for wrong in ({}, {"code_verifier": "x" * 43}, proof | {"redirect_uri": CALLBACK}):
            refused = await http.post("/oauth/token", data=form | wrong)
            assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
        tokens = (await http.post("/oauth/token", data=form | proof)).json()
        form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
        assert (await http.post("/oauth/token", data=form)).status_code == 200


@pytest.mark.parametrize(
    ("form", "auth", "status", "error"),
    [
        ({}, None, 400, "invalid_request"),
        ({"grant_type": ""}, None, 400, "invalid_request"),
        ({"grant_type": "password"}, None, 400, "unsupported_grant_type"),
        ({"grant_type": "refresh_token"}, None, 400, "invalid_request"),
        ({"grant_type": "refresh_token", "refresh_token": "hubr_x"}, None, 400, "invalid_grant"),
        ({"grant_type": "refresh_token", "refresh_token": ["a", "b"]}, None, 400, "invalid_request"),
        ({"grant_type": "authorization_code", "code": "x"}, None, 400, "invalid_request"),
        (
            {"grant_type": "authorization_code", "code": "x", "redirect_uri": CALLBACK},
            CLIENT,
            400,
            "invalid_grant",
        ),
        ({"grant_type": "refresh_token", "refresh_token": "x"}, (CLIENT[0], "wrong"), 401, "invalid_client"),
        (
            {"grant_type": "refresh_token", "refresh_token": "x", "client_id": CLIENT[0]},
            None,
            401,
            "invalid_client",
        ),
    ],
)
async def test_oauth_errors(
    oauth_hub: HubProcess,
    form: dict[str, Any],
    auth: tuple[str, str] | None,
    status: int,
    error: str,
) -> None:
    """Each is answered as RFC 6749 section 5.2 says."""
    async with httpx2.AsyncClient(base_url=oauth_hub.url, auth=auth) as http:
        answer = await http.post("/oauth/token", data=form)
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert answer.json()["error_description"]
    assert answer.headers["cache-control"] == "no-store"
    assert ("www-authenticate" in answer.headers) is (status == 401)


async def test_oauth_takes_forms_only(oauth_hub: HubProcess) -> None:
    """A JSON body is a malformed request."""
    async with httpx2.AsyncClient(base_url=oauth_hub.url) as http:
        answer = await http.post("/oauth/token", json={"grant_type": "refresh_token"})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
