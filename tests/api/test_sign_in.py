"""The sign-in from end to end, over real sockets, on both pairs of back ends."""

import asyncio
import json

import jwt
import pytest
from websockets.exceptions import ConnectionClosed

from tests.people import AT, Browser, CustomerApp, Phone, frame, sign_in
from tests.servers.hub import SECRET, HubProcess


async def test_browser_phone_tokens(hub: HubProcess) -> None:
    """Scan, confirm, frame, redeem: each step is told at once, and the tokens verify."""
    async with Browser(hub.url) as browser, Phone(hub.url) as phone:
        await browser.begin()
        async with browser.socket() as socket:
            pending = await frame(socket)
            assert (pending["type"], pending["status"], pending["seq"]) == ("status", "pending", 1)
            assert pending["qr_code"] == browser.attempt["qr_code"]
            page = await phone.scan(browser.attempt["qr_content"])
            assert page.status_code == 200
            scanned = await frame(socket)
            assert (scanned["status"], scanned["seq"], scanned["qr_code"]) == ("scanned", 2, None)
            assert scanned["user_info"]["nickname"]
            assert scanned["user_info"]["user_id"] is None
            answer = await phone.answer()
            assert answer.json()["data"] == {"status": "confirmed"}
            confirmed = await frame(socket)
            assert (confirmed["status"], confirmed["seq"]) == ("confirmed", 3)
            assert isinstance(confirmed["user_info"]["user_id"], int)
            with pytest.raises(ConnectionClosed) as closed:
                await frame(socket)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1000
        reply = (await browser.redeem()).json()["data"]
        claims = jwt.decode(reply["access_token"], f"jwt-{SECRET}", algorithms=["HS256"], issuer=hub.url)
        assert claims["sub"] == str(confirmed["user_info"]["user_id"])
        profile = await browser.http.get(
            "/api/user/profile", headers={"authorization": f"Bearer {reply['access_token']}"}
        )
        assert profile.json()["data"]["nickname"] == scanned["user_info"]["nickname"]
        assert profile.json()["data"]["login_type"] == "wechat"


async def test_cookie_binding(hub: HubProcess) -> None:
    """Without a challenge the browser proves itself by the cookie it was given."""
    async with Browser(hub.url) as browser, Phone(hub.url) as phone:
        await browser.begin(pkce=False)
        await phone.scan(browser.attempt["qr_content"])
        await phone.answer()
        assert (await browser.redeem()).status_code == 200


async def test_the_same_person_is_the_same_user(hub: HubProcess) -> None:
    """A second sign-in finds the account that the first one made."""
    first = await sign_in(hub.url, "bob")
    second = await sign_in(hub.url, "bob")
    sub = [jwt.decode(r["access_token"], options={"verify_signature": False})["sub"] for r in (first, second)]
    assert sub[0] == sub[1]
    assert first["session_id"] != second["session_id"]


async def test_app_door(hub: HubProcess) -> None:
    """The customer's app, signed in, claims by the code and confirms with its own token."""
    reply = await sign_in(hub.url)
    async with Browser(hub.url) as browser, CustomerApp(hub.url, reply["access_token"]) as app:
        await browser.begin(door="app")
        scanned = (await app.scan(browser.attempt["qr_code"])).json()["data"]
        assert scanned["session_id"] == browser.session_id
        assert scanned["request"]["browser"] == "Chrome"
        assert scanned["request"]["os"] == "Linux"
        assert (await app.answer(scanned["session_id"])).json()["data"] == {"status": "confirmed"}
        assert (await browser.redeem()).status_code == 200


@pytest.mark.parametrize(("action", "reason"), [("cancel", "declined"), ("report", "reported")])
async def test_decline_and_report(hub: HubProcess, action: str, reason: str) -> None:
    """A declined or reported attempt fails, and cannot be redeemed."""
    async with Browser(hub.url) as browser, Phone(hub.url) as phone:
        await browser.begin()
        await phone.scan(browser.attempt["qr_content"])
        assert (await phone.answer(action)).json()["data"] == {"status": "failed"}
        status = (await browser.status()).json()["data"]
        assert (status["status"], status["reason"]) == ("failed", reason)
        assert (await browser.redeem()).status_code == 410


async def test_refresh_on_the_same_socket(hub: HubProcess) -> None:
    """After a failure one frame brings a new attempt with the same binding, on the same socket."""
    async with Browser(hub.url) as browser, Phone(hub.url) as phone:
        await browser.begin()
        async with browser.socket() as socket:
            await frame(socket)
            await socket.send('{"type":"cancel"}')
            assert (await frame(socket))["reason"] == "cancelled"
            await socket.send('{"type":"refresh"}')
            renewed = await frame(socket)
            assert (renewed["status"], renewed["seq"]) == ("pending", 1)
            assert renewed["session_id"] != browser.session_id
            await phone.scan(f"{hub.url}/s/{renewed['qr_code']}")
            assert (await frame(socket))["status"] == "scanned"
            await phone.answer()
            assert (await frame(socket))["status"] == "confirmed"
        assert (await browser.redeem(renewed["session_id"])).status_code == 200


async def test_refresh_twice_gives_one_successor(hub: HubProcess) -> None:
    """Two tabs that renew one attempt go on with the same new one."""
    async with Browser(hub.url) as browser:
        await browser.begin()
        async with browser.socket() as one, browser.socket() as two:
            for socket in (one, two):
                await frame(socket)
            await one.send('{"type":"cancel"}')
            for socket in (one, two):
                assert (await frame(socket))["status"] == "failed"
            for socket in (one, two):
                await socket.send('{"type":"refresh"}')
            renewed = [await frame(socket) for socket in (one, two)]
            assert renewed[0]["session_id"] == renewed[1]["session_id"]


async def test_event_stream(hub: HubProcess) -> None:
    """The event stream tells the same snapshots, numbered by seq, and resumes after the last one heard."""
    async with Browser(hub.url) as browser, Phone(hub.url) as phone:
        await browser.begin()
        heard = []
        async with browser.http.stream("GET", browser.attempt["events_url"]) as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            lines = stream.aiter_lines()
            async for line in lines:
                if line.startswith("data:"):
                    heard.append(json.loads(line[5:]))
                    break
            await phone.scan(browser.attempt["qr_content"])
            async for line in lines:
                if line.startswith("id:"):
                    assert line == "id: 2"
                if line.startswith("data:"):
                    heard.append(json.loads(line[5:]))
                    break
        assert [item["status"] for item in heard] == ["pending", "scanned"]
        await phone.answer()
        headers = {"last-event-id": "2"}
        async with browser.http.stream("GET", browser.attempt["events_url"], headers=headers) as stream:
            found = [line async for line in stream.aiter_lines() if line.startswith("data:")]
        assert [json.loads(line[5:])["status"] for line in found] == ["confirmed"]
        done = await browser.http.get(browser.attempt["events_url"], headers={"last-event-id": "3"})
        assert done.status_code == 204


async def test_long_poll(hub: HubProcess) -> None:
    """A long poll answers 304 when nothing comes, and at once when something does."""
    async with Browser(hub.url) as browser, Phone(hub.url) as phone:
        await browser.begin()
        first = await browser.status()
        assert first.headers["etag"] == '"1"'
        assert (await browser.status(seq=1, wait=0.2)).status_code == 304
        etag = await browser.http.get(browser.attempt["status_url"], headers={"if-none-match": '"1"'})
        assert etag.status_code == 304
        waiting = asyncio.create_task(browser.status(seq=1, wait=20))
        await phone.scan(browser.attempt["qr_content"])
        async with asyncio.timeout(5):
            assert (await waiting).json()["data"]["status"] == "scanned"


async def test_socket_resumes_by_seq(hub: HubProcess) -> None:
    """A browser that knows the present snapshot is told only the next one."""
    async with Browser(hub.url) as browser, Phone(hub.url) as phone:
        await browser.begin()
        async with browser.socket(query="?seq=1") as socket:
            await phone.scan(browser.attempt["qr_content"])
            assert (await frame(socket))["seq"] == 2


async def test_ping(hub: HubProcess) -> None:
    """A client's ping frame is answered."""
    async with Browser(hub.url) as browser:
        await browser.begin()
        async with browser.socket() as socket:
            assert socket.subprotocol == "login.v1"
            await frame(socket)
            await socket.send('{"type":"ping"}')
            assert await frame(socket) == {"type": "pong"}


async def test_refresh_cookie(hub: HubProcess) -> None:
    """By cookie the refresh token is in no body, and works only with the hub's own Origin."""
    async with Browser(hub.url) as browser, Phone(hub.url) as phone:
        await browser.begin()
        await phone.scan(browser.attempt["qr_content"])
        await phone.answer()
        reply = (await browser.redeem(token_delivery="cookie")).json()["data"]
        assert "refresh_token" not in reply
        assert (await browser.http.post("/api/token/refresh")).status_code == 403
        renewed = await browser.http.post("/api/token/refresh", headers={"origin": hub.url})
        assert renewed.status_code == 200
        assert "refresh_token" not in renewed.json()["data"]


async def test_code_pictures(hub: HubProcess) -> None:
    """The code is drawn as SVG and PNG, and never cached."""
    async with Browser(hub.url) as browser:
        await browser.begin()
        at = f"{AT}/qr-code/{browser.attempt['qr_code']}"
        svg, png = await browser.http.get(f"{at}.svg"), await browser.http.get(f"{at}.png")
        assert svg.headers["content-type"] == "image/svg+xml"
        assert svg.content.startswith(b"<svg")
        assert png.content.startswith(b"\x89PNG")
        assert svg.headers["cache-control"] == png.headers["cache-control"] == "no-store"
