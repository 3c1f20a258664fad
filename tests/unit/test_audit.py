"""The check of the pinned versions, where it learns nothing."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("program", ["no-such-auditor", "/bin/false"])
def test_no_answer_is_no_clean_one(program: str) -> None:
    """Whether the auditor is missing or gets nowhere, the check fails and says why."""
    audit = [sys.executable, str(ROOT / ".ci" / "audit.py"), program, str(ROOT / "constraints.txt")]
    done = subprocess.run(audit, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "no version could be looked up" in done.stderr
