"""The report of the fault runs."""

import pytest

from tests.faults.report import Report


def pytest_configure(config: pytest.Config) -> None:
    """Gather what the cases note."""
    config.pluginmanager.register(Report(), "fault-report")
