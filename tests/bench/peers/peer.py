"""The peers: how each is started, where its sockets and its publishing endpoint are, and what it reads."""

import os
import resource
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from string import Template
from typing import ClassVar

from tests.bench import machine
from tests.bench.peers import cache
from tests.servers.ports import free_port

_ROOT = Path(__file__).parents[3]
_START = 15.0  # seconds
_STOP = 10.0
_MOST_FILES = 2**16  # nginx makes room for each connection it may ever have


class Peer(ABC):
    """One other server. *folder* is for what it writes, *redis* the port it subscribes at."""

    name: ClassVar[str]
    path: ClassVar[str] = "/ws/{}"
    publish: ClassVar[str] = "/publish/{}"
    dialect: ClassVar[str] = "plain"
    """How it reads an event from Redis, one of `EVENTS`; "" where it cannot be published for from outside."""
    greeted: ClassVar[bool] = True
    """Whether a socket is sent a first frame."""
    eventful: ClassVar[bool] = True
    """Whether its events are measured too; a mere variant is only looked at for the size of its sockets."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self.port = 0

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    @abstractmethod
    def versions(self) -> str:
        """What it is made of, to be asked once it has run."""

    @abstractmethod
    def command(self, folder: Path, redis: int) -> list[str]:
        """Return the command that serves at `port`. Raises Missing where something is not to be had."""

    @contextmanager
    def serving(self, folder: Path, redis: int) -> Iterator[int]:
        """Run it on the hub's core, and yield its process id. Raises Missing."""
        folder.mkdir(exist_ok=True)
        self.port = free_port()
        command = self.command(folder, redis)
        env = {**os.environ, "REDIS_URL": f"redis://127.0.0.1:{redis}", "NODE_ENV": "production"}
        log = folder / f"{self.name.replace(' ', '-')}.log"
        with log.open("ab") as out, machine.on_core(machine.HUB_CORE):
            process = subprocess.Popen(command, cwd=_ROOT, env=env, stdout=out, stderr=out)
        try:
            deadline = time.monotonic() + _START
            while not machine.listens(self.port):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise cache.Missing(f"does not start: {log.read_text('utf-8', 'replace')[-500:].strip()}")
                time.sleep(0.02)
            yield process.pid
        finally:
            process.terminate()
            try:
                process.wait(_STOP)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(_STOP)


class Plain(Peer):
    """A plain endpoint in Starlette on stock uvicorn."""

    name = "Starlette"
    deflate: ClassVar[str] = "false"

    @property
    def versions(self) -> str:
        return ", ".join(f"{name} {version(name)}" for name in ("starlette", "uvicorn", "redis"))

    def command(self, folder: Path, redis: int) -> list[str]:
        return [
            *(sys.executable, "-m", "uvicorn", "tests.bench.peers.plain:app", "--port", str(self.port)),
            *("--ws-per-message-deflate", self.deflate, "--log-level", "warning", "--backlog", "4096"),
        ]


class Deflating(Plain):
    """The same with uvicorn's default, compression for every socket."""

    name = "Starlette, deflate"
    deflate = "true"
    eventful = False


class Nchan(Peer):
    """nginx with nchan: it keeps its channels in Redis in a way of its own, and is published to by POST."""

    name = "nchan"
    dialect = ""
    greeted = False

    @property
    def versions(self) -> str:
        return cache.nginx_versions(self.cache)

    def command(self, folder: Path, redis: int) -> list[str]:
        binary, modules = cache.nginx(self.cache)
        template = Template((Path(__file__).parent / "nginx.conf").read_text())
        files = min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], _MOST_FILES)
        config = folder / "nginx.conf"
        config.write_text(
            template.substitute(modules=modules, folder=folder, port=self.port, redis=redis, files=files)
        )
        return [str(binary), "-p", str(folder), "-c", str(config), "-e", str(folder / "error.log")]


class NodeWs(Peer):
    """Node with `ws`."""

    name = "Node ws"

    @property
    def versions(self) -> str:
        return cache.node_versions("ws", "redis")

    def command(self, folder: Path, redis: int) -> list[str]:
        return ["node", str(cache.node(self.cache) / "ws.js"), str(self.port), str(redis)]


class SocketIo(Peer):
    """Node with Socket.IO and its Redis adapter."""

    name = "socket.io"
    path = "/socket.io/?EIO=4&transport=websocket&seat={}"
    dialect = "socket.io"

    @property
    def versions(self) -> str:
        return cache.node_versions("socket.io", "@socket.io/redis-adapter", "redis")

    def command(self, folder: Path, redis: int) -> list[str]:
        return ["node", str(cache.node(self.cache) / "socketio.js"), str(self.port), str(redis)]


PEERS: tuple[type[Peer], ...] = (Plain, Deflating, Nchan, NodeWs, SocketIo)
