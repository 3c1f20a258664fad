"""Real worker processes, started by the console script."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.servers.hub import inherited
from tests.servers.providers import KEY, SECRET, SIGN, TEMPLATE

START_LIMIT = 60.0
DATA_KEY = "a-data-key-of-more-than-thirty-two-bytes"  # that of tests.outgoing.KEYS
ALIYUN = {
    "SMS_PROVIDERS": "aliyun",
    "ALIYUN_ACCESS_KEY_ID": KEY,
    "ALIYUN_ACCESS_KEY_SECRET": SECRET,
    "ALIYUN_SMS_SIGN_NAME": SIGN,
    "ALIYUN_SMS_TEMPLATES": f"*={TEMPLATE}/code/minutes",
}


class WorkerProcess:
    """One `hub worker` on *database_url*. *env* are its other settings; its log is kept in a file."""

    def __init__(self, folder: Path, number: int, database_url: str, **env: str) -> None:
        self._folder = folder
        self._log_file = folder / f"worker-{number}.log"
        self._env = {
            **inherited(),
            "HOME": str(folder),
            "DATABASE_URL": database_url,
            "DATA_KEYS": DATA_KEY,
            "PYTHONWARNINGS": "error,ignore::DeprecationWarning",
            **env,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "WorkerProcess":
        """Start it, and return once it works."""
        with self._log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [str(Path(sys.executable).with_name("hub")), "worker"],
                env=self._env,
                cwd=self._folder,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + START_LIMIT
        while "worker_started" not in self.log():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                pytest.fail(self.log()[-3000:])
            time.sleep(0.02)
        return self

    def log(self) -> str:
        """All that the process has written so far."""
        return self._log_file.read_text("utf-8", "replace")

    def terminate(self) -> None:
        """Send SIGTERM and do not wait."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)

    def wait(self, seconds: float = 30) -> int:
        """Wait for the end and return the exit code."""
        assert self._process is not None
        return self._process.wait(seconds)

    def kill(self) -> None:
        """End it by SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)


Start = Callable[..., WorkerProcess]


@pytest.fixture
def start_worker(tmp_path: Path) -> Iterator[Start]:
    """A function of a DATABASE_URL and settings that starts a worker; all end with the test."""
    workers: list[WorkerProcess] = []

    def start(database_url: str, **env: str) -> WorkerProcess:
        workers.append(WorkerProcess(tmp_path, len(workers), database_url, **env))
        return workers[-1].start()

    yield start
    for worker in workers:
        worker.kill()
