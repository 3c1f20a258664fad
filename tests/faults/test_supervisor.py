"""The supervisor of workers, where the machine lets it start none for a while."""

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

from structlog.testing import capture_logs

from hub.supervisor import Supervisor
from tests.servers.waiting import until

WORKER = f"""#!{sys.executable}
import os, socket, sys
from pathlib import Path

with socket.socket(fileno=int(sys.argv[-1].partition("=")[2])) as channel:
    channel.send(b"\\0")
    Path(__file__).with_name(f"{{os.getpid()}}.serves").touch()
    channel.recv(1)
"""


def serving(folder: Path) -> list[Path]:
    """Return the files by which workers tell that they serve, each named by its process."""
    return list(folder.glob("*.serves"))


async def test_a_worker_that_cannot_be_started_is_tried_again(tmp_path: Path) -> None:
    """A process that the system refuses is no end of the tries to replace one that died."""
    script = tmp_path / "worker"
    script.write_text(WORKER)
    script.chmod(0o700)

    async def one_serves() -> bool:
        return len(serving(tmp_path)) == 1

    with socket.socket() as listener, capture_logs() as lines:

        async def one_was_refused() -> bool:
            return any(line["event"] == "worker_not_started" for line in lines)

        running = asyncio.create_task(Supervisor([str(script)], listener, 1, lambda _: None).run())
        await until(one_serves, timeout=20)
        (served,) = serving(tmp_path)
        served.unlink()
        script.chmod(0)
        os.kill(int(served.stem), signal.SIGKILL)
        await until(one_was_refused, timeout=20)
        script.chmod(0o700)
        await until(one_serves, timeout=20)
        os.kill(os.getpid(), signal.SIGTERM)
        assert await asyncio.wait_for(running, 20) == 0
