"""The mini program's door over HTTP: its code, the claim by `wx.login`, the answer by grant, the number."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from tests.people import AT, Browser, sign_in
from tests.servers.hub import HubProcess
from tests.signing_in import rows


class MiniPhone:
    """A phone on which *person* runs the mini program; the program has no cookies."""

    def __init__(self, url: str, person: str = "alice") -> None:
        self.person = person
        self.http = httpx2.AsyncClient(base_url=url, headers={"accept-language": "en"}, timeout=40)
        self.claimed: dict[str, Any] = {}

    async def __aenter__(self) -> "MiniPhone":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()

    async def code(self, kind: str = "login") -> str:
        """What `wx.login`, or with `phone-number` the button, hands to the program."""
        answer = await self.http.post(f"/sandbox/mini-program/{kind}", json={"person": self.person})
        made: str = answer.json()["code"]
        return made

    async def scan(self, scene: str, js_code: str | None = None) -> httpx2.Response:
        """Open the program by the code with this scene."""
        body = {"scene": scene, "js_code": js_code or await self.code()}
        answer = await self.http.post(f"{AT}/mini/scan", json=body)
        if answer.is_success:
            self.claimed = answer.json()["data"]
        return answer

    async def answer(
        self, action: str = "confirm", *, grant: str | None = None, **members: str
    ) -> httpx2.Response:
        """Press a button in the program."""
        headers = {"authorization": f"Bearer {grant or self.claimed['grant']}"}
        body = {"session_id": self.claimed["session_id"], "action": action, **members}
        return await self.http.post(f"{AT}/confirm", json=body, headers=headers)


@pytest.fixture
async def browser(hub: HubProcess) -> AsyncIterator[Browser]:
    """A browser that has begun an attempt at the mini program's door."""
    async with Browser(hub.url) as waiting:
        await waiting.begin(door="mini_program")
        yield waiting
        await waiting.http.delete("/sandbox/faults")


@pytest.fixture
async def phone(hub: HubProcess) -> AsyncIterator[MiniPhone]:
    """Alice's phone."""
    async with MiniPhone(hub.url) as one:
        yield one


def slug(answer: httpx2.Response) -> str:
    """The problem that an answer tells of."""
    return str(answer.json()["type"].rpartition("/")[2])


async def state_of(browser: Browser) -> tuple[str, str | None]:
    """Status and reason, as the browser sees them."""
    told = (await browser.status()).json()["data"]
    return told["status"], told["reason"]


async def fault(browser: Browser, **members: object) -> None:
    """Switch a fault of WeChat's on."""
    answer = await browser.http.post("/sandbox/faults", json=members)
    assert answer.status_code == 200, answer.text


async def calls(browser: Browser, path: str, text: str = "") -> int:
    """How many calls to *path* WeChat got that have *text* in them."""
    listed = (await browser.http.get("/sandbox/requests")).json()
    return sum(call["path"] == path and text in str(call) for call in listed)


async def test_the_walk(browser: Browser, phone: MiniPhone) -> None:
    """Claim, see what is asked, confirm, redeem."""
    claimed = await phone.scan(browser.attempt["qr_code"])
    assert claimed.status_code == 200, claimed.text
    assert phone.claimed["session_id"] == browser.session_id
    assert phone.claimed["request"]["browser"] == "Chrome"
    assert phone.claimed["grant"].startswith("hubg_")
    assert await state_of(browser) == ("scanned", None)
    assert (await phone.answer()).json()["data"] == {"status": "confirmed"}
    assert (await browser.redeem()).status_code == 200


async def test_the_code_is_drawn_by_wechat_once(browser: Browser) -> None:
    """Whoever asks for the picture at the same time gets the one that WeChat has drawn, as it is."""
    code = browser.attempt["qr_code"]
    assert browser.attempt["qr_url"].endswith(f"/{code}.png")
    pictures = await asyncio.gather(*(browser.http.get(browser.attempt["qr_url"]) for _ in range(10)))
    pictures.append(await browser.http.get(browser.attempt["qr_url"].replace(".png", ".svg")))
    assert {picture.status_code for picture in pictures} == {200}
    assert {picture.headers["content-type"] for picture in pictures} == {"image/png"}
    assert len({picture.content for picture in pictures}) == 1
    assert await calls(browser, "/wxa/getwxacodeunlimit", code) == 1


async def test_without_wechat_no_code(browser: Browser, phone: MiniPhone) -> None:
    """While WeChat draws nothing the picture is a 503, the attempt can be watched, and then it is drawn."""
    await fault(browser, fault="busy", path="/wxa/getwxacodeunlimit", count=1)
    refused = await browser.http.get(browser.attempt["qr_url"])
    assert (refused.status_code, slug(refused)) == (503, "provider-away")
    assert int(refused.headers["retry-after"]) >= 1
    assert await state_of(browser) == ("pending", None)
    assert (await browser.http.get(browser.attempt["qr_url"])).status_code == 200
    assert (await phone.scan(browser.attempt["qr_code"])).status_code == 200


@pytest.mark.parametrize("action", ["cancel", "report"])
async def test_no(browser: Browser, phone: MiniPhone, action: str) -> None:
    """The person may decline or report."""
    await phone.scan(browser.attempt["qr_code"])
    assert (await phone.answer(action)).status_code == 200
    assert await state_of(browser) == ("failed", {"cancel": "declined", "report": "reported"}[action])


async def test_the_same_person_again(browser: Browser, phone: MiniPhone) -> None:
    """A lost answer is had again by opening the program once more; another person burns the attempt."""
    await phone.scan(browser.attempt["qr_code"])
    first = phone.claimed
    assert (await phone.scan(browser.attempt["qr_code"])).status_code == 200
    assert await state_of(browser) == ("scanned", None)
    assert phone.claimed["session_id"] == first["session_id"]
    async with MiniPhone(str(phone.http.base_url), "bob") as bob:
        refused = await bob.scan(browser.attempt["qr_code"])
    assert (refused.status_code, slug(refused)) == (409, "already-claimed")
    assert await state_of(browser) == ("failed", "already_claimed")


async def test_a_code_of_wx_login_is_sent_once(browser: Browser, phone: MiniPhone) -> None:
    """A code that was used is refused by WeChat, and the caller is told to get another one."""
    await browser.http.delete("/sandbox/requests")
    js_code = await phone.code()
    assert (await phone.scan(browser.attempt["qr_code"], js_code)).status_code == 200
    assert await calls(browser, "/sns/jscode2session") == 1
    again = await phone.scan(browser.attempt["qr_code"], js_code)
    assert (again.status_code, slug(again)) == (400, "wechat-code-refused")
    assert await state_of(browser) == ("scanned", None)


async def test_a_grant_is_no_access_token(browser: Browser, phone: MiniPhone) -> None:
    """Neither stands for the other, and a grant is for its own attempt."""
    await phone.scan(browser.attempt["qr_code"])
    grant = phone.claimed["grant"]
    profile = await phone.http.get("/api/user/profile", headers={"authorization": f"Bearer {grant}"})
    assert profile.status_code == 401
    signed_in = await sign_in(browser.url, "bob")
    by_token = await phone.answer(grant=signed_in["access_token"])
    assert (by_token.status_code, slug(by_token)) == (403, "grant-required")
    claimed = phone.claimed
    await browser.begin(door="mini_program")
    await phone.scan(browser.attempt["qr_code"])
    other = await phone.answer(grant=claimed["grant"])
    assert (other.status_code, slug(other)) == (403, "grant-required")
    assert await state_of(browser) == ("scanned", None)


@pytest.mark.parametrize("change", ["", "x", "swap"])
async def test_a_forged_grant(browser: Browser, phone: MiniPhone, change: str) -> None:
    """A grant without its signature, or with another one, is worth nothing."""
    await phone.scan(browser.attempt["qr_code"])
    text, time, signature = phone.claimed["grant"].split(".")
    forged = {"": f"{text}", "x": f"{text}.{time}.x", "swap": f"{text}.{time}.{signature[::-1]}"}[change]
    refused = await phone.answer(grant=forged)
    assert (refused.status_code, slug(refused)) == (403, "grant-required")
    assert await state_of(browser) == ("scanned", None)


async def test_another_doors_code(browser: Browser, phone: MiniPhone) -> None:
    """The mini program takes the codes of its own door alone."""
    await browser.begin(door="h5")
    refused = await phone.scan(browser.attempt["qr_code"])
    assert (refused.status_code, slug(refused)) == (404, "attempt-not-found")


async def test_an_attempt_that_is_over_spends_nothing(browser: Browser, phone: MiniPhone) -> None:
    """The person's code is not sent to WeChat for an attempt that cannot be claimed."""
    await phone.scan(browser.attempt["qr_code"])
    await phone.answer("cancel")
    js_code = await phone.code()
    assert slug(await phone.scan(browser.attempt["qr_code"], js_code)) == "attempt-failed"
    await browser.begin(door="mini_program")
    assert (await phone.scan(browser.attempt["qr_code"], js_code)).status_code == 200


async def test_the_session_key_is_kept_encrypted(hub: HubProcess, browser: Browser, phone: MiniPhone) -> None:
    """WeChat's key for the person is in no row in clear, and only with the identity once it is known."""
    await phone.scan(browser.attempt["qr_code"])
    await phone.answer()
    sql = "SELECT * FROM wechat_users WHERE appid = 'wxsandbox000mini' AND session_key IS NOT NULL"
    kept = await rows(hub.database_url, sql)
    assert kept
    assert all(row["session_key"].startswith("v1.") for row in kept)
    attempts = await rows(hub.database_url, "SELECT * FROM login_sessions WHERE door = 'mini_program'")
    confirmed = [row for row in attempts if row["qr_code"] == browser.attempt["qr_code"]]
    assert '"tokens": null' in confirmed[0]["provider_profile"]


# --- WeChat's errors.


@pytest.mark.parametrize(
    ("spoilt", "expected"),
    [
        ({"fault": "busy"}, (503, "provider-away")),
        ({"fault": "too_fast"}, (503, "provider-away")),
        ({"fault": "errcode", "errcode": 45009}, (503, "provider-away")),
        ({"fault": "errcode", "errcode": 40029}, (400, "wechat-code-refused")),
        ({"fault": "errcode", "errcode": 40163}, (400, "wechat-code-refused")),
        ({"fault": "errcode", "errcode": 40226}, (403, "account-blocked")),
        ({"fault": "errcode", "errcode": 40013}, (502, "provider-failed")),
        ({"fault": "errcode", "errcode": 40125}, (502, "provider-failed")),
        ({"fault": "errcode", "errcode": 123456}, (502, "provider-failed")),
        ({"fault": "broken_json"}, (503, "provider-away")),
        ({"fault": "server_error"}, (503, "provider-away")),
        ({"fault": "redirect"}, (503, "provider-away")),
    ],
    ids=lambda value: str(value.get("errcode", value["fault"])) if isinstance(value, dict) else None,
)
async def test_wechats_trouble_at_the_claim(
    browser: Browser, phone: MiniPhone, spoilt: dict[str, Any], expected: tuple[int, str]
) -> None:
    """The program gets a problem it can act upon, and the attempt can still be claimed."""
    await fault(browser, path="/sns/jscode2session", count=1, **spoilt)
    refused = await phone.scan(browser.attempt["qr_code"])
    assert (refused.status_code, slug(refused)) == expected
    assert await state_of(browser) == ("pending", None)
    assert (await phone.scan(browser.attempt["qr_code"])).status_code == 200


@pytest.mark.parametrize(
    ("spoilt", "reason"),
    [
        ({"fault": "server_error"}, "network_error"),
        ({"fault": "errcode", "errcode": 40029}, "invalid_code"),
        ({"fault": "errcode", "errcode": 40226}, "account_blocked"),
    ],
    ids=["away", "code", "person"],
)
async def test_a_refused_claim_is_in_the_login_log(
    hub: HubProcess, browser: Browser, phone: MiniPhone, spoilt: dict[str, Any], reason: str
) -> None:
    """With what WeChat has refused it for."""
    logged = f"SELECT account FROM login_logs WHERE failure_reason = '{reason}'"  # noqa: S608 - our texts
    before = await rows(hub.database_url, logged)
    await fault(browser, path="/sns/jscode2session", count=1, **spoilt)
    await phone.scan(browser.attempt["qr_code"])
    assert await rows(hub.database_url, logged) == [*before, {"account": None}]


# --- The phone number.


async def number_of(browser: Browser, reply: httpx2.Response) -> tuple[str | None, list[str]]:
    """Number and ways to sign in of the account that the attempt's browser is in now."""
    bearer = {"authorization": f"Bearer {reply.json()['data']['access_token']}"}
    profile = (await browser.http.get("/api/user/profile", headers=bearer)).json()["data"]
    return profile["phone"], sorted(profile["login_methods"])


async def test_the_number_comes_along(hub: HubProcess, browser: Browser) -> None:
    """A free number is bound to an account without one, and a second time changes nothing."""
    async with MiniPhone(hub.url, "noavatar") as phone:
        for bound in (True, False):
            await browser.begin(door="mini_program")
            await phone.scan(browser.attempt["qr_code"])
            answer = await phone.answer(phone_code=await phone.code("phone-number"))
            assert answer.json()["data"] == {"status": "confirmed", "phone_bound": bound}
            redeemed = await browser.redeem()
            assert await number_of(browser, redeemed) == ("+8613800138003", ["phone", "wechat"])


async def test_a_number_that_is_taken(hub: HubProcess, browser: Browser, phone: MiniPhone) -> None:
    """Another account's number is refused, nothing has changed, and the person can go on without it."""
    taken = "+8613800138005"
    async with MiniPhone(hub.url, "decliner") as owner:
        await owner.scan(browser.attempt["qr_code"])
        await owner.answer(phone_code=await owner.code("phone-number"))
        code = await owner.code("phone-number")
    async with MiniPhone(hub.url, "lateunion") as other:
        await browser.begin(door="mini_program")
        await other.scan(browser.attempt["qr_code"])
        refused = await other.answer(phone_code=code)
        assert (refused.status_code, slug(refused)) == (409, "number-taken")
        assert await state_of(browser) == ("scanned", None)
        sql = f"SELECT id FROM users WHERE phone = '{taken}'"  # noqa: S608 - our own constant
        assert len(await rows(hub.database_url, sql)) == 1
        assert (await other.answer()).status_code == 200
    assert await number_of(browser, await browser.redeem()) == ("", ["wechat"])


@pytest.mark.parametrize(
    ("spoilt", "expected"),
    [
        ({"fault": "busy"}, (503, "provider-away")),
        ({"fault": "errcode", "errcode": 40029}, (400, "wechat-code-refused")),
        ({"fault": "errcode", "errcode": 40013}, (502, "provider-failed")),
        ({"fault": "broken_json"}, (503, "provider-away")),
    ],
    ids=lambda value: str(value.get("errcode", value["fault"])) if isinstance(value, dict) else None,
)
async def test_wechats_trouble_with_the_number(
    browser: Browser, phone: MiniPhone, spoilt: dict[str, Any], expected: tuple[int, str]
) -> None:
    """Nothing is confirmed without the number that was to come along, and then it is, without."""
    await phone.scan(browser.attempt["qr_code"])
    await fault(browser, path="/wxa/business/getuserphonenumber", count=1, **spoilt)
    refused = await phone.answer(phone_code=await phone.code("phone-number"))
    assert (refused.status_code, slug(refused)) == expected
    assert await state_of(browser) == ("scanned", None)
    assert (await phone.answer()).status_code == 200
