"""What a device is known again by, and how it is called to a person."""

import re
from hashlib import blake2b

import ua_parser

from hub.audit.log import Device

_LONGEST = 40  # characters
_NAME = re.compile(rf"[\w '’()+-]{{1,{_LONGEST}}}")  # nothing of which a link could be made


def device_key(device: Device) -> str:
    """Return 32 characters for a device: its own id where it has one, else browser, system and type.

    The version is left out, for browsers update themselves.
    """
    if device.id:
        text = f"id\0{device.id}"
    else:
        browser, system = _agent(device.user_agent)
        text = "\0".join(("agent", browser or device.user_agent.partition("/")[0], system, device.type or ""))
    return blake2b(text.encode(), digest_size=16).hexdigest()


def called(device: Device) -> str:
    """Return a short name for a message: the one it was given, else browser and system; empty for neither.

    A name that is more than one is left out: who signs in must not write letters in our name.
    """
    if device.name and _NAME.fullmatch(device.name):
        return device.name
    return agent_name(device.user_agent)


def agent_name(user_agent: str) -> str:
    """Return browser and system of a user agent; empty for one that says neither."""
    return ", ".join(filter(None, _agent(user_agent)))[:_LONGEST]


def _agent(user_agent: str) -> tuple[str, str]:
    parsed = ua_parser.parse(user_agent)
    return (
        parsed.user_agent.family if parsed.user_agent else "",
        parsed.os.family if parsed.os else "",
    )
