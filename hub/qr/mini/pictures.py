"""The pictures of mini-program codes, which WeChat draws: fetched once per code and kept for its life."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from hub.wechat.replies import Image

_MOST: Final = 100  # pictures of some 100 KiB


class _Kept(NamedTuple):
    picture: asyncio.Task[Image]
    until: float  # of time.monotonic()


class Pictures:
    """Keeps the newest pictures for *life* seconds; who asks while one is being fetched shares it."""

    def __init__(self, fetch: Callable[[str], Awaitable[Image]], *, life: float) -> None:
        self._fetch = fetch
        self._life = life
        self._kept: dict[str, _Kept] = {}

    async def get(self, qr_code: str) -> Image:
        """Return the picture of *qr_code*. Raises what fetching raises; then the next one asks again."""
        kept = self._kept.get(qr_code)
        if kept is None or kept.until <= time.monotonic() or _failed(kept.picture):
            task = asyncio.ensure_future(self._fetch(qr_code))
            task.add_done_callback(_failed)  # nobody may be left to ask for it
            kept = _Kept(task, time.monotonic() + self._life)
            self._kept.pop(qr_code, None)
            self._kept[qr_code] = kept
            while len(self._kept) > _MOST:
                del self._kept[next(iter(self._kept))]
        return await asyncio.shield(kept.picture)  # who leaves does not take it from the others

    async def stop(self) -> None:
        """Give up what is being fetched."""
        tasks = [kept.picture for kept in self._kept.values()]
        self._kept.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _failed(picture: asyncio.Task[Image]) -> bool:
    return picture.done() and (picture.cancelled() or picture.exception() is not None)
