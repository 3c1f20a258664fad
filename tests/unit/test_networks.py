"""The network of an address."""

import pytest

from hub.limits.networks import network


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
