"""The guide to migration, statement by statement, on each engine, and people who sign in afterwards."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import bcrypt
import pytest

from hub.store.database import connect
from hub.store.links import Link, Row
from hub.store.location import Location
from hub.store.migrate import migrate
from hub.store.queries import Bound, split
from tests.code_client import Person
from tests.servers.hub import HubProcess

GUIDE = Path(__file__).parents[2] / "hub" / "docs" / "guides" / "migration.md"
BLOCKS = [
    re.sub(r"^ +", "", block, flags=re.MULTILINE)
    for block in re.findall(r"```sql\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
]
ONLY = {"mysql": "-- MySQL and MariaDB only\n", "sqlite": "-- SQLite only\n"}
PASSWORD = "correct horse battery"

OLD_TABLES = """
CREATE TABLE users (
    id BIGINT NOT NULL PRIMARY KEY, phone VARCHAR(32), country_code VARCHAR(8), nickname VARCHAR(100),
    avatar_url VARCHAR(500), password_hash VARCHAR(255), banned INT NOT NULL, created_at DATETIME NOT NULL,
    last_login_at DATETIME
);
CREATE TABLE old_wechat (
    user_id BIGINT NOT NULL, appid VARCHAR(32) NOT NULL, openid VARCHAR(64) NOT NULL, unionid VARCHAR(64),
    created_at DATETIME NOT NULL
);
CREATE TABLE orders (
    id BIGINT NOT NULL PRIMARY KEY, user_id BIGINT NOT NULL,
    CONSTRAINT orders_of FOREIGN KEY (user_id) REFERENCES users (id)
);
"""
# id, phone, country_code, nickname, banned
OLD_USERS = (
    (1, "13800138001", "+86", "旧号", 0),
    (2, "138-0013-8002", None, "", 0),
    (3, "+65 8123 4567", "+65", "Tan", 0),
    (4, "008613800138004", "+86", None, 0),
    (5, "12345", "+86", None, 0),
    (6, "13800138001", "+86", "新号", 0),
    (7, "13800138007", "+86", None, 1),
    (8, "13800138008", "+86", "李", 0),
    (9, None, None, "nobody", 0),
    (10, "", None, "nobody", 0),
)
COME_ALONG = {
    2: "+8613800138002",
    3: "+6581234567",
    4: "+8613800138004",
    6: "+8613800138001",
    7: "+8613800138007",
    8: "+8613800138008",
}


class Operator:
    """Somebody who follows the guide in one session of the database."""

    def __init__(self, link: Link, engine: str) -> None:
        self.link = link
        self.engine = engine

    async def run(self, sql: str) -> list[Row]:
        """Run statements one after the other, and return the rows of the last one."""
        rows: list[Row] = []
        for statement in split(sql):
            bound = Bound("guide", statement, ())
            if re.search(r"^SELECT\b", statement, re.MULTILINE) and "INSERT" not in statement:
                rows = await self.link.fetch(bound)
            else:
                await self.link.execute(bound)
        return rows

    async def follow(self, step: str) -> list[Row]:
        """Run the blocks of a step, as its first comment names it, and return the rows of the last one."""
        rows: list[Row] = []
        blocks = [block for block in BLOCKS if f"-- {step}\n" in block]
        assert blocks, step
        for block in blocks:
            if block.startswith(ONLY[self.engine]) or not block.startswith(tuple(ONLY.values())):
                rows = await self.run(block)
        return rows


async def old_database(operator: Operator) -> None:
    """Make the tables of an application of its own, with people in them."""
    if operator.engine == "mysql":
        await operator.run("ALTER DATABASE CHARACTER SET utf8mb4")
    await operator.run(OLD_TABLES)
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    for number, phone, country, nickname, banned in OLD_USERS:
        phone, country, nickname = (
            "NULL" if text is None else f"'{text}'" for text in (phone, country, nickname)
        )
        await operator.run(
            f"INSERT INTO users VALUES ({number}, {phone}, {country}, {nickname}, NULL,"  # noqa: S608 - our own
            f" '{hashed}', {banned}, '2024-01-02 03:04:05', NULL)"
        )
    await operator.run(
        "INSERT INTO old_wechat VALUES (8, 'wx1', 'oAbC', 'u1', '2024-01-02 03:04:05');"
        "INSERT INTO old_wechat VALUES (8, 'wx2', 'oaBC', '', '2024-01-02 03:04:05');"
        "INSERT INTO orders VALUES (1, 6)"
    )


@pytest.fixture
async def operator(url: str) -> AsyncIterator[Operator]:
    """The operator, in a session of that database."""
    location = Location.parse(url)
    link = await connect(location)
    yield Operator(link, location.engine)
    await link.close()


@pytest.fixture(params=["sqlite", "mariadb"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """DATABASE_URL of an empty database, on each engine in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'old.db'}"
    empty: str = request.getfixturevalue("mariadb_empty_url")
    return empty


async def test_following_the_guide(url: str, operator: Operator, tmp_path: Path) -> None:
    """Accounts come along with their numbers and ways to sign in, people get in, and it can be taken back."""
    await old_database(operator)
    await operator.follow("rename")
    await migrate(url)
    if operator.engine == "mysql":
        await operator.run(next(block for block in BLOCKS if "SET SESSION" in block))

    await operator.follow("numbers")
    assert [row["id"] for row in await operator.follow("malformed")] == [5]
    await operator.run("DELETE FROM migrated_users WHERE id = 5")
    (doubled,) = await operator.follow("doubled")
    assert (doubled["accounts"], doubled["first_id"], doubled["last_id"]) == (2, 1, 6)
    await operator.follow("keep the newest")
    assert await operator.follow("doubled") == []

    await operator.follow("import")
    assert {
        row["id"]: row["phone"] for row in await operator.run("SELECT id, phone FROM users")
    } == COME_ALONG
    for block in (each for each in BLOCKS if "-- missing\n" in each):
        assert (await operator.run(block))[0]["missing"] == 0
    counted = {row["login_type"]: row["accounts"] for row in await operator.follow("counted")}
    assert counted == {"phone": 5, "both": 1}
    bound = await operator.run(
        "SELECT t.user_id, w.openid FROM user_login_types t JOIN wechat_users w ON w.id = t.wechat_user_id"
    )
    assert [(row["user_id"], row["openid"]) for row in bound] == [(8, "oAbC")]

    await signs_in(url, tmp_path)

    if operator.engine == "sqlite":
        await operator.run("PRAGMA foreign_keys = ON")
    await operator.follow("roll back")
    left = await operator.run(
        "SELECT u.phone, t.login_type FROM users u JOIN user_login_types t ON t.user_id = u.id"
    )
    assert [(row["phone"], row["login_type"]) for row in left] == [("+8613912345678", "phone")]
    assert await operator.run("SELECT 1 FROM user_sessions WHERE user_id <= 10") == []
    assert len(await operator.run("SELECT id FROM old_users")) == len(OLD_USERS)


async def signs_in(url: str, folder: Path) -> None:
    """Old people sign in to their accounts, the banned one does not, and a new one gets an account."""
    hub = HubProcess(folder, DATABASE_URL=url).start()
    try:
        async with Person(hub.url) as person:
            login = await person.post(
                "/api/login", phone="13800138002", code=await person.code("13800138002")
            )
            assert login.json()["data"]["user"]["id"] == 2
            assert login.json()["data"]["is_new_user"] is False
            by_password = await person.post("/api/login/password", account="13800138001", password=PASSWORD)
            assert by_password.json()["data"]["user"]["id"] == 6
            banned = await person.post("/api/login/password", account="13800138007", password=PASSWORD)
            assert banned.status_code == 403
            code = await person.code("13912345678")
            new = await person.post("/api/login", phone="13912345678", code=code)
            assert new.json()["data"]["is_new_user"] is True
            assert (
                new.json()["data"]["user"]["id"] > OLD_USERS[-1][0]
            )  # nobody gets the number of somebody left out
    finally:
        hub.stop()
