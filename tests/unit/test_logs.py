"""Lines of the log as they are written, in development and in production."""

import subprocess
import sys

import pytest

SCRIPT = """
import logging, sys
import structlog
from hub.ops import logs

def fail():
    access_token = "-".join(["a", "token"])
    raise ValueError("broken")

logs.configure("info", json=sys.argv[1] == "json")
for tell in (structlog.stdlib.get_logger("hub.x").exception, logging.getLogger("a.library").exception):
    try:
        fail()
    except ValueError:
        tell("defect")
"""


@pytest.mark.parametrize("form", ["json", "readable"])
def test_a_traceback_has_no_values(form: str) -> None:
    """What a function held when it failed is in no line, ours or a library's: it may be a token."""
    done = subprocess.run([sys.executable, "-c", SCRIPT, form], capture_output=True, text=True, check=True)
    assert done.stderr.count("broken") >= 2
    assert "a-token" not in done.stderr
