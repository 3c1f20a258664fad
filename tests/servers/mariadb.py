"""A private MariaDB server for the tests: started once when first asked for, stopped at the end."""

import asyncio
import atexit
import functools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

import pymysql
import pytest
from pymysql.cursors import Cursor

from hub.store.migrate import migrate
from tests.servers.freezing import freeze
from tests.servers.ports import free_port

_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", "/usr/local/mysql/bin"])
_START_SECONDS = 60.0
_PASSWORD = "p@ss/wörd %密"  # with signs that a URL must encode, and some beyond Latin-1


class MariaDB:
    """One mariadbd on a free port and a Unix socket, with its files in a folder of its own.

    *options* go to the server's command line and win over the defaults, which are small and fast.
    """

    def __init__(self, folder: Path, *options: str, environment: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.port = free_port()
        self.socket = folder / "sock"
        self._options = options
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._user = ["--user=mysql"] if os.geteuid() == 0 else []
        if self._user:
            mysql = pwd.getpwnam("mysql")
            os.chown(folder, mysql.pw_uid, mysql.pw_gid)

    def install(self) -> None:
        """Lay out the system tables."""
        subprocess.run(
            [
                _binary("mariadb-install-db", "mysql_install_db"),
                "--no-defaults",
                f"--datadir={self.folder / 'data'}",
                f"--tmpdir={self.folder}",  # a server that starts deletes others' temporary tables there
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                *self._user,
            ],
            check=True,
            capture_output=True,
            timeout=_START_SECONDS,
        )

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._process = subprocess.Popen(
            [
                _binary("mariadbd", "mysqld"),
                "--no-defaults",
                f"--datadir={self.folder / 'data'}",
                f"--tmpdir={self.folder}",
                f"--socket={self.socket}",
                f"--port={self.port}",
                "--bind-address=127.0.0.1",
                f"--pid-file={self.folder / 'pid'}",
                f"--log-error={self.folder / 'log'}",
                "--skip-name-resolve",
                "--performance-schema=OFF",
                "--innodb-buffer-pool-size=64M",
                "--innodb-log-file-size=32M",
                "--innodb-flush-log-at-trx-commit=2",
                "--innodb-doublewrite=OFF",
                "--max-connections=200",
                *self._user,
                *self._options,
            ],
            env=self._environment,
        )
        end = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"mariadbd did not start: {(self.folder / 'log').read_text()[-2000:]}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as link:
                return len(link.recv(64)) > 0  # the handshake begins with the server
        except OSError:
            return False

    def kill(self) -> None:
        """Let it die on the spot, as at a power cut."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Shut it down in order."""
        self._end(signal.SIGTERM)

    def pause(self) -> None:
        """Freeze it: it keeps its connections and answers nothing."""
        freeze(self._running.pid)

    def resume(self) -> None:
        """End the freeze."""
        self._running.send_signal(signal.SIGCONT)

    def execute(self, *statements: str) -> list[list[str]]:
        """Run statements as root and return the rows of the answer as text."""
        done = subprocess.run(
            [
                _binary("mariadb", "mysql"),
                "--no-defaults",
                f"--socket={self.socket}",
                "--user=root",
                "--batch",
                "--skip-column-names",
                "--default-character-set=utf8mb4",
            ],
            input=";\n".join(statements),
            check=True,
            capture_output=True,
            encoding="utf-8",
            timeout=_START_SECONDS,
        )
        return [line.split("\t") for line in done.stdout.splitlines()]

    def url(self, database: str, *, user: str = "hub", password: str = _PASSWORD) -> str:
        """Return the DATABASE_URL of *database*."""
        return f"mysql://{user}:{quote(password, safe='')}@127.0.0.1:{self.port}/{database}"

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("mariadbd is not running")
        return self._process

    def _end(self, number: signal.Signals) -> None:
        self._running.send_signal(signal.SIGCONT)
        self._running.send_signal(number)
        self._running.wait(_START_SECONDS)
        self._process = None

    @property
    def running(self) -> bool:
        """It was started and not stopped since."""
        return self._process is not None


def _binary(*names: str) -> str:
    for name in names:
        path = shutil.which(name, path=_PATH)
        if path:
            return path
    raise FileNotFoundError(names[0])


def _installed() -> bool:
    try:
        return bool(_binary("mariadbd", "mysqld") and _binary("mariadb-install-db", "mysql_install_db"))
    except FileNotFoundError:
        return False


@functools.cache
def _laid_out() -> Path:
    """The files of a server that lets the hub in. To copy them takes a tenth of the time of making them."""
    folder = Path(tempfile.mkdtemp(prefix="hub-mariadb-"))
    atexit.register(shutil.rmtree, folder)
    server = MariaDB(folder)
    server.install()
    server.start()
    server.execute(
        f"CREATE USER hub@'%' IDENTIFIED BY '{_PASSWORD}'",
        "GRANT ALL ON `hub\\_%`.* TO hub@'%'",
    )
    server.stop()
    return folder / "data"


def launch(folder: Path, *options: str, environment: Mapping[str, str] | None = None) -> MariaDB:
    """Start a server in *folder* that lets the hub in; skips the test where that cannot be.

    *environment* is what it has beside the tests' own.
    """
    if not _installed():
        if os.environ.get("HUB_TEST_REQUIRE_ALL") == "1":
            pytest.fail("mariadbd or mariadb-install-db is not installed")
        pytest.skip("mariadbd or mariadb-install-db is not installed")
    server = MariaDB(folder, *options, environment=environment)
    subprocess.run(["cp", "-a", _laid_out(), folder], check=True)
    server.start()
    return server


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[MariaDB]:
    """The server that all tests share; they must leave it running."""
    with tempfile.TemporaryDirectory(prefix="hub-mariadb-") as folder:
        server = launch(Path(folder))
        yield server
        server.stop()


@pytest.fixture
def own_mariadb() -> Iterator[MariaDB]:
    """A server of the test's own, to kill and to freeze."""
    with tempfile.TemporaryDirectory(prefix="hub-mariadb-") as folder:
        server = launch(Path(folder))
        yield server
        if server.running:
            server.stop()


@pytest.fixture(scope="session")
def mariadb_schema(mariadb_server: MariaDB) -> str:
    """The migrated schema, once, as a script."""
    mariadb_server.execute("CREATE DATABASE hub_model")
    asyncio.run(migrate(mariadb_server.url("hub_model")))
    return _dump(mariadb_server, "hub_model")


def _dump(server: MariaDB, database: str) -> str:
    done = subprocess.run(
        [
            _binary("mariadb-dump", "mysqldump"),
            "--no-defaults",
            f"--socket={server.socket}",
            "--user=root",
            "--skip-comments",
            database,
        ],
        check=True,
        capture_output=True,
        text=True,
        timeout=_START_SECONDS,
    )
    return done.stdout


@pytest.fixture
def mariadb_empty_url(mariadb_server: MariaDB) -> Iterator[str]:
    """DATABASE_URL of a database without tables."""
    name = f"hub_{uuid.uuid4().hex[:12]}"
    mariadb_server.execute(f"CREATE DATABASE {name}")
    yield mariadb_server.url(name)
    mariadb_server.execute(f"DROP DATABASE {name}")


class Databases:
    """Migrated databases of a *server*: each is handed out, emptied and handed out again.

    One whose schema has been changed, or that is still in use, is thrown away.
    """

    def __init__(self, server: MariaDB, schema: str) -> None:
        self._server = server
        self._schema = schema
        self._free: list[str] = []
        self._link = pymysql.connect(unix_socket=str(server.socket), user="root", autocommit=True)
        self._cursor: Cursor = self._link.cursor()
        self._fresh: dict[str, object] = {}

    def take(self) -> str:
        """Return the name of one that is as the migrations leave it."""
        if self._free:
            return self._free.pop()
        name = f"hub_{uuid.uuid4().hex[:12]}"
        self._server.execute(f"CREATE DATABASE {name}", f"USE {name}", self._schema)
        self._fresh[name] = self._definition(name)
        return name

    def give_back(self, name: str) -> None:
        """Empty it for the next test."""
        if self._idle(name) and self._definition(name) == self._fresh[name]:
            self._empty(name)
            self._free.append(name)
        else:
            self._cursor.execute(f"DROP DATABASE {name}")

    def close(self) -> None:
        """Give up the connection."""
        self._link.close()

    def _idle(self, name: str) -> bool:
        """Say whether nobody is connected to it; who has just left is gone in a moment."""
        end = time.monotonic() + 1
        while self._rows("SELECT id FROM information_schema.processlist WHERE db = %s", name):
            if time.monotonic() > end:
                return False
            time.sleep(0.005)
        return True

    def _definition(self, name: str) -> object:
        """What changes with each table, column, index, trigger and migration."""
        folder = self._server.folder / "data" / name
        files = {
            entry.name: entry.stat().st_mtime_ns
            for entry in os.scandir(folder)
            if not entry.name.endswith(".ibd")
        }
        return files, self._rows(f"CHECKSUM TABLE {name}.schema_migrations")

    def _empty(self, name: str) -> None:
        tables = self._rows(
            "SELECT table_name, auto_increment > 1 FROM information_schema.tables"
            " WHERE table_schema = %s AND table_name <> 'schema_migrations'",
            name,
        )
        probes = [f"SELECT '{table}' WHERE EXISTS (SELECT 1 FROM {name}.{table})" for table, _ in tables]  # noqa: S608
        filled = self._rows(" UNION ALL ".join(probes))
        self._cursor.execute("SET foreign_key_checks = 0")
        used = {table for (table,) in filled} | {table for table, counted in tables if counted}
        for table in used:
            self._cursor.execute(f"TRUNCATE {name}.{table}")

    def _rows(self, statement: str, *values: str) -> tuple[tuple[object, ...], ...]:
        self._cursor.execute(statement, values)
        rows: tuple[tuple[object, ...], ...] = self._cursor.fetchall()
        return rows


@pytest.fixture(scope="session")
def mariadb_databases(mariadb_server: MariaDB, mariadb_schema: str) -> Iterator[Databases]:
    """The migrated databases of the shared server."""
    databases = Databases(mariadb_server, mariadb_schema)
    yield databases
    databases.close()


@pytest.fixture
def mariadb_url(mariadb_server: MariaDB, mariadb_databases: Databases) -> Iterator[str]:
    """DATABASE_URL of a migrated database without rows."""
    name = mariadb_databases.take()
    yield mariadb_server.url(name)
    mariadb_databases.give_back(name)
