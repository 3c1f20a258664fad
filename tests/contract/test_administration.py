"""Looking accounts up as an administrator does, on both engines."""

import pytest

from hub.accounts.admin import ROLES, STATUSES, Administration
from hub.errors import NotFound
from hub.realtime.memory import MemoryBroker
from hub.store.database import Row, Store
from hub.tokens.endings import Endings
from hub.tokens.events import AccountEvents
from hub.tokens.revocations import Revocations
from tests.signing_in import execute, make_user

NUMBER, EMAIL, USERNAME = "+8613800138000", "Li.Lei@example.com", "Li.Lei"


@pytest.fixture
def administration(store: Store) -> Administration:
    """What the command line works with."""
    broker = MemoryBroker()
    endings = Endings(Revocations(store, broker, life=900), AccountEvents(store, broker))
    return Administration(store, endings, actor="ops@example", idle_ttl=900)


@pytest.fixture
async def known(store: Store, database_url: str) -> Row:
    """An account with a number, an address and a username, between two others."""
    await make_user(store, "oBefore")
    user = await make_user(store, "oKnown")
    await make_user(store, "oAfter")
    await execute(
        database_url,
        "UPDATE users SET phone = :phone, email = :email, username = :username WHERE id = :id",
        phone=NUMBER,
        email=EMAIL.casefold(),
        username=USERNAME.casefold(),
        id=user["id"],
    )
    return user


@pytest.mark.parametrize("name", [NUMBER, EMAIL, EMAIL.upper(), USERNAME, USERNAME.upper()])
async def test_whoever_is_asked_for(administration: Administration, known: Row, name: str) -> None:
    """An account is found by number, address and username, however they are written, and by its id."""
    assert (await administration.find(name))["id"] == known["id"]
    assert (await administration.find(str(known["id"])))["id"] == known["id"]


@pytest.mark.parametrize("name", ["999999", "0", "+8613800138001", "han@example.com", "nobody", "?", ""])
async def test_nobody_else_is_found(administration: Administration, known: Row, name: str) -> None:
    """What names no account is told as it was asked."""
    with pytest.raises(NotFound, match=r"^no such user: "):
        await administration.find(name)


async def test_pages_follow_by_id(administration: Administration, known: Row, database_url: str) -> None:
    """A page goes on after an id, and a filter keeps the others out."""

    async def listed(after: int = 0, limit: int = 10, status: str = "") -> list[int]:
        statuses = [each for each in STATUSES if each == status] or STATUSES
        rows = await administration.listed(after=after, limit=limit, statuses=statuses, roles=ROLES)
        return [row["id"] for row in rows]

    before, middle, after = await listed()
    assert middle == known["id"]
    assert await listed(after=before, limit=1) == [middle]
    assert await listed(after=middle) == [after]
    await execute(database_url, "UPDATE users SET status = 'banned' WHERE id = :id", id=middle)
    assert await listed(status="banned") == [middle]
    assert await listed(status="active") == [before, after]
