"""The map of a Redis Cluster, read from what a node answers."""

import pytest

from hub.realtime.cluster import SLOTS, Cluster, is_cluster, moved_to, primaries
from hub.realtime.dial import Dial
from hub.realtime.link import Link

ASKED = ("seed.example.com", 7000)


def test_each_slot_has_its_primary() -> None:
    """Ranges are inclusive, the first node of each is the primary, and the rest is nobody's."""
    reply = [
        [0, 99, [b"10.0.0.1", 7001, b"id", {}], [b"10.0.0.9", 7009, b"id", {}]],
        [100, 100, [b"10.0.0.2", 7002, b"id"]],
    ]
    slots = primaries(reply, ASKED)
    assert len(slots) == SLOTS
    assert set(slots[:100]) == {("10.0.0.1", 7001)}
    assert slots[100] == ("10.0.0.2", 7002)
    assert set(slots[101:]) == {None}


@pytest.mark.parametrize("unknown", [b"", None])
def test_a_node_without_address_is_the_one_asked(unknown: bytes | None) -> None:
    """So it is behind a network that it does not know, or has just been started."""
    assert primaries([[0, 0, [unknown, 7001, b"id"]]], ASKED)[0] == ("seed.example.com", 7001)


@pytest.mark.parametrize(
    ("told", "node"),
    [
        ("MOVED 3999 10.0.0.1:6381", ("10.0.0.1", 6381)),
        ("MOVED 3999 2001:db8::1:6381", ("2001:db8::1", 6381)),
        ("MOVED 3999 :6381", ("seed.example.com", 6381)),
    ],
)
def test_where_a_name_has_moved_to(told: str, node: tuple[str, int]) -> None:
    """Redis writes IPv6 without brackets, and no host where it is the one that was asked."""
    assert moved_to(told, ASKED) == node


@pytest.mark.parametrize(
    ("url", "is_one"),
    [
        ("redis+cluster://a:7000,b:7001", True),
        ("rediss+cluster://user:secret@a:7000", True),
        ("redis+cluster://a/", True),
        ("redis://a:7000", False),
        ("redis+sentinel://a:7000/hub", False),
        ("redis+cluster://", False),
    ],
)
def test_urls(url: str, is_one: bool) -> None:
    """A cluster is named by its scheme and any of its nodes."""
    assert is_cluster(url) is is_one


def test_a_wrong_url_is_refused() -> None:
    """What names no cluster makes none."""

    def make(dial: Dial) -> Link:
        raise AssertionError(dial)

    with pytest.raises(ValueError, match="not the URL of a cluster"):
        Cluster("redis://a:7000", make, timeout=1, changed=lambda: None)
