"""Looking up hosts by name, so that a name server that is silent holds up nothing but its own caller.

A lookup cannot be broken off. uvloop has two threads for them in all, and what is given up stays in their
queue: callers that try again and again fill it faster than it empties, every other name waits behind, and so
does the end of the process.
"""

import asyncio
import socket
from concurrent.futures import Future
from ipaddress import ip_address
from threading import Thread
from typing import Any, NamedTuple


class _Query(NamedTuple):
    """The arguments of `socket.getaddrinfo`."""

    host: str
    port: str | bytes | int | None
    family: int = 0
    type: int = 0
    proto: int = 0
    flags: int = 0


_under_way: dict[_Query, Future[list[Any]]] = {}


async def resolve(host: str) -> None:
    """Return once *host*, a name or an address, can be found. Raises OSError where it is unknown.

    It sets no limit of its own.
    """
    if not _is_address(host):
        await look_up(host, None, type=socket.SOCK_STREAM)


async def look_up(host: str, port: str | bytes | int | None, **hints: int) -> list[Any]:
    """Return what `socket.getaddrinfo` does for the same arguments. Raises gaierror, which names the host.

    However many wait for an answer, and however often they give up, the question is asked once, and at the
    end of the process nobody waits for it.
    """
    query = _Query(host, port, **hints)
    if (found := _under_way.get(query)) is None:
        found = _under_way[query] = Future()
        found.set_running_or_notify_cancel()  # who gives up cancels nobody else's wait
        try:
            Thread(target=_ask, args=(query, found), name="resolver", daemon=True).start()
        except RuntimeError as error:  # no thread can be had: the next to ask may get one
            del _under_way[query]
            raise socket.gaierror(socket.EAI_AGAIN, f"{query.host}: {error}") from error
    answer = await asyncio.wrap_future(found)
    return list(answer)  # each gets one of their own


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _ask(query: _Query, found: Future[list[Any]]) -> None:
    failure = None
    answer: list[Any] = []
    try:
        answer = socket.getaddrinfo(*query)
    except socket.gaierror as error:
        failure = socket.gaierror(error.errno, f"{query.host}: {error.strerror}")
    except (OSError, UnicodeError) as error:  # the latter for what cannot be a name
        failure = socket.gaierror(socket.EAI_NONAME, f"{query.host}: {error}")
    del _under_way[query]  # first, so that whoever hears of it and asks again gets a new lookup
    if failure:
        found.set_exception(failure)
    else:
        found.set_result(answer)
