"""Changes to the profile, on both engines."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from hub.accounts import profile_schema
from hub.accounts.profile import OWN, Profiles
from hub.accounts.profile_schema import ProfileSchema
from hub.errors import InvalidRequest, Unauthorized
from hub.store.database import Store
from tests.signing_in import make_user, rows, warm

TENNIS = ProfileSchema.load(Path(profile_schema.__file__).with_name("schemas") / "tennis.json", OWN)


async def test_members_change_and_stay(store: Store, database_url: str) -> None:
    """Own members and those of the schema; null takes one away; what no schema names is ignored."""
    user = await make_user(store)
    profiles = Profiles(store, TENNIS)
    given = {"nickname": "李娜", "birth_date": "1982-02-26", "play_style": "attack", "role": "admin", "x": 1}
    await profiles.change(user["id"], given)
    found: Mapping[str, Any] = await profiles.change(
        user["id"], {"play_style": None, "favorite_court": "中心球场"}
    )
    assert (found["nickname"], found["birth_date"], found["role"]) == ("李娜", "1982-02-26", "user")
    assert (found["play_style"], found["favorite_court"]) == (None, "中心球场")
    assert found == await profiles.read(user["id"])
    (row,) = await rows(database_url, "SELECT profile FROM users")
    assert json.loads(row["profile"]) == {"play_style": None, "favorite_court": "中心球场"}


async def test_a_refused_change_changes_nothing(store: Store) -> None:
    """Not even the members that were right."""
    user = await make_user(store)
    profiles = Profiles(store, TENNIS)
    before = await profiles.read(user["id"])
    with pytest.raises(InvalidRequest):
        await profiles.change(user["id"], {"nickname": "李娜", "skill_level": 5})
    assert await profiles.read(user["id"]) == before


async def test_parallel_changes_all_stay(store: Store) -> None:
    """Each changes another member, and none is lost."""
    user = await make_user(store)
    profiles = Profiles(store, TENNIS)
    given = {"nickname": "李娜", "bio": "网球", "play_style": "attack", "racket_brand": "Babolat"}
    await warm(store)
    await asyncio.gather(*(profiles.change(user["id"], {name: value}) for name, value in given.items()))
    found: Mapping[str, Any] = await profiles.read(user["id"])
    assert {name: found[name] for name in given} == given


async def test_an_account_that_is_gone_has_no_profile(store: Store) -> None:
    """Its token may still run."""
    with pytest.raises(Unauthorized):
        await Profiles(store, TENNIS).change(1, {"nickname": "李娜"})


@pytest.mark.parametrize("name", ["role", "phone", "is_premium"])
async def test_a_schema_takes_no_member_of_every_profile(store: Store, name: str) -> None:
    """An application cannot let its people choose their role."""
    with pytest.raises(ValueError, match=name):
        Profiles(store, ProfileSchema({"properties": {name: {}}}, OWN))


def test_what_is_no_schema_is_refused() -> None:
    """At the start, not at the first request."""
    with pytest.raises(ValueError, match="no JSON Schema"):
        ProfileSchema({"type": "thing"}, OWN)
