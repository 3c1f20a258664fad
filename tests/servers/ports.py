"""Ports for the servers that tests start."""

import itertools
import os
import socket

# Below those that the kernel gives to connections, which could take one between its choice and its use.
_FIRST, _COUNT = 10_000, 20_000
_NEXT = itertools.count(os.getpid() * 101)  # processes that test at the same time begin far from each other


def free_port() -> int:
    """Return a TCP port of the loopback address that nobody uses, another one each time."""
    while True:
        port = _FIRST + next(_NEXT) % _COUNT
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
