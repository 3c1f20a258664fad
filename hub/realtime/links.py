"""Which connection serves a name: the only one there is, or the one to the node that has the name's slot."""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from hub.realtime.dial import Dial, dialler
from hub.realtime.link import Link, Script

Make = Callable[[Dial], Link]


class Links(Protocol):
    """The links to one Redis, or to all primaries of a cluster."""

    @abstractmethod
    def __iter__(self) -> Iterator[Link]: ...

    @property
    @abstractmethod
    def healthy(self) -> bool:
        """True while every name is served by a link that is up."""

    @abstractmethod
    async def start(self) -> None:
        """Connect. Returns when the first try has succeeded or failed; further ones go on behind."""

    @abstractmethod
    async def stop(self) -> None:
        """Close all links and stay away."""

    @abstractmethod
    def at(self, name: str) -> Link:
        """Return the link that serves *name*. Raises LinkDown where there is none."""

    @abstractmethod
    async def run(self, script: Script, key: str, *arguments: str | bytes | int, late: bool = False) -> Any:
        """As `Link.run`, on the link that serves *key*."""

    @abstractmethod
    def look_again(self) -> None:
        """Ask which node serves what, soon: something was not where it was looked for."""


class OneLink(Links):
    """The link to a Redis that is alone, or that sentinels name."""

    def __init__(self, url: str, make: Make, *, timeout: float) -> None:
        self._link = make(dialler(url, timeout=timeout))

    def __iter__(self) -> Iterator[Link]:
        yield self._link

    @property
    def healthy(self) -> bool:
        return self._link.up

    async def start(self) -> None:
        await self._link.start()

    async def stop(self) -> None:
        await self._link.stop()

    def at(self, name: str) -> Link:
        return self._link

    async def run(self, script: Script, key: str, *arguments: str | bytes | int, late: bool = False) -> Any:
        return await self._link.run(script, key, *arguments, late=late)

    def look_again(self) -> None:
        """Nothing else is there to look at."""
