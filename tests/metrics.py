"""All metrics of the hub, as its modules declare them."""

import importlib
import pkgutil
from typing import NamedTuple

from prometheus_client import REGISTRY
from prometheus_client.metrics import MetricWrapperBase

import hub


class Measured(NamedTuple):
    """A metric by the name under which it is scraped."""

    name: str
    labels: tuple[str, ...]
    about: str


def measured() -> list[Measured]:
    """Return the metrics of every module, by name."""
    for module in pkgutil.walk_packages(hub.__path__, "hub."):
        importlib.import_module(module.name)
    found = set()
    for metric in REGISTRY._collector_to_names:
        if isinstance(metric, MetricWrapperBase) and metric._name.startswith("hub_"):
            name = f"{metric._name}_total" if metric._type == "counter" else metric._name
            found.add(Measured(name, tuple(metric._labelnames), metric._documentation))
    return sorted(found)
