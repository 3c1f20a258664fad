"""The seconds that all who look at an interval share.

Each waking of an idle process costs more than what it is for, so they wake together.
"""

import asyncio
import math

_LATE = 0.1  # seconds


def until_tick(seconds: float) -> float:
    """Return how long to sleep for the last whole second of the loop's clock in about *seconds*.

    That is up to a second less, so that who was late comes back into step, and never 0.1 s more. Less than a
    second is returned as it is.
    """
    if seconds < 1:
        return seconds
    now = asyncio.get_running_loop().time()
    return math.floor(now + seconds + _LATE) - now
