"""What the kernel knows of this machine and of a process; Linux only."""

import os
import platform
import resource
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_OF_A_PROCESS = 2  # the kernel's CPUCLOCK_SCHED
_FLUSHES = 200
_SPARE_FILES = 500  # of a process, beside those of its sockets

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


def family(pid: int) -> list[int]:
    """Return the process ids of a process and its children's children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(one for child in children for one in family(int(child)))]


def listens(port: int) -> bool:
    """Tell whether somebody accepts connections at a port of the loopback address."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def most_sockets() -> int:
    """Raise the limit of open files as far as it goes, here and for all children; return what it allows."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most - _SPARE_FILES


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used, user and system, its ended threads too."""
    return time.clock_gettime(~pid << 3 | _OF_A_PROCESS)  # as clock_getcpuclockid(3) makes it


def memory(pid: int) -> int:
    """Return the memory of a process in bytes, shared pages divided by their users (PSS)."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def files(pid: int) -> int:
    """Return how many files and sockets a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def cpu_of(pid: int) -> float:
    """Return the CPU time of a process and of those below it."""
    return sum(map(cpu_seconds, family(pid)))


def memory_of(pid: int) -> int:
    """Return the memory (PSS) of a process and of those below it."""
    return sum(map(memory, family(pid)))


def description(folder: Path) -> dict[str, Any]:
    """Describe the machine, and the versions of what runs on it."""
    return {
        "processor": _processor(),
        "cores": {"server": HUB_CORE, "others": OTHER_CORE, "usable": len(_usable)},
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "versions": {name: version for name in _PROGRAMS if (version := _version(*name.split()))},
        "flush_ms": flush_time(folder),
    }


_PROGRAMS = ("redis-server --version", "mariadbd --version", "node --version")


def _version(program: str, option: str) -> str:
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        return ""
    return subprocess.run([found, option], capture_output=True, text=True, check=False).stdout.strip()


def _processor() -> str:
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
