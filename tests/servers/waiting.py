"""Waiting for what announces itself to nobody."""

import asyncio
from collections.abc import Awaitable, Callable


async def until(condition: Callable[[], Awaitable[bool]], *, timeout: float = 20.0) -> None:
    """Ask *condition* again and again until it is true; raises TimeoutError after *timeout* seconds."""
    async with asyncio.timeout(timeout):
        while True:
            if await condition():
                return
            await asyncio.sleep(0.01)
