"""What a device is known again by, and how it is called to a person."""

from hashlib import blake2b

import ua_parser

from hub.audit.log import Device


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
    """Return a short name: the one it was given, else browser and system; empty where neither is known."""
    return device.name or ", ".join(filter(None, _agent(device.user_agent)))


def _agent(user_agent: str) -> tuple[str, str]:
    parsed = ua_parser.parse(user_agent)
    return (
        parsed.user_agent.family if parsed.user_agent else "",
        parsed.os.family if parsed.os else "",
    )
