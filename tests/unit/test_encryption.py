"""Encryption at rest: a value opens only with its key and in its place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.store.encryption import DataKeys, Place, Unsealable

ONE, OTHER = "one-data-key-of-more-than-32-bytes-", "other-data-key-of-more-than-32-bytes"
KEYS = DataKeys([ONE])
PLACE = Place("wechat_users", ("wx1", "oAbC"), "access_token")


@given(st.text())
def test_what_is_sealed_opens(value: str) -> None:
    """Any text comes back as it was."""
    assert KEYS.open(KEYS.seal(value, PLACE), PLACE) == value


def test_sealing_twice_differs() -> None:
    """Two seals of one value do not show that it is the same, nor the value."""
    one, other = KEYS.seal("value", PLACE), KEYS.seal("value", PLACE)
    assert one != other
    assert "value" not in one


@pytest.mark.parametrize(
    "place",
    [
        PLACE._replace(table="oauth_connections"),
        PLACE._replace(row=("wx1", "oABC")),
        PLACE._replace(row=("wx1o", "AbC")),
        PLACE._replace(column="refresh_token"),
    ],
)
def test_value_does_not_open_elsewhere(place: Place) -> None:
    """A value that was moved to another table, row or column does not open."""
    with pytest.raises(Unsealable):
        KEYS.open(KEYS.seal("value", PLACE), place)


def test_ring_opens_what_an_older_key_sealed() -> None:
    """After a new key was put in front, old values open and new ones need the new key."""
    old = KEYS.seal("value", PLACE)
    ring = DataKeys([OTHER, ONE])
    assert ring.open(old, PLACE) == "value"
    with pytest.raises(Unsealable):
        KEYS.open(ring.seal("value", PLACE), PLACE)


@given(st.text() | st.text().map("v1.".__add__))
def test_garbage_does_not_open(text: str) -> None:
    """Whatever is not a sealed value raises Unsealable and nothing else."""
    with pytest.raises(Unsealable):
        KEYS.open(text, PLACE)


@given(st.integers(0, 500), st.sampled_from("Aa0_-"))
def test_changed_value_does_not_open(position: int, character: str) -> None:
    """One other character in it, and it does not open."""
    sealed = KEYS.seal("some value", PLACE)
    position = 3 + position % (len(sealed) - 5)  # within the base64, less the bits that end it
    changed = sealed[:position] + character + sealed[position + 1 :]
    if changed != sealed:
        with pytest.raises(Unsealable):
            KEYS.open(changed, PLACE)


@pytest.mark.parametrize("secrets", [[], ["short"], [ONE, "short"]])
def test_bad_rings_are_refused(secrets: list[str]) -> None:
    """No secret at all, or any that is too short, stops the start."""
    with pytest.raises(ValueError, match="secret"):
        DataKeys(secrets)
