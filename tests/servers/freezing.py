"""Freezing a process, as SIGSTOP does."""

import os
import signal


def freeze(pid: int) -> None:
    """Stop a child of this process, and return once it stands still: the signal alone only asks for it."""
    os.kill(pid, signal.SIGSTOP)
    os.waitid(os.P_PID, pid, os.WSTOPPED)
