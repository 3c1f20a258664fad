"""The own account over HTTP, on real processes."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest

from hub.accounts import profile_schema
from tests.code_client import Person, new_email, new_number
from tests.people import sign_in
from tests.problems import refused
from tests.servers.hub import HubProcess

RECORDED = Path(__file__).parents[1] / "recorded"
TENNIS = Path(profile_schema.__file__).with_name("schemas") / "tennis.json"
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


async def test_an_account_is_deleted(hub: HubProcess) -> None:
    """Its tokens are refused from then on, and its number makes a new account."""
    number = new_number()
    async with Person(hub.url) as person:
        reply = await person.sign_in(number)
        refused(await person.http.delete("/api/user"), 401, "unauthorized")
        bearer = {"authorization": f"Bearer {reply['access_token']}"}
        answer = await person.http.delete("/api/user", headers=bearer)
        assert answer.status_code == 200, answer.text
        refused(await person.http.get("/api/user/profile", headers=bearer), 401, "unauthorized")
        refused(
            await person.post("/api/token/refresh", refresh_token=reply["refresh_token"]),
            401,
            "invalid-refresh-token",
        )


@pytest.fixture(scope="module")
def tennis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    """A hub with the schema of the tennis app."""
    process = HubProcess(tmp_path_factory.mktemp("tennis"), PROFILE_SCHEMA=str(TENNIS)).start()
    yield process
    process.stop()


async def test_the_tennis_app_reads_its_profile(tennis: HubProcess) -> None:
    """Every member as its clients have seen it, in its place, flat, with the defaults of the schema."""
    expected = json.loads((RECORDED / "profile-tennis.json").read_text("utf-8"))
    email = new_email()
    async with Person(tennis.url) as person:
        reply = await person.sign_in(email)
        bearer = {"authorization": f"Bearer {reply['access_token']}"}
        found = (await person.http.get("/api/user/profile", headers=bearer)).json()
    assert list(found["data"]) == list(expected["data"])
    for name in ("created_at", "updated_at", "last_login_at"):
        assert MOMENT.fullmatch(found["data"][name])
        expected["data"][name] = found["data"][name]
    assert found == expected | {"data": expected["data"] | {"id": found["data"]["id"], "email": email}}
    assert found["data"] == reply["user"]


async def test_the_tennis_app_reads_a_wechat_account(tennis: HubProcess) -> None:
    """Every member as its clients have seen it, in its place, those of WeChat's answer among them."""
    expected = json.loads((RECORDED / "profile-wechat.json").read_text("utf-8"))
    reply = await sign_in(tennis.url)
    async with httpx2.AsyncClient(base_url=tennis.url) as http:
        bearer = {"authorization": f"Bearer {reply['access_token']}"}
        found = (await http.get("/api/user/profile", headers=bearer)).json()
    for members, recorded in (
        (found["data"], expected["data"]),
        (found["data"]["wechat_info"], expected["data"]["wechat_info"]),
    ):
        assert list(members) == list(recorded)
        for name, value in recorded.items():
            if name.endswith("_at"):
                assert MOMENT.fullmatch(members[name])
            elif name in ("id", "wechat_user_id", "openid", "avatar_url", "avatar"):
                assert type(members[name]) is type(value)
            elif name != "wechat_info":
                assert (name, members[name]) == (name, value)


async def test_the_tennis_app_changes_its_profile(tennis: HubProcess) -> None:
    """What is given changes, the rest stays, and with all that the schema requires it is complete."""
    async with Person(tennis.url) as person:
        reply = await person.sign_in(new_email())
        bearer = {"authorization": f"Bearer {reply['access_token']}"}

        async def patch(**members: object) -> httpx2.Response:
            return await person.http.patch("/api/user/profile", json=members, headers=bearer)

        first = (await patch(nickname="李娜", gender="female", racket_brand="Babolat", id=7)).json()["data"]
        assert (first["nickname"], first["racket_brand"]) == ("李娜", "Babolat")
        assert (first["id"], first["is_profile_completed"]) == (reply["user"]["id"], False)
        second = (await patch(birth_date="1982-02-26", avatar="https://a.example/1")).json()["data"]
        assert second["is_profile_completed"]
        assert (second["avatar_url"], second["avatar"]) == ("https://a.example/1",) * 2
        assert (second["nickname"], second["skill_level"], second["racket_brand"]) == (
            "李娜",
            "beginner",
            "Babolat",
        )
        assert (await patch(nickname="\u2068李娜\u2069")).status_code == 200
        assert (await patch(bio="左手\n\t网前")).json()["data"]["bio"] == "左手\n\t网前"
        hidden = (await patch(gender="prefer_not_to_say")).json()["data"]
        assert (hidden["gender"], hidden["is_profile_completed"]) == (None, False)
        for members in (
            {"skill_level": "unbeatable"},
            {"racket_brand": "x" * 51},
            {"nickname": "李"},
            {"avatar_url": "javascript:alert(1)"},
            {"gender": "both"},
            {"birth_date": "1982-02-30"},
            {"birth_date": "19820226"},
            {"birth_date": f"{datetime.now(UTC).date() + timedelta(days=2)}"},
            {"bio": "x\0y"},
            {"nickname": "\u202egpj.exe"},
            {"nickname": "a\u2028b"},
            {"nickname": "a\x9bb"},
            {"nickname": "\u200b\u200d\u2060"},
            {"nickname": "\u3164\ufe0f\u00a0"},
        ):
            body = refused(await patch(**members), 422, "invalid-request")
            assert [error["field"] for error in body["errors"]] == list(members)
        assert (await patch()).json()["data"] | {"updated_at": None} == hidden | {"updated_at": None}
