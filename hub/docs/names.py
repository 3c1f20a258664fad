"""What endpoints are called in the documents, and what their docstrings say of them."""

import inspect
import re
from collections.abc import Callable
from typing import Any

_CALL = re.compile(r"^(?:`[A-Z]+[^`]*`(?: and )?)+: ")
_PARTS = ("routes", "pages", "sockets", "push", "stream", "bind")


def told(endpoint: Callable[..., Any]) -> tuple[str, str]:
    """Return the first sentence of an endpoint's docstring, and the rest of it."""
    text = _CALL.sub("", inspect.getdoc(endpoint) or "")
    first, _, rest = text.partition("\n\n")
    first = " ".join(first.split())
    return first[:1].upper() + first[1:].removesuffix("."), " ".join(rest.split())


def identity(endpoint: Callable[..., Any]) -> str:
    """Return a name that no other endpoint has: the rooms that it is in, and its own."""
    words = "_".join((*_rooms(endpoint), endpoint.__name__)).split("_")
    return words[0] + "".join(word.capitalize() for word in words[1:])


def tag(endpoint: Callable[..., Any]) -> str:
    """Return the noun that an endpoint belongs to."""
    return _rooms(endpoint)[0]


def _rooms(endpoint: Callable[..., Any]) -> list[str]:
    *rooms, last = endpoint.__module__.split(".")[1:]
    return rooms if last in _PARTS and last not in ("bind", "stream") else [*rooms, last]
