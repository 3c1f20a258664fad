"""The network of an address."""

import pytest

from hub.limits.networks import counted, network


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.7", "192.0.2.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("unknown", "unknown"),
    ],
)
def test_addresses_have_a_network(address: str, expected: str) -> None:
    """IPv4 by /24, IPv6 by /64, and what is no address stands for itself."""
    assert network(address) == expected


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("unknown", "unknown"),
    ],
)
def test_what_limits_count(address: str, name: str) -> None:
    """Limits count an IPv4 address by itself, and the addresses of one IPv6 network as one."""
    assert counted(address) == name
