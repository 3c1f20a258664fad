"""Looking up hosts by name, so that a name server that is silent holds up nothing but its own caller.

A lookup cannot be broken off. uvloop has two threads for them in all, and what is given up stays in their
queue: callers that try again and again would fill it faster than it empties, every other name would wait
behind, and so would the end of the process. So whoever dials one name again and again asks here first.
"""

import asyncio
import socket
from concurrent.futures import Future
from ipaddress import ip_address
from threading import Thread

_under_way: dict[str, Future[None]] = {}


async def resolve(host: str) -> None:
    """Return once *host*, a name or an address, can be found. Raises OSError where it is unknown.

    However many wait for a name, and however often they give up, one lookup of it is under way. It sets no
    limit of its own, and the process does not wait for it at its end.
    """
    if _is_address(host):
        return
    if (found := _under_way.get(host)) is None:
        found = _under_way[host] = Future()
        found.set_running_or_notify_cancel()  # who gives up cancels nobody else's wait
        Thread(target=_look_up, args=(host, found), name="resolver", daemon=True).start()
    await asyncio.wrap_future(found)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _look_up(host: str, found: Future[None]) -> None:
    failure = None
    try:
        socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:  # the latter for what cannot be a name
        failure = OSError(f"{host}: {error}")
    del _under_way[host]  # first, so that whoever hears of it and asks again gets a new lookup
    if failure:
        found.set_exception(failure)
    else:
        found.set_result(None)
