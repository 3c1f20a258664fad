"""The network an address belongs to: what one household, office or machine can change its address within."""

import ipaddress


def network(address: str) -> str:
    """Return the /24 of an IPv4 address, the /64 of an IPv6 one; what is no address is returned as it is."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    bits = 24 if parsed.version == 4 else 64
    return str(ipaddress.ip_network((parsed, bits), strict=False))


def counted(address: str) -> str:
    """Return under which name *address* is counted: itself, but a whole /64 where it is of IPv6.

    One household has as many IPv6 addresses as it likes.
    """
    return network(address) if ":" in address else address
