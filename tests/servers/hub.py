"""Real hub processes, started by the console script on free ports, and the fixtures that hand them out."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import ClassVar

import pytest

from tests.servers.mariadb import MariaDB
from tests.servers.ports import free_port
from tests.servers.redis import RedisServer

START_LIMIT = 60.0
ALLOWED_ORIGIN = "https://shop.example.com"
REDIRECT_URI = "https://app.example.com/back"
SECRET = "test-secret-" * 4


def inherited() -> dict[str, str]:
    """What a process has of the tests' own environment: no setting, and what measures it."""
    return {name: value for name, value in os.environ.items() if name.startswith(("PATH", "COVERAGE_"))}


class HubProcess:
    """One `hub serve`. *env* are its settings; its log is kept in a file."""

    at: ClassVar[dict[str, "HubProcess"]] = {}
    """The newest hub at each address."""

    _serve: Sequence[str] = (str(Path(sys.executable).with_name("hub")), "serve")

    def __init__(self, folder: Path, **env: str) -> None:
        self.port = free_port()
        self.log_file = folder / f"hub-{self.port}.log"
        self.url = f"http://127.0.0.1:{self.port}"
        self.at[self.url] = self
        self._env = {
            **inherited(),
            "HOME": str(folder),
            "PORT": str(self.port),
            "DATABASE_URL": f"sqlite:///{folder / 'hub.db'}",
            "JWT_SECRET": f"jwt-{SECRET}",
            "COOKIE_SECRET": f"cookie-{SECRET}",
            "REFRESH_KEYS": f"refresh-{SECRET}",
            "HUB_LIMITS": "off",
            "PYTHONWARNINGS": "error,ignore::DeprecationWarning",
            **env,
        }
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> "HubProcess":
        """Start it, and return once it is ready."""
        command = [*self._serve, *options]
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                command, env=self._env, cwd=self._folder, stdout=log, stderr=subprocess.STDOUT
            )
        deadline = time.monotonic() + START_LIMIT
        while not self._ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                pytest.fail(self.log()[-3000:])
            time.sleep(0.02)
        return self

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/healthz", timeout=1) as answer:  # noqa: S310 - our own
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    @property
    def database_url(self) -> str:
        """The DATABASE_URL it was given."""
        return self._env["DATABASE_URL"]

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process is not None
        return self._process.pid

    def log(self) -> str:
        """All that the process has written so far."""
        return self.log_file.read_text("utf-8", "replace")

    def empty(self) -> None:
        """Delete every row of its SQLite file: it knows nobody any more, and no id comes a second time."""
        file = self.database_url.removeprefix("sqlite:///")
        with closing(sqlite3.connect(file, timeout=20, isolation_level=None)) as link:
            names = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            tables = {name for (name,) in link.execute(names)} - {"schema_migrations"}
            link.executescript("BEGIN IMMEDIATE;" + "".join(f"DELETE FROM {table};" for table in tables))  # noqa: S608
            link.execute("COMMIT")

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run another `hub` command with the same settings, to its end."""
        return subprocess.run(
            [str(Path(sys.executable).with_name("hub")), *arguments],
            env=self._env,
            cwd=self._folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def defects(self) -> list[str]:
        """The lines of its log that tell of a mistake of its own."""
        marks = (
            "defect",
            "Exception in ASGI",
            "without completing handshake",  # a response that is cut off is one of the sandbox's faults
            "Fatal error",
            "never retrieved",
            "never awaited",
            "Exception ignored",
        )
        return [line for line in self.log().splitlines() if any(mark in line for mark in marks)]

    def terminate(self) -> None:
        """Send SIGTERM and do not wait."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def wait(self, seconds: float = 25) -> int:
        """Wait for the end and return the exit code."""
        assert self._process is not None
        return self._process.wait(seconds)

    def kill(self) -> None:
        """End it by SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)

    def stop(self) -> None:
        """End it by SIGTERM, by SIGKILL if it does not go."""
        if self._process is None or self._process.poll() is not None:
            return
        self.terminate()
        try:
            self.wait()
        except subprocess.TimeoutExpired:
            self.kill()
            pytest.fail(f"the hub did not end on SIGTERM:\n{self.log()[-2000:]}")


class PlainHub(HubProcess):
    """The hub on a server that parks no sockets."""

    _serve = (sys.executable, "-m", "tests.servers.plain")

    def defects(self) -> list[str]:
        """As of any hub, but for uvicorn's complaint of each handshake that was refused as it should be."""
        return [line for line in super().defects() if "without completing handshake" not in line]


@pytest.fixture(scope="session")
def hub_unparked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    """One hub in the embedded default, on a server that parks no sockets, shared by the session."""
    process = PlainHub(tmp_path_factory.mktemp("hub"), ALLOWED_ORIGINS=ALLOWED_ORIGIN).start()
    yield process
    process.stop()
    assert process.defects() == []


@pytest.fixture(scope="session")
def hub_on_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    """One hub in the embedded default, shared by the session; limits are off."""
    process = HubProcess(tmp_path_factory.mktemp("hub"), ALLOWED_ORIGINS=ALLOWED_ORIGIN).start()
    yield process
    process.stop()
    assert process.defects() == []


@pytest.fixture(scope="session")
def _hub_for_one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    process = HubProcess(tmp_path_factory.mktemp("hub"), REDIRECT_URIS=REDIRECT_URI).start()
    yield process
    process.stop()
    assert process.defects() == []


@pytest.fixture
def hub_alone(_hub_for_one: HubProcess) -> HubProcess:
    """A hub in the embedded default whose people nobody else signs in: shared, and emptied for each test."""
    _hub_for_one.empty()
    return _hub_for_one


@pytest.fixture
def hub_env(mariadb_url: str, redis_url: str, redis_prefix: str) -> dict[str, str]:
    """The settings of a hub on a fresh MariaDB database and a Redis prefix of its own."""
    return {"DATABASE_URL": mariadb_url, "REDIS_URL": redis_url, "REDIS_KEY_PREFIX": redis_prefix}


@pytest.fixture
def hub_on_servers(tmp_path: Path, hub_env: dict[str, str]) -> Iterator[HubProcess]:
    """One hub on MariaDB and Redis."""
    process = HubProcess(tmp_path, **hub_env).start()
    yield process
    process.stop()


@pytest.fixture(scope="session")
def hub_beside_servers(
    tmp_path_factory: pytest.TempPathFactory,
    mariadb_server: MariaDB,
    mariadb_schema: str,
    redis_server: RedisServer,
) -> Iterator[HubProcess]:
    """One hub on MariaDB and Redis, shared by the session; limits are off."""
    mariadb_server.execute("CREATE DATABASE hub_shared", "USE hub_shared", mariadb_schema)
    process = HubProcess(
        tmp_path_factory.mktemp("hub"),
        DATABASE_URL=mariadb_server.url("hub_shared"),
        REDIS_URL=redis_server.url,
        REDIS_KEY_PREFIX="test:shared:",
        ALLOWED_ORIGINS=ALLOWED_ORIGIN,
    ).start()
    yield process
    process.stop()
    assert process.defects() == []


_SHARED = {"embedded": "hub_on_sqlite", "servers": "hub_beside_servers", "unparked": "hub_unparked"}


def shared(request: pytest.FixtureRequest) -> HubProcess:
    """Return the shared hub that the parameter of a fixture names."""
    process: HubProcess = request.getfixturevalue(_SHARED[request.param])
    return process


@pytest.fixture(params=["embedded", "servers"])
def hub(request: pytest.FixtureRequest) -> HubProcess:
    """A shared hub on each pair of back ends in turn."""
    return shared(request)
