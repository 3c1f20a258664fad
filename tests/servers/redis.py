"""A private redis-server on a free port, and the fixtures that hand it out."""

import os
import shutil
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from hub.limits.memory import MemoryLimiter
from hub.limits.redis import RedisLimiter
from hub.limits.rules import Limiter
from hub.realtime.broker import Broker
from hub.realtime.memory import MemoryBroker
from hub.realtime.redis import RedisBroker
from tests.servers.freezing import freeze
from tests.servers.ports import free_port


class RedisServer:
    """A redis-server without persistence that can be killed, paused and started again on the same port.

    *options* are redis.conf directives (`{"requirepass": "…"}`), for tests that need more than the default. A
    *sentinel* reads `sentinel.conf` in its folder instead.
    """

    def __init__(
        self, folder: Path, options: dict[str, str] | None = None, *, sentinel: bool = False
    ) -> None:
        self.folder = folder
        self._sentinel = sentinel
        self.options = options or {}
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The URL of database 0."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start the server and wait until it answers."""
        command = ["redis-server"]
        if self._sentinel:
            command += [str(self.folder / "sentinel.conf"), "--sentinel"]
        else:
            command += ["--save", "", "--appendonly", "no"]
        command += ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        for name, value in self.options.items():
            command += [f"--{name}", value]
        with (self.folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + 10
        while not self.answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                pytest.fail((self.folder / "redis.log").read_text()[-2000:])
            time.sleep(0.01)

    def answers(self) -> bool:
        """Say whether the server answers a PING, be it with a refusal."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(1) in (b"+", b"-")
        except OSError:
            return False

    def kill(self) -> None:
        """End it by SIGKILL: connections break, nothing is saved."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it by SIGTERM, if it runs; one that is paused is woken for it."""
        self._end(signal.SIGTERM)

    def restart(self) -> None:
        """Kill it and start it again, empty, on the same port."""
        self.kill()
        self.start()

    def pause(self) -> None:
        """Freeze it: connections stay, and the kernel goes on accepting new ones that nobody answers."""
        assert self._process is not None
        freeze(self._process.pid)

    def resume(self) -> None:
        """Let it go on after `pause()`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def command(self, *arguments: str) -> str:
        """Run redis-cli with *arguments* and return what it prints."""
        command = ["redis-cli", "-p", str(self.port), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=10).stdout.strip()

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(number)
        self._process.send_signal(signal.SIGCONT)
        self._process.wait(timeout=10)
        self._process = None


def require(program: str) -> None:
    """Skip the test where *program* is not installed; fail it where everything is required."""
    if shutil.which(program) is None:
        complain = pytest.fail if os.environ.get("HUB_TEST_REQUIRE_ALL") == "1" else pytest.skip
        complain(f"{program} is not installed")


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """The Redis that all tests share; none of them may stop or flush it."""
    require("redis-server")
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """The URL of the shared Redis."""
    return redis_server.url


@pytest.fixture
def redis_prefix() -> str:
    """A key prefix that no other test has, which is why nobody needs to flush."""
    return f"test:{uuid.uuid4().hex}:"


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of the test's own, to be killed, frozen and flushed at will."""
    require("redis-server")
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture(params=["memory", "redis"])
def back_end(request: pytest.FixtureRequest) -> str:
    """Each back end in turn: "" for the process's own memory, or the URL of a Redis."""
    return back_end_url(request)


def back_end_url(request: pytest.FixtureRequest) -> str:
    """The back end that `request.param` names: `memory`, `redis` or `cluster`."""
    if request.param == "memory":
        return ""
    url: str = request.getfixturevalue(f"{request.param}_server").url
    return url


@pytest.fixture
async def broker(back_end: str, redis_prefix: str) -> AsyncIterator[Broker]:
    """A started broker, once of each kind."""
    broker: Broker = RedisBroker(back_end, redis_prefix) if back_end else MemoryBroker()
    await broker.start()
    yield broker
    await broker.stop()


@pytest.fixture
async def limiter(back_end: str, redis_prefix: str) -> AsyncIterator[Limiter]:
    """A started limiter, once of each kind."""
    limiter: Limiter = MemoryLimiter()
    if back_end:
        limiter = RedisLimiter(back_end, redis_prefix, MemoryLimiter())
    await limiter.start()
    yield limiter
    await limiter.stop()
