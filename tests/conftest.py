"""Fixtures that every kind of test shares."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import settings

from hub.store import database
from hub.store.database import Store
from hub.store.migrate import migrate

pytest_plugins = [
    "tests.servers.mariadb",
    "tests.servers.redis",
    "tests.servers.cluster",
    "tests.servers.hub",
    "tests.servers.worker",
    "tests.servers.chromium",
]


# How long an example takes is the machine's affair, and that of the suite's own limit.
settings.register_profile("hub", deadline=None)
settings.load_profile("hub")


def pytest_configure() -> None:
    """Let no client read the system's certificates: that takes most of its time, and no test needs them."""
    os.environ["SSL_CERT_DIR"] = str(Path(__file__).parent)


@pytest.fixture(scope="session")
def sqlite_schema(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated file, to be copied."""
    file = tmp_path_factory.mktemp("schema") / "hub.db"
    asyncio.run(migrate(f"sqlite:///{file}"))
    return file


@pytest.fixture
def sqlite_url(tmp_path: Path, sqlite_schema: Path) -> str:
    """DATABASE_URL of a fresh migrated file."""
    return f"sqlite:///{shutil.copy(sqlite_schema, tmp_path)}"


@pytest.fixture(params=["sqlite", "mariadb"])
def database_url(request: pytest.FixtureRequest) -> str:
    """DATABASE_URL of a fresh migrated database, on each engine in turn."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    """A started store on a fresh database, on each engine in turn."""
    store = Store(database_url)
    await store.start()
    yield store
    await store.stop()


@pytest.fixture
def probe_queries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let stores that start in this test load the statements of `tests/sql/queries`."""
    monkeypatch.setattr(database, "folder", Path(__file__).parent.joinpath)


@pytest.fixture
async def probe(probe_queries: None, store: Store) -> Store:
    """A started store with the statements of `tests/sql/queries/probe.sql`, on each engine in turn."""
    return store
