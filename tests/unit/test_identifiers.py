"""The identifiers of an attempt outlive the key that made them, as long as it is in the ring."""

import pytest

from hub.errors import AttemptNotFound
from hub.qr.identifiers import Identifiers, hashed, new_code

OLD, NEW = "old-cookie-secret-" * 3, "new-cookie-secret-" * 3


def test_a_new_key_in_front_changes_no_attempt() -> None:
    """What an attempt was begun with is made again under the key it was begun under."""
    seed = new_code()
    before, after = Identifiers([OLD]), Identifiers([NEW, OLD])
    key = hashed(before.session_id(seed))
    assert after.session_id(seed, key) == before.session_id(seed)
    assert after.authorization_code(seed, key) == before.authorization_code(seed)
    assert after.authorization_code(seed) != before.authorization_code(seed)


def test_a_key_that_is_gone_makes_nothing() -> None:
    """Nothing else is taken for the identifiers of such an attempt; its person is to begin again."""
    seed = new_code()
    key = hashed(Identifiers([OLD]).session_id(seed))
    for make in (Identifiers([NEW]).session_id, Identifiers([NEW]).authorization_code):
        with pytest.raises(AttemptNotFound):
            make(seed, key)
