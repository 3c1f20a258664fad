"""Both ends of a load process: whoever measures gives it one order a line, and it answers one line each.

It has a process of its own so that its work is not charged to anybody else, and one clock for both ends: what
is sent leaves, and the frame it causes arrives, in the same process.
"""

import asyncio
import contextlib
import gc
import json
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import uvloop

_ROOT = Path(__file__).parents[2]
_LONGEST = 2**26  # bytes of an order


class LoadProcess:
    """A load process, on the core of whoever starts it: *module* at *url*."""

    def __init__(self, url: str, module: str = "tests.bench.load") -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, url],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._process.kill()
        self._process.communicate()

    def order(self, do: str, **arguments: object) -> Any:
        """Have it done and return the answer. Raises RuntimeError when the process has ended."""
        self.begin(do, **arguments)
        return self.answer()

    def begin(self, do: str, **arguments: object) -> None:
        """Have it done, and go on meanwhile; `answer` is to be called before the next order."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, "with": arguments}) + "\n")
        self._process.stdin.flush()

    def answer(self) -> Any:
        """Return the answer to the last order. Raises RuntimeError when the process has ended."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the load process has ended")
        return json.loads(line)


async def _obey(load: object) -> None:
    orders = asyncio.StreamReader(limit=_LONGEST)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(orders), sys.stdin
    )
    # The pauses of this process' own collector would be told as the server's.
    gc.freeze()
    gc.disable()
    while line := await orders.readline():
        order = json.loads(line)
        answer = await getattr(load, order["do"])(**order["with"])
        print(json.dumps(answer), flush=True)


def obey(load: object) -> None:
    """Obey the orders on standard input, each a public coroutine method of *load*, until its end."""
    with contextlib.suppress(KeyboardInterrupt):  # the parent has got it too, and cleans up
        uvloop.run(_obey(load))
