"""The metrics to show: of this process, or of all that share PROMETHEUS_MULTIPROC_DIR."""

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from prometheus_client import REGISTRY, CollectorRegistry, Metric, multiprocess

_FOLDER = "PROMETHEUS_MULTIPROC_DIR"


def registry() -> CollectorRegistry:
    """Return the registry to generate an answer from."""
    if _FOLDER in os.environ:
        shared = CollectorRegistry()
        multiprocess.MultiProcessCollector(shared)  # type: ignore[no-untyped-call]  # theirs is
        return shared
    return REGISTRY


def collect() -> Iterable[Metric]:
    """Read all metrics."""
    return registry().collect()


@contextmanager
def shared() -> Iterator[None]:
    """Let the processes that are started within share their metrics, in a folder of their own by default."""
    if _FOLDER in os.environ:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="hub-metrics-") as folder:
        os.environ[_FOLDER] = folder
        try:
            yield
        finally:
            del os.environ[_FOLDER]


def forget(pid: int) -> None:
    """Leave the gauges of a process that is gone out of the sums; its counters stay in."""
    multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]  # theirs is
