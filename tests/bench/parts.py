"""Costs of parts, without a hub around them: an access token's check, and a statement through the store."""

import secrets
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import aiomysql
import aiosqlite
import uvloop
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from databases import Database

from hub.store.database import Connection, Store
from hub.store.location import Location
from hub.store.migrate import migrate
from hub.store.queries import stored_time
from hub.tokens.claims import AccessTokens
from hub.tokens.keys import Key, KeyRing, pem_key, secret_key

_ROUNDS = 5
# What `sql/queries` says, in the driver's own style.
_READ = "SELECT * FROM login_sessions WHERE session_id = {}"
_UPDATE = "UPDATE users SET last_login_at = {} WHERE id = {} AND status = 'active'"
_USER = "SELECT id, username, nickname, avatar_url, email, phone, role, status FROM users WHERE id = {}"


def check_access_tokens(times: int) -> dict[str, list[float]]:
    """Return µs a check of an access token, by algorithm, in each round."""
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    keys = {"HS256": secret_key(secrets.token_hex(32)), "EdDSA": pem_key(pem, "EdDSA")}
    return {name: _checks(key, times) for name, key in keys.items()}


def _checks(key: Key, times: int) -> list[float]:
    access, now = AccessTokens(KeyRing([key]), issuer="https://hub.example"), datetime.now(UTC)
    token, _ = access.issue(
        user_id=1,
        sid=secrets.token_urlsafe(16),
        role="user",
        email="a@example.com",
        amr=("wechat",),
        auth_time=now,
        now=now,
        until=now + timedelta(hours=2),
    )
    rounds = []
    for _ in range(_ROUNDS):
        begun = time.perf_counter()
        for _ in range(times):
            access.verify(token, now)
        rounds.append(1e6 * (time.perf_counter() - begun) / times)
    return rounds


def statements(mysql_url: str, folder: Path, times: int) -> dict[str, dict[str, list[float]]]:
    """Return µs a read and a unit of work, by engine and way (`store read`, `driver read`), in each round."""
    return {
        "SQLite": uvloop.run(_on_sqlite(folder / "parts.db", times)),
        "MariaDB": uvloop.run(_on_mysql(mysql_url, times)),
    }


async def _on_sqlite(file: Path, times: int) -> dict[str, list[float]]:
    url = f"sqlite:///{file}"
    await migrate(url)
    async with aiosqlite.connect(file, isolation_level=None) as link:
        await link.execute("PRAGMA journal_mode = WAL")
        await link.execute("PRAGMA synchronous = NORMAL")

        async def read(key: str) -> None:
            assert await link.execute_fetchall(_READ.format("?"), (key,))

        async def unit(user_id: int) -> None:
            await link.execute("BEGIN IMMEDIATE")
            await link.execute(_UPDATE.format("?", "?"), (_now(), user_id))
            assert await link.execute_fetchall(_USER.format("?"), (user_id,))
            await link.commit()

        return await _compare(url, read, unit, times)


async def _on_mysql(url: str, times: int) -> dict[str, list[float]]:
    parts = urlsplit(url)
    link = await aiomysql.connect(
        host=parts.hostname,
        port=parts.port,
        user=parts.username,
        password=parts.password,
        db=parts.path[1:],
        autocommit=True,
    )
    cursor = await link.cursor()

    async def read(key: str) -> None:
        await cursor.execute(_READ.format("%s"), (key,))
        assert await cursor.fetchall()

    async def unit(user_id: int) -> None:
        await link.begin()
        await cursor.execute(_UPDATE.format("%s", "%s"), (_now(), user_id))
        await cursor.execute(_USER.format("%s"), (user_id,))
        assert await cursor.fetchall()
        await link.commit()

    try:
        return await _compare(url, read, unit, times)
    finally:
        link.close()


async def _compare(
    url: str, read: Callable[[str], Awaitable[None]], unit: Callable[[int], Awaitable[None]], times: int
) -> dict[str, list[float]]:
    """Time the driver's way, *read* and *unit*, and the same through the store and `databases`, in turns."""
    store = Store(url, connections=1)
    await store.start()
    database = Database(Location.parse(url).url)
    await database.connect()
    try:
        now = store.now()
        user_id = await store.insert(
            "accounts.add_user", nickname="Person", avatar_url=None, gender=None, created_at=now
        )
        key = secrets.token_hex(32)
        await store.insert(
            "qr.create",
            session_id=key,
            session_seed=secrets.token_urlsafe(16),
            qr_code=secrets.token_urlsafe(16),
            qr_content=None,
            cookie_hash=None,
            initiator_user_id=None,
            initiator_sid=None,
            qr_expires_at=now,
            purpose="login",
            door="app",
            binding="S256:",
            redirect_uri=None,
            state=None,
            code_hash=None,
            ip_address="127.0.0.1",
            user_agent="bench",
            expires_at=now,
            created_at=now,
        )

        async def stored_read() -> None:
            assert await store.one("qr.by_session", session_id=key)

        async def stored_work(tx: Connection) -> None:
            await tx.changed("tokens.mark_login", id=user_id, last_login_at=store.now())
            assert await tx.one("accounts.user", id=user_id)

        async def plain_read() -> None:
            assert await database.fetch_all(_READ.format(":key"), {"key": key})

        async def plain_work() -> None:
            async with database.transaction():
                await database.execute(_UPDATE.format(":now", ":id"), {"now": _now(), "id": user_id})
                assert await database.fetch_one(_USER.format(":id"), {"id": user_id})

        ways: dict[str, Callable[[], Awaitable[None]]] = {
            "driver read": lambda: read(key),
            "store read": stored_read,
            "databases read": plain_read,
            "driver unit": lambda: unit(user_id),
            "store unit": lambda: store.write(stored_work),
            "databases unit": plain_work,
        }
        taken: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(_ROUNDS):
            for name, way in ways.items():
                begun = time.perf_counter()
                for _ in range(times):
                    await way()
                taken[name].append(1e6 * (time.perf_counter() - begun) / times)
        return taken
    finally:
        await database.disconnect()
        await store.stop()


def _now() -> str:
    return stored_time(datetime.now(UTC))
