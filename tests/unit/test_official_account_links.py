"""Confirm links: what makes one, and that nothing else is one."""

import hashlib
import string

from hypothesis import given
from hypothesis import strategies as st

from hub.qr.official_account.links import ConfirmLinks

OLD, NEW = "old-cookie-secret-" * 3, "new-cookie-secret-" * 3
LINKS = ConfirmLinks([NEW, OLD])
ids = st.integers(0, 2**63 - 1)
pushes = st.binary().map(lambda raw: hashlib.sha256(raw).hexdigest())


@given(attempt_id=ids, push=pushes)
def test_a_link_names_its_attempt(attempt_id: int, push: str) -> None:
    """It is the same for each try of a push, and reads under any key of the ring."""
    link = LINKS.make(attempt_id, push)
    assert link == LINKS.make(attempt_id, push)
    assert LINKS.read(link) == attempt_id
    assert LINKS.read(ConfirmLinks([OLD]).make(attempt_id, push)) == attempt_id
    assert ConfirmLinks([OLD]).read(link) is None


@given(attempt_id=ids, pushes=st.lists(pushes, min_size=2, max_size=2, unique=True))
def test_each_push_has_its_own(attempt_id: int, pushes: list[str]) -> None:
    """Another push, or another attempt, is answered with another link."""
    links = {LINKS.make(attempt_id, push) for push in pushes} | {LINKS.make(attempt_id ^ 1, pushes[0])}
    assert len(links) == 3


@given(attempt_id=ids, push=pushes, place=st.integers(0, 42), other=st.sampled_from("AZaz09-_"))
def test_a_changed_link_is_none(attempt_id: int, push: str, place: int, other: str) -> None:
    """Whoever changes a character has no link any more, not even another spelling of the same one."""
    link = LINKS.make(attempt_id, push)
    changed = link[:place] + other + link[place + 1 :]
    assert LINKS.read(changed) == (attempt_id if changed == link else None)


@given(attempt_id=ids, push=pushes)
def test_one_spelling(attempt_id: int, push: str) -> None:
    """The last character holds two bits that say nothing; only one of the four spellings is the link."""
    link = LINKS.make(attempt_id, push)
    alphabet = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
    last = alphabet.index(link[-1])
    spellings = [link[:-1] + alphabet[last // 4 * 4 + bits] for bits in range(4)]
    assert [spelling for spelling in spellings if LINKS.read(spelling) is not None] == [link]


@given(text=st.text(max_size=60))
def test_any_text(text: str) -> None:
    """What nobody made names no attempt."""
    assert LINKS.read(text) is None
