"""Each command of the README does what the README says."""

import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.servers.hub import HubProcess
from tests.servers.ports import free_port

ROOT = Path(__file__).parents[2]


def commands(readme: str) -> list[str]:
    """The lines that a README tells to type."""
    blocks = (part.split("```")[0] for part in (ROOT / readme).read_text("utf-8").split("```sh\n")[1:])
    return [line for block in blocks for line in block.splitlines() if line]


COMMANDS = commands("README.md")
SERVERS = [command for command in COMMANDS if command == "make run" or "hub serve" in command]
CLIENTS = [command for command in COMMANDS if command.startswith("curl")]


def test_every_command_has_a_test() -> None:
    """No command stands in the README that nothing here runs."""
    assert set(COMMANDS) == {*SERVERS, *CLIENTS, "make test"}
    assert commands("README.zh-CN.md") == COMMANDS


@pytest.mark.parametrize("command", SERVERS)
def test_servers(command: str, tmp_path: Path) -> None:
    """The command starts a hub that answers, prints its address, and ends on SIGTERM."""
    port = free_port()
    env = {**os.environ, "PORT": str(port), "DATABASE_URL": f"sqlite:///{tmp_path / 'hub.db'}"}
    output = tmp_path / "output"
    with output.open("wb") as sink:
        process = subprocess.Popen(
            command.split(), cwd=ROOT, env=env, stdout=sink, stderr=sink, start_new_session=True
        )
    try:
        deadline = time.monotonic() + 60
        while not answers(f"http://127.0.0.1:{port}/healthz"):
            assert process.poll() is None, output.read_text()
            assert time.monotonic() < deadline, output.read_text()
            time.sleep(0.1)
        assert f":{port}/" in output.read_text()
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


@pytest.mark.parametrize("command", CLIENTS)
def test_requests(command: str, hub_on_sqlite: HubProcess, tmp_path: Path) -> None:
    """The command gets an answer that says success."""
    ours = command.replace("http://127.0.0.1:8000", hub_on_sqlite.url).replace("/tmp", str(tmp_path))  # noqa: S108
    done = subprocess.run(ours.split(), capture_output=True, timeout=20, check=True)
    assert json.loads(done.stdout)["success"] is True


def test_make_test_runs_everything() -> None:
    """`make test` sets up, lints, checks the types and runs the suite."""
    done = subprocess.run(["make", "-n", "test"], cwd=ROOT, capture_output=True, text=True, check=True)
    planned = done.stdout
    for part in (
        "redis-server",
        "mariadb",
        "chromium",
        "ruff check",
        "ruff format --check",
        "mypy",
        "pytest",
    ):
        assert part in planned, part


def answers(url: str) -> bool:
    """Say whether *url* answers 200."""
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:  # noqa: S310 - our own
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
