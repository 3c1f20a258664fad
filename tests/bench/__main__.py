"""The command: measure, print the tables, and write the figures to a JSON file."""

import argparse
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from hub.ops import logs
from tests.bench import machine
from tests.bench.peers.peer import PEERS
from tests.bench.run import ALL, QUICK_PLANS, USUAL, Plans, Run


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "parts", nargs="*", help=f"some of: {', '.join(ALL)}; without any: {', '.join(USUAL)}"
    )
    parser.add_argument("--quick", action="store_true", help="one short round, to see that it works")
    parser.add_argument("--rounds", type=int, help="rounds of each part")
    parser.add_argument("--rate", type=float, help="sign-ins a second")
    parser.add_argument("--sockets", type=int, help="waiting sockets, beside the peers and in the soak")
    parser.add_argument("--seconds", type=float, help="length of the soak")
    parser.add_argument("--peers", help="peers by name, separated by semicolons; by default all, or none")
    parser.add_argument("--json", type=Path, default=Path("var/bench.json"), help="file for the figures")
    parser.add_argument(
        "--realtime",
        action="store_true",
        help="run before all other work of a busy machine (root); writes to the disk may then stall",
    )
    asked = parser.parse_args()
    parts: Sequence[str] = asked.parts or USUAL
    if unknown := [part for part in parts if part not in ALL]:
        parser.error(f"there is no part {', '.join(unknown)}")
    peers = [kind for kind in PEERS if asked.peers is None or kind.name in asked.peers.split(";")]
    plans = (QUICK_PLANS if asked.quick else Plans()).changed(
        rounds=asked.rounds, rate=asked.rate, sockets=asked.sockets, seconds=asked.seconds
    )
    most = machine.most_sockets()
    if plans.crowding.sockets > most:
        print(f"the limit of open files allows only {most} sockets", file=sys.stderr)
        plans = plans.changed(sockets=most)
    logs.configure("warning", json=False)
    if asked.realtime:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything started is stopped
    try:
        report = Run(plans, peers, asked.json.parent / "bench-peers").parts(parts)
    except KeyboardInterrupt:
        sys.exit(130)
    asked.json.parent.mkdir(parents=True, exist_ok=True)
    asked.json.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    print(f"\nwritten to {asked.json}")
    if report["failed"]:
        sys.exit(1)


if __name__ == "__main__":
    main()
