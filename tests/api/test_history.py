"""The login history over HTTP, on both pairs of back ends."""

from typing import Any

import httpx2
import pytest

from tests.people import DESKTOP, sign_in
from tests.problems import refused
from tests.servers.hub import HubProcess
from tests.streaming import bearer

LOGS = "/api/login-logs"


async def get(hub: HubProcess, headers: dict[str, str], **query: object) -> httpx2.Response:
    """Ask for a page."""
    async with httpx2.AsyncClient(base_url=hub.url, timeout=20) as http:
        return await http.get(
            LOGS, params={name: str(value) for name, value in query.items()}, headers=headers
        )


async def page(hub: HubProcess, headers: dict[str, str], **query: object) -> dict[str, Any]:
    """Ask for a page that there is."""
    answer = await get(hub, headers, **query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["data"]
    return found


async def test_history(hub: HubProcess) -> None:
    """Each sign-in is told with its way, device, address and time, the newest first."""
    await sign_in(hub.url, "bob", device_name="Old", device_type="web")
    headers = bearer(await sign_in(hub.url, "bob", device_name="New", device_type="ios"))
    newest, older = (await page(hub, headers, limit=2))["login_logs"]
    assert newest.pop("created_at") >= older.pop("created_at")
    assert newest.pop("id") != older.pop("id")
    assert [newest.pop("risk"), older.pop("risk")].count(None) < 2  # both are new devices of the account
    same = {"method": "wechat", "status": "success", "reason": None, "location": None}
    same |= {"ip_address": "127.0.0.1", "user_agent": DESKTOP}
    assert newest == {**same, "device_name": "New", "device_type": "ios"}
    assert older == {**same, "device_name": "Old", "device_type": "web"}


async def test_pages(hub: HubProcess) -> None:
    """The cursor of a page leads to the next one, until there is none."""
    headers: dict[str, str] = {}
    for _ in range(3):
        headers = bearer(await sign_in(hub.url, "bob"))
    whole = await page(hub, headers, limit=100)
    assert whole["next_cursor"] is None
    first = await page(hub, headers, limit=2)
    second = await page(hub, headers, limit=100, cursor=first["next_cursor"])
    assert first["login_logs"] + second["login_logs"] == whole["login_logs"]
    assert second["next_cursor"] is None


async def test_not_of_others(hub: HubProcess) -> None:
    """Two people's histories have no row in common, not even by the other's cursor."""
    await sign_in(hub.url, "alice")
    alice = bearer(await sign_in(hub.url, "alice"))
    await sign_in(hub.url, "bob")
    bob = bearer(await sign_in(hub.url, "bob"))
    cursor = (await page(hub, bob, limit=1))["next_cursor"]
    theirs = {each["id"] for each in (await page(hub, bob, limit=100))["login_logs"]}
    mine = {each["id"] for each in (await page(hub, alice, limit=100))["login_logs"]}
    by_theirs = {each["id"] for each in (await page(hub, alice, limit=100, cursor=cursor))["login_logs"]}
    assert by_theirs
    assert by_theirs <= mine
    assert not mine & theirs


async def test_a_token_is_demanded(hub: HubProcess) -> None:
    """Without a good access token there is no history."""
    refused(await get(hub, {}), 401, "unauthorized")
    refused(await get(hub, {"authorization": "Bearer x"}), 401, "unauthorized")


@pytest.mark.parametrize(
    ("field", "value"),
    [("cursor", "garbage"), ("cursor", ""), ("limit", 0), ("limit", 101), ("limit", "all")],
)
async def test_wrong_query(hub_on_sqlite: HubProcess, field: str, value: object) -> None:
    """A cursor that is none of ours, or a size out of bounds, is refused by name."""
    headers = bearer(await sign_in(hub_on_sqlite.url, "bob"))
    body = refused(await get(hub_on_sqlite, headers, **{field: value}), 422, "invalid-request")
    assert [error["field"] for error in body["errors"]] == [field]
