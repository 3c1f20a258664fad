"""One person over all doors, on a real process: the same account whichever way it comes in."""

from collections.abc import Awaitable, Callable

import jwt
import pytest

from tests.code_client import Person
from tests.people import AT, Browser, Phone
from tests.servers.hub import HubProcess


async def h5(browser: Browser, person: str) -> None:
    """Scan within WeChat, and confirm."""
    async with Phone(browser.url, person) as phone:
        await browser.begin(door="h5")
        await phone.scan(browser.attempt["qr_content"])
        assert (await phone.answer()).status_code == 200


async def official_account(browser: Browser, person: str) -> None:
    """Scan the official account's code, open the link of its reply, and confirm."""
    async with Phone(browser.url, person) as phone:
        await browser.begin(door="official_account")
        scan = {"scene": browser.attempt["qr_code"], "person": person}
        pushed = await browser.http.post("/sandbox/official-account/scan", json=scan)
        await phone.scan(pushed.json()["reply"]["links"][0])
        assert (await phone.answer()).status_code == 200


async def open_platform(browser: Browser, person: str) -> None:
    """Approve on WeChat's own page."""
    await browser.begin(door="open_platform")
    sent = {"x-sandbox-person": person}
    back = await browser.http.get(browser.attempt["authorize_url"], headers=sent)
    assert (await browser.http.get(back.headers["location"])).status_code == 200


async def mini_program(browser: Browser, person: str) -> None:
    """Scan with the mini program, and confirm in it."""
    async with Person(browser.url) as phone:
        await browser.begin(door="mini_program")
        code = (await phone.post("/sandbox/mini-program/login", person=person)).json()["code"]
        claimed = await phone.post(f"{AT}/mini/scan", scene=browser.attempt["qr_code"], js_code=code)
        phone.http.headers["authorization"] = f"Bearer {claimed.json()['data']['grant']}"
        answered = await phone.post(f"{AT}/confirm", session_id=browser.session_id, action="confirm")
        assert answered.status_code == 200, answered.text


Door = Callable[[Browser, str], Awaitable[None]]
DOORS: tuple[Door, ...] = (h5, official_account, open_platform, mini_program)


async def account(hub: HubProcess, door: Door, person: str) -> str:
    """Sign a person in through a door, and return the account."""
    async with Browser(hub.url) as browser:
        await door(browser, person)
        redeemed = await browser.redeem()
        assert redeemed.status_code == 200, redeemed.text
        claims = jwt.decode(redeemed.json()["data"]["access_token"], options={"verify_signature": False})
        sub: str = claims["sub"]
        return sub


@pytest.mark.parametrize("first", range(len(DOORS)))
async def test_all_doors_lead_to_one_account(hub_alone: HubProcess, first: int) -> None:
    """Whichever door a person takes first; another person has another account."""
    doors = DOORS[first:] + DOORS[:first]
    assert len({await account(hub_alone, door, "alice") for door in doors}) == 1
    assert await account(hub_alone, doors[0], "bob") != await account(hub_alone, doors[0], "alice")


async def test_a_unionid_that_shows_up_late(hub_alone: HubProcess) -> None:
    """Doors that were taken before WeChat told it have made two accounts: each goes on with its own."""
    at_first = [await account(hub_alone, door, "lateunion") for door in (h5, open_platform)]
    assert len(set(at_first)) == 2
    for _ in range(2):  # now WeChat tells it to both apps
        assert [await account(hub_alone, door, "lateunion") for door in (h5, open_platform)] == at_first
