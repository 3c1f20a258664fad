"""A private Redis Cluster, and a Redis with a replica and a sentinel, and the fixtures that hand them out."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.servers.ports import free_port
from tests.servers.redis import RedisServer, require

SLOTS = 16384


class RedisCluster:
    """Three primaries, each with so many *replicas*. One that dies is noticed after a second."""

    def __init__(self, folder: Path, *, replicas: int = 0) -> None:
        self.primaries = [self._node(folder / f"primary-{number}") for number in range(3)]
        self.replicas = [
            [self._node(folder / f"replica-{number}-{copy}") for copy in range(replicas)]
            for number in range(3)
        ]

    @property
    def nodes(self) -> list[RedisServer]:
        """All nodes, the primaries of the start first."""
        return [*self.primaries, *(node for group in self.replicas for node in group)]

    @property
    def url(self) -> str:
        """A URL that names two of the nodes, the first of them one that is not there."""
        return f"redis+cluster://127.0.0.1:1,127.0.0.1:{self.primaries[1].port}"

    def start(self) -> None:
        """Start all nodes, join them, and wait until every one of them sees the whole."""
        for node in self.nodes:
            node.start()
        first = self.primaries[0]
        for number, node in enumerate(self.primaries):
            begin, end = SLOTS * number // 3, SLOTS * (number + 1) // 3 - 1
            node.command("CLUSTER", "ADDSLOTSRANGE", str(begin), str(end))
            node.command("CLUSTER", "SET-CONFIG-EPOCH", str(number + 1))
        for node in self.nodes[1:]:
            node.command("CLUSTER", "MEET", "127.0.0.1", str(first.port), first.options["cluster-port"])
        self._wait(lambda node: f"cluster_known_nodes:{len(self.nodes)}" in node.command("CLUSTER", "INFO"))
        for primary, group in zip(self.primaries, self.replicas, strict=True):
            for replica in group:
                replica.command("CLUSTER", "REPLICATE", primary.command("CLUSTER", "MYID"))
        self._wait(lambda node: "cluster_state:ok" in node.command("CLUSTER", "INFO"))
        for group in self.replicas:
            for replica in group:
                self._wait(
                    lambda node: "master_link_status:up" in node.command("INFO", "replication"), [replica]
                )

    def stop(self) -> None:
        """Stop all nodes."""
        for node in self.nodes:
            node.stop()

    def primary_of(self, name: str) -> RedisServer:
        """Return the node that serves *name* now."""
        alive = next(node for node in self.nodes if node.answers())
        slot = int(alive.command("CLUSTER", "KEYSLOT", name))
        for line in alive.command("CLUSTER", "NODES").splitlines():
            (
                _,
                address,
                flags,
                *_,
            ) = fields = line.split()
            if "master" not in flags or "fail" in flags:
                continue
            for span in fields[8:]:
                begin, _, end = span.partition("-")
                if begin.isdecimal() and int(begin) <= slot <= int(end or begin):
                    port = int(address.partition("@")[0].rpartition(":")[2])
                    return next(node for node in self.nodes if node.port == port)
        raise LookupError(f"nobody serves {name}")

    def move_slot(self, name: str, source: RedisServer, target: RedisServer) -> None:
        """Give the slot of *name*, with what is kept in it, to another primary."""
        slot = target.command("CLUSTER", "KEYSLOT", name)
        ids = {node: node.command("CLUSTER", "MYID") for node in (source, target)}
        target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[source])
        source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[target])
        keys = source.command("CLUSTER", "GETKEYSINSLOT", slot, "1000").split()
        source.command("MIGRATE", "127.0.0.1", str(target.port), "", "0", "5000", "KEYS", *keys)
        for node in (target, source, *(node for node in self.primaries if node not in (source, target))):
            node.command("CLUSTER", "SETSLOT", slot, "NODE", ids[target])

    @staticmethod
    def _node(folder: Path) -> RedisServer:
        folder.mkdir(parents=True)
        options = {
            "cluster-enabled": "yes",
            "cluster-node-timeout": "1000",
            "cluster-port": str(free_port()),
            "cluster-replica-validity-factor": "0",
        }
        return RedisServer(folder, options)

    def _wait(self, condition: Callable[[RedisServer], bool], nodes: list[RedisServer] | None = None) -> None:
        deadline = time.monotonic() + 30
        for node in nodes or self.nodes:
            while not condition(node):
                assert time.monotonic() < deadline, node.command("CLUSTER", "INFO")
                time.sleep(0.05)


@pytest.fixture(scope="session")
def cluster_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    """The cluster that all tests share; none of them may stop or flush it."""
    require("redis-server")
    cluster = RedisCluster(tmp_path_factory.mktemp("cluster"))
    cluster.start()
    yield cluster
    cluster.stop()


@pytest.fixture
def own_cluster(tmp_path: Path) -> Iterator[RedisCluster]:
    """A cluster of the test's own, with a replica of each primary."""
    require("redis-server")
    cluster = RedisCluster(tmp_path / "cluster", replicas=1)
    cluster.start()
    yield cluster
    cluster.stop()


@pytest.fixture
def primary(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis with a replica beside it."""
    require("redis-server")
    servers: list[RedisServer] = []
    for name in ("primary", "replica"):
        (tmp_path / name).mkdir()
        options = {"replicaof": f"127.0.0.1 {servers[0].port}"} if servers else {}
        servers.append(RedisServer(tmp_path / name, options))
        servers[-1].start()
    yield servers[0]
    for server in servers:
        server.stop()


@pytest.fixture
def sentinel(tmp_path: Path, primary: RedisServer) -> Iterator[RedisServer]:
    """A sentinel that watches the primary as the service `hub` and gives it up after half a second."""
    folder = tmp_path / "sentinel"
    folder.mkdir()
    server = RedisServer(folder, sentinel=True)
    (folder / "sentinel.conf").write_text(
        f"sentinel monitor hub 127.0.0.1 {primary.port} 1\n"
        "sentinel down-after-milliseconds hub 500\n"
        "sentinel failover-timeout hub 5000\n"
    )
    server.start()
    deadline = time.monotonic() + 30
    while "num-slaves\n1" not in server.command("SENTINEL", "MASTER", "hub"):
        assert time.monotonic() < deadline, "the sentinel does not learn of the replica"
        time.sleep(0.05)
    yield server
    server.stop()


def sentinel_url(sentinel: RedisServer) -> str:
    """A URL that names two sentinels, the first of them one that is not there."""
    return f"redis+sentinel://127.0.0.1:1,127.0.0.1:{sentinel.port}/hub/0"
