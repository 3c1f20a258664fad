"""The servers of a run: a private MariaDB that keeps its promises, a private Redis, and one hub."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.bench.machine import HUB_CORE, OTHER_CORE, cpu_seconds, on_core
from tests.servers.hub import HubProcess
from tests.servers.mariadb import MariaDB
from tests.servers.redis import RedisServer

DATABASE = "hub_bench"
_ACCOUNT = "bench"

# The test server's defaults give up durability for speed; a hub in production does not.
_DURABLE = (
    "--innodb-flush-log-at-trx-commit=1",
    "--innodb-doublewrite=ON",
    "--innodb-buffer-pool-size=256M",
    "--innodb-log-file-size=128M",
    "--table-open-cache=400",
    "--open-files-limit=2048",
)


class KeptHub(HubProcess):
    """One that goes on from part to part of a quick run: starting takes longer than what is measured."""

    _started = False

    def start(self, *options: str) -> "HubProcess":
        """Start it where it was not started before."""
        if not self._started:
            super().start(*options)
            self._started = True
        return self

    def stop(self) -> None:
        """Leave it running."""

    def end(self) -> None:
        """Stop it."""
        super().stop()


class Servers(NamedTuple):
    """What runs beside the hub, and the *folder* of it all."""

    folder: Path
    mariadb: MariaDB
    redis: RedisServer
    wechat: HubProcess
    """A hub with the sandbox, not started yet."""
    kept: KeptHub | None = None
    """The hub of all parts, else each has a fresh one."""

    @property
    def database_url(self) -> str:
        """DATABASE_URL of the bench's database."""
        return self.mariadb.url(DATABASE, user=_ACCOUNT, password=_ACCOUNT)

    def statements(self) -> int:
        """Return how many statements clients have sent to MariaDB since its start."""
        return int(self.mariadb.execute("SHOW GLOBAL STATUS LIKE 'Questions'")[0][1])

    def commands(self) -> int:
        """Return how many commands Redis has run since its start, those of scripts too."""
        return int(self._info("stats")["total_commands_processed"])

    def cpu(self) -> dict[str, float]:
        """Return the CPU time that MariaDB and Redis have used so far, by name, in seconds."""
        mariadb = int((self.mariadb.folder / "pid").read_text())
        redis = int(self._info("server")["process_id"])
        return {"mariadb": cpu_seconds(mariadb), "redis": cpu_seconds(redis)}

    def _info(self, section: str) -> dict[str, str]:
        lines = self.redis.command("INFO", section).splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}

    def hub(self, **env: str) -> HubProcess:
        """Return a hub on these servers with the settings *env* on top, not started yet; or the kept one."""
        return self.kept or HubProcess(self.folder, **self._settings, **env)

    @contextmanager
    def keeping(self, **env: str) -> Iterator["Servers"]:
        """Yield these servers with one hub for all parts, whose settings suit each of them."""
        kept = KeptHub(self.folder, **self._settings, **env)
        try:
            yield self._replace(kept=kept)
        finally:
            kept.end()

    @property
    def _settings(self) -> dict[str, str]:
        return {
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis.url,
            "LOG_LEVEL": "warning",
            "PYTHONWARNINGS": "default",
        }


@contextmanager
def running() -> Iterator[Servers]:
    """Start MariaDB and Redis on the core that is not the hub's, and stop them at the end."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hub-bench-")))
        folder.chmod(0o755)  # MariaDB runs as a user of its own
        places = [folder / "mariadb", folder / "redis"]
        for place in places:
            place.mkdir()
        mariadb, redis = MariaDB(places[0], *_DURABLE), RedisServer(places[1])
        stack.enter_context(on_core(OTHER_CORE))
        mariadb.install()
        stack.callback(_stop, mariadb)
        mariadb.start()
        stack.callback(redis.stop)
        redis.start()
        mariadb.execute(
            f"CREATE DATABASE {DATABASE}",
            f"CREATE USER {_ACCOUNT}@'%' IDENTIFIED BY '{_ACCOUNT}'",
            f"GRANT ALL ON {DATABASE}.* TO {_ACCOUNT}@'%'",
        )
        yield Servers(folder, mariadb, redis, HubProcess(folder))


def _stop(mariadb: MariaDB) -> None:
    if mariadb.running:
        mariadb.stop()


@contextmanager
def serving(hub: HubProcess, core: int = HUB_CORE) -> Iterator[HubProcess]:
    """Run *hub* on a core for the length of a `with` block."""
    try:
        with on_core(core):
            hub.start()
        yield hub
    finally:
        hub.stop()
