"""The bench: `python -m tests.bench` measures a real hub under load and prints a table.

The hub has one core to itself; MariaDB, Redis and the load generator share another one. Linux only, for it
reads `/proc`. Absolute times drift with the machine: compare only what one run has measured.
"""
