"""The metrics to show: of this process, or of all that share PROMETHEUS_MULTIPROC_DIR."""

import os

from prometheus_client import REGISTRY, CollectorRegistry, multiprocess


def registry() -> CollectorRegistry:
    """Return the registry to generate an answer from."""
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        shared = CollectorRegistry()
        multiprocess.MultiProcessCollector(shared)  # type: ignore[no-untyped-call]
        return shared
    return REGISTRY
