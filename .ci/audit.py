"""Holds pinned versions against the published advisories: `audit.py PIP-AUDIT REQUIREMENTS`.

Exits with 1 where a version has one, and with 2 where no version could be looked up: who asks must not take
the want of an answer for a clean one.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any


def main(program: str, requirements: str) -> int:
    """Run the audit, and say what it found."""
    found = _report(program, requirements)
    audited = [each for each in found if "skip_reason" not in each]
    flawed = [each for each in audited if each["vulns"]]
    for each in flawed:
        for flaw in each["vulns"]:
            fixed = ", ".join(flaw["fix_versions"]) or "no version yet"
            sys.stderr.write(f"{each['name']} {each['version']}: {flaw['id']}, mended in {fixed}\n")
    if not audited:
        sys.stderr.write("audit: no version could be looked up, so nothing is known of any of them\n")
        return 2
    sys.stdout.write(f"audit: {len(audited)} of {len(found)} versions, {len(flawed)} with advisories\n")
    return 1 if flawed else 0


def _report(program: str, requirements: str) -> list[dict[str, Any]]:
    """Return what pip-audit says of each version; nothing where it is not there, or got nowhere."""
    if not Path(program).exists():
        sys.stderr.write(f"{program} is not installed\n")
        return []
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        ended = subprocess.run(  # noqa: S603 - the Makefile's own program
            [
                *(program, "--requirement", requirements, "--no-deps", "--disable-pip"),
                *("--progress-spinner", "off", "--format", "json", "--output", str(report)),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if not report.exists():
            sys.stderr.write(ended.stderr[-1000:])
            return []
        found: list[dict[str, Any]] = json.loads(report.read_text("utf-8"))["dependencies"]
    return found


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
