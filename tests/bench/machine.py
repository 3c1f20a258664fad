"""What the kernel knows of this machine and of a process; Linux only."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
_FLUSHES = 200

_usable = sorted(os.sched_getaffinity(0))  # at the start: later on this process keeps to one of them
HUB_CORE, OTHER_CORE = _usable[0], _usable[-1]
"""The core of the hub, and that of everything else; the same one where there is no other."""


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """Keep this process, and the children it starts meanwhile, on one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used, user and system, in steps of 10 ms."""
    # The second field is the name in parentheses, which may hold anything.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def memory(pid: int) -> int:
    """Return the memory of a process in bytes, shared pages divided by their users (PSS)."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def processor() -> str:
    """Return the processor's name."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown"
    )


def flush_time(folder: Path) -> float:
    """Return the median time, in ms, that the disk under *folder* takes to make a small write last."""
    taken = []
    path = folder / "flush"
    with path.open("wb", buffering=0) as file:
        for _ in range(_FLUSHES):
            file.write(b"x" * 512)
            begun = time.perf_counter()
            os.fdatasync(file.fileno())
            taken.append(time.perf_counter() - begun)
    path.unlink()
    return 1000 * sorted(taken)[_FLUSHES // 2]
